/*
 * Scheduling is one loop over the waiting tasks, oldest first, run once per turn of the event loop
 * after something changed: see place.c.
 */
#include "mail/pool.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/mailbox.h"
#include "mail/pool_private.h"

#define TICK 1000
/* Milliseconds that a connection should last, and how many in a row may not. */
#define SHORT_LIFE 5000
#define SHORT_LIVES 4
/* How long a server's word that it wants fewer connections is believed. */
#define FEWER_TIME (10 * 60 * 1000)
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

/* What one pool has learnt concerns the others. */
static void run_all_soon(struct pool *p)
{
	LIST_FOREACH (pos, &p->line->pools)
		run_soon(list_entry(pos, struct pool, in_line));
}

void pool_fail_task(struct pool_task *t, int err)
{
	list_remove(&t->link);
	t->on_fail(t, err);
}

static void fail_all(struct list *tasks, int err)
{
	while (!list_empty(tasks))
		pool_fail_task(list_entry(tasks->next, struct pool_task, link), err);
}

/* Fails the waiting tasks that the mailbox (any, when NULL) and the deadline say. on_fail may start
 * new tasks: those go to the end of the list and are left alone. */
static void fail_waiting(struct pool *p, const struct mailbox *mailbox, int err, uint64_t due)
{
	struct list doomed = LIST_INIT(doomed);

	LIST_FOREACH_SAFE (pos, &p->waiting) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->patient && !mailbox && err != ERR_CANCELED)
			continue;
		if ((!mailbox || t->mailbox == mailbox) && t->deadline <= due) {
			list_remove(&t->link);
			list_append(&doomed, &t->link);
		}
	}
	fail_all(&doomed, err);
}

bool pool_is_down(const struct pool *p)
{
	return line_is_down(p->line, uv_now(p->loop));
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

/* The first connection is left to its own deadline: how it ends decides about the start. */
static void lose_all(struct pool *p)
{
	if (!p->first_told && p->events.on_first)
		return;
	LIST_FOREACH_SAFE (pos, &p->conns)
		conn_fail(list_entry(pos, struct conn, link), ERR_NET, "the machine slept");
}

/* After a sleep the servers and routers on the way have forgotten us, but would not say so for a
 * long time. There is no timer for it: whatever wakes us up first makes us look. */
static void check_sleep(struct pool *p)
{
	int64_t slept = time_slept();
	bool long_ago = slept - p->slept > SLEEP_MAX;

	p->slept = slept;
	if (!long_ago)
		return;
	log_debug("the machine slept: connecting anew");
	/* Whatever happened meanwhile, nobody was told of it: on_up. */
	p->line->shaken = true;
	LIST_FOREACH_SAFE (pos, &p->line->pools)
		lose_all(list_entry(pos, struct pool, in_line));
	/* The network may need some seconds to be there again. */
	backoff_wake(&p->line->backoff);
	run_all_soon(p);
}

static void on_wake(uv_check_t *check)
{
	check_sleep(check->data);
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
	uint64_t passed = uv_now(p->loop) - p->ticked_at;

	if (passed > TICK)
		passed = TICK;
	LIST_FOREACH (pos, &p->waiting) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->deadline < UINT64_MAX - TICK)
			t->deadline += passed;
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Somebody must, also when nobody asks for anything. */
static bool keeps_trying(const struct pool *p)
{
	return !p->options.offline && !p->options.quiet && pool_is_unsure(p) &&
	       pool_conn_count(p) == 0;
}

/* uv_now of the next tick that is of use; UINT64_MAX: none. */
static uint64_t next_tick(const struct pool *p)
{
	uint64_t soon = uv_now(p->loop) + TICK, due = UINT64_MAX;
	uint64_t retry_at = later(p->line->backoff.retry_at, p->lives.retry_at);

	if (p->shutting_down)
		return soon;
	LIST_FOREACH (pos, &p->conns)
		due = earlier(due, conn_next_tick(list_entry(pos, struct conn, link), soon));
	LIST_FOREACH (pos, &p->waiting) {
		const struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (!t->patient)
			return soon;
		due = earlier(due, later(soon, later(place_not_before(p, t), retry_at)));
	}
	if (keeps_trying(p))
		due = earlier(due, later(soon, retry_at));
	if (p->max_until)
		due = earlier(due, p->max_until);
	return due;
}

static void on_tick(uv_timer_t *timer);

/* Timers exist only while something waits for them: a mount that nobody uses does not wake up. */
static void set_tick(struct pool *p)
{
	uint64_t due = next_tick(p);

	if (uv_is_closing((uv_handle_t *)&p->tick) || (p->ticks_at && p->ticks_at <= due))
		return;
	p->ticks_at = due == UINT64_MAX ? 0 : due;
	if (!p->ticks_at)
		return;
	uint64_t now = uv_now(p->loop);
	uv_timer_start(&p->tick, on_tick, due > now ? due - now : 1, 0);
}

static void on_tick(uv_timer_t *timer)
{
	struct pool *p = timer->data;

	p->ticks_at = 0;
	if (p->max_until && uv_now(p->loop) >= p->max_until) {
		p->max = p->options.connections;
		p->max_until = 0;
	}
	if (heard_lately(p))
		renew_deadlines(p);
	p->ticked_at = uv_now(p->loop);

	LIST_FOREACH_SAFE (pos, &p->conns)
		conn_tick(list_entry(pos, struct conn, link));
	fail_waiting(p, NULL, ERR_TIMEOUT, uv_now(p->loop));
	if (keeps_trying(p) && pool_may_connect(p, NULL))
		pool_connect(p);
	run_soon(p);
}

static struct pool *create(uv_loop_t *loop, const struct pool_options *options,
	const struct pool_events *events, void *ctx, struct line *line)
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
	line_init(&p->own_line);
	p->line = line ? line : &p->own_line;
	list_append(&p->line->pools, &p->in_line);
	uv_timer_init(loop, &p->tick);
	uv_timer_init(loop, &p->rest);
	uv_idle_init(loop, &p->soon);
	uv_check_init(loop, &p->wakes);
	p->tick.data = p->rest.data = p->soon.data = p->wakes.data = p;
	if (!line)
		uv_check_start(&p->wakes, on_wake);
	return p;
}

