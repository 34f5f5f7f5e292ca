/* SPDX-License-Identifier: MIT */
/*
 * One connection's life. The stream's octets go to the session, the session's octets to the stream,
 * untagged data to the account and to the tasks that are on this connection.
 */
#include "link/conn.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/private.h"

/* Octets of a source that wait for the socket: enough to keep it busy until the next turn. */
#define ROOM ((size_t)256 * 1024)

static const char *const names[] = {
	[CONN_CONNECTING] = "connecting",
	[CONN_CONFIRMING] = "confirming",
	[CONN_READY] = "ready",
	[CONN_SELECTING] = "selecting",
	[CONN_COMPRESSING] = "compressing",
	[CONN_CLOSING] = "closing",
	[CONN_DEAD] = "dead",
};

const char *conn_state_name(const struct conn *c)
{
	return names[c->state];
}

void conn_set_state(struct conn *c, enum conn_state state)
{
	log_debug("%s: connection %s -> %s", c->name, names[c->state], names[state]);
	c->state = state;
	c->state_at = conn_now(c);
}

/* --- the session's events --- */

static void conn_on_send(void *ctx, struct span octets)
{
	struct conn *c = ctx;

	c->wire.turns += c->wire.heard;
	c->wire.heard = false;
	if (c->state == CONN_CONNECTING)
		c->speed.asked_at = uv_hrtime();
	if (c->stream)
		net_stream_write(c->stream, octets);
}

static size_t conn_on_room(void *ctx)
{
	struct conn *c = ctx;
	size_t unsent = c->stream ? net_stream_unsent(c->stream) : ROOM;

	c->wire.uploads = true;
	return unsent < ROOM ? ROOM - unsent : 0;
}

static void conn_on_starttls(void *ctx, size_t buffered)
{
	struct conn *c = ctx;

	net_stream_start_tls(c->stream, buffered);
}

static void conn_on_compress(void *ctx, bool agreed, struct span rest)
{
	struct conn *c = ctx;

	c->wire.deflated = agreed;
	c->speed.rate = (struct rate){0};
	c->pool->server.compress_refused |= !agreed;
	if (agreed)
		net_stream_start_deflate(c->stream, rest);
	conn_set_state(c, CONN_READY);
	if (c->ready_at)
		pool_run_soon(c->pool);
	else
		lives_on_ready(c);
}

static void conn_on_token(void *ctx, bool refused)
{
	struct conn *c = ctx;
	struct token_source *tokens = c->pool->options.tokens;

	tokens->want(tokens, &c->token, refused);
}

static void conn_on_token_got(struct token_wait *w, const char *token, const char *error)
{
	struct conn *c = list_entry(w, struct conn, token);

	if (token)
		imap_session_token(c->session, token, conn_now(c));
	else
		imap_session_fail(c->session, ERR_TOKEN, error);
}

/* Before the pool hears of it, COMPRESS can be had without waiting for a pause. */
void conn_go_on(struct conn *c)
{
	if (!c->ready_at && speed_wants_deflate(c))
		speed_deflate(c);
	else
		lives_on_ready(c);
}

static void conn_on_ready(void *ctx)
{
	struct conn *c = ctx;

	conn_set_state(c, CONN_READY);
	if (line_is_doubted(c->pool->line))
		noop_confirm(c);
	else
		conn_go_on(c);
}

/* "Still at it" (INPROGRESS, RFC 9585; others say it without a code). */
static void note_progress(struct conn *c)
{
	uint64_t timeout = c->pool->options.timeout;

	LIST_FOREACH (pos, &c->tasks.list) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		uint64_t most = t->granted_at + CONN_PATIENCE * timeout;
		uint64_t by = conn_now(c) + timeout < most ? conn_now(c) + timeout : most;
		if (t->progress_by && t->progress_by < by)
			t->progress_by = by;
	}
}

