/* SPDX-License-Identifier: MIT */
/*
 * Which connection a task goes to: one that has its mailbox, else an idle one, else a new one is
 * made, else the least busy one is drained for it, so that a stream of tasks for one mailbox cannot
 * starve another. Bulk tasks keep to as few as are fast, and one is kept free of them.
 */
#include "base/error.h"
#include "link/private.h"

/* Bulk tasks on one connection: enough to keep any line full. */
#define BULK_DEPTH 12

/* Tasks on one connection. A server that bears one command at a time gets one task on each connection,
 * so that the others go to other connections; where there is only one they stand in line on it. */
static unsigned depth(const struct pool *p)
{
	return p->line->pace.one_at_a_time && p->limit.max > 1 ? 1 : POOL_DEPTH;
}

static bool takes_no_more(const struct conn *c)
{
	return speed_wants_deflate(c) || speed_is_in_vain(c);
}

unsigned place_bulk_lines(const struct pool *p, const struct mailbox *mailbox)
{
	unsigned n = 0;

	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		n += c->tasks.bulk > 0 && (!mailbox || c->view.mailbox == mailbox);
	}
	return n;
}

/* Whether bulk tasks of the mailbox, which the connection has selected or is to select, may go to it.
 * They keep to as many connections as their width says, those that have most of them already, and
 * leave one connection free for other tasks. */
static bool may_carry(const struct conn *c, const struct mailbox *mailbox)
{
	const struct pool *p = c->pool;
	bool before = true;
	unsigned others = 0;

	LIST_FOREACH (pos, &p->conns) {
		const struct conn *d = list_entry(pos, struct conn, link);
		before &= d != c;
		if (d == c || d->tasks.bulk == 0 || d->view.mailbox != mailbox || takes_no_more(d))
			continue;
		others += d->tasks.bulk > c->tasks.bulk ||
			  (d->tasks.bulk == c->tasks.bulk && before);
	}
	if (others == 0 || c->tasks.bulk > 0)
		return others < width_count(&p->speed.width);
	return others < width_count(&p->speed.width) &&
	       place_bulk_lines(p, NULL) + 2 <= p->limit.max;
}

static bool is_recent(const struct conn *c, const struct pool_task *t)
{
	return c->view.selected.asked >= t->selected_after;
}

/* Those that keep their connection busy for long leave one to the others. */
static bool may_keep_alone(const struct pool *p)
{
	unsigned kept = 0;

	LIST_FOREACH (pos, &p->conns)
		kept += list_entry(pos, struct conn, link)->tasks.alone > 0;
	return kept == 0 || kept + 2 <= p->limit.max;
}

static bool serves(const struct conn *c, const struct pool_task *t)
{
	if (c->number <= t->newer_than)
		return false;
	if (c->tasks.alone > 0 || (t->alone && !may_keep_alone(c->pool)))
		return false;
	if (c->state != CONN_READY || c->tasks.count >= depth(c->pool) || takes_no_more(c) ||
		train_is_under_way(c))
		return false;
	if (t->bulk && (c->tasks.bulk >= BULK_DEPTH || !may_carry(c, t->mailbox)))
		return false;
	if (t->access == POOL_NO_MAILBOX)
		return true;
	return c->view.mailbox == t->mailbox && !c->next.mailbox && is_recent(c, t) &&
	       (t->access != POOL_WRITE || c->view.selected.writable);
}

static bool idle(const struct conn *c)
{
	return conn_is_free(c) && !c->next.mailbox && !takes_no_more(c);
}

static bool is_connecting(const struct pool *p)
{
	LIST_FOREACH (pos, &p->conns)
		if (list_entry(pos, struct conn, link)->state == CONN_CONNECTING)
			return true;
	return false;
}

/* A connection has been selecting the mailbox for long: to select it on another one as well would
 * take as long. */
static bool is_slow(const struct pool *p, const struct mailbox *mailbox)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (select_is_slow(c) && c->view.mailbox == mailbox)
			return true;
	}
	return false;
}

static bool is_selecting(const struct pool *p, const struct pool_task *t)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->state == CONN_SELECTING && c->view.mailbox == t->mailbox &&
			is_recent(c, t) && (t->access != POOL_WRITE || c->view.selected.writable))
			return true;
	}
	return false;
}

/* COMPRESS is under way, or will be as soon as a few short tasks have ended. */
static bool compresses_soon(const struct conn *c)
{
	return c->state == CONN_COMPRESSING || (c->tasks.bulk == 0 && speed_wants_deflate(c));
}

/* What waits in front of a new task: a bulk task is far longer than any other. To be told of a new
 * message takes a turn, which is longer than to stand in line behind small ones. */
