/* SPDX-License-Identifier: MIT */
/*
 * The connections of an account together, and the tasks that want one. Scheduling is one loop over
 * the waiting tasks, oldest first, run once per turn of the event loop after something changed: see
 * place.c.
 */
#include "link/pool.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "link/private.h"
#include "net/throttle.h"

/* Mailboxes that wait for a train before nobody need ask for more, and at most: some were decided upon a
 * while before they are asked for. */
#define FORESEEN_AHEAD 64
#define FORESEEN_MAX 256

static void pool_run(struct pool *p);

/* Not a timer: one that is started again with 0 would keep libuv 1.44 from anything else. */
static void pool_on_soon(uv_idle_t *idle)
{
	uv_idle_stop(idle);
	pool_run(idle->data);
}

void pool_run_soon(struct pool *p)
{
	if (!uv_is_closing((uv_handle_t *)&p->soon))
		uv_idle_start(&p->soon, pool_on_soon);
}

void pool_run_all_soon(struct pool *p)
{
	LIST_FOREACH (pos, &p->line->pools)
		pool_run_soon(list_entry(pos, struct pool, in_line));
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

void pool_fail_waiting(struct pool *p, const struct mailbox *mailbox, int err, uint64_t due)
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

static struct pool *create(uv_loop_t *loop, const struct pool_options *options,
	const struct pool_events *events, void *ctx, struct line *line)
{
	struct pool *p = mem_zalloc(sizeof(*p));

	p->loop = loop;
	p->options = *options;
	p->events = *events;
	p->ctx = ctx;
	p->limit.max = options->connections;
	list_init(&p->waiting);
	list_init(&p->conns);
	list_init(&p->cars);
	line_init(&p->own_line);
	p->line = line ? line : &p->own_line;
	list_append(&p->line->pools, &p->in_line);
	uv_idle_init(loop, &p->soon);
	p->soon.data = p;
	rest_init(p);
	tick_init(p);
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
	train_forget_waiting(p);
	free(p->server.words);
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

bool pool_may_connect(const struct pool *p, const struct pool_task *t)
{
	bool asked = t && !t->bulk && !t->patient;
	unsigned count = pool_conn_count(p);
	uint64_t now = uv_now(p->loop);

	if (p->shutdown.begun || p->options.offline || count >= p->limit.max)
		return false;
	/* While it fails, one at a time finds out when it does no longer. */
	if ((line_is_failing(p->line) || line_is_doubted(p->line)) && lives_is_trying(p->line))
		return false;
	/* One that nobody waits for proves nothing, and would be the next to be believed. */
	if (!asked && count > 0 && line_is_doubted(p->line))
		return false;
	if (asked ? !backoff_may_ask(&p->lives, now) : !backoff_is_due(&p->lives, now))
		return false;
	return line_may_try(p->line, asked, count == 0, now);
}

void pool_connect(struct pool *p)
{
	if (p->options.offline)
		pool_run_soon(p);
	else
		conn_create(p, ++p->made);
}

static void add_counts(struct pool_counts *to, struct pool_counts more)
{
	to->wire_in += more.wire_in;
	to->wire_out += more.wire_out;
	to->turns += more.turns;
}

static void free_dead(struct pool *p)
{
	LIST_FOREACH_SAFE (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (c->state != CONN_DEAD || !list_empty(&c->tasks.list))
			continue;
		add_counts(&p->past, conn_counts(c));
		conn_destroy(c);
	}
}

/* --- a turn --- */

static void pool_on_handle_closed(uv_handle_t *handle)
{
	struct pool *p = handle->data;

	if (handle == (uv_handle_t *)&p->soon)
		p->shutdown.on_done(p->ctx);
}

static void check_shutdown(struct pool *p)
{
	if (!list_empty(&p->conns) && uv_now(p->loop) < p->shutdown.deadline)
		return;
	LIST_FOREACH_SAFE (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		conn_fail(c, ERR_CANCELED, "shutting down");
		conn_destroy(c);
	}
	pool_fail_waiting(p, NULL, ERR_CANCELED, UINT64_MAX);
	if (!uv_is_closing((uv_handle_t *)&p->soon)) {
		tick_close(p);
		rest_close(p);
		uv_close((uv_handle_t *)&p->soon, pool_on_handle_closed);
	}
}

/* What waited until a connection had nothing to do. */
static void resume_drained(struct pool *p)
{
	LIST_FOREACH_SAFE (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (!conn_is_free(c))
			continue;
		if (speed_is_in_vain(c))
			conn_logout(c);
		else if (speed_wants_deflate(c))
			speed_deflate(c);
		else if (c->next.mailbox &&
			 select_begin(c, c->next.mailbox, c->next.writable, c->next.uid) < 0)
			c->next.mailbox = NULL;
	}
}

/* Offline there is no first connection. */
static void tell_offline(struct pool *p)
{
	p->first_told = true;
	lives_go_down(p, ERR_NET, "offline");
	if (p->events.on_first)
		p->events.on_first(p->ctx, ERR_NET, "offline");
}

/* Granting may start new tasks and end others: walks over a list that nobody else appends to. */
static void place_all(struct pool *p)
{
	struct list todo = LIST_INIT(todo);

	list_splice(&todo, &p->waiting);
	while (!list_empty(&todo)) {
		struct pool_task *t = list_entry(todo.next, struct pool_task, link);
		if (!place_try(p, t)) {
			list_remove(&t->link);
			list_append(&p->waiting, &t->link);
		}
	}
}

/* Without a connection, whoever waits is to have one made first. */
static bool bears_trains_now(const struct pool *p)
{
	return !p->no_trains && !p->line->pace.one_at_a_time && pool_ready_count(p) > 0;
}

static void pool_run(struct pool *p)
{
	free_dead(p);
	if (p->shutdown.begun) {
		/* Who lost a connection meanwhile has asked for another. */
		pool_fail_waiting(p, NULL, ERR_CANCELED, UINT64_MAX);
		check_shutdown(p);
	} else {
		if (p->options.offline && !p->first_told)
			tell_offline(p);
		lives_tell_owed(p);
		lives_fail_hopeless(p);
		resume_drained(p);
		if (!bears_trains_now(p))
			train_forget_waiting(p);
		train_run(p, true);
		place_all(p);
		train_run(p, false);
	}
	tick_set(p);
}

void pool_shutdown(struct pool *p, pool_on_shut_down *on_done)
{
	p->shutdown.begun = true;
	p->shutdown.on_done = on_done;
	p->shutdown.deadline = uv_now(p->loop) + 1000;
	pool_fail_waiting(p, NULL, ERR_CANCELED, UINT64_MAX);
	LIST_FOREACH_SAFE (pos, &p->conns)
		conn_logout(list_entry(pos, struct conn, link));
	pool_run_soon(p);
}

/* --- tasks --- */

void pool_start(struct pool *p, struct pool_task *t)
{
	t->conn = NULL;
	t->not_before = 0;
	list_append(&p->waiting, &t->link);
	pool_run_soon(p);
}

void pool_delay(struct pool_task *t, struct pool *p, uint64_t delay)
{
	t->not_before = uv_now(p->loop) + delay;
	t->deadline += delay;
}

void pool_end(struct pool_task *t)
{
	struct conn *c = t->conn;

	list_remove(&t->link);
	t->conn = NULL;
	if (!c)
		return;
	lives_on_end(c, t);
	c->tasks.count--;
	c->tasks.bulk -= t->bulk;
	c->tasks.alone -= t->alone;
	if (c->tasks.body == t)
		c->tasks.body = NULL;
	if (c->tasks.count == 0)
		rest_later(c->pool);
	pool_run_soon(c->pool);
}

void pool_submit(struct pool_task *t, struct imap_command *c)
{
	if (!train_submit(t->conn, c))
		imap_session_submit(t->conn->session, c, uv_now(t->conn->pool->loop));
	tick_set(t->conn->pool);
}

void pool_send(struct pool_task *t, struct imap_command *c, imap_command_done *on_done,
	const char *format, ...)
{
	va_list args;

	imap_command_begin(c, false, on_done);
	va_start(args, format);
	imap_command_add_args(c, format, args);
	va_end(args);
	imap_command_add(c, "\r\n");
	pool_submit(t, c);
}

void pool_go_on(struct pool_task *t)
{
	imap_session_go_on(t->conn->session, uv_now(t->conn->pool->loop));
}

void pool_abandon(struct pool_task *t, struct imap_command *c)
{
	imap_session_abandon(t->conn->session, c);
}

void pool_end_idle(struct pool_task *t)
{
	imap_session_end_idle(t->conn->session, uv_now(t->conn->pool->loop));
	tick_set(t->conn->pool);
}

void pool_drop(struct pool_task *t, const char *why)
{
	conn_fail(t->conn, ERR_NET, why);
}

void pool_select_anew(struct pool_task *t)
{
	t->conn->next.mailbox = t->conn->view.mailbox;
	t->conn->next.writable = t->conn->view.selected.writable;
}

void pool_select_all_anew(struct pool *p, bool (*wanted)(const struct mailbox *mailbox),
	void (*on_begun)(struct mailbox *mailbox))
{
	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (c->state != CONN_READY || !c->view.mailbox || c->next.mailbox ||
			!wanted(c->view.mailbox))
			continue;
		select_next(c, c->view.mailbox, c->view.selected.writable, 0);
		on_begun(c->view.mailbox);
	}
}

void pool_select_named_anew(struct pool *p, const struct mailbox *mailbox)
{
	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		bool has = c->state == CONN_READY || c->state == CONN_SELECTING ||
			   c->state == CONN_COMPRESSING;
		if (has && c->view.mailbox == mailbox && !c->next.mailbox)
			select_next(c, c->view.mailbox, c->view.selected.writable, 0);
	}
}

