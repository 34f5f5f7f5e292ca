/* SPDX-License-Identifier: MIT */
/*
 * Each direction of a connection is a flow: a queue of chunks that carry the time at which they are
 * due at the other end. What was read at t is due at t + rtt/2, however much is under way, so that
 * a delay costs no throughput. A rate is a virtual clock a direction, shared by all connections: a
 * chunk leaves when the one before it has left, and nothing is read that would have to wait for
 * more than BURST.
 *
 * A connection costs what TCP's handshake would: the client's octets leave one rtt after the
 * accept, and the server sees the connection half an rtt later still.
 *
 * One timerfd wakes for whatever is due next, since libuv's own timers know only whole
 * milliseconds.
 */
#include "proxy_line.h"

#include <errno.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/list.h"
#include "base/mem.h"
#include "proxy_chunk.h"

#define MS UINT64_C(1000000)
#define NEVER UINT64_MAX
#define QUEUE_MAX ((size_t)512 << 20) /* octets under way in one flow */
#define LATE_MAX                                                                                   \
	(20 * MS)      /* a receiver that lags so much stops the sender, as a TCP window would */
#define BURST (4 * MS) /* of a capped line: nothing more is read when so much waits, */
#define BURST_LOW (2 * MS) /* and again when it is down to this: */
#define BURST_PART 4000    /* reads a second of a line at its cap, so that connections take turns */
#define SLACK (20 * UINT64_C(1000)) /* due so soon is due now */
#define CUT_WAIT (1000 * MS)        /* for the kernel to deliver what precedes an RST */
#define IOV_COUNT 16

enum side { CLIENT, SERVER };

/* flow[d] reads from side d and writes to the other. */
struct flow {
	struct list chunks;
	size_t queued;
	bool ended;   /* FIN or error was read */
	bool blocked; /* the receiver's socket is full */
	bool done;    /* FIN was handed on */
	uint64_t next_dribble;
};

enum conn_state {
	CONN_WAITING,    /* for the time to connect to the server */
	CONN_CONNECTING, /* to the server */
	CONN_OPEN,
	CONN_DEAD,    /* swallows what comes */
	CONN_CUTTING, /* RST once the kernel has sent what was handed on */
};

struct conn {
	struct list node;
	struct line *line;
	enum conn_state state;
	uint64_t accepted, deadline;
	int fd[2];
	uv_poll_t poll[2];
	int events[2]; /* that poll watches for */
	int handles;   /* of poll, not yet closed */
	bool closing;
	bool answered; /* the client received something since it last sent */
	struct flow flow[2];
};

enum line_mode { LINE_NORMAL, LINE_STALLED, LINE_DRIBBLING, LINE_HALF_OPEN };

struct line {
	uv_loop_t *loop;
	struct sockaddr_storage server;
	socklen_t server_size;
	struct list conns;
	enum line_mode mode;
	uint64_t rtt, rate;
	uint64_t free_at[2];                  /* when the direction has sent all that was read */
	bool full[2];                         /* it passed BURST, and BURST_LOW is yet to come */
	void (*limit_action)(struct line *l); /* NULL: no limit */
	enum side limit_side;                 /* whose octets it counts */
	uint64_t limit;
	bool limit_reached;
	struct line_stats stats;
	struct chunk_pool pool;
	int timer_fd;
	uv_poll_t timer;
	uint64_t armed;
};

static void line_wake(struct line *l);

static void flow_clear(struct line *l, struct flow *f)
{
	while (!list_empty(&f->chunks))
		chunk_release(&l->pool, list_entry(f->chunks.next, struct chunk, node));
	f->queued = 0;
}

static void on_poll_closed(uv_handle_t *handle)
{
	struct conn *c = handle->data;

	if (--c->handles == 0)
		free(c);
}

