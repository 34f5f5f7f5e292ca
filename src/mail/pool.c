/*
 * Scheduling is one loop over the waiting tasks, oldest first, run once per turn of the event loop
 * after something changed: see place.c.
 */
#include "mail/pool.h"

#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/pool_private.h"

#define TICK 1000
/* Milliseconds that a connection should last, and how many in a row may not. */
#define SHORT_LIFE 5000
#define SHORT_LIVES 4
/* How long a server's word that it wants fewer connections is believed. */
#define FEWER_TIME (10 * 60 * 1000)
#define BACKOFF_MIN 1000
#define BACKOFF_MAX 30000
/* Milliseconds of suspension that connections are trusted to survive. */
#define SLEEP_MAX 20000

static void pool_run(struct pool *p);

/* Not a timer: one that is started again with 0 would keep libuv 1.44 from anything else. */
static void on_soon(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	pool_run(idle->data);
}

static void run_soon(struct pool *p)
{
	if (!uv_is_closing((uv_handle_t *)&p->soon))
		uv_idle_start(&p->soon, on_soon);
}

void pool_fail_task(struct pool_task *t, int err)
{
	list_remove(&t->link);
	t->on_fail(t, err);
}

/* Fails the waiting tasks that the mailbox (any, when NULL) and the deadline say. on_fail may start
 * new tasks: those go to the end of the list and are left alone. */
static void fail_waiting(struct pool *p, const struct mailbox *mailbox, int err, uint64_t due)
{
	struct list doomed = LIST_INIT(doomed);

	LIST_FOREACH_SAFE (pos, &p->waiting) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if ((!mailbox || t->mailbox == mailbox) && t->deadline <= due) {
			list_remove(&t->link);
			list_append(&doomed, &t->link);
		}
	}
	while (!list_empty(&doomed))
		pool_fail_task(list_entry(doomed.next, struct pool_task, link), err);
}

bool pool_is_down(const struct pool *p)
{
	return p->down_since && uv_now(p->loop) >= p->down_since + p->options.timeout;
}

static int64_t milliseconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* How long the machine has been suspended in all: only CLOCK_BOOTTIME runs on meanwhile. */
static int64_t time_slept(void)
{
	return milliseconds(CLOCK_BOOTTIME) - milliseconds(CLOCK_MONOTONIC);
}

/* After a sleep the servers and routers on the way have forgotten us, but would not say so for a
 * long time. The first connection is left to its own deadline: how it ends decides about the
 * start. */
static void check_sleep(struct pool *p)
{
	int64_t slept = time_slept();
	bool long_ago = slept - p->slept > SLEEP_MAX;

	p->slept = slept;
	if (!long_ago || !p->first_told)
		return;
	log_debug("the machine slept: connecting anew");
	/* Whatever happened meanwhile, nobody was told of it: on_up. */
	p->shaken = true;
	LIST_FOREACH_SAFE (pos, &p->conns)
		conn_fail(list_entry(pos, struct conn, link), ERR_NET, "the machine slept");
	/* The network may need some seconds to be there again. */
	backoff_wake(&p->backoff);
	p->retry_at = 0;
}

/* Octets arrived since the last tick. */
static bool heard_lately(const struct pool *p)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->heard_at && uv_now(p->loop) < c->heard_at + TICK)
			return true;
	}
	return false;
}

/* Who stands in line behind others that are being served is late through no fault of the server. */
static void renew_deadlines(struct pool *p)
{
	LIST_FOREACH (pos, &p->waiting) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->deadline < UINT64_MAX - TICK)
			t->deadline += TICK;
	}
}

static void on_tick(uv_timer_t *timer)
{
	struct pool *p = timer->data;

	check_sleep(p);
	if (p->max_until && uv_now(p->loop) >= p->max_until) {
		p->max = p->options.connections;
		p->max_until = 0;
	}
	if (heard_lately(p))
		renew_deadlines(p);

	LIST_FOREACH_SAFE (pos, &p->conns)
		conn_tick(list_entry(pos, struct conn, link));
	fail_waiting(p, NULL, ERR_TIMEOUT, uv_now(p->loop));
	if (pool_is_down(p))
		fail_waiting(p, NULL, ERR_NET, UINT64_MAX);
	/* While the server cannot be reached somebody must keep trying, also when nobody asks for
	 * anything. */
	if (pool_is_unsure(p) && pool_conn_count(p) == 0 && pool_may_connect(p))
		pool_connect(p);
	run_soon(p);
}

