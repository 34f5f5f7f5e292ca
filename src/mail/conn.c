/*
 * Glue: the stream's octets go to the session, the session's octets to the stream, untagged data to
 * the account and to the tasks that are on this connection. SELECT is never pipelined with
 * anything, so that no command can ever run in another mailbox than the one it was meant for.
 */
#include "mail/conn.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/pool_private.h"

/* Of the rate with deflate, before it is held against that without: 4 MiB, or as many seconds. */
#define DEFLATE_SAMPLES 8
/* It must be faster by this part at least, for what it costs both processors. */
#define DEFLATE_GAIN 8
/* Milliseconds of silence after which a connection that rests is asked for a sign of life. */
#define KEEP_ALIVE ((uint64_t)2 * 60 * 1000)
/* Timeouts for which a mailbox may take to be selected, and for which a server that says that it is
 * still at it is believed. */
#define PATIENCE 10

static const char *state_name(enum conn_state state)
{
	static const char *const names[] = {
		[CONN_CONNECTING] = "connecting",
		[CONN_PROVING] = "proving",
		[CONN_READY] = "ready",
		[CONN_SELECTING] = "selecting",
		[CONN_COMPRESSING] = "compressing",
		[CONN_CLOSING] = "closing",
		[CONN_DEAD] = "dead",
	};

	return names[state];
}

static uint64_t now(const struct conn *c)
{
	return uv_now(c->pool->loop);
}

static void set_state(struct conn *c, enum conn_state state)
{
	log_debug("%s: connection %s -> %s", c->name, state_name(c->state), state_name(state));
	c->state = state;
	c->state_at = now(c);
}

/* --- the session's events --- */

static void on_send(void *ctx, struct span octets)
{
	struct conn *c = ctx;

	c->turns += c->heard;
	c->heard = false;
	if (c->state == CONN_CONNECTING)
		c->asked_at = uv_hrtime();
	if (c->stream)
		net_stream_write(c->stream, octets);
}

static void on_starttls(void *ctx, size_t buffered)
{
	struct conn *c = ctx;

	net_stream_start_tls(c->stream, buffered);
}

static void on_compress(void *ctx, bool agreed, struct span rest)
{
	struct conn *c = ctx;

	c->deflated = agreed;
	c->line_rate = (struct line_rate){0};
	c->pool->compress_refused |= !agreed;
	if (agreed)
		net_stream_start_deflate(c->stream, rest);
	set_state(c, CONN_READY);
	if (c->ready_at)
		pool_on_conn_compressed(c);
	else
		pool_on_conn_ready(c);
}

static void on_token(void *ctx, bool refused)
{
	struct conn *c = ctx;
	struct token_source *tokens = c->pool->options.tokens;

	tokens->want(tokens, &c->token, refused);
}

static void on_token_got(struct token_wait *w, const char *token, const char *error)
{
	struct conn *c = list_entry(w, struct conn, token);

	if (token)
		imap_session_token(c->session, token, now(c));
	else
		imap_session_fail(c->session, ERR_TOKEN, error);
}

static void go_on(struct conn *c)
{
	if (!c->ready_at && conn_wants_compress(c))
		conn_compress(c);
	else
		pool_on_conn_ready(c);
}

static void on_ready(void *ctx)
{
	struct conn *c = ctx;

	set_state(c, CONN_READY);
	if (line_is_doubted(c->pool->line))
		conn_prove(c);
	else
		go_on(c);
}

static void on_proof_done(struct imap_command *command, const struct imap_result *result)
{
	struct conn *c = list_entry(command, struct conn, noop);

	if (!result->response || c->state != CONN_PROVING)
		return;
	set_state(c, CONN_READY);
	go_on(c);
}

void conn_prove(struct conn *c)
{
	set_state(c, CONN_PROVING);
	imap_command_finish(&c->noop);
	imap_command_init(&c->noop, false, on_proof_done);
	imap_command_add(&c->noop, "NOOP\r\n");
	imap_session_submit(c->session, &c->noop, now(c));
}

