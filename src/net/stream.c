/* SPDX-License-Identifier: MIT */
/*
 * A pipeline of layers around one socket, each of which may be absent:
 *
 *   socket -> wire.in -> TLS -> inflate -> on_data
 *   net_stream_write -> out -> deflate (packed) -> TLS -> wire.out -> socket
 *
 * Input is pulled from the right: pump_in asks for data until the socket has none or this wake-up
 * did its share. What is left inside the layers then, no poll would announce: the idle handle
 * `again` does. Output is pushed once a turn by the prepare handle, which
 * runs just before the loop goes to sleep.
 *
 * Callbacks are made from handle callbacks only, and never from the prepare handle: what they
 * write, to any stream, could miss the last flush before the sleep. What drains or fails there, or
 * fails in a function that was called from outside, is deferred to `again`. After each callback the
 * stream may be closed or destroyed, so wants_input and alive are asked again. The memory stays
 * until the last handle is closed, which is after all of our own frames.
 */
#include "net/stream.h"

#include <errno.h>
#include <stdio.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/log.h"
#include "base/mem.h"
#include "net/connect.h"
#include "net/deflate.h"
#include "net/failure.h"
#include "net/tls.h"
#include "net/turns.h"
#include "net/wire.h"

enum {
	OUT_MAX = 64 * 1024 * 1024, /* octets queued by the caller */
	WIRE_OUT_FILL = 256 * 1024, /* encrypted at a time */
	PACK_CHUNK = 64 * 1024,     /* deflated at a time */
	DATA_MAX = 64 * 1024,       /* one on_data */
	REST_MAX = 1024 * 1024,     /* compressed octets handed back by the caller */
	TURN_MAX = 1024 * 1024,     /* octets each way in one wake-up, to be fair to the loop */
};

enum state { CONNECTING, HANDSHAKE, OPEN, CLOSED };

struct net_stream {
	/* For its whole life. */
	uv_loop_t *loop;
	struct net_stream_events events;
	void *ctx;
	char *host;
	uint16_t port;
	bool implicit_tls;
	struct net_tls *credentials;
	uint64_t connect_timeout;
	uint64_t *received;

	/* Handles; `handles` counts those that are not closed. */
	unsigned handles;
	uv_timer_t deadline;
	uv_prepare_t flush;
	uv_idle_t again;
	uv_timer_t turn; /* while it waits for the throttle */
	uv_poll_t poll;
	int poll_events; /* what poll waits for, 0: it is stopped */

	enum state state;
	bool destroyed;
	struct net_connect *connect; /* while CONNECTING */
	int fd;                      /* -1: none */

	bool blocked;   /* the kernel took less than we had */
	bool broken;    /* nothing can be sent any more; reading will tell why */
	bool undrained; /* something was written since the last on_drain */
	bool drained;   /* on_drain is due */
	bool more;      /* the layers may hold input */
	struct net_turns turns;
	uint64_t held_before; /* milliseconds of waiting for them that the deadline knows of */
	struct buf out, packed;
	struct net_wire wire;
	struct tls_session *tls;
	struct net_deflate *deflate;
	struct net_failure failure; /* err != 0 while OPEN: to be reported by `again` */
	struct net_stream_counts counts;
	char plain[16 * 1024]; /* one decrypted record */
	char inflated[DATA_MAX];
};

static void set_state(struct net_stream *s, enum state state)
{
	static const char *const names[] = {
		[CONNECTING] = "connecting",
		[HANDSHAKE] = "handshake",
		[OPEN] = "open",
		[CLOSED] = "closed",
	};

	log_debug("%s:%u: %s -> %s", s->host, s->port, names[s->state], names[state]);
	s->state = state;
}

static bool alive(const struct net_stream *s)
{
	return s->state != CLOSED && s->failure.err == 0;
}

static bool wants_input(const struct net_stream *s)
{
	return alive(s) && (s->state == HANDSHAKE || s->state == OPEN);
}

/* ---- turns ---- */

static void stream_on_turn(uv_timer_t *timer);

/* Whether octets may go by now; else the stream goes on when its turn has come. */
static bool may_go(struct net_stream *s, enum net_direction direction)
{
	uint64_t now = uv_hrtime();

	if (net_turns_may_go(&s->turns, direction, now))
		return true;
	uv_update_time(s->loop);
	uv_timer_start(&s->turn, stream_on_turn, net_turns_next(&s->turns, now), 0);
	return false;
}

uint64_t net_stream_held(const struct net_stream *s)
{
	return net_turns_waited(&s->turns, uv_hrtime());
}

/* ---- the end ---- */