struct pool *pool_create(uv_loop_t *loop, const struct pool_options *options,
	const struct pool_events *events, void *ctx)
{
	struct pool *p = mem_zalloc(sizeof(*p));

	p->loop = loop;
	p->options = *options;
	p->events = *events;
	p->ctx = ctx;
	p->max = options->connections;
	p->rests = !options->quiet;
	p->slept = time_slept();
	list_init(&p->waiting);
	list_init(&p->conns);
	uv_timer_init(loop, &p->tick);
	uv_timer_init(loop, &p->rest);
	uv_idle_init(loop, &p->soon);
	p->tick.data = p->rest.data = p->soon.data = p;
	uv_timer_start(&p->tick, on_tick, TICK, TICK);
	return p;
}

void pool_destroy(struct pool *p)
{
	if (!p)
		return;
	free(p->capability_words);
	free(p);
}

/* --- connections --- */

unsigned pool_conn_count(const struct pool *p)
{
	unsigned n = 0;

	LIST_FOREACH (pos, &p->conns)
		n += list_entry(pos, struct conn, link)->state != CONN_DEAD;
	return n;
}

static unsigned ready_count(const struct pool *p)
{
	unsigned n = 0;

	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		n += c->state == CONN_READY || c->state == CONN_SELECTING ||
		     c->state == CONN_COMPRESSING;
	}
	return n;
}

bool pool_is_unsure(const struct pool *p)
{
	return (p->shaken || p->backoff.failures > 0) && ready_count(p) == 0;
}

bool pool_awaits_token(const struct pool *p)
{
	LIST_FOREACH (pos, &p->conns)
		if (!list_empty(&list_entry(pos, struct conn, link)->token.link))
			return true;
	return false;
}

bool pool_may_connect(const struct pool *p)
{
	return !p->shutting_down && !p->options.offline && pool_conn_count(p) < p->max &&
	       uv_now(p->loop) >= p->retry_at;
}

static void go_down(struct pool *p, int err)
{
	uint64_t now = uv_now(p->loop);

	backoff_note(&p->backoff, err);
	p->down_since = now > p->options.timeout ? now - p->options.timeout : 1;
	p->retry_at = now + backoff_delay(&p->backoff, (uint32_t)random());
}

void pool_connect(struct pool *p)
{
	if (p->options.offline)
		run_soon(p);
	else
		conn_create(p, ++p->numbers);
}

/* For the status, which is written as it is. */
static char *printable_words(const char *words)
{
	size_t size = strlen(words) + 4;
	char *out = mem_zalloc(size);

	text_printable(span_of(words), out, size);
	return out;
}

void pool_on_conn_ready(struct conn *c)
{
	struct pool *p = c->pool;

	bool was_down = p->backoff.failures > 0;
	if (was_down && !p->options.quiet)
		log_notice("%s: connected again", p->options.host);
	bool was_shaken = p->shaken;
	p->shaken = false;
	c->ready_at = uv_now(p->loop);
	/* The only one: the line may be another than before, or the server was restarted. */
	if (pool_conn_count(p) == 1) {
		p->spread = (struct spread){0};
		p->max = p->options.connections;
		p->max_until = 0;
	}
	/* Beside others the line may be busy, so that this one's was longer. 0: not known. */
	if (c->round_trip != 0 &&
		(pool_conn_count(p) == 1 || p->round_trip == 0 || c->round_trip < p->round_trip))
		p->round_trip = c->round_trip;
	p->backoff = (struct backoff){0};
	p->down_since = 0;
	p->retry_at = 0;
	p->capabilities = imap_session_capabilities(c->session);
	p->login = imap_session_login_name(c->session);
	p->binding_refused |= imap_session_binding_refused(c->session);
	p->enabled = 0;
	free(p->capability_words);
	p->capability_words = printable_words(imap_session_capability_words(c->session));
	for (uint32_t bit = 1; bit; bit <<= 1)
		if (imap_session_enabled(c->session, bit))
			p->enabled |= bit;
	bool first = !p->first_told;
	if (!first && (was_down || was_shaken) && p->events.on_up)
		p->events.on_up(p->ctx);
	if (first) {
		p->first_told = true;
		if (p->options.compress == POOL_COMPRESS_ON && !c->deflated && !p->options.quiet)
			log_notice("%s: goes on without COMPRESS=DEFLATE, which the server %s",
				p->options.host,
				p->compress_refused ? "refused" : "does not offer");
		if (p->events.on_first)
			p->events.on_first(p->ctx, 0, NULL);
	}
	run_soon(p);
}

/* A server that takes us in and throws us out again would have us log in for ever. The first times
 * are forgiven: lines break. */