bool pool_may_ask(const struct pool *p, const struct pool_task *t, const struct mailbox *mailbox)
{
	const struct trouble_of of = {.mailbox = mailbox, .work = t->on_conn};
	const struct backoff *b = trouble_find(&p->trouble, &of);

	return !b || backoff_is_due(b, uv_now(p->loop));
}

void pool_note_asked(struct pool_task *t, const struct mailbox *mailbox, bool lost)
{
	const struct trouble_of of = {.mailbox = mailbox, .work = t->on_conn};

	if (lost)
		conn_blame(t->conn, &of);
	else
		trouble_clear(&t->conn->pool->trouble, &of);
}

/* --- mailboxes that are no more --- */

static bool is_dead(const struct pool *p, const struct mailbox *mb)
{
	return mb && p->events.is_dead(mb);
}

void pool_forget_dead(struct pool *p, int err)
{
	struct list doomed = LIST_INIT(doomed);

	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (is_dead(p, c->view.mailbox))
			c->view.mailbox = NULL;
		if (is_dead(p, c->next.mailbox))
			c->next.mailbox = NULL;
	}
	train_forget_dead(p);
	LIST_FOREACH_SAFE (pos, &p->waiting) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (is_dead(p, t->mailbox)) {
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
		if (c->blame.of.mailbox == mailbox)
			c->blame.any = false;
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
	train_each_mailbox(p, f, ctx);
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->view.mailbox)
			f(ctx, c->view.mailbox);
		if (c->next.mailbox)
			f(ctx, c->next.mailbox);
		each_of_tasks(&c->tasks.list, f, ctx);
	}
}