static void note_selected(struct conn *c, const struct imap_response *r)
{
	struct pool_selected *s = &c->selected;

	if (r->kind == IMAP_MYRIGHTS) {
		s->has_rights = true;
		s->can_delete = r->words.n && memchr(r->words.p, 't', r->words.n) &&
				memchr(r->words.p, 'e', r->words.n);
		/* RFC 2086 servers have one right for both. */
		if (r->words.n && memchr(r->words.p, 'd', r->words.n))
			s->can_delete = true;
	}
	if (r->kind != IMAP_CONDITION && r->kind != IMAP_TAGGED)
		return;
	switch ((int)r->code) {
	case IMAP_CODE_UIDVALIDITY:
		s->uidvalidity = r->number <= UINT32_MAX ? (uint32_t)r->number : 0;
		break;
	case IMAP_CODE_UIDNEXT:
		s->uidnext = r->number <= UINT32_MAX ? (uint32_t)r->number : 0;
		break;
	case IMAP_CODE_HIGHESTMODSEQ:
		s->highestmodseq = r->number;
		break;
	case IMAP_CODE_PERMANENTFLAGS:
		s->has_permanentflags = true;
		s->permanentflags = r->flags;
		break;
	case IMAP_CODE_READ_ONLY:
		s->readonly = s->writable;
		break;
	}
}

/* "Still at it" (INPROGRESS, RFC 9585; others say it without a code). */
static void note_progress(struct conn *c)
{
	uint64_t timeout = c->pool->options.timeout;

	LIST_FOREACH (pos, &c->tasks) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		uint64_t most = t->granted_at + PATIENCE * timeout;
		uint64_t by = now(c) + timeout < most ? now(c) + timeout : most;
		if (t->progress_by && t->progress_by < by)
			t->progress_by = by;
	}
}

static void on_untagged(void *ctx, const struct imap_response *r, uint32_t uid)
{
	struct conn *c = ctx;

	/* The account hears of no message while SELECT is under way: it may still be one of the old
	 * mailbox. */
	if (c->state == CONN_SELECTING)
		note_selected(c, r);
	else if (r->kind == IMAP_FETCH && uid > c->told)
		c->told = uid;
	if (r->kind == IMAP_CONDITION && r->condition == IMAP_OK)
		note_progress(c);
	bool known = c->state != CONN_SELECTING || (r->kind == IMAP_VANISHED && r->earlier);
	if (known && c->mailbox)
		c->pool->events.on_untagged(c->pool->ctx, c->mailbox, c, r, uid);
	LIST_FOREACH_SAFE (pos, &c->tasks) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->on_untagged)
			t->on_untagged(t, r, uid);
	}
}

static void on_body_begin(void *ctx, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	struct conn *c = ctx;

	c->body_task = NULL;
	LIST_FOREACH (pos, &c->tasks) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->on_body_begin && t->on_body_begin(t, prefix, uid, size)) {
			c->body_task = t;
			return;
		}
	}
}

static void on_body_data(void *ctx, struct span octets)
{
	struct conn *c = ctx;

	if (c->body_task)
		c->body_task->on_body_data(c->body_task, octets);
}

static void on_body_end(void *ctx)
{
	struct conn *c = ctx;

	if (c->body_task)
		c->body_task->on_body_end(c->body_task);
	c->body_task = NULL;
}

static void on_session_closed(void *ctx, int err, const char *text)
{
	struct conn *c = ctx;

	set_state(c, CONN_DEAD);
	list_remove(&c->token.link);
	if (err == ERR_AUTH && c->pool->options.tokens)
		c->pool->options.tokens->refused(c->pool->options.tokens, &c->token);
	c->error = err;
	c->closed = conn_counts(c);
	net_stream_destroy(c->stream);
	c->stream = NULL;
	/* Who waited for a command has ended; the others must hear of it too. */
	LIST_FOREACH_SAFE (pos, &c->tasks) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->on_lost)
			t->on_lost(t, err);
	}
	pool_on_conn_dead(c, err, text);
}

/* --- the stream's events --- */