struct pool *pool_create(uv_loop_t *loop, const struct pool_options *options,
	const struct pool_events *events, void *ctx)
{
	return create(loop, options, events, ctx, NULL);
}

struct pool *pool_create_beside(struct pool *main, const struct pool_options *options,
	const struct pool_events *events, void *ctx)
{
	return create(main->loop, options, events, ctx, main->line);
}

void pool_destroy(struct pool *p)
{
	if (!p)
		return;
	list_remove(&p->in_line);
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

unsigned pool_ready_count(const struct pool *p)
{
	unsigned n = 0;

	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		n += c->state == CONN_READY || c->state == CONN_SELECTING ||
		     c->state == CONN_COMPRESSING;
	}
	return n;
}

bool pool_is_back_since(const struct pool *p, uint64_t then)
{
	return line_is_back_since(p->line, then);
}

bool pool_is_unsure(const struct pool *p)
{
	return line_is_failing(p->line) && pool_ready_count(p) == 0;
}

/* Of all pools. */
static bool any_ready(const struct line *line)
{
	LIST_FOREACH (pos, &line->pools)
		if (pool_ready_count(list_entry(pos, struct pool, in_line)) > 0)
			return true;
	return false;
}

/* A connection that is not ready yet, in any pool. */
static bool is_trying(const struct line *line)
{
	LIST_FOREACH (pos, &line->pools) {
		const struct pool *p = list_entry(pos, struct pool, in_line);
		LIST_FOREACH (at, &p->conns) {
			const struct conn *c = list_entry(at, struct conn, link);
			if (c->state != CONN_DEAD && !c->ready_at)
				return true;
		}
	}
	return false;
}

bool pool_awaits_token(const struct pool *p)
{
	LIST_FOREACH (pos, &p->conns)
		if (!list_empty(&list_entry(pos, struct conn, link)->token.link))
			return true;
	return false;
}

bool pool_may_connect(const struct pool *p, const struct pool_task *t)
{
	bool asked = t && !t->bulk && !t->patient;
	unsigned count = pool_conn_count(p);
	uint64_t now = uv_now(p->loop);

	if (p->shutting_down || p->options.offline || count >= p->max)
		return false;
	/* While it fails, one at a time finds out when it does no longer. */
	if ((line_is_failing(p->line) || line_is_doubted(p->line)) && is_trying(p->line))
		return false;
	return backoff_is_due(&p->lives, now) && line_may_try(p->line, asked, count == 0, now);
}

