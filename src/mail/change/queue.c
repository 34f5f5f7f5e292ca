/* SPDX-License-Identifier: MIT */
/*
 * Changes wait here for a connection and, where their verb needs it, for the lease; those that are
 * alike and that a connection knows form a batch. What comes while a batch is under way, or is of
 * another kind, waits for the next one.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/change/owed.h"
#include "mail/change/private.h"

static const struct step idle = {.name = "idle"};
static const struct step leasing = {.name = "lease"};
static const struct step waiting = {.name = "wait"};

static void queue_on_fail(struct pool_task *t, int err);

void queue_init(struct changes *c)
{
	c->now.step = &idle;
	c->task = (struct pool_task){
		.mailbox = c->mb,
		.access = POOL_WRITE,
		.on_conn = course_on_conn,
		.on_fail = queue_on_fail,
		.on_lost = step_on_lost,
		.on_untagged = step_on_untagged,
	};
	list_init(&c->task.link);
	list_init(&c->queued);
	list_init(&c->batch);
}

bool queue_is_idle(const struct changes *c)
{
	return c->now.step == &idle;
}

/* --- the answers --- */

/* A message that is gone was removed, whatever failed afterwards. */
static int result(const struct change *r, int err)
{
	if (r->mb->dead)
		return ERR_GONE;
	if (mailbox_find(r->mb, r->uid))
		return err;
	return r->verb->gone_is_done ? 0 : ERR_GONE;
}

/* What the server has refused once it may refuse again. */
static void note_outcome(struct mailbox *mb, const struct verb *verb, int err)
{
	const struct verb **doubted = &mb->removal.doubted;

	if (err == 0 && *doubted == verb)
		*doubted = NULL;
	else if (err < 0 && !error_is_connection(err) && err != ERR_CANCELED &&
		 err != ERR_THROTTLED)
		*doubted = verb;
}

void queue_answer(struct list *changes, int err)
{
	struct list done = LIST_INIT(done);

	list_splice(&done, changes);
	while (!list_empty(&done)) {
		struct change *r = list_entry(done.next, struct change, link);
		list_remove(&r->link);
		int said = result(r, err);
		note_outcome(r->mb, r->verb, said);
		r->on_done(r, said);
	}
}

/* Answers those whose messages are gone: the server told of that without being asked, or before a
 * connection was lost. */
static void answer_gone(struct changes *c)
{
	struct list left = LIST_INIT(left);

	LIST_FOREACH_SAFE (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		if (mailbox_find(c->mb, r->uid)) {
			list_remove(&r->link);
			list_append(&left, &r->link);
		}
	}
	queue_answer(&c->batch, 0);
	list_splice(&c->batch, &left);
}

bool queue_batch_is_gone(const struct changes *c)
{
	LIST_FOREACH (pos, &c->batch)
		if (mailbox_find(c->mb, list_entry(pos, struct change, link)->uid))
			return false;
	return true;
}

/* --- the verb --- */

/* That of the batch, or of what waits longest. Where nothing waits others are owed their marks. */
static void choose_verb(struct changes *c)
{
	const struct list *from = list_empty(&c->batch) ? &c->queued : &c->batch;

	c->verb = list_empty(from) ? &change_remove
				   : list_entry(from->next, struct change, link)->verb;
}

/* The first of the verb; NULL: there is none any more. */
static const struct change *first_of(const struct list *changes, const struct verb *verb)
{
	LIST_FOREACH (pos, changes) {
		const struct change *r = list_entry(pos, struct change, link);
		if (r->verb == verb)
			return r;
	}
	return NULL;
}

/* What the others of the batch are to be alike. */
static const struct change *leader(const struct changes *c)
{
	const struct change *first = first_of(&c->batch, c->verb);

	return first ? first : first_of(&c->queued, c->verb);
}

static bool are_alike(const struct change *a, const struct change *b)
{
	return a && a->verb == b->verb && (!a->verb->alike || a->verb->alike(a, b));
}

/* --- the lease and the connection --- */

static uint32_t highest(const struct list *changes, uint32_t uid)
{
	LIST_FOREACH (pos, changes) {
		const struct change *r = list_entry(pos, struct change, link);
		uid = r->uid > uid ? r->uid : uid;
	}
	return uid;
}

static void start_task(struct changes *c)
{
	uint32_t uid = c->expunge.others.count > 0
			       ? c->expunge.others.ranges[c->expunge.others.count - 1].last
			       : 0;

	step_set(c, &waiting);
	c->task.uid = highest(&c->batch, highest(&c->queued, uid));
	c->task.deadline = account_deadline(c->mb->account);
	pool_start(c->mb->account->pool, &c->task);
}

static void give_up(struct changes *c, int err);

static void queue_on_lease(void *ctx, bool held)
{
	struct changes *c = ctx;

	if (held) {
		start_task(c);
		return;
	}
	log_warning("%s: another imapfs has been removing messages of %s for too long",
		c->mb->account->options.pool.host, mailbox_path(c->mb));
	give_up(c, ERR_THROTTLED);
}