static void on_open(void *ctx)
{
	struct conn *c = ctx;

	struct binding binding = {.kind = BINDING_NONE};

	if (!c->pool->binding_refused)
		net_stream_binding(c->stream, &binding);
	imap_session_tls_done(c->session, &binding, now(c));
}

/* During the login a server says nothing unasked, so what comes is an answer. */
static void note_round_trip(struct conn *c)
{
	if (c->asked_at == 0)
		return;
	uint64_t took = uv_hrtime() - c->asked_at;
	c->asked_at = 0;
	if (c->round_trip == 0 || took < c->round_trip)
		c->round_trip = took;
}

/* Whether deflate pays is found out first, with one connection. */
static bool deflate_is_open(const struct conn *c)
{
	const struct pool *p = c->pool;
	const struct line_rate *r = &c->line_rate;

	if (p->options.compress != POOL_COMPRESS_AUTO || p->compress_refused ||
		!(p->capabilities & IMAP_CAP_COMPRESS_DEFLATE))
		return false;
	return p->deflate == DEFLATE_TRIED ||
	       (p->deflate == DEFLATE_UNTRIED && (r->samples < 2 || line_rate_is_slow(r)));
}

/* One connection is kept for who reads just one message. */
static void note_spread(const struct conn *c, size_t octets)
{
	struct pool *p = c->pool;
	bool busy = !deflate_is_open(c) && place_bulk_lines(p, NULL) > 0;

	if (spread_note(&p->spread, octets, busy, p->max > 2 ? p->max - 1 : 1, uv_now(p->loop)))
		log_debug("read-ahead by %u connections, after %llu octets a second",
			spread_width(&p->spread), (unsigned long long)p->spread.rate_fewer);
}

/* Deflate is tried on a line that is slow, and kept when that proves to be faster: a server may be
 * busier than the line is slow. */
static void note_rate(struct conn *c, size_t octets)
{
	struct pool *p = c->pool;
	struct line_rate *r = &c->line_rate;

	if (!line_rate_note(r, octets, imap_session_is_midway(c->session), now(c)))
		return;
	p->line_rate = line_rate_mean(r);
	if (p->options.compress != POOL_COMPRESS_AUTO)
		return;
	if (p->deflate == DEFLATE_UNTRIED && line_rate_is_slow(r)) {
		p->deflate = DEFLATE_TRIED;
		p->plain_rate = r->rate;
	} else if (p->deflate == DEFLATE_TRIED && c->deflated && r->samples == DEFLATE_SAMPLES) {
		bool pays = line_rate_mean(r) > p->plain_rate + p->plain_rate / DEFLATE_GAIN;
		p->deflate = pays ? DEFLATE_PAYS : DEFLATE_COSTS;
	} else {
		return;
	}
	log_debug("%s: %llu octets a second, %s deflate %s", c->name,
		(unsigned long long)line_rate_mean(r), c->deflated ? "with" : "without",
		p->deflate == DEFLATE_TRIED  ? "(to be tried)"
		: p->deflate == DEFLATE_PAYS ? "(which pays)"
					     : "(which costs)");
}

static void on_data(void *ctx, struct span data)
{
	struct conn *c = ctx;

	c->heard = true;
	c->heard_at = now(c);
	/* That it takes logins does not say that it serves. */
	if (c->ready_at)
		c->pool->line->heard_at = now(c);
	note_round_trip(c);
	imap_session_feed(c->session, data, now(c));
	line_bore(c->pool->line, imap_session_take_borne(c->session));
	note_rate(c, data.n);
	note_spread(c, data.n);
	if (c->mailbox)
		c->pool->events.on_batch(c->pool->ctx, c->mailbox);
}

static void on_stream_closed(void *ctx, int err, const char *text)
{
	struct conn *c = ctx;

	c->line_lost = true;
	imap_session_fail(c->session, err, text);
}

/* --- */