/* The first attempt: nothing is waited for. */
static void go_down(struct pool *p, int err, const char *text)
{
	line_failed(p->line, err, text, false, uv_now(p->loop), 0, (uint32_t)random());
	p->line->told = true;
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

/* news: the server was away. */
static void tell_up(struct pool *p, bool news)
{
	LIST_FOREACH (pos, &p->line->pools) {
		struct pool *q = list_entry(pos, struct pool, in_line);
		if (news && q->first_told && q->events.on_up)
			q->events.on_up(q->ctx);
	}
	run_all_soon(p);
}

void pool_on_conn_ready(struct conn *c)
{
	struct pool *p = c->pool;

	bool was_down = p->line->backoff.failures > 0, was_told = p->line->told;
	bool news = line_ready(p->line, uv_now(p->loop));
	bool again = c->ready_at != 0;
	c->ready_at = uv_now(p->loop);
	if (was_told)
		log_notice("%s: connected again", p->options.host);
	if (line_learn_pace(p->line))
		log_notice("%s: it falls silent over commands that come before the one ahead is "
			   "answered; going on with one command at a time%s",
			p->options.host, p->line->pace.one_at_a_time ? "" : " after IDLE");
	if (was_down) {
		LIST_FOREACH (pos, &p->line->pools)
			list_entry(pos, struct pool, in_line)->trouble = (struct trouble){0};
	}
	if (again) {
		tell_up(p, news);
		return;
	}
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
	if (!first || !p->events.on_first)
		tell_up(p, news);
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
	if (now >= c->ready_at + SHORT_LIFE)
		p->lives = (struct backoff){0};
	else if (!c->used || p->options.quiet || c->blamed)
		backoff_failed(&p->lives, ERR_NET, SHORT_LIVES, now, (uint32_t)random());
}

/* Something was under way when it was lost, and may be the reason. */
static void note_trouble(struct pool *p, const struct conn *c, const char *text)
{
	const struct trouble_of *of = &c->blame;
	unsigned times = trouble_note(&p->trouble, of, uv_now(p->loop), (uint32_t)random());

	char message[32] = "";

	if (times != TROUBLES_TOLD)
		return;
	if (of->uid)
		snprintf(message, sizeof(message), "message %u of ", of->uid);
	log_warning("%s: the connection was lost %u times in a row over %s%s%s: %s; trying again "
		    "now and then",
		p->options.host, times, message, of->mailbox ? "the mailbox " : "the same command",
		of->mailbox ? mailbox_path(of->mailbox) : "", text);
}

/* Connections that rest may be dead as well: they have to prove themselves. */
static void doubt_resting(struct line *line)
{
	LIST_FOREACH (pos, &line->pools) {
		struct pool *p = list_entry(pos, struct pool, in_line);
		LIST_FOREACH (at, &p->conns) {
			struct conn *c = list_entry(at, struct conn, link);
			if (c->state == CONN_READY && c->task_count == 0)
				conn_prove(c);
		}
	}
}

/* One that was ready is lost: another is made at once when it is needed. */
static void note_loss(struct pool *p, const struct conn *c, int err, const char *text)
{
	uint64_t now = uv_now(p->loop);

	log_debug("%s: %s", c->name, text);
	if (err == ERR_CANCELED)
		return;
	line_stalled(p->line, imap_session_stalled(c->session));
	if (err == ERR_TIMEOUT && line_fell_silent(p->line, c->ready_at, now, p->options.timeout,
					  (uint32_t)random())) {
		doubt_resting(p->line);
		return;
	}
	note_short_life(p, c);
	if (c->blamed)
		note_trouble(p, c, text);
}

/* What somebody who is told of it may do. */
static const char *advice(const struct pool *p, int err)
{
	if (err != ERR_AUTH)
		return "";
	return p->options.login.token ? "; look at what tokencmd prints"
				      : "; if the password was changed, unmount and mount again";
}

static void note_failure(struct pool *p, const struct conn *c, int err, const char *text)
{
	uint64_t now = uv_now(p->loop);
	bool beside = any_ready(p->line);
	char line[256];

	/* It spoke, and would not have one more beside those that are up: it wants fewer
	 * connections. */
	bool refused = !c->line_lost && (err == ERR_THROTTLED || err == ERR_NET || err == ERR_AUTH);
	if (pool_ready_count(p) > 0 && !c->ready_at && c->heard_at && refused) {
		p->max = pool_ready_count(p);
		p->max_until = now + FEWER_TIME;
		log_notice("%s: %s; going on with %u connections", p->options.host, text, p->max);
		if (err != ERR_AUTH)
			return;
	} else if (c->ready_at && err != ERR_THROTTLED && (err != ERR_PROTOCOL || c->blamed)) {
		note_loss(p, c, err, text);
		return;
	}
	snprintf(line, sizeof(line), "%s%s", text, advice(p, err));
	line_failed(p->line, err, line, beside, now, p->options.timeout, (uint32_t)random());
	/* The watching one is missed by nobody for a moment. */
	bool news = !p->options.quiet || err == ERR_AUTH || p->line->backoff.failures > 1;
	if (beside || !news || (p->line->told && p->line->backoff.refusals != 1))
		return;
	p->line->told = true;
	log_warning("%s:%u: %s", p->options.host, p->options.port, line);
}

/* Who waits for a connection that there will be none for in time. */
static void fail_hopeless(struct pool *p)
{
	int err = line_error(p->line, uv_now(p->loop));

	if (err == 0 || pool_ready_count(p) > 0)
		return;
	/* A login that was refused may be good this time. */
	if (err == ERR_AUTH && is_trying(p->line))
		return;
	fail_waiting(p, NULL, err, UINT64_MAX);
}

void pool_on_conn_dead(struct conn *c, int err, const char *text)
{
	struct pool *p = c->pool;

	if (!p->shutting_down) {
		if (!p->first_told && p->events.on_first) {
			p->first_told = true;
			go_down(p, err, text);
			p->events.on_first(p->ctx, err, text);
		} else {
			note_failure(p, c, err, text);
		}
	}
	run_all_soon(p);
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
		uv_close((uv_handle_t *)&p->wakes, NULL);
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
	if (p->shutting_down) {
		/* Who lost a connection meanwhile has asked for another. */
		fail_waiting(p, NULL, ERR_CANCELED, UINT64_MAX);
		check_shutdown(p);
		set_tick(p);
		return;
	}
	if (p->options.offline && !p->first_told) {
		p->first_told = true;
		go_down(p, ERR_NET, "offline");
		if (p->events.on_first)
			p->events.on_first(p->ctx, ERR_NET, "offline");
	}
	fail_hopeless(p);
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
	set_tick(p);
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

/* How a task ends says whether the connection, the line and what it did are good. */
static void note_end(struct conn *c, const struct pool_task *t)
{
	const struct trouble_of of = place_trouble_of(t);
	struct pool *p = c->pool;

	if (imap_session_state(c->session) != IMAP_DEAD) {
		trouble_clear(&p->trouble, &of);
		p->lives = (struct backoff){0};
		line_was_useful(p->line, uv_now(p->loop), p->options.timeout);
	} else if (uv_now(p->loop) < t->granted_at + SHORT_LIFE) {
		conn_blame(c, &of);
	}
}

void pool_end(struct pool_task *t)
{
	struct conn *c = t->conn;

	list_remove(&t->link);
	t->conn = NULL;
	if (!c)
		return;
	note_end(c, t);
	c->task_count--;
	c->bulk_count -= t->bulk;
	if (c->body_task == t)
		c->body_task = NULL;
	if (c->task_count == 0)
		rest_later(c->pool);
	run_soon(c->pool);
}

void pool_select_anew(struct pool_task *t)
{
	t->conn->next = t->conn->mailbox;
	t->conn->next_writable = t->conn->selected.writable;
}

static bool is_dead(const struct mailbox *mb)
{
	return mb && mb->dead;
}

void pool_forget_dead(struct pool *p, int err)
{
	struct list doomed = LIST_INIT(doomed);

	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (is_dead(c->mailbox))
			c->mailbox = NULL;
		if (is_dead(c->next))
			c->next = NULL;
	}
	LIST_FOREACH_SAFE (pos, &p->waiting) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (is_dead(t->mailbox)) {
			list_remove(&t->link);
			list_append(&doomed, &t->link);
		}
	}
	fail_all(&doomed, err);
}

