/*
 * Which connection a task goes to: one that has its mailbox, else an idle one, else a new one is
 * made, else the least busy one is drained for it, so that a stream of tasks for one mailbox cannot
 * starve another. Bulk tasks keep to as few as are fast, and one is kept free of them.
 */
#include "base/error.h"
#include "mail/pool_private.h"

/* Bulk tasks on one connection: enough to keep any line full. */
#define BULK_DEPTH 12
/* Milliseconds for which a connection counts as logged in newly, and from one login for the sake of
 * that to the next. */
#define YOUNG ((uint64_t)60 * 1000)

/* One at a time are spread over the connections. A single one has them stand in line on it. */
static unsigned depth(const struct pool *p)
{
	return p->line->pace.one_at_a_time && p->max > 1 ? 1 : POOL_DEPTH;
}

static bool takes_no_more(const struct conn *c)
{
	return conn_wants_compress(c) || conn_is_in_vain(c);
}

unsigned place_bulk_lines(const struct pool *p, const struct mailbox *mailbox)
{
	unsigned n = 0;

	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		n += c->bulk_count > 0 && (!mailbox || c->mailbox == mailbox);
	}
	return n;
}

/* Whether bulk tasks of the mailbox, the connection's or to be, may go to it: as wide as they are
 * spread, on the busiest, and so that one connection is left for others. */
static bool may_carry(const struct conn *c, const struct mailbox *mailbox)
{
	const struct pool *p = c->pool;
	bool before = true;
	unsigned others = 0;

	LIST_FOREACH (pos, &p->conns) {
		const struct conn *d = list_entry(pos, struct conn, link);
		before &= d != c;
		if (d == c || d->bulk_count == 0 || d->mailbox != mailbox || takes_no_more(d))
			continue;
		others += d->bulk_count > c->bulk_count ||
			  (d->bulk_count == c->bulk_count && before);
	}
	if (others == 0 || c->bulk_count > 0)
		return others < spread_width(&p->spread);
	return others < spread_width(&p->spread) && place_bulk_lines(p, NULL) + 2 <= p->max;
}

static bool is_recent(const struct conn *c, const struct pool_task *t)
{
	return c->selected.asked >= t->selected_after;
}

bool place_is_young(const struct conn *c)
{
	return uv_now(c->pool->loop) < c->ready_at + YOUNG;
}

static bool serves(const struct conn *c, const struct pool_task *t)
{
	if (t->young && !place_is_young(c))
		return false;
	if (c->state != CONN_READY || c->task_count >= depth(c->pool) || takes_no_more(c))
		return false;
	if (t->bulk && (c->bulk_count >= BULK_DEPTH || !may_carry(c, t->mailbox)))
		return false;
	if (t->access == POOL_NO_MAILBOX)
		return true;
	return c->mailbox == t->mailbox && !c->next && is_recent(c, t) &&
	       (t->access != POOL_WRITE || c->selected.writable);
}

static bool idle(const struct conn *c)
{
	return c->state == CONN_READY && c->task_count == 0 && !c->next && !takes_no_more(c);
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
		if (conn_is_slow(c) && c->mailbox == mailbox)
			return true;
	}
	return false;
}

static bool is_selecting(const struct pool *p, const struct pool_task *t)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->state == CONN_SELECTING && c->mailbox == t->mailbox && is_recent(c, t) &&
			(t->access != POOL_WRITE || c->selected.writable))
			return true;
	}
	return false;
}

/* A pause for COMPRESS is under way that does not wait for bulk tasks: short. */
static bool compresses_soon(const struct conn *c)
{
	return c->state == CONN_COMPRESSING || (c->bulk_count == 0 && conn_wants_compress(c));
}

/* Whether a connection is on its way to what the task needs. */
static bool coming(const struct pool *p, const struct pool_task *t)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->next && c->next == t->mailbox)
			return true;
		/* Bulk tasks wait for the connection that they are on, unless they go to one that
		 * deflates. */
		if (t->bulk && c->bulk_count > 0 && c->mailbox == t->mailbox && !takes_no_more(c))
			return true;
		if (compresses_soon(c) && (!t->mailbox || c->mailbox == t->mailbox))
			return true;
	}
	return is_selecting(p, t) || (t->mailbox && is_slow(p, t->mailbox));
}

/* What waits in front of a new task: a bulk task is far longer than any other. To be told of a new
 * message takes a turn, which is longer than to stand in line behind small ones. */
static unsigned load(const struct conn *c, const struct pool_task *t)
{
	bool knows = t->uid == 0 || (c->mailbox == t->mailbox && t->uid <= c->told);

	return c->task_count + c->bulk_count * POOL_DEPTH + (knows ? 0 : POOL_DEPTH - 1);
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
		if (!best || load(c, t) < load(best, t) ||
			(load(c, t) == load(best, t) && c->used < best->used))
			best = c;
	}
	return best;
}