struct conn *conn_create(struct pool *p, unsigned number)
{
	struct conn *c = mem_zalloc(sizeof(*c));
	const struct pool_options *o = &p->options;
	struct imap_session_options session = {
		.name = c->name,
		.host = o->host,
		.port = o->port,
		.login = o->login,
		.starttls = o->mode == POOL_TLS_STARTTLS,
		.tls = o->mode != POOL_TLS_NONE,
		.timeout = o->timeout,
		.pace = &p->line->pace,
	};
	struct net_stream_options stream = {
		.host = o->host,
		.port = o->port,
		.tls = o->mode == POOL_TLS_NONE ? NULL : o->tls,
		.implicit_tls = o->mode == POOL_TLS_IMPLICIT,
		.connect_timeout = o->timeout,
	};
	static const struct imap_session_events session_events = {on_send, on_starttls, on_compress,
		on_token, on_ready, on_untagged, on_body_begin, on_body_data, on_body_end,
		on_session_closed};
	static const struct net_stream_events stream_events = {
		.on_open = on_open, .on_data = on_data, .on_closed = on_stream_closed};

	c->pool = p;
	c->made_at = now(c);
	snprintf(c->name, sizeof(c->name), "[%u]", number);
	list_init(&c->tasks);
	list_init(&c->token.link);
	c->token.on_token = on_token_got;
	imap_command_init(&c->select, false, NULL);
	imap_command_init(&c->rights, false, NULL);
	imap_command_init(&c->noop, false, NULL);
	imap_command_init(&c->rest, false, NULL);
	list_append(&p->conns, &c->link);
	c->session = imap_session_create(&session, &session_events, c, uv_now(p->loop));
	if (!c->session) {
		log_error("out of memory");
		abort();
	}
	c->stream = net_stream_create(p->loop, &stream, &stream_events, c);
	return c;
}

void conn_destroy(struct conn *c)
{
	while (!list_empty(&c->tasks)) {
		list_entry(c->tasks.next, struct pool_task, link)->conn = NULL;
		list_remove(c->tasks.next);
	}
	list_remove(&c->link);
	list_remove(&c->token.link);
	net_stream_destroy(c->stream);
	imap_session_destroy(c->session);
	imap_command_finish(&c->select);
	imap_command_finish(&c->rights);
	imap_command_finish(&c->noop);
	imap_command_finish(&c->rest);
	free(c);
}

/* --- SELECT --- */

static void select_done(struct conn *c)
{
	struct mailbox *mailbox = c->mailbox;
	int err = c->select_error;

	if (--c->select_pending > 0)
		return;
	if (c->state == CONN_DEAD || c->state == CONN_CLOSING)
		return;
	/* Who waits for the mailbox goes on waiting, for another connection. */
	if (c->select_lost) {
		c->mailbox = NULL;
		return;
	}
	set_state(c, CONN_READY);
	if (c->selected.uidnext > 0 && c->selected.uidnext - 1 > c->told)
		c->told = c->selected.uidnext - 1;
	if (err == 0 && mailbox)
		err = c->pool->events.on_selected(c->pool->ctx, mailbox, c);
	if (err < 0)
		c->mailbox = NULL;
	pool_on_conn_selected(c, mailbox, err);
}

static bool is_looked_into(const struct conn *c, struct span text)
{
	const struct pool_events *events = &c->pool->events;

	return c->mailbox && events->on_refused &&
	       events->on_refused(c->pool->ctx, c->mailbox, text);
}

static void on_select_done(struct imap_command *command, const struct imap_result *result)
{
	struct conn *c = list_entry(command, struct conn, select);

	c->select_error = result->err;
	c->select_lost = !result->response;
	const struct trouble_of of = {.mailbox = c->mailbox};
	if (c->select_lost)
		conn_blame(c, &of);
	else
		trouble_clear(&c->pool->trouble, &of);
	if (result->response)
		note_selected(c, result->response);
	/* One that is no more is no trouble: the next LIST will say so. */
	bool trouble = result->err < 0 && result->err != ERR_NO_MAILBOX && result->response;
	if (trouble && !is_looked_into(c, result->response->text) && !c->pool->options.quiet)
		log_warning("cannot select a mailbox: %.*s", (int)result->response->text.n,
			result->response->text.p);
	select_done(c);
}