static void conn_on_untagged(void *ctx, const struct imap_response *r, uint32_t uid)
{
	struct conn *c = ctx;

	if (train_loses_order(c, r))
		return;
	/* The account hears of no message while SELECT is under way: it may still be one of the old
	 * mailbox. */
	if (c->state == CONN_SELECTING)
		select_note(c, r);
	else if (r->kind == IMAP_FETCH && uid > c->view.told)
		c->view.told = uid;
	if (r->kind == IMAP_CONDITION && r->condition == IMAP_OK)
		note_progress(c);
	bool known = c->state != CONN_SELECTING || (r->kind == IMAP_VANISHED && r->earlier) ||
		     (r->kind == IMAP_FETCH && c->view.selected.is_alone &&
			     c->view.selected.uidvalidity != 0);
	if (known && c->view.mailbox)
		c->pool->events.on_untagged(c->pool->ctx, c->view.mailbox, c, r, uid);
	LIST_FOREACH_SAFE (pos, &c->tasks.list) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->on_untagged)
			t->on_untagged(t, r, uid);
	}
}

static void conn_on_selecting(void *ctx, struct imap_command *command)
{
	train_on_selecting(ctx, command);
}

static void conn_on_body_begin(
	void *ctx, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	struct conn *c = ctx;
	bool section = prefix->body_kind != IMAP_BODY_STREAMED;

	c->tasks.body = NULL;
	LIST_FOREACH (pos, &c->tasks.list) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		pool_task_body_begin *begin = section ? t->on_section_begin : t->on_body_begin;
		if (begin && begin(t, prefix, uid, size)) {
			c->tasks.body = t;
			return;
		}
	}
}

static void conn_on_body_data(void *ctx, struct span octets)
{
	struct conn *c = ctx;

	if (c->tasks.body)
		c->tasks.body->on_body_data(c->tasks.body, octets);
}

static void conn_on_body_end(void *ctx)
{
	((struct conn *)ctx)->tasks.body = NULL;
}

static void conn_on_session_closed(void *ctx, int err, const char *text)
{
	struct conn *c = ctx;

	conn_set_state(c, CONN_DEAD);
	list_remove(&c->token.link);
	if (err == ERR_AUTH && c->pool->options.tokens)
		c->pool->options.tokens->refused(c->pool->options.tokens, &c->token);
	c->wire.closed = conn_counts(c);
	net_stream_destroy(c->stream);
	c->stream = NULL;
	train_on_lost(c, err);
	train_finish(c);
	/* Who waited for a command has ended; the others must hear of it too. */
	LIST_FOREACH_SAFE (pos, &c->tasks.list) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->on_lost)
			t->on_lost(t, err);
	}
	lives_on_dead(c, err, text);
}

/* --- the stream's events --- */

static void conn_on_open(void *ctx)
{
	struct conn *c = ctx;
	struct binding binding = {.kind = BINDING_NONE};

	if (!c->pool->server.binding_refused)
		net_stream_binding(c->stream, &binding);
	imap_session_tls_done(c->session, &binding, conn_now(c));
}

static void conn_on_data(void *ctx, struct span data)
{
	struct conn *c = ctx;

	c->wire.heard = true;
	c->wire.heard_at = conn_now(c);
	/* That it takes logins does not say that it serves. */
	if (c->ready_at)
		c->pool->line->heard_at = conn_now(c);
	speed_note_round_trip(c);
	imap_session_feed(c->session, data, conn_now(c));
	line_bore(c->pool->line, imap_session_take_borne(c->session));
	speed_note(c, data.n);
	if (c->view.mailbox)
		c->pool->events.on_batch(c->pool->ctx, c->view.mailbox);
}

static void conn_on_drain(void *ctx)
{
	struct conn *c = ctx;

	if (imap_session_is_sending(c->session))
		imap_session_go_on(c->session, conn_now(c));
}

static void conn_on_stream_closed(void *ctx, int err, const char *text)
{
	struct conn *c = ctx;

	c->wire.lost = true;
	imap_session_fail(c->session, err, text);
}

/* --- from birth to death --- */

static struct imap_session *create_session(struct conn *c)
{
	static const struct imap_session_events events = {
		.send = conn_on_send,
		.room = conn_on_room,
		.on_starttls = conn_on_starttls,
		.on_compress = conn_on_compress,
		.on_token = conn_on_token,
		.on_ready = conn_on_ready,
		.on_untagged = conn_on_untagged,
		.on_selecting = conn_on_selecting,
		.on_body_begin = conn_on_body_begin,
		.on_body_data = conn_on_body_data,
		.on_body_end = conn_on_body_end,
		.on_closed = conn_on_session_closed,
	};
	const struct pool_options *o = &c->pool->options;
	const struct imap_session_options options = {
		.name = c->name,
		.host = o->host,
		.port = o->port,
		.login = o->login,
		.starttls = o->mode == POOL_TLS_STARTTLS,
		.tls = o->mode != POOL_TLS_NONE,
		.timeout = o->timeout,
		.pace = &c->pool->line->pace,
	};
	struct imap_session *s = imap_session_create(&options, &events, c, conn_now(c));