void pool_forget_freed(struct pool *p, const struct mailbox *mailbox)
{
	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (c->blame.mailbox == mailbox)
			c->blamed = false;
	}
	trouble_forget(&p->trouble, mailbox);
}

static void each_of_tasks(
	const struct list *tasks, void (*f)(void *ctx, struct mailbox *mb), void *ctx)
{
	LIST_FOREACH (pos, tasks) {
		const struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->mailbox)
			f(ctx, t->mailbox);
	}
}

void pool_each_mailbox(const struct pool *p, void (*f)(void *ctx, struct mailbox *mb), void *ctx)
{
	each_of_tasks(&p->waiting, f, ctx);
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->mailbox)
			f(ctx, c->mailbox);
		if (c->next)
			f(ctx, c->next);
		each_of_tasks(&c->tasks, f, ctx);
	}
}

void pool_forget_elsewhere(struct pool *p, struct mailbox *mailbox, const struct conn *but)
{
	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (c != but && c->mailbox == mailbox && c->state == CONN_READY)
			c->mailbox = NULL;
	}
}

void pool_end_idle(struct pool_task *t)
{
	imap_session_end_idle(t->conn->session, uv_now(t->conn->pool->loop));
	set_tick(t->conn->pool);
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
	set_tick(t->conn->pool);
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

uint32_t pool_message_limit(const struct pool *p)
{
	return imap_capability_limit(span_of(pool_capability_words(p)));
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