/* Whatever the answer: SELECT decides. */
static void on_rights_done(struct imap_command *command, const struct imap_result *result)
{
	select_done(list_entry(command, struct conn, rights));
}

static void ask_rights(struct conn *c, struct span name)
{
	imap_command_finish(&c->rights);
	imap_command_init(&c->rights, conn_literal_plus(c), on_rights_done);
	imap_command_add(&c->rights, "MYRIGHTS ");
	imap_command_add_string(&c->rights, name);
	imap_command_add(&c->rights, "\r\n");
	c->select_pending++;
	imap_session_submit(c->session, &c->rights, now(c));
}

int conn_select(struct conn *c, struct mailbox *mailbox, bool writable, uint32_t uid)
{
	struct buf parameters;
	struct span name;

	c->next = NULL;
	buf_init(&parameters, 256);
	if (!c->pool->events.on_select(c->pool->ctx, mailbox, &name, &parameters)) {
		buf_finish(&parameters);
		return ERR_NO_MAILBOX;
	}
	set_state(c, CONN_SELECTING);
	c->mailbox = mailbox;
	c->told = uid;
	c->selected = (struct pool_selected){.writable = writable, .asked = uv_hrtime()};
	imap_session_forget_mailbox(c->session);
	imap_command_finish(&c->select);
	imap_command_init(&c->select, conn_literal_plus(c), on_select_done);
	imap_command_add(&c->select, writable ? "SELECT " : "EXAMINE ");
	imap_command_add_string(&c->select, name);
	imap_command_add(&c->select, "%s\r\n", buf_cstr(&parameters));
	buf_finish(&parameters);
	c->select_pending = 1;
	imap_session_submit(c->session, &c->select, now(c));
	if (writable && (imap_session_capabilities(c->session) & IMAP_CAP_ACL))
		ask_rights(c, name);
	return 0;
}

void conn_select_next(struct conn *c, struct mailbox *mailbox, bool writable, uint32_t uid)
{
	c->next = mailbox;
	c->next_writable = writable;
	c->next_uid = uid;
}

/* --- COMPRESS --- */

/* Nothing else may be under way (RFC 4978 section 3), which is why the pool waits for a pause; it
 * cannot be ended. */
bool conn_wants_compress(const struct conn *c)
{
	const struct pool *p = c->pool;
	enum pool_compress how = p->options.compress;
	bool pays = p->deflate == DEFLATE_TRIED || p->deflate == DEFLATE_PAYS;
	bool wanted = how == POOL_COMPRESS_ON || (how == POOL_COMPRESS_AUTO && pays);

	return wanted && c->state == CONN_READY && !c->deflated && !p->compress_refused &&
	       (imap_session_capabilities(c->session) & IMAP_CAP_COMPRESS_DEFLATE);
}

bool conn_is_in_vain(const struct conn *c)
{
	return c->state == CONN_READY && c->deflated && c->pool->deflate == DEFLATE_COSTS;
}

void conn_compress(struct conn *c)
{
	set_state(c, CONN_COMPRESSING);
	imap_session_compress(c->session, now(c));
}

/* --- */

void conn_grant(struct conn *c, struct pool_task *t)
{
	t->conn = c;
	c->task_count++;
	c->bulk_count += t->bulk;
	c->used = t->granted_at = now(c);
	list_append(&c->tasks, &t->link);
	t->on_conn(t);
}

struct conn_counts conn_counts(const struct conn *c)
{
	struct net_stream_counts counts;

	if (!c->stream)
		return c->closed;
	net_stream_counts(c->stream, &counts);
	return (struct conn_counts){counts.wire_in, counts.wire_out, c->turns};
}

const char *conn_state_name(const struct conn *c)
{
	return state_name(c->state);
}