static void take_lease(struct changes *c)
{
	const struct pool_options *o = &c->mb->account->options.pool;
	const char *as = o->login.authzid ? o->login.authzid : "";
	struct buf key;

	step_set(c, &leasing);
	buf_init(&key, SIZE_MAX);
	buf_printf(&key, "%s %u %s %s ", o->host, o->port, o->login.user, as);
	buf_append(&key, c->mb->name.p, c->mb->name.n);
	c->lease = lease_take(
		c->mb->account->loop, buf_span(&key), o->timeout * 3 / 4, queue_on_lease, c);
	buf_finish(&key);
}

void queue_start(struct changes *c)
{
	choose_verb(c);
	bool alone = c->verb->needs_lease && c->verb->needs_lease(c);
	if (!c->lease && (alone || c->expunge.others.count > 0))
		take_lease(c);
	else
		start_task(c);
}

/* --- the batch --- */

static int compare_uids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void note_uids(struct changes *c)
{
	uint32_t *uids = mem_alloc(BATCH_MAX * sizeof(*uids));
	size_t n = 0;

	LIST_FOREACH (pos, &c->batch)
		uids[n++] = list_entry(pos, struct change, link)->uid;
	qsort(uids, n, sizeof(uids[0]), compare_uids);
	uidset_clear(&c->uids);
	for (size_t i = 0; i < n; i++)
		uidset_add(&c->uids, uids[i], uids[i]);
	free(uids);
}

void queue_fill_batch(struct changes *c, bool compared)
{
	const struct change *first = leader(c);
	size_t n = 0;

	LIST_FOREACH (pos, &c->batch)
		n++;
	LIST_FOREACH_SAFE (pos, &c->queued) {
		struct change *r = list_entry(pos, struct change, link);
		if (n >= BATCH_MAX || !are_alike(first, r) || !pool_is_told(&c->task, r->uid))
			continue;
		if (compared && verify_is_due(c, r))
			continue;
		list_remove(&r->link);
		list_append(&c->batch, &r->link);
		n++;
	}
	answer_gone(c);
	note_uids(c);
}

/* --- the ends --- */

/* The connection was given back. Goes on with what came meanwhile, rests with what could not be put
 * right, or ends. again: tries to put it right now. */
static void next_batch(struct changes *c, bool again)
{
	lease_release(c->lease);
	c->lease = NULL;
	c->retry = (struct retry){0};
	c->task.selected_after = 0;
	removals_forget(c);
	if (!list_empty(&c->queued) || again) {
		queue_start(c);
	} else if (c->expunge.others.count > 0 && !c->mb->dead) {
		step_set(c, &idle);
		owed_remain(c->mb->account->owed);
	} else {
		c->mb->removal.changes = NULL;
		changes_destroy(c);
	}
}

void queue_end_batch(struct changes *c, int err)
{
	pool_end(&c->task);
	queue_answer(&c->batch, err);
	next_batch(c, false);
}

void queue_end_alike(struct changes *c, int err)
{
	const struct change *first = leader(c);
	struct list rest = LIST_INIT(rest);

	list_splice(&rest, &c->queued);
	LIST_FOREACH_SAFE (pos, &rest) {
		struct change *r = list_entry(pos, struct change, link);
		list_remove(&r->link);
		list_append(are_alike(first, r) ? &c->batch : &c->queued, &r->link);
	}
	queue_end_batch(c, err);
}

/* Everything that waits fails. Others' marks get another chance, without our changes. */
static void give_up(struct changes *c, int err)
{
	bool again = c->expunge.others.count > 0 && err != ERR_CANCELED && !c->mb->dead;

	list_splice(&c->batch, &c->queued);
	again = again && !list_empty(&c->batch);
	queue_answer(&c->batch, err);
	next_batch(c, again);
}

static void queue_on_fail(struct pool_task *t, int err)
{
	give_up(list_entry(t, struct changes, task), err);
}

void queue_start_over(struct changes *c)
{
	pool_end(&c->task);
	list_splice(&c->batch, &c->queued);
	list_splice(&c->queued, &c->batch);
	queue_start(c);
}

void queue_on_lost(struct changes *c, int err)
{
	pool_end(&c->task);
	if (c->mb->dead) {
		give_up(c, ERR_STALE);
		return;
	}
	/* While others are owed their marks changes are not answered: that comes first. */
	if (c->expunge.others.count == 0)
		answer_gone(c);
	if (list_empty(&c->batch) && c->expunge.others.count == 0)
		next_batch(c, false);
	else if (retry_lost(&c->retry, err))
		queue_start(c);
	else
		give_up(c, err);
}

void queue_on_dead(struct changes *c)
{
	pool_end(&c->task);
	give_up(c, ERR_STALE);
}