	if (!s) {
		log_error("out of memory");
		abort();
	}
	return s;
}

static struct net_stream *create_stream(struct conn *c)
{
	static const struct net_stream_events events = {
		.on_open = conn_on_open,
		.on_data = conn_on_data,
		.on_drain = conn_on_drain,
		.on_closed = conn_on_stream_closed,
	};
	const struct pool_options *o = &c->pool->options;
	const struct net_stream_options options = {
		.host = o->host,
		.port = o->port,
		.tls = o->mode == POOL_TLS_NONE ? NULL : o->tls,
		.implicit_tls = o->mode == POOL_TLS_IMPLICIT,
		.connect_timeout = o->timeout,
		.throttle = o->throttle,
		.received = o->received,
	};

	return net_stream_create(c->pool->loop, &options, &events, c);
}

void conn_create(struct pool *p, unsigned number)
{
	struct conn *c = mem_zalloc(sizeof(*c));

	c->pool = p;
	c->made_at = conn_now(c);
	c->number = number;
	snprintf(c->name, sizeof(c->name), "[%u]", number);
	list_init(&c->tasks.list);
	list_init(&c->train.cars);
	list_init(&c->token.link);
	c->token.on_token = conn_on_token_got;
	imap_command_init(&c->selecting.command, false, NULL);
	imap_command_init(&c->selecting.rights, false, NULL);
	imap_command_init(&c->noop.command, false, NULL);
	imap_command_init(&c->rest.command, false, NULL);
	list_append(&p->conns, &c->link);
	c->session = create_session(c);
	c->stream = create_stream(c);
}

void conn_destroy(struct conn *c)
{
	while (!list_empty(&c->tasks.list)) {
		list_entry(c->tasks.list.next, struct pool_task, link)->conn = NULL;
		list_remove(c->tasks.list.next);
	}
	list_remove(&c->link);
	list_remove(&c->token.link);
	net_stream_destroy(c->stream);
	imap_session_destroy(c->session);
	train_finish(c);
	imap_command_finish(&c->selecting.command);
	imap_command_finish(&c->selecting.rights);
	imap_command_finish(&c->noop.command);
	imap_command_finish(&c->rest.command);
	free(c);
}

void conn_grant(struct conn *c, struct pool_task *t)
{
	t->conn = c;
	c->tasks.count++;
	c->tasks.bulk += t->bulk;
	c->tasks.alone += t->alone;
	c->tasks.granted_at = t->granted_at = conn_now(c);
	list_append(&c->tasks.list, &t->link);
	t->on_conn(t);
}

void conn_blame(struct conn *c, const struct trouble_of *of)
{
	if (c->blame.any)
		return;
	c->blame.any = true;
	c->blame.of = *of;
}

void conn_logout(struct conn *c)
{
	if (c->state == CONN_DEAD || c->state == CONN_CLOSING)
		return;
	/* Nobody waits for it, and before the login the server has nothing to say goodbye to. */
	if (c->state == CONN_CONNECTING) {
		conn_fail(c, ERR_CANCELED, "shutting down");
		return;
	}
	conn_set_state(c, CONN_CLOSING);
	imap_session_logout(c->session);
}

void conn_fail(struct conn *c, int err, const char *text)
{
	imap_session_fail(c->session, err, text);
}

/* --- deadlines --- */

/* A server that drips octets, or tells of other things for ever, is heard all the time. */
static bool gets_nowhere(struct conn *c)
{
	LIST_FOREACH (pos, &c->tasks.list) {
		const struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->progress_by && conn_now(c) >= t->progress_by)
			return true;
	}
	return false;
}

/* Who sends an octet now and then is not silent, but may not keep us waiting for ever. That a token
 * takes its time is not the server's fault. */