static void free_stream(struct net_stream *s)
{
	tls_session_destroy(s->tls);
	net_deflate_destroy(s->deflate);
	buf_finish(&s->out);
	buf_finish(&s->packed);
	buf_finish(&s->wire.out);
	free(s->host);
	free(s);
}

static void stream_on_handle_closed(uv_handle_t *handle)
{
	struct net_stream *s = handle->data;

	if (--s->handles == 0 && s->destroyed)
		free_stream(s);
}

/* Our close_notify or alert, if the socket takes it now. */
static void say_bye(struct net_stream *s)
{
	struct buf *out = &s->wire.out;

	if (!s->tls || s->broken)
		return;
	if (s->state == OPEN && out->len == 0)
		tls_session_bye(s->tls);
	if (out->len > 0 && send(s->fd, out->data, out->len, MSG_NOSIGNAL) < 0)
		log_debug("%s:%u: no farewell: %s", s->host, s->port, strerror(errno));
}

/* The poll handle leaves the loop before the descriptor's number can be given to anyone else. */
static void stream_close(struct net_stream *s)
{
	net_connect_cancel(s->connect);
	s->connect = NULL;
	net_turns_give_back(&s->turns, uv_hrtime());
	uv_close((uv_handle_t *)&s->deadline, stream_on_handle_closed);
	uv_close((uv_handle_t *)&s->flush, stream_on_handle_closed);
	uv_close((uv_handle_t *)&s->again, stream_on_handle_closed);
	uv_close((uv_handle_t *)&s->turn, stream_on_handle_closed);
	if (s->fd >= 0) {
		say_bye(s);
		uv_close((uv_handle_t *)&s->poll, stream_on_handle_closed);
		close(s->fd);
		s->fd = -1;
	}
	set_state(s, CLOSED);
}

/* Reports s->failure. Nothing may be done with s after it. */
static void stream_end(struct net_stream *s)
{
	stream_close(s);
	s->events.on_closed(s->ctx, s->failure.err, s->failure.text);
}

/* For functions that must not call back. */
static void stream_on_again(uv_idle_t *again);

static void run_again(struct net_stream *s)
{
	uv_idle_start(&s->again, stream_on_again);
}

static void read_again(struct net_stream *s)
{
	s->more = true;
	run_again(s);
}

void net_stream_destroy(struct net_stream *s)
{
	if (!s)
		return;
	s->destroyed = true;
	if (s->state != CLOSED)
		stream_close(s);
	else if (s->handles == 0)
		free_stream(s);
}

/* ---- waiting for the socket ---- */

static void stream_on_poll(uv_poll_t *poll, int status, int events);

static void update_poll(struct net_stream *s)
{
	bool reads = wants_input(s) && !s->turns.waits[NET_IN];
	int events = (reads ? UV_READABLE : 0) | (s->blocked ? UV_WRITABLE : 0);

	if (s->fd < 0 || events == s->poll_events)
		return;
	s->poll_events = events;
	if (events == 0)
		uv_poll_stop(&s->poll);
	else
		uv_poll_start(&s->poll, events, stream_on_poll);
}

static int socket_failed(struct net_stream *s, int error)
{
	if (error == ETIMEDOUT)
		return net_failure_set(
			&s->failure, ERR_TIMEOUT, "the server does not answer any more");
	return net_failure_set(
		&s->failure, ERR_NET, "connection to the server failed: %s", strerror(error));
}

/* ---- output ---- */

static int pack(struct net_stream *s)
{
	size_t n = s->out.len < PACK_CHUNK ? s->out.len : PACK_CHUNK;
	int err = net_deflate_pack(
		s->deflate, (struct span){s->out.data, n}, &s->packed, &s->failure);

	if (err == 0)
		buf_consume(&s->out, n);
	return err;
}

static int encrypt_out(struct net_stream *s, struct buf *from)
{
	while (from->len > 0 && s->wire.out.len < WIRE_OUT_FILL) {
		ssize_t n = tls_session_write(s->tls, buf_span(from), &s->failure);
		if (n < 0)
			return (int)n;
		buf_consume(from, (size_t)n);
	}
	return 0;
}

/* The buffer whose octets the socket gets next; empty when all is sent. */
static int next_wire(struct net_stream *s, struct buf **wire)
{
	struct buf *from = s->deflate ? &s->packed : &s->out;
	int err = 0;

	*wire = s->tls ? &s->wire.out : from;
	if (s->state != OPEN || (*wire)->len > 0)
		return 0;
	if (s->deflate && s->packed.len == 0 && s->out.len > 0)
		err = pack(s);
	if (err == 0 && s->tls)
		err = encrypt_out(s, from);
	return err;
}