static void note_short_life(struct pool *p, const struct conn *c)
{
	uint64_t now = uv_now(p->loop);

	/* One that served somebody was of use; the watching one serves only itself. */
	if (now >= c->ready_at + SHORT_LIFE || (c->used && !p->options.quiet)) {
		p->short_lives = 0;
		return;
	}
	if (++p->short_lives <= SHORT_LIVES)
		return;
	unsigned doublings = p->short_lives - SHORT_LIVES - 1;
	uint64_t delay = (uint64_t)BACKOFF_MIN << (doublings < 5 ? doublings : 5);
	p->retry_at = now + (delay < BACKOFF_MAX ? delay : BACKOFF_MAX);
}

static void note_failure(struct pool *p, const struct conn *c, int err, const char *text)
{
	uint64_t now = uv_now(p->loop);

	/* It spoke, and would not have one more beside those that are up: it wants fewer
	 * connections. */
	bool refused = !c->line_lost && (err == ERR_THROTTLED || err == ERR_NET || err == ERR_AUTH);
	if (ready_count(p) > 0 && !c->was_ready && c->heard_at && refused) {
		p->max = ready_count(p);
		p->max_until = now + FEWER_TIME;
		log_notice("%s: %s; going on with %u connections", p->options.host, text, p->max);
		return;
	}
	if (c->was_ready && err != ERR_THROTTLED && err != ERR_PROTOCOL) {
		log_debug("%s: %s", c->name, text);
		note_short_life(p, c);
		p->shaken |= err == ERR_TIMEOUT;
		return; /* reconnect at once when it is needed */
	}
	backoff_note(&p->backoff, err);
	if (!p->down_since && pool_conn_count(p) == 0)
		p->down_since = now;
	p->retry_at = now + backoff_delay(&p->backoff, (uint32_t)random());
	if (!p->options.quiet && (p->backoff.failures == 1 || err == ERR_AUTH))
		log_warning("%s:%u: %s", p->options.host, p->options.port, text);
}

void pool_on_conn_dead(struct conn *c, int err, const char *text)
{
	struct pool *p = c->pool;

	if (!p->shutting_down) {
		if (!p->first_told && p->events.on_first) {
			p->first_told = true;
			go_down(p, err);
			p->events.on_first(p->ctx, err, text);
		} else {
			note_failure(p, c, err, text);
			if (err == ERR_AUTH && ready_count(p) == 0)
				fail_waiting(p, NULL, err, UINT64_MAX);
		}
	}
	run_soon(p);
}

void pool_on_conn_compressed(struct conn *c)
{
	run_soon(c->pool);
}

void pool_on_conn_selected(struct conn *c, struct mailbox *mailbox, int err)
{
	/* One that died meanwhile has failed its own tasks. */
	if (err < 0 && mailbox)
		fail_waiting(c->pool, mailbox, err, UINT64_MAX);
	run_soon(c->pool);
}

static void add_counts(struct conn_counts *to, struct conn_counts more)
{
	to->wire_in += more.wire_in;
	to->wire_out += more.wire_out;
	to->turns += more.turns;
}

struct conn_counts pool_counts(const struct pool *p)
{
	struct conn_counts total = p->past;

	LIST_FOREACH (pos, &p->conns)
		add_counts(&total, conn_counts(list_entry(pos, struct conn, link)));
	return total;
}

const char *pool_capability_words(const struct pool *p)
{
	return p->capability_words ? p->capability_words : "";
}

static void free_dead(struct pool *p)
{
	LIST_FOREACH_SAFE (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (c->state != CONN_DEAD || !list_empty(&c->tasks))
			continue;
		add_counts(&p->past, conn_counts(c));
		conn_destroy(c);
	}
}

static void on_handle_closed(uv_handle_t *handle)
{
	struct pool *p = handle->data;

	if (handle == (uv_handle_t *)&p->soon)
		p->on_shut_down(p->ctx);
}

static void check_shutdown(struct pool *p)
{
	if (!list_empty(&p->conns) && uv_now(p->loop) < p->shutdown_deadline)
		return;
	LIST_FOREACH_SAFE (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		conn_fail(c, ERR_CANCELED, "shutting down");
		conn_destroy(c);
	}
	fail_waiting(p, NULL, ERR_CANCELED, UINT64_MAX);
	if (!uv_is_closing((uv_handle_t *)&p->soon)) {
		uv_close((uv_handle_t *)&p->tick, NULL);
		uv_close((uv_handle_t *)&p->rest, NULL);
		uv_close((uv_handle_t *)&p->soon, on_handle_closed);
	}
}

/* What waited until a connection had nothing to do. */
static void resume_drained(struct pool *p)
{
	LIST_FOREACH_SAFE (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (c->state != CONN_READY || c->task_count > 0)
			continue;
		if (conn_is_in_vain(c))
			conn_logout(c);
		else if (conn_wants_compress(c))
			conn_compress(c);
		else if (c->next && conn_select(c, c->next, c->next_writable, c->next_uid) < 0)
			c->next = NULL;
	}
}