void pool_forget_elsewhere(struct pool *p, struct mailbox *mailbox, const struct conn *but)
{
	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (c != but && c->view.mailbox == mailbox && c->state == CONN_READY)
			c->view.mailbox = NULL;
	}
}

/* What servers answer to a connection that has the mailbox open under its old name differs, and
 * none of it is worth more than to ask again. */
void pool_forget_renamed(struct pool *p, struct mailbox *mailbox)
{
	train_forget(p, mailbox);
	LIST_FOREACH_SAFE (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (c->view.mailbox != mailbox || c->state == CONN_DEAD || c->state == CONN_CLOSING)
			continue;
		if (conn_is_free(c))
			c->view.mailbox = NULL;
		else
			conn_fail(c, ERR_NET, "its mailbox was renamed");
	}
}

bool pool_may_have_open(const struct pool *p, const struct mailbox *mailbox)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn_view *view = &list_entry(pos, struct conn, link)->view;
		if (view->mailbox == mailbox || (!view->mailbox && view->selected.asked))
			return true;
	}
	return false;
}

/* --- trains --- */

static bool is_selected(const struct pool *p, const struct mailbox *mailbox)
{
	LIST_FOREACH (pos, &p->conns)
		if (list_entry(pos, struct conn, link)->view.mailbox == mailbox)
			return true;
	return false;
}

static bool bears_one_more(const struct pool *p, size_t most)
{
	return !p->shutdown.begun && bears_trains_now(p) && train_count_waiting(p) < most;
}

bool pool_may_foresee(const struct pool *p, const struct mailbox *mailbox)
{
	if (mailbox && (is_selected(p, mailbox) || trouble_is_with(&p->trouble, mailbox)))
		return false;
	return bears_one_more(p, FORESEEN_AHEAD);
}