static bool is_idle(const struct conn *c, const struct pool_task *t)
{
	return idle(c);
}

static bool can_drain(const struct conn *c, const struct pool_task *t)
{
	return c->state == CONN_READY && !c->next;
}

/* Who waits for an answer does not stand in line behind bulk tasks: an idle connection is better,
 * and one more is made ready for the next time. */
static struct conn *choose_serving(struct pool *p, const struct pool_task *t)
{
	struct conn *c = choose(p, t, serves);

	if (!c || c->bulk_count == 0 || t->bulk || !t->mailbox || is_slow(p, t->mailbox))
		return c;
	if (choose(p, t, is_idle) || is_selecting(p, t))
		return NULL;
	if (!is_connecting(p) && pool_may_connect(p, NULL))
		pool_connect(p);
	return c;
}

/* Puts the task's mailbox on a connection, at once or when it has done what it does. */
static int prepare(struct pool *p, struct pool_task *t)
{
	struct conn *c = choose(p, t, is_idle);

	if (c)
		return conn_select(c, t->mailbox, t->access == POOL_WRITE, t->uid);
	if (is_connecting(p))
		return 0;
	if (pool_may_connect(p, t)) {
		pool_connect(p);
		return 0;
	}
	c = choose(p, t, can_drain);
	if (c)
		conn_select_next(c, t->mailbox, t->access == POOL_WRITE, t->uid);
	return 0;
}

/* Makes one more connection ready for the mailbox's bulk tasks, if they are to have more. */
static void spread_out(struct pool *p, struct mailbox *mailbox)
{
	const struct pool_task next = {.mailbox = mailbox, .access = POOL_READ};
	bool one_more = place_bulk_lines(p, mailbox) < spread_width(&p->spread) &&
			place_bulk_lines(p, NULL) + 2 <= p->max;

	if (!one_more || is_selecting(p, &next) || is_slow(p, mailbox))
		return;
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (idle(c) && c->mailbox == mailbox)
			return;
	}
	struct conn *c = choose(p, &next, is_idle);
	if (c)
		conn_select(c, mailbox, false, 0);
	else if (!is_connecting(p) && pool_may_connect(p, NULL))
		pool_connect(p);
}

/* While bulk tasks run there is a connection without them, for whoever comes in between: he would
 * wait for megabytes otherwise, or for a login. */
static void keep_spare(struct pool *p)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->state != CONN_DEAD && c->bulk_count == 0)
			return;
	}
	if (pool_may_connect(p, NULL))
		pool_connect(p);
}

static bool has_young(const struct pool *p)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->state != CONN_CONNECTING && c->state != CONN_DEAD &&
			c->state != CONN_CLOSING && place_is_young(c))
			return true;
	}
	return false;
}

/* A task that wants a young connection when there is none: one more is made, in the place of the
 * one that was unused longest where no more are allowed. What cannot be had is not waited for. */
static void renew(struct pool *p, struct pool_task *t)
{
	uint64_t now = uv_now(p->loop);

	if (has_young(p) || is_connecting(p))
		return;
	struct conn *old = choose(p, t, is_idle);
	bool spent = p->renewed_at && now < p->renewed_at + YOUNG;
	if (!spent && !pool_may_connect(p, t) && old)
		conn_fail(old, ERR_CANCELED, "one that is logged in newly takes its place");
	t->young = !spent && pool_may_connect(p, t);
	if (!t->young)
		return;
	p->renewed_at = now;
	pool_connect(p);
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

bool place_try(struct pool *p, struct pool_task *t)
{
	/* The tick comes by again. */
	if (uv_now(p->loop) < place_not_before(p, t)) {
		if (!is_told(p, t))
			return false;
		pool_fail_task(t, ERR_PROTOCOL);
		return true;
	}
	if (t->young)
		renew(p, t);
	struct conn *c = choose_serving(p, t);
	int err = 0;

	if (c && t->mailbox && c->told < t->uid) {
		conn_look(c, t->uid);
		return false;
	}
	if (c) {
		list_remove(&t->link);
		struct mailbox *mailbox = t->bulk ? t->mailbox : NULL;
		conn_grant(c, t);
		if (mailbox) {
			spread_out(p, mailbox);
			keep_spare(p);
		}
		return true;
	}
	if (coming(p, t))
		return false;
	if (t->mailbox)
		err = prepare(p, t);
	else if (!is_connecting(p) && pool_may_connect(p, t))
		pool_connect(p);
	if (err < 0)
		pool_fail_task(t, err);
	return err < 0;
}