static unsigned load_on(const struct conn *c, const struct pool_task *t)
{
	bool knows = t->uid == 0 || (c->view.mailbox == t->mailbox && t->uid <= c->view.told);

	return c->tasks.count + train_length(c) + c->tasks.bulk * POOL_DEPTH +
	       (knows ? 0 : POOL_DEPTH - 1);
}

/* Among those that fit, the one with the least load; among idle ones the one that was unused
 * longest. */
static struct conn *choose(const struct pool *p, const struct pool_task *t,
	bool (*fits)(const struct conn *, const struct pool_task *))
{
	struct conn *best = NULL;

	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (!fits(c, t))
			continue;
		if (!best || load_on(c, t) < load_on(best, t) ||
			(load_on(c, t) == load_on(best, t) &&
				c->tasks.granted_at < best->tasks.granted_at))
			best = c;
	}
	return best;
}

static bool is_idle(const struct conn *c, const struct pool_task *t)
{
	return idle(c);
}

/* It ends what it does, to select the task's mailbox in the place of another. */
static bool is_drained_for(const struct conn *c, const struct pool_task *t)
{
	return c->next.mailbox && c->next.mailbox == t->mailbox && c->view.mailbox != t->mailbox;
}

/* It selects the task's mailbox, another one or anew, as soon as what it does has ended. What keeps it for
 * long is not waited for, and an idle one is better, whenever there is one. */
static bool is_ending_for(const struct conn *c, const struct pool_task *t)
{
	return c->next.mailbox && c->next.mailbox == t->mailbox && c->tasks.alone == 0 &&
	       !choose(c->pool, t, is_idle);
}

/* Whether a connection is on its way to what the task needs. */
static bool coming(const struct pool *p, const struct pool_task *t)
{
	/* Somebody who waits has another connection, if there is none for a train. */
	if (t->foreseen && (t->only_foreseen || t->bulk) && train_is_awaited(p, t))
		return true;
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (is_ending_for(c, t))
			return true;
		if (t->foreseen && train_goes_to(c, t) && !select_is_slow(c))
			return true;
		/* Bulk tasks wait for the connection that they are on, unless they go to one that
		 * deflates. */
		if (t->bulk && c->tasks.bulk > 0 && c->view.mailbox == t->mailbox &&
			!takes_no_more(c))
			return true;
		if (compresses_soon(c) && (!t->mailbox || c->view.mailbox == t->mailbox))
			return true;
	}
	return is_selecting(p, t) || (t->mailbox && is_slow(p, t->mailbox));
}

static bool can_drain(const struct conn *c, const struct pool_task *t)
{
	return c->state == CONN_READY && !c->next.mailbox && c->tasks.alone == 0;
}

/* Who waits for an answer does not stand in line behind bulk tasks: an idle connection is better,
 * and one more is made ready for the next time. */
static struct conn *choose_serving(struct pool *p, const struct pool_task *t)
{
	struct conn *c = choose(p, t, serves);

	if (c && t->alone && c->tasks.count > 0)
		return is_connecting(p) || pool_may_connect(p, t) ? NULL : c;
	if (!c || c->tasks.bulk == 0 || t->bulk || !t->mailbox || is_slow(p, t->mailbox))
		return c;
	if (choose(p, t, is_idle) || is_selecting(p, t))
		return NULL;
	if (!is_connecting(p) && pool_may_connect(p, NULL))
		pool_connect(p);
	return c;
}

/* The task has another connection than the one that was drained for it. */
static void undrain(struct pool *p, const struct pool_task *t)
{
	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (is_drained_for(c, t))
			c->next.mailbox = NULL;
	}
}

/* Puts the task's mailbox on a connection, at once or when it has done what it does. */
static int prepare(struct pool *p, struct pool_task *t)
{
	struct conn *c = choose(p, t, is_idle);

	if (c) {
		undrain(p, t);
		return select_begin(c, t->mailbox, t->access == POOL_WRITE, t->uid);
	}
	if (is_connecting(p))
		return 0;
	if (pool_may_connect(p, t)) {
		pool_connect(p);
		return 0;
	}
	c = choose(p, t, can_drain);
	if (c)
		select_next(c, t->mailbox, t->access == POOL_WRITE, t->uid);
	return 0;
}

/* Makes one more connection ready for the mailbox's bulk tasks, if they are to have more. */
static void widen(struct pool *p, struct mailbox *mailbox)
{
	const struct pool_task next = {.mailbox = mailbox, .access = POOL_READ};
	bool one_more = place_bulk_lines(p, mailbox) < width_count(&p->speed.width) &&
			place_bulk_lines(p, NULL) + 2 <= p->limit.max;

	if (!one_more || is_selecting(p, &next) || is_slow(p, mailbox))
		return;
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (idle(c) && c->view.mailbox == mailbox)
			return;
	}
	struct conn *c = choose(p, &next, is_idle);
	if (c)
		select_begin(c, mailbox, false, 0);
	else if (!is_connecting(p) && pool_may_connect(p, NULL))
		pool_connect(p);
}