static void side_close(struct conn *c, enum side side, bool reset)
{
	struct linger hard = {.l_onoff = 1, .l_linger = 0};

	if (c->fd[side] < 0)
		return;
	uv_close((uv_handle_t *)&c->poll[side], on_poll_closed);
	if (reset)
		setsockopt(c->fd[side], SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	close(c->fd[side]);
	c->fd[side] = -1;
}

static void conn_close(struct conn *c, bool reset)
{
	struct line *l = c->line;

	if (c->closing)
		return;
	c->closing = true;
	flow_clear(l, &c->flow[CLIENT]);
	flow_clear(l, &c->flow[SERVER]);
	list_remove(&c->node);
	l->stats.open--;
	side_close(c, SERVER, reset);
	side_close(c, CLIENT, reset);
}

static void conn_kill(struct conn *c)
{
	flow_clear(c->line, &c->flow[CLIENT]);
	flow_clear(c->line, &c->flow[SERVER]);
	/* An end that was read before is to be read again, by conn_swallow. */
	c->flow[CLIENT].ended = c->flow[SERVER].ended = false;
	c->state = CONN_DEAD;
}

static bool flow_late(const struct flow *f, uint64_t now)
{
	if (list_empty(&f->chunks))
		return false;
	return list_entry(f->chunks.next, struct chunk, node)->due + LATE_MAX < now;
}

static bool flow_wants(const struct conn *c, enum side d, uint64_t now)
{
	const struct flow *f = &c->flow[d];
	const struct line *l = c->line;

	if (c->state == CONN_DEAD)
		return !f->ended;
	if (l->mode == LINE_STALLED || c->state == CONN_CUTTING)
		return false;
	if (d == SERVER && c->state != CONN_OPEN)
		return false;
	if (f->ended || f->queued >= QUEUE_MAX || flow_late(f, now))
		return false;
	return !l->full[d];
}

static void on_side(uv_poll_t *handle, int status, int events);

/* Has the loop watch for what the connection can go on with. */
static void conn_watch(struct conn *c, uint64_t now)
{
	for (enum side s = CLIENT; s <= SERVER; s++) {
		int events = 0;

		if (c->closing || c->fd[s] < 0)
			continue;
		if (flow_wants(c, s, now))
			events |= UV_READABLE;
		if (c->flow[1 - s].blocked && c->line->mode != LINE_STALLED)
			events |= UV_WRITABLE;
		if (s == SERVER && c->state == CONN_CONNECTING)
			events = UV_WRITABLE;
		/* Starting again what runs would cost two system calls, and events that are
		 * pending. */
		if (events == c->events[s])
			continue;
		c->events[s] = events;
		if (events)
			uv_poll_start(&c->poll[s], events, on_side);
		else
			uv_poll_stop(&c->poll[s]);
	}
}

static void flow_push(struct conn *c, enum side d, struct chunk *chunk, uint64_t now)
{
	struct line *l = c->line;
	struct flow *f = &c->flow[d];
	size_t n = chunk->end;
	uint64_t leaves = now;

	/* The client may speak once its handshake would have ended. */
	if (d == CLIENT && leaves < c->accepted + l->rtt)
		leaves = c->accepted + l->rtt;
	if (l->rate) {
		if (l->free_at[d] < leaves)
			l->free_at[d] = leaves;
		l->free_at[d] += n * 1000 * MS / l->rate;
		leaves = l->free_at[d];
		l->full[d] = l->full[d] || leaves > now + BURST;
	}
	chunk->due = leaves + l->rtt / 2;
	list_append(&f->chunks, &chunk->node);
	f->queued += n;
}

static void count_turn(struct conn *c)
{
	if (!c->answered)
		return;
	c->answered = false;
	c->line->stats.round_trips++;
}

static void flow_end(struct conn *c, enum side d, enum chunk_kind kind, uint64_t now)
{
	c->flow[d].ended = true;
	flow_push(c, d, chunk_small(kind, NULL, 0), now);
}

static size_t flow_read_size(const struct line *l)
{
	size_t n = l->rate ? l->rate / BURST_PART : CHUNK_SIZE;

	if (n < 1448)
		n = 1448;
	return n < CHUNK_SIZE ? n : CHUNK_SIZE;
}

static void flow_read(struct conn *c, enum side d, uint64_t now)
{
	struct line *l = c->line;
	struct chunk *chunk = chunk_take(&l->pool);
	ssize_t n = read(c->fd[d], chunk->data, flow_read_size(l));

	if (n <= 0) {
		chunk_release(&l->pool, chunk);
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		flow_end(c, d, n == 0 ? CHUNK_FIN : CHUNK_RST, now);
		return;
	}
	if (d == CLIENT)
		count_turn(c);
	chunk->end = (size_t)n;
	if (chunk->end < CHUNK_SIZE / 8) {
		struct chunk *small = chunk_small(CHUNK_DATA, chunk->data, chunk->end);

		chunk_release(&l->pool, chunk);
		chunk = small;
	}
	flow_push(c, d, chunk, now);
}

/* What a dead connection is sent goes nowhere; when the client leaves, the rest goes too. */
static void conn_swallow(struct conn *c, enum side d)
{
	static char sink[64 << 10];
	ssize_t n = read(c->fd[d], sink, sizeof(sink));

	if (n > 0 || (n < 0 && (errno == EAGAIN || errno == EINTR)))
		return;
	c->flow[d].ended = true;
	if (d == CLIENT)
		conn_close(c, false);
}

/* Ends a turn in which connections were stepped, and perhaps the last octet of a limit was handed
 * on. */
static void line_settle(struct line *l)
{
	void (*action)(struct line * l) = l->limit_action;

	if (l->limit_reached) {
		l->limit_reached = false;
		l->limit_action = NULL;
		l->stats.limits++;
		action(l);
	}
	line_wake(l);
}

/* Octets that may be handed on now. */
static size_t flow_allowance(const struct conn *c, enum side d, uint64_t now)
{
	const struct line *l = c->line;
	size_t n = SIZE_MAX;

	if (l->mode == LINE_DRIBBLING)
		n = now >= c->flow[d].next_dribble ? 1 : 0;
	if (d == l->limit_side && l->limit_action && n > l->limit)
		n = (size_t)l->limit;
	return n;
}

/* Collects what is due, at most `allowed` octets. */
static int flow_gather(
	const struct flow *f, uint64_t now, size_t allowed, struct iovec *iov, size_t *total)
{
	int count = 0;

	*total = 0;
	LIST_FOREACH (pos, &f->chunks) {
		struct chunk *c = list_entry(pos, struct chunk, node);
		size_t n = c->end - c->start;

		if (count == IOV_COUNT || *total == allowed)
			break;
		if (c->kind != CHUNK_DATA || c->due > now + SLACK)
			break;
		if (n > allowed - *total)
			n = allowed - *total;
		iov[count++] = (struct iovec){c->data + c->start, n};
		*total += n;
	}
	return count;
}

static void flow_consume(struct line *l, struct flow *f, size_t n)
{
	f->queued -= n;
	while (n > 0) {
		struct chunk *c = list_entry(f->chunks.next, struct chunk, node);
		size_t part = c->end - c->start;

		if (n < part) {
			c->start += n;
			return;
		}
		n -= part;
		chunk_release(&l->pool, c);
	}
}

static void count_handed_on(struct conn *c, enum side d, size_t n)
{
	struct line *l = c->line;

	if (d == CLIENT) {
		l->stats.to_server += n;
	} else {
		l->stats.to_client += n;
		c->answered = true;
	}
	if (!l->limit_action || d != l->limit_side)
		return;
	l->limit -= n;
	l->limit_reached = l->limit == 0;
}

/* Hands on the FIN or RST at the head of the queue when it is due. False when the connection ended.
 */
static bool flow_finish(struct conn *c, enum side d, uint64_t now)
{
	struct flow *f = &c->flow[d];
	struct chunk *head;

	if (list_empty(&f->chunks))
		return true;
	head = list_entry(f->chunks.next, struct chunk, node);
	if (head->kind == CHUNK_DATA || head->due > now + SLACK)
		return true;
	if (head->kind == CHUNK_RST) {
		conn_close(c, true);
		return false;
	}
	chunk_release(&c->line->pool, head);
	shutdown(c->fd[1 - d], SHUT_WR);
	f->done = true;
	if (!c->flow[1 - d].done)
		return true;
	conn_close(c, false);
	return false;
}

/* Writes what is due. False when the connection ended. */
static bool flow_pump(struct conn *c, enum side d, uint64_t now)
{
	struct line *l = c->line;
	struct flow *f = &c->flow[d];

	while (c->state == CONN_OPEN && !f->blocked && l->mode != LINE_STALLED) {
		struct iovec iov[IOV_COUNT];
		size_t total;
		int count = flow_gather(f, now, flow_allowance(c, d, now), iov, &total);
		ssize_t n;

		if (count == 0)
			return flow_finish(c, d, now);
		n = writev(c->fd[1 - d], iov, count);
		if (n < 0 && errno != EAGAIN && errno != EINTR) {
			conn_close(c, true);
			return false;
		}
		f->blocked = n < (ssize_t)total;
		if (n <= 0)
			return true;
		count_handed_on(c, d, (size_t)n);
		flow_consume(l, f, (size_t)n);
		f->next_dribble = now + MS;
	}
	return true;
}

static int socket_prepare(int fd)
{
	int on = 1;

	return setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

static void conn_connect(struct conn *c)
{
	struct line *l = c->line;
	int fd = socket(l->server.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

	if (fd < 0 || socket_prepare(fd) != 0 || uv_poll_init(l->loop, &c->poll[SERVER], fd) != 0)
		goto fail;
	c->fd[SERVER] = fd;
	c->poll[SERVER].data = c;
	c->handles++;
	c->state = CONN_CONNECTING;
	if (connect(fd, (struct sockaddr *)&l->server, l->server_size) != 0 && errno != EINPROGRESS)
		conn_close(c, true);
	return;
fail:
	if (fd >= 0)
		close(fd);
	conn_close(c, true);
}

static void on_connected(struct conn *c)
{
	int err = 0;
	socklen_t size = sizeof(err);

	if (getsockopt(c->fd[SERVER], SOL_SOCKET, SO_ERROR, &err, &size) != 0 || err != 0) {
		conn_close(c, true);
		return;
	}
	c->state = CONN_OPEN;
}

static void conn_cutting(struct conn *c, uint64_t now)
{
	int unsent = 0;

	if (ioctl(c->fd[CLIENT], SIOCOUTQNSD, &unsent) == 0 && unsent > 0 && now < c->deadline)
		return;
	conn_close(c, true);
}

/* Does whatever has become possible by now; the connection may be closed afterwards. */
static void conn_step(struct conn *c, uint64_t now)
{
	struct line *l = c->line;

	if (c->state == CONN_WAITING && l->mode != LINE_STALLED &&
		now + SLACK >= c->accepted + l->rtt + l->rtt / 2)
		conn_connect(c);
	if (c->closing)
		return;
	if (c->state == CONN_CUTTING) {
		conn_cutting(c, now);
		return;
	}
	if (flow_pump(c, CLIENT, now))
		flow_pump(c, SERVER, now);
}

static void on_side(uv_poll_t *handle, int status, int events)
{
	struct conn *c = handle->data;
	struct line *l = c->line;
	enum side s = handle == &c->poll[CLIENT] ? CLIENT : SERVER;
	uint64_t now = uv_hrtime();

	if (status < 0) {
		events = UV_READABLE | UV_WRITABLE;
		c->events[s] = 0; /* libuv has stopped */
	}
	if (s == SERVER && c->state == CONN_CONNECTING) {
		on_connected(c);
	} else {
		if (events & UV_WRITABLE)
			c->flow[1 - s].blocked = false;
		if ((events & UV_READABLE) && c->state == CONN_DEAD)
			conn_swallow(c, s);
		else if ((events & UV_READABLE) && flow_wants(c, s, now))
			flow_read(c, s, now);
	}
	if (!c->closing)
		conn_step(c, now);
	if (!c->closing)
		conn_watch(c, now);
	line_settle(l);
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* When the flow can go on without an event of its sockets. */
static uint64_t flow_next(const struct conn *c, enum side d, uint64_t now)
{
	const struct line *l = c->line;
	const struct flow *f = &c->flow[d];
	uint64_t next = NEVER;

	if (l->full[d] && !f->ended)
		next = l->free_at[d] - BURST_LOW;
	if (list_empty(&f->chunks) || f->blocked || c->state != CONN_OPEN)
		return next;
	uint64_t due = list_entry(f->chunks.next, struct chunk, node)->due;
	if (l->mode == LINE_DRIBBLING && due < f->next_dribble)
		due = f->next_dribble;
	return earlier(next, due);
}

static uint64_t conn_next(const struct conn *c, uint64_t now)
{
	const struct line *l = c->line;

	if (c->state == CONN_CUTTING)
		return now + MS;
	if (c->state == CONN_DEAD || l->mode == LINE_STALLED)
		return NEVER;
	if (c->state == CONN_WAITING)
		return c->accepted + l->rtt + l->rtt / 2;
	return earlier(flow_next(c, CLIENT, now), flow_next(c, SERVER, now));
}

/* Sets the timer for what is due next. */
static void line_wake(struct line *l)
{
	uint64_t now = uv_hrtime(), next = NEVER;
	struct itimerspec spec = {0};

	LIST_FOREACH (pos, &l->conns)
		next = earlier(next, conn_next(list_entry(pos, struct conn, node), now));
	if (next == l->armed)
		return;
	l->armed = next;
	if (next != NEVER) {
		uint64_t wait = next > now + 1000 ? next - now : 1000;

		spec.it_value.tv_sec = (time_t)(wait / (1000 * MS));
		spec.it_value.tv_nsec = (long)(wait % (1000 * MS));
	}
	timerfd_settime(l->timer_fd, 0, &spec, NULL);
}

/* Advances every connection. One step may end any number of them, hence the marked position. */
static void line_step(struct line *l)
{
	uint64_t now = uv_hrtime();
	struct list pending;

	for (enum side d = CLIENT; d <= SERVER; d++) {
		if (l->free_at[d] <= now + BURST_LOW + SLACK)
			l->full[d] = false;
	}
	list_init(&pending);
	list_splice(&pending, &l->conns);
	while (!list_empty(&pending)) {
		struct conn *c = list_entry(pending.next, struct conn, node);

		list_remove(&c->node);
		list_append(&l->conns, &c->node);
		conn_step(c, now);
		if (!c->closing)
			conn_watch(c, now);
	}
	line_settle(l);
}

static void on_timer(uv_poll_t *handle, int status, int events)
{
	struct line *l = handle->data;
	uint64_t fired;

	if (read(l->timer_fd, &fired, sizeof(fired)) < 0)
		return;
	l->armed = NEVER;
	line_step(l);
}

struct line *line_create(uv_loop_t *loop, const struct sockaddr *server, socklen_t size)
{
	struct line *l = mem_zalloc(sizeof(*l));

	l->loop = loop;
	memcpy(&l->server, server, size);
	l->server_size = size;
	l->armed = NEVER;
	list_init(&l->conns);
	list_init(&l->pool.spare);
	l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
	if (l->timer_fd < 0 || uv_poll_init(loop, &l->timer, l->timer_fd) != 0) {
		free(l);
		return NULL;
	}
	l->timer.data = l;
	uv_poll_start(&l->timer, UV_READABLE, on_timer);
	return l;
}

void line_adopt(struct line *l, int fd)
{
	struct conn *c = mem_zalloc(sizeof(*c));

	c->line = l;
	c->accepted = uv_hrtime();
	c->fd[CLIENT] = fd;
	c->fd[SERVER] = -1;
	c->answered = true;
	c->state = l->mode == LINE_HALF_OPEN ? CONN_DEAD : CONN_WAITING;
	list_init(&c->flow[CLIENT].chunks);
	list_init(&c->flow[SERVER].chunks);
	if (socket_prepare(fd) != 0 || uv_poll_init(l->loop, &c->poll[CLIENT], fd) != 0) {
		close(fd);
		free(c);
		return;
	}
	c->poll[CLIENT].data = c;
	c->handles = 1;
	list_append(&l->conns, &c->node);
	l->stats.connections++;
	l->stats.open++;
	line_step(l);
}

void line_shutdown(struct line *l)
{
	LIST_FOREACH_SAFE (pos, &l->conns)
		conn_close(list_entry(pos, struct conn, node), true);
	uv_close((uv_handle_t *)&l->timer, NULL);
}

void line_destroy(struct line *l)
{
	chunk_pool_finish(&l->pool);
	close(l->timer_fd);
	free(l);
}

void line_set_rtt(struct line *l, uint64_t ns)
{
	l->rtt = ns;
	line_step(l);
}

void line_set_rate(struct line *l, uint64_t rate)
{
	l->rate = rate;
	l->free_at[CLIENT] = l->free_at[SERVER] = 0;
	line_step(l);
}

void line_cut(struct line *l)
{
	uint64_t now = uv_hrtime();

	LIST_FOREACH (pos, &l->conns) {
		struct conn *c = list_entry(pos, struct conn, node);

		c->state = CONN_CUTTING;
		c->deadline = now + CUT_WAIT;
	}
	line_step(l);
}

void line_close(struct line *l)
{
	LIST_FOREACH (pos, &l->conns) {
		struct conn *c = list_entry(pos, struct conn, node);

		conn_kill(c);
		for (enum side s = CLIENT; s <= SERVER; s++) {
			if (c->fd[s] >= 0)
				shutdown(c->fd[s], SHUT_WR);
		}
	}
	line_step(l);
}

void line_stall(struct line *l)
{
	l->mode = LINE_STALLED;
	LIST_FOREACH (pos, &l->conns)
		conn_watch(list_entry(pos, struct conn, node), uv_hrtime());
	line_wake(l);
}

void line_act_after(
	struct line *l, bool from_server, uint64_t octets, void (*action)(struct line *l))
{
	l->limit_action = action;
	l->limit_side = from_server ? SERVER : CLIENT;
	l->limit = octets;
	l->limit_reached = octets == 0;
	line_settle(l);
}

void line_dribble(struct line *l)
{
	l->mode = LINE_DRIBBLING;
	line_step(l);
}

void line_half_open(struct line *l)
{
	l->mode = LINE_HALF_OPEN;
	LIST_FOREACH (pos, &l->conns)
		conn_kill(list_entry(pos, struct conn, node));
	line_step(l);
}

void line_resume(struct line *l)
{
	l->mode = LINE_NORMAL;
	l->limit_action = NULL;
	l->limit_reached = false;
	line_step(l);
}

void line_stats(const struct line *l, struct line_stats *stats)
{
	*stats = l->stats;
}

void line_reset_stats(struct line *l)
{
	uint64_t open = l->stats.open;

	l->stats = (struct line_stats){.open = open};
}