/* A server that drips octets, or tells of other things for ever, is heard all the time. */
static bool gets_nowhere(struct conn *c)
{
	LIST_FOREACH (pos, &c->tasks) {
		const struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->progress_by && now(c) >= t->progress_by)
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
		c->made_at = now(c);
	if (c->state != CONN_CONNECTING || now(c) < c->made_at + timeout)
		return;
	snprintf(text, sizeof(text), "logging in took longer than %llu seconds",
		(unsigned long long)(timeout / 1000));
	imap_session_fail(c->session, ERR_TIMEOUT, text);
}

/* --- NOOP --- */

/* A server that refuses it had its chance to tell all the same. */
static void on_noop_done(struct imap_command *command, const struct imap_result *result)
{
	struct conn *c = list_entry(command, struct conn, noop);

	if (result->response && c->looking > c->told)
		c->told = c->looking;
	c->looking = 0;
	pool_end(&c->keeper);
}

static void on_keeper_granted(struct pool_task *t)
{
	struct conn *c = list_entry(t, struct conn, keeper);

	imap_command_finish(&c->noop);
	imap_command_init(&c->noop, false, on_noop_done);
	imap_command_add(&c->noop, "NOOP\r\n");
	pool_submit(t, &c->noop);
}

static void send_noop(struct conn *c)
{
	c->keeper = (struct pool_task){.on_conn = on_keeper_granted};
	list_init(&c->keeper.link);
	conn_grant(c, &c->keeper);
}

/* Also where nothing else would tell that the line is dead, or what happened in the mailbox. */
static void keep_alive(struct conn *c)
{
	if (c->state != CONN_READY || c->task_count > 0 || c->next ||
		now(c) < c->heard_at + KEEP_ALIVE)
		return;
	send_noop(c);
}

void conn_look(struct conn *c, uint32_t uid)
{
	/* One that was sent before is answered from before. */
	if (c->keeper.conn)
		return;
	c->looking = uid;
	send_noop(c);
}

/* --- IDLE --- */

static void on_rest_done(struct imap_command *command, const struct imap_result *result)
{
	struct conn *c = list_entry(command, struct conn, rest);
	struct pool_selected *s = &c->selected;

	c->resting = false;
	if (!result->response)
		return;
	c->pool->rests &= result->err == 0;
	/* What was said so far is of the mailbox before. */
	if (c->state == CONN_SELECTING)
		*s = (struct pool_selected){.writable = s->writable, .asked = s->asked};
}

static bool may_rest(const struct conn *c)
{
	return c->pool->rests && c->state == CONN_READY && c->mailbox && !c->resting && !c->next &&
	       c->task_count == 0 && (imap_session_capabilities(c->session) & IMAP_CAP_IDLE);
}

bool conn_rest(struct conn *c)
{
	if (!may_rest(c))
		return true;
	if (now(c) < c->used + CONN_REST_AFTER)
		return false;
	c->resting = true;
	imap_command_finish(&c->rest);
	imap_command_init(&c->rest, false, on_rest_done);
	c->rest.idle = true;
	imap_command_add(&c->rest, "IDLE\r\n");
	imap_session_submit(c->session, &c->rest, now(c));
	return true;
}

/* Who is told LOGOUT closes the connection. */
static void check_logout(struct conn *c)
{
	if (c->state == CONN_CLOSING && now(c) >= c->state_at + c->pool->options.timeout)
		imap_session_fail(c->session, ERR_CANCELED, "no end after LOGOUT");
}

/* --- a mailbox that takes long to be selected --- */

bool conn_is_slow(const struct conn *c)
{
	return c->state == CONN_SELECTING && now(c) >= c->state_at + c->pool->options.timeout;
}

/* So it is not the line, nor all of the server. */
static bool others_are_heard(const struct conn *c)
{
	LIST_FOREACH (pos, &c->pool->line->pools) {
		const struct pool *p = list_entry(pos, struct pool, in_line);
		LIST_FOREACH (at, &p->conns) {
			const struct conn *d = list_entry(at, struct conn, link);
			if (d != c && d->state != CONN_DEAD && d->ready_at &&
				now(c) < d->heard_at + c->pool->options.timeout)
				return true;
		}
	}
	return false;
}