static void pool_run(struct pool *p)
{
	struct list todo = LIST_INIT(todo);

	free_dead(p);
	if (pool_is_down(p))
		fail_waiting(p, NULL, ERR_NET, UINT64_MAX);
	if (p->shutting_down) {
		/* Who lost a connection meanwhile has asked for another. */
		fail_waiting(p, NULL, ERR_CANCELED, UINT64_MAX);
		check_shutdown(p);
		return;
	}
	if (p->options.offline && !p->first_told) {
		p->first_told = true;
		go_down(p, ERR_NET);
		if (p->events.on_first)
			p->events.on_first(p->ctx, ERR_NET, "offline");
	}
	resume_drained(p);
	/* Granting may start new tasks and end others: walk over a list that nobody else appends
	 * to. */
	list_splice(&todo, &p->waiting);
	while (!list_empty(&todo)) {
		struct pool_task *t = list_entry(todo.next, struct pool_task, link);
		if (!place_try(p, t)) {
			list_remove(&t->link);
			list_append(&p->waiting, &t->link);
		}
	}
}

/* --- tasks --- */

void pool_start(struct pool *p, struct pool_task *t)
{
	t->conn = NULL;
	t->not_before = 0;
	list_append(&p->waiting, &t->link);
	run_soon(p);
}

void pool_delay(struct pool_task *t, struct pool *p, uint64_t delay)
{
	t->not_before = uv_now(p->loop) + delay;
	t->deadline += delay;
}

bool pool_cancel(struct pool_task *t)
{
	if (t->conn)
		return false;
	list_remove(&t->link);
	return true;
}

static void on_rest(uv_timer_t *timer)
{
	struct pool *p = timer->data;
	bool all = true;

	LIST_FOREACH_SAFE (pos, &p->conns)
		all &= conn_rest(list_entry(pos, struct conn, link));
	if (!all)
		uv_timer_start(timer, on_rest, CONN_REST_AFTER, 0);
}

static void rest_later(struct pool *p)
{
	uv_handle_t *timer = (uv_handle_t *)&p->rest;

	if (p->rests && !uv_is_closing(timer) && !uv_is_active(timer))
		uv_timer_start(&p->rest, on_rest, CONN_REST_AFTER, 0);
}

void pool_end(struct pool_task *t)
{
	struct conn *c = t->conn;

	list_remove(&t->link);
	t->conn = NULL;
	if (!c)
		return;
	c->task_count--;
	c->bulk_count -= t->bulk;
	if (c->body_task == t)
		c->body_task = NULL;
	if (c->task_count == 0)
		rest_later(c->pool);
	run_soon(c->pool);
}

void pool_forget_mailbox(struct pool *p, struct mailbox *mailbox, int err)
{
	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (c->mailbox == mailbox)
			c->mailbox = NULL;
		if (c->next == mailbox)
			c->next = NULL;
	}
	fail_waiting(p, mailbox, err, UINT64_MAX);
}

void pool_end_idle(struct pool_task *t)
{
	imap_session_end_idle(t->conn->session, uv_now(t->conn->pool->loop));
}

bool pool_is_young(const struct pool_task *t)
{
	return place_is_young(t->conn);
}

void pool_drop(struct pool_task *t, const char *why)
{
	conn_fail(t->conn, ERR_NET, why);
}

bool pool_tells(const struct pool_task *t)
{
	return t->conn && imap_session_tells(t->conn->session);
}

void pool_submit(struct pool_task *t, struct imap_command *c)
{
	imap_session_submit(t->conn->session, c, uv_now(t->conn->pool->loop));
}

void pool_abandon(struct pool_task *t, struct imap_command *c)
{
	imap_session_abandon(t->conn->session, c);
}

bool pool_is_next(const struct pool_task *t, const struct imap_command *c)
{
	return imap_session_is_next(t->conn->session, c);
}

uint64_t pool_window(const struct pool *p)
{
	return line_window(p->line_rate, p->round_trip);
}

uint32_t pool_capabilities(const struct pool *p)
{
	return p->capabilities;
}

bool pool_enabled(const struct pool *p, uint32_t capability)
{
	return (p->enabled & capability) == capability;
}

void pool_shutdown(struct pool *p, void (*on_done)(void *ctx))
{
	p->shutting_down = true;
	p->on_shut_down = on_done;
	p->shutdown_deadline = uv_now(p->loop) + 1000;
	fail_waiting(p, NULL, ERR_CANCELED, UINT64_MAX);
	LIST_FOREACH_SAFE (pos, &p->conns)
		conn_logout(list_entry(pos, struct conn, link));
	run_soon(p);
}