static void check_login(struct conn *c)
{
	uint64_t timeout = c->pool->options.timeout;
	char text[64];

	if (!list_empty(&c->token.link))
		c->made_at = conn_now(c);
	if (c->state != CONN_CONNECTING || conn_now(c) < c->made_at + timeout)
		return;
	snprintf(text, sizeof(text), "logging in took longer than %llu seconds",
		(unsigned long long)(timeout / 1000));
	imap_session_fail(c->session, ERR_TIMEOUT, text);
}

/* Who is told LOGOUT closes the connection. */
static void check_logout(struct conn *c)
{
	if (c->state == CONN_CLOSING && conn_now(c) >= c->state_at + c->pool->options.timeout)
		imap_session_fail(c->session, ERR_CANCELED, "no end after LOGOUT");
}

/* While a source is sent, and until the last of it has arrived, a slow line is no silent server; who
 * stands behind it on this connection waits for the same line. */
static void note_uploaded(struct conn *c)
{
	struct net_stream_counts counts;

	if (!c->stream || !c->wire.uploads)
		return;
	net_stream_counts(c->stream, &counts);
	size_t untaken = net_stream_untaken(c->stream), unsent = net_stream_unsent(c->stream);
	uint64_t taken = counts.wire_out - (untaken - unsent);
	if (taken > c->wire.taken) {
		imap_session_note_taken(c->session, conn_now(c));
		note_progress(c);
	}
	c->wire.taken = taken;
	c->wire.uploads = untaken > 0 || imap_session_is_sending(c->session);
}

/* Octets waited for our own throttle: no deadline ran meanwhile. */
static void note_held(struct conn *c)
{
	uint64_t held = c->stream ? net_stream_held(c->stream) : c->wire.held;
	uint64_t passed = held - c->wire.held;

	c->wire.held = held;
	if (passed == 0)
		return;
	imap_session_note_held(c->session, passed);
	c->made_at += passed;
	c->state_at += passed;
	LIST_FOREACH (pos, &c->tasks.list) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		t->progress_by += t->progress_by ? passed : 0;
	}
}

void conn_tick(struct conn *c)
{
	note_held(c);
	select_tick(c);
	note_uploaded(c);
	if (gets_nowhere(c))
		imap_session_fail(c->session, ERR_TIMEOUT, "what was asked for does not come");
	else
		imap_session_tick(c->session, conn_now(c));
	check_login(c);
	check_logout(c);
	noop_keep_alive(c);
}

static bool has_deadlines(const struct conn *c)
{
	LIST_FOREACH (pos, &c->tasks.list)
		if (list_entry(pos, struct pool_task, link)->progress_by)
			return true;
	return imap_session_owes(c->session);
}

uint64_t conn_next_tick(const struct conn *c, uint64_t soon)
{
	/* All that was under way is over (imap_session_fail), and who has nothing under way but
	 * holds it was told (on_lost). */
	if (c->state == CONN_DEAD)
		return UINT64_MAX;
	if (c->state != CONN_READY || has_deadlines(c))
		return soon;
	if (c->tasks.count > 0 || c->next.mailbox)
		return UINT64_MAX;
	uint64_t due = c->wire.heard_at + NOOP_KEEP_ALIVE;
	return due > soon ? due : soon;
}

/* --- questions --- */

struct pool_counts conn_counts(const struct conn *c)
{
	struct net_stream_counts counts;

	if (!c->stream)
		return c->wire.closed;
	net_stream_counts(c->stream, &counts);
	return (struct pool_counts){counts.wire_in, counts.wire_out, c->wire.turns};
}

bool conn_literal_plus(const struct conn *c)
{
	return imap_session_capabilities(c->session) & IMAP_CAP_LITERAL_PLUS;
}

bool conn_literal_is_free(const struct conn *c, uint64_t size)
{
	return imap_literal_is_free(imap_session_capabilities(c->session), size);
}

bool conn_has_selected(const struct conn *c, const struct mailbox *mailbox)
{
	return c->view.mailbox == mailbox;
}

const struct pool_selected *conn_selected(const struct conn *c)
{
	return &c->view.selected;
}

uint32_t conn_exists(const struct conn *c)
{
	return imap_session_exists(c->session);
}

uint32_t conn_uid(const struct conn *c, uint32_t seq)
{
	return imap_session_uid(c->session, seq);
}