/* While bulk tasks run there is a connection without them, for whoever comes in between: he would
 * wait for megabytes otherwise, or for a login. */
static void keep_spare(struct pool *p)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->state != CONN_DEAD && c->tasks.bulk == 0)
			return;
	}
	if (pool_may_connect(p, NULL))
		pool_connect(p);
}

/* Of those that are logged in; 0: none is. */
static unsigned newest(const struct pool *p)
{
	unsigned number = 0;

	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->state != CONN_CONNECTING && c->state != CONN_DEAD &&
			c->state != CONN_CLOSING && c->number > number)
			number = c->number;
	}
	return number;
}

static struct conn *oldest_idle(const struct pool *p)
{
	struct conn *oldest = NULL;

	LIST_FOREACH (pos, &p->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (idle(c) && (!oldest || c->number < oldest->number))
			oldest = c;
	}
	return oldest;
}

/* A task that wants a newer connection than there is: one more is made, in the place of the oldest
 * where no more are allowed. What cannot be had is not waited for. */
static void make_newer(struct pool *p, struct pool_task *t)
{
	uint64_t now = uv_now(p->loop);
	unsigned number = newest(p);

	if (number > t->newer_than || is_connecting(p))
		return;
	bool due = now >= pool_renews_at(p);
	struct conn *old = oldest_idle(p);
	if (due && !pool_may_connect(p, t) && old)
		conn_fail(old, ERR_CANCELED, "one that is logged in newly takes its place");
	if (due && pool_may_connect(p, t)) {
		p->renewed_at = now;
		pool_connect(p);
	} else {
		t->newer_than = number > 0 ? number - 1 : 0;
	}
}

/* Sets of messages change from one to the next: of these it is the whole kind. */
struct trouble_of place_trouble_of(const struct pool_task *t)
{
	return (struct trouble_of){t->mailbox, t->on_conn, t->bulk ? 0 : t->uid};
}

/* The trouble that the task would be, NULL: none. */
static const struct backoff *trouble_with(const struct pool *p, const struct pool_task *t)
{
	const struct trouble_of selecting = {.mailbox = t->mailbox}, work = place_trouble_of(t);
	const struct backoff *b = t->mailbox ? trouble_find(&p->trouble, &selecting) : NULL;
	const struct backoff *other = trouble_find(&p->trouble, &work);

	return b && (!other || b->retry_at > other->retry_at) ? b : other;
}

/* It happened so often that to wait would be in vain. */
static bool is_told(const struct pool *p, const struct pool_task *t)
{
	const struct backoff *b = trouble_with(p, t);

	return !t->patient && b && b->failures >= TROUBLES_TOLD;
}

uint64_t place_not_before(const struct pool *p, const struct pool_task *t)
{
	const struct backoff *b = trouble_with(p, t);

	return b && b->retry_at > t->not_before ? b->retry_at : t->not_before;
}

bool place_is_foreseen(const struct pool *p, const struct pool_task *t)
{
	if (t->foreseen == 0)
		return false;
	LIST_FOREACH (pos, &p->conns)
		if (train_goes_to(list_entry(pos, struct conn, link), t))
			return true;
	return train_is_awaited(p, t);
}

bool place_try(struct pool *p, struct pool_task *t)
{
	if (t->only_foreseen && !place_is_foreseen(p, t)) {
		pool_fail_task(t, ERR_NET);
		return true;
	}
	if (t->fetches && !pool_may_fetch(p)) {
		pool_fail_task(t, ERR_DAYLIMIT);
		return true;
	}
	/* The tick comes by again. */
	if (uv_now(p->loop) < place_not_before(p, t)) {
		if (!is_told(p, t))
			return false;
		pool_fail_task(t, ERR_PROTOCOL);
		return true;
	}
	if (t->newer_than > 0)
		make_newer(p, t);
	struct conn *c = choose_serving(p, t);
	int err = 0;

	if (c && t->mailbox && c->view.told < t->uid) {
		noop_look(c, t->uid);
		return false;
	}
	if (c) {
		list_remove(&t->link);
		struct mailbox *mailbox = t->bulk ? t->mailbox : NULL;
		conn_grant(c, t);
		if (mailbox) {
			widen(p, mailbox);
			keep_spare(p);
		}
		return true;
	}
	if (coming(p, t))
		return false;
	if (t->mailbox)
		err = prepare(p, t);
	else if (!is_connecting(p) && pool_may_connect(p, t) && (!t->alone || may_keep_alone(p)))
		pool_connect(p);
	if (err < 0)
		pool_fail_task(t, err);
	return err < 0;
}