/* A server that closed may have said why (BYE), so reading decides how this ends. */
static int send_failed(struct net_stream *s, int error)
{
	if (error != EPIPE && error != ECONNRESET)
		return socket_failed(s, error);
	s->broken = true;
	return 0;
}

/* 1: all is sent. 0: the kernel is full, enough for this turn, or the throttle holds the rest. */
static int push_out(struct net_stream *s)
{
	struct buf *b;

	for (size_t sent = 0; sent < TURN_MAX;) {
		int err = next_wire(s, &b);
		if (err < 0)
			return err;
		if (b->len == 0)
			return 1;
		if (!may_go(s, NET_OUT))
			return 0;
		ssize_t n = send(s->fd, b->data, net_turns_share(&s->turns, b->len), MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		net_turns_end(&s->turns, NET_OUT, n);
		if (n < 0)
			return errno == EAGAIN ? 0 : send_failed(s, errno);
		buf_consume(b, (size_t)n);
		s->counts.wire_out += (uint64_t)n;
		sent += (size_t)n;
	}
	return 0;
}

static void drained(struct net_stream *s)
{
	if (s->state != OPEN || !(s->undrained || s->drained))
		return;
	s->undrained = false;
	/* A large upload's memory is not kept for ever. */
	if (s->out.cap > TURN_MAX)
		buf_finish(&s->out);
	/* `again` also runs for other reasons: nobody is to be told who did not ask. */
	s->drained = s->events.on_drain != NULL;
	if (s->drained)
		run_again(s);
}

static void flush_out(struct net_stream *s)
{
	if (!alive(s) || s->state == CONNECTING || s->broken)
		return;
	int r = push_out(s);
	if (r < 0) {
		run_again(s);
		return;
	}
	s->blocked = r == 0 && !s->broken && !s->turns.waits[NET_OUT];
	update_poll(s);
	if (r == 1)
		drained(s);
}

static void stream_on_flush(uv_prepare_t *flush)
{
	struct net_stream *s = flush->data;

	uv_prepare_stop(flush);
	if (!s->blocked)
		flush_out(s);
}

static void flush_later(struct net_stream *s)
{
	uv_prepare_start(&s->flush, stream_on_flush);
}

void net_stream_write(struct net_stream *s, struct span data)
{
	if (!alive(s) || data.n == 0)
		return;
	int err = buf_append_span(&s->out, data);
	if (err < 0) {
		net_failure_set(&s->failure, ERR_NOMEM, "%s",
			err == ERR_LIMIT ? "too much waits to be sent" : "out of memory");
		run_again(s);
		return;
	}
	s->counts.data_out += data.n;
	s->undrained = true;
	flush_later(s);
}

size_t net_stream_unsent(const struct net_stream *s)
{
	return s->out.len + s->packed.len + s->wire.out.len;
}

size_t net_stream_untaken(const struct net_stream *s)
{
	int queued = 0;

	if (s->fd < 0 || ioctl(s->fd, SIOCOUTQ, &queued) < 0 || queued < 0)
		queued = 0;
	return net_stream_unsent(s) + (size_t)queued;
}

/* ---- input ---- */

/* Only when the wire is empty. Octets received, at most so many, 0 when there are none yet, or an
 * error. */
static ssize_t fill_wire(struct net_stream *s, size_t most)
{
	struct net_wire *w = &s->wire;
	ssize_t n;

	if (!may_go(s, NET_IN))
		return 0;
	do
		n = recv(s->fd, w->in, most, 0);
	while (n < 0 && errno == EINTR);
	int error = errno;
	net_turns_end(&s->turns, NET_IN, n);
	errno = error;
	if (n == 0)
		return net_failure_set(&s->failure, ERR_NET, "connection closed by the server%s",
			s->state == HANDSHAKE ? " during the TLS handshake" : "");
	if (n < 0)
		return errno == EAGAIN ? 0 : socket_failed(s, errno);
	w->pos = 0;
	w->len = (size_t)n;
	s->counts.wire_in += (uint64_t)n;
	if (s->received)
		*s->received += (uint64_t)n;
	return n;
}

/* What the wire holds, decrypted. Octets, 0 when it must be filled first, or an error. */
static ssize_t read_plain(struct net_stream *s, struct span *data)
{
	struct net_wire *w = &s->wire;

	if (s->tls) {
		ssize_t n = tls_session_read(s->tls, s->plain, sizeof(s->plain), &s->failure);
		*data = (struct span){s->plain, n > 0 ? (size_t)n : 0};
		return n;
	}
	*data = (struct span){w->in + w->pos, w->len - w->pos};
	w->pos = w->len;
	return (ssize_t)data->n;
}

/* The same, inflated. */
static ssize_t read_inflated(struct net_stream *s, struct span *data)
{
	for (;;) {
		ssize_t n = net_deflate_unpack(
			s->deflate, s->inflated, sizeof(s->inflated), &s->failure);
		*data = (struct span){s->inflated, n > 0 ? (size_t)n : 0};
		if (n != 0)
			return n;
		struct span packed;
		n = read_plain(s, &packed);
		if (n <= 0)
			return n;
		net_deflate_feed(s->deflate, packed);
	}
}

static int step_data(struct net_stream *s, size_t *handed)
{
	struct span data;
	ssize_t n = s->deflate ? read_inflated(s, &data) : read_plain(s, &data);

	if (n <= 0)
		return (int)n;
	*handed += data.n;
	s->counts.data_in += data.n;
	s->events.on_data(s->ctx, data);
	return 1;
}

static void opened(struct net_stream *s)
{
	uv_timer_stop(&s->deadline);
	set_state(s, OPEN);
	if (s->out.len > 0)
		flush_later(s);
	s->events.on_open(s->ctx);
}

static int step_handshake(struct net_stream *s)
{
	int r = tls_session_handshake(s->tls, &s->failure);

	if (r < 0)
		return r;
	if (r == 1)
		opened(s);
	return r;
}

static void pump_in(struct net_stream *s)
{
	size_t received = 0, handed = 0, most = net_turns_share(&s->turns, sizeof(s->wire.in));
	bool emptied = false;

	while (wants_input(s)) {
		if (handed >= TURN_MAX) {
			read_again(s);
			break;
		}
		int r = s->state == HANDSHAKE ? step_handshake(s) : step_data(s, &handed);
		if (r == 0) {
			/* The socket's poll goes on from here. */
			if (emptied || received >= TURN_MAX)
				break;
			ssize_t n = fill_wire(s, most);
			if (n == 0)
				break;
			r = n < 0 ? (int)n : 1;
			received += n > 0 ? (size_t)n : 0;
			emptied = n < (ssize_t)most;
		}
		if (r < 0) {
			stream_end(s);
			return;
		}
	}
	if (!alive(s))
		return;
	update_poll(s);
	/* Handshake messages, alerts and new keys are TLS's own answers to what it read. */
	if (s->wire.out.len > 0 && !s->blocked)
		flush_later(s);
}

static void stream_on_poll(uv_poll_t *poll, int status, int events)
{
	struct net_stream *s = poll->data;

	/* libuv has stopped the poll and hides the reason: recv and send know it. */
	if (status < 0) {
		s->poll_events = 0;
		events = UV_READABLE | UV_WRITABLE;
	}
	if (events & UV_WRITABLE)
		flush_out(s);
	if (alive(s) && (events & UV_READABLE))
		pump_in(s);
}

static void stream_on_turn(uv_timer_t *timer)
{
	struct net_stream *s = timer->data;

	if (alive(s) && s->turns.waits[NET_OUT] && may_go(s, NET_OUT))
		flush_out(s);
	if (alive(s) && s->turns.waits[NET_IN] && may_go(s, NET_IN))
		pump_in(s);
	else
		update_poll(s);
}

static void stream_on_again(uv_idle_t *again)
{
	struct net_stream *s = again->data;

	uv_idle_stop(again);
	if (s->failure.err != 0) {
		stream_end(s);
		return;
	}
	if (s->drained && net_stream_unsent(s) == 0) {
		s->drained = false;
		s->events.on_drain(s->ctx);
	}
	if (alive(s) && s->more) {
		s->more = false;
		pump_in(s);
	}
}

/* ---- the beginning ---- */

static void timed_out(struct net_stream *s)
{
	const char *what = "looking up the address of";

	if (s->state == HANDSHAKE)
		what = "the TLS handshake with";
	else if (net_connect_resolved(s->connect))
		what = "connecting to";
	net_failure_set(&s->failure, ERR_TIMEOUT, "%s %s port %u took longer than %.3g s", what,
		s->host, s->port, (double)s->connect_timeout / 1000);
}

static void stream_on_deadline(uv_timer_t *timer)
{
	struct net_stream *s = timer->data;

	uint64_t held = net_stream_held(s) - s->held_before;

	if (held > 0 && s->failure.err == 0) {
		s->held_before += held;
		uv_timer_start(timer, stream_on_deadline, held, 0);
		return;
	}
	/* A failure of net_stream_create may still be waiting to be reported. */
	if (s->failure.err == 0)
		timed_out(s);
	stream_end(s);
}

static void start_deadline(struct net_stream *s)
{
	/* The loop's clock may be old when it has not run for a while. */
	uv_update_time(s->loop);
	s->held_before = net_stream_held(s);
	uv_timer_start(&s->deadline, stream_on_deadline, s->connect_timeout, 0);
}

/* Goes on in pump_in. */
static int begin_tls(struct net_stream *s)
{
	s->tls = tls_session_create(s->credentials, s->host, s->port, &s->wire, &s->failure);
	if (!s->tls)
		return s->failure.err;
	set_state(s, HANDSHAKE);
	return 0;
}

static int adopt_socket(struct net_stream *s, int fd)
{
	int err = uv_poll_init(s->loop, &s->poll, fd);

	if (err < 0) {
		close(fd);
		return socket_failed(s, -err);
	}
	s->poll.data = s;
	s->handles++;
	s->fd = fd;
	return s->implicit_tls ? begin_tls(s) : 0;
}

static void stream_on_connected(void *ctx, int fd, const struct net_failure *failure)
{
	struct net_stream *s = ctx;

	s->connect = NULL;
	if (failure)
		s->failure = *failure;
	if (failure || adopt_socket(s, fd) < 0) {
		stream_end(s);
		return;
	}
	if (s->state == CONNECTING)
		opened(s);
	if (alive(s))
		pump_in(s);
}

static void init_handles(struct net_stream *s)
{
	uv_timer_init(s->loop, &s->deadline);
	uv_prepare_init(s->loop, &s->flush);
	uv_idle_init(s->loop, &s->again);
	uv_timer_init(s->loop, &s->turn);
	s->deadline.data = s->flush.data = s->again.data = s->turn.data = s;
	s->handles = 4;
}

struct net_stream *net_stream_create(uv_loop_t *loop, const struct net_stream_options *options,
	const struct net_stream_events *events, void *ctx)
{
	struct net_stream *s = mem_zalloc(sizeof(*s));

	s->loop = loop;
	s->events = *events;
	s->ctx = ctx;
	s->host = mem_strdup(options->host);
	s->port = options->port;
	s->implicit_tls = options->implicit_tls;
	s->credentials = options->tls;
	s->connect_timeout = options->connect_timeout;
	s->turns.throttle = options->throttle;
	s->received = options->received;
	s->fd = -1;
	/* Passwords go through here. */
	buf_init_secret(&s->out, OUT_MAX);
	buf_init_secret(&s->packed, OUT_MAX);
	buf_init(&s->wire.out, OUT_MAX);
	init_handles(s);
	start_deadline(s);
	s->connect = net_connect_start(loop, s->host, s->port,
		options->throttle ? net_throttle_window(options->throttle) : 0, stream_on_connected,
		s, &s->failure);
	if (!s->connect)
		run_again(s);
	return s;
}

/* ---- upgrades ---- */

static int may_start_tls(struct net_stream *s, size_t buffered)
{
	if (!s->credentials || s->tls || s->deflate || s->state != OPEN)
		return net_failure_set(&s->failure, ERR_TLS, "STARTTLS is not possible here");
	if (buffered > 0 || !net_wire_empty(&s->wire))
		return net_failure_set(&s->failure, ERR_TLS,
			"the server sent data between STARTTLS and the TLS handshake; "
			"someone may be tampering with the connection");
	if (s->out.len > 0)
		return net_failure_set(
			&s->failure, ERR_TLS, "STARTTLS with commands that are not yet sent");
	return 0;
}

void net_stream_start_tls(struct net_stream *s, size_t buffered)
{
	if (!alive(s))
		return;
	if (may_start_tls(s, buffered) == 0 && begin_tls(s) == 0)
		start_deadline(s);
	read_again(s);
}

void net_stream_start_deflate(struct net_stream *s, struct span rest)
{
	if (!alive(s))
		return;
	if (s->state != OPEN || s->deflate || rest.n > REST_MAX) {
		net_failure_set(&s->failure, ERR_PROTOCOL, "COMPRESS is not possible here");
	} else {
		s->deflate = net_deflate_create(rest);
		if (!s->deflate)
			net_failure_set(&s->failure, ERR_NOMEM, "out of memory");
		/* What was written before still goes out as it is. */
		s->packed = s->out;
		buf_init(&s->out, OUT_MAX);
	}
	read_again(s);
}

void net_stream_counts(const struct net_stream *s, struct net_stream_counts *counts)
{
	*counts = s->counts;
}

void net_stream_binding(const struct net_stream *s, struct binding *binding)
{
	if (s->tls)
		tls_session_binding(s->tls, binding);
	else
		*binding = (struct binding){.kind = BINDING_NONE};
}