/* Of all that select, the one that began first. */
static bool selects_longest(const struct conn *c)
{
	bool before = true;

	LIST_FOREACH (pos, &c->pool->conns) {
		const struct conn *d = list_entry(pos, struct conn, link);
		before &= d != c;
		if (d->state == CONN_SELECTING && d != c &&
			(d->state_at < c->state_at || (d->state_at == c->state_at && before)))
			return false;
	}
	return true;
}

/* Has another connection show that the line is well: one that rests, or one more. */
static void prove_line(struct conn *c)
{
	struct pool *p = c->pool;

	LIST_FOREACH (pos, &p->conns) {
		struct conn *d = list_entry(pos, struct conn, link);
		if (d->state == CONN_READY && d->task_count == 0 && !d->next) {
			if (now(c) >= d->heard_at + p->options.timeout / 2)
				send_noop(d);
			return;
		}
	}
	if (pool_ready_count(p) == 1 && pool_conn_count(p) == 1 && pool_may_connect(p, NULL))
		pool_connect(p);
}

/* A server may take minutes to open a large mailbox (to make an index of it, or to bring it from
 * where it is kept). Cut short, it would begin anew each time, and never be done: one such mailbox
 * at a time is waited for, beside connections that serve the others. */
static void check_select(struct conn *c)
{
	struct pool *p = c->pool;
	uint64_t timeout = p->options.timeout;
	bool patient = c->state == CONN_SELECTING && p->max > 1 && selects_longest(c);

	if (patient && now(c) >= c->state_at + timeout / 2)
		prove_line(c);
	patient = patient && !line_is_doubted(p->line) && others_are_heard(c);
	imap_session_set_patience(c->session, patient ? PATIENCE * timeout : timeout);
	/* Whatever it says meanwhile. */
	if (c->state == CONN_SELECTING && now(c) >= c->state_at + PATIENCE * timeout)
		imap_session_fail(
			c->session, ERR_TIMEOUT, "a mailbox takes too long to be selected");
}

void conn_tick(struct conn *c)
{
	check_select(c);
	if (gets_nowhere(c))
		imap_session_fail(c->session, ERR_TIMEOUT, "what was asked for does not come");
	else
		imap_session_tick(c->session, now(c));
	check_login(c);
	check_logout(c);
	keep_alive(c);
}

static bool has_deadlines(const struct conn *c)
{
	LIST_FOREACH (pos, &c->tasks)
		if (list_entry(pos, struct pool_task, link)->progress_by)
			return true;
	return imap_session_owes(c->session);
}

uint64_t conn_next_tick(const struct conn *c, uint64_t soon)
{
	if (c->state == CONN_DEAD)
		return UINT64_MAX;
	if (c->state != CONN_READY || has_deadlines(c))
		return soon;
	if (c->task_count > 0 || c->next)
		return UINT64_MAX;
	uint64_t due = c->heard_at + KEEP_ALIVE;
	return due > soon ? due : soon;
}

void conn_blame(struct conn *c, const struct trouble_of *of)
{
	if (c->blamed)
		return;
	c->blamed = true;
	c->blame = *of;
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
	set_state(c, CONN_CLOSING);
	imap_session_logout(c->session);
}

void conn_fail(struct conn *c, int err, const char *text)
{
	imap_session_fail(c->session, err, text);
}

bool conn_literal_plus(const struct conn *c)
{
	return imap_session_capabilities(c->session) & IMAP_CAP_LITERAL_PLUS;
}

const struct pool_selected *conn_selected(const struct conn *c)
{
	return &c->selected;
}

bool pool_is_told(const struct pool_task *t, uint32_t uid)
{
	return uid <= t->conn->told;
}

uint64_t pool_selection_now(void)
{
	return uv_hrtime();
}

uint32_t conn_exists(const struct conn *c)
{
	return imap_session_exists(c->session);
}

uint32_t conn_uid(const struct conn *c, uint32_t seq)
{
	return imap_session_uid(c->session, seq);
}