unsigned pool_foresee(
	struct pool *p, struct mailbox *mailbox, const char *const *commands, size_t n)
{
	if (!bears_one_more(p, FORESEEN_MAX) || trouble_is_with(&p->trouble, mailbox))
		return 0;
	pool_run_soon(p);
	return train_add(p, mailbox, commands, n);
}

static bool is_next_somewhere(const struct pool *p, const struct mailbox *mailbox)
{
	LIST_FOREACH (pos, &p->conns)
		if (list_entry(pos, struct conn, link)->next.mailbox == mailbox)
			return true;
	return false;
}

unsigned pool_foresee_now(
	struct pool *p, struct mailbox *mailbox, const char *const *commands, size_t n)
{
	if (!pool_may_foresee(p, mailbox) || is_next_somewhere(p, mailbox))
		return 0;
	return train_leave(p, mailbox, commands, n);
}

bool pool_bears_trains(const struct pool *p)
{
	return !p->no_trains;
}

void pool_take_no_trains(struct pool *p)
{
	p->no_trains = true;
}

/* --- questions of tasks --- */

bool pool_is_told(const struct pool_task *t, uint32_t uid)
{
	return uid <= t->conn->view.told;
}

uint64_t pool_selection_now(void)
{
	return uv_hrtime();
}

bool pool_is_next(const struct pool_task *t, const struct imap_command *c)
{
	return imap_session_is_next(t->conn->session, c);
}

bool pool_tells(const struct pool_task *t)
{
	return t->conn && imap_session_tells(t->conn->session);
}

unsigned pool_number(const struct pool_task *t)
{
	return t->conn->number;
}

uint64_t pool_logged_in_at(const struct pool_task *t)
{
	return t->conn->ready_at;
}

/* --- questions --- */

unsigned pool_made(const struct pool *p)
{
	return p->made;
}

uint64_t pool_renews_at(const struct pool *p)
{
	return p->renewed_at ? p->renewed_at + POOL_RENEWAL : 0;
}

bool pool_is_down(const struct pool *p)
{
	return line_is_down(p->line, uv_now(p->loop));
}

bool pool_is_back_since(const struct pool *p, uint64_t then)
{
	return line_is_back_since(p->line, then);
}

bool pool_is_unsure(const struct pool *p)
{
	return line_is_failing(p->line) && pool_ready_count(p) == 0;
}

bool pool_may_fetch(const struct pool *p)
{
	return !p->events.may_fetch || p->events.may_fetch(p->ctx);
}

uint64_t pool_held(const struct pool *p)
{
	const struct net_throttle *throttle = p->options.throttle;

	return throttle ? net_throttle_waited(throttle, uv_hrtime()) / (1000 * 1000) : 0;
}

bool pool_awaits_token(const struct pool *p)
{
	LIST_FOREACH (pos, &p->conns)
		if (!list_empty(&list_entry(pos, struct conn, link)->token.link))
			return true;
	return false;
}

uint64_t pool_lead(const struct pool *p)
{
	return rate_lead(p->speed.rate, p->speed.round_trip);
}

uint32_t pool_capabilities(const struct pool *p)
{
	return p->server.capabilities;
}

bool pool_enabled(const struct pool *p, uint32_t capability)
{
	return (p->server.enabled & capability) == capability;
}

uint32_t pool_message_limit(const struct pool *p)
{
	return imap_capability_limit(span_of(pool_capability_words(p)));
}

/* --- for people --- */

const char *pool_capability_words(const struct pool *p)
{
	return p->server.words ? p->server.words : "";
}

const char *pool_login_name(const struct pool *p)
{
	return p->server.login;
}

const char *pool_trouble(const struct pool *p)
{
	return p->line->text;
}

struct pool_counts pool_counts(const struct pool *p)
{
	struct pool_counts total = p->past;

	LIST_FOREACH (pos, &p->conns)
		add_counts(&total, conn_counts(list_entry(pos, struct conn, link)));
	return total;
}

void pool_each_connection(const struct pool *p,
	void (*f)(void *ctx, const struct pool_connection *connection), void *ctx)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		const struct pool_connection connection = {
			.name = c->name,
			.state = conn_state_name(c),
			.mailbox = c->view.mailbox,
			.tasks = c->tasks.count,
			.counts = conn_counts(c),
			.deflated = c->wire.deflated,
		};
		f(ctx, &connection);
	}
}
