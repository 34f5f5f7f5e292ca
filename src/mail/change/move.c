/* SPDX-License-Identifier: MIT */
/*
 * The verb of a rename into another mailbox: UID MOVE (RFC 6851), which may be sent again after a lost
 * line, since what is not here any more was moved. Where the server has no MOVE, or refuses it though
 * it says that it has: UID COPY, and then the way of removals. A COPY is never sent again when nobody
 * knows whether it was carried out: the message stays here then, and may be there, too.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/change/private.h"
#include "mail/sync/sync.h"

/* The order in which the step sends. */
enum { SLOT_FETCH, SLOT_MOVE };

static const struct step copy;

/* --- the verb --- */

static bool move_alike(const struct change *a, const struct change *b)
{
	return a->to == b->to;
}

bool move_is_there(const struct account *a)
{
	return (pool_capabilities(a->pool) & IMAP_CAP_MOVE) && !a->uidplus->no_move;
}

static bool move_needs_lease(const struct changes *c)
{
	return !move_is_there(c->mb->account) && removals_need_lease(c);
}

/* All of a batch go to the same. */
static struct mailbox *target(const struct changes *c)
{
	return list_entry(c->batch.next, struct change, link)->to;
}

/* Takes those out of the batch for which f is true, and answers them. */
static void answer_some(struct changes *c, bool (*f)(struct changes *c, struct change *r), int err)
{
	struct list some = LIST_INIT(some);

	LIST_FOREACH_SAFE (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		if (!f(c, r))
			continue;
		list_remove(&r->link);
		list_append(&some, &r->link);
	}
	queue_answer(&some, err);
}

static bool is_unsure(struct changes *c, struct change *r)
{
	return r->unsure;
}

/* Of the batch, those that are still to be copied. */
static void put_uncopied(const struct changes *c, struct uidset *set)
{
	LIST_FOREACH (pos, &c->batch) {
		const struct change *r = list_entry(pos, struct change, link);
		if (!r->copied)
			uidset_add(set, r->uid, r->uid);
	}
	uidset_sort(set);
}

/* The copies are made: what is here goes. */
static void remove_sources(struct changes *c)
{
	uidset_clear(&c->uids);
	LIST_FOREACH (pos, &c->batch) {
		uint32_t uid = list_entry(pos, struct change, link)->uid;
		uidset_add(&c->uids, uid, uid);
	}
	uidset_sort(&c->uids);
	if (list_empty(&c->batch))
		course_over(c, 0);
	else
		removals_go(c);
}

/* Before anything is sent: killed meanwhile, nobody knows. */
static void note_copying(struct changes *c)
{
	LIST_FOREACH (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		if (r->copied || r->copying)
			continue;
		r->copying = true;
		if (r->on_stage)
			r->on_stage(r);
	}
}

static void start_copy(struct changes *c)
{
	struct uidset set = {0};

	if (!removals_are_possible(c->mb->account)) {
		removals_refuse(c, ERR_UNSAFE);
		return;
	}
	put_uncopied(c, &set);
	note_copying(c);
	if (set.count > 0)
		step_go_over(c, &copy, &set);
	else
		remove_sources(c);
	uidset_finish(&set);
}

static bool any_copied(const struct changes *c)
{
	LIST_FOREACH (pos, &c->batch)
		if (list_entry(pos, struct change, link)->copied)
			return true;
	return false;
}

static const struct step move;

static void move_go(struct changes *c)
{
	c->target_uidnext = target(c)->messages.uidnext;
	if (move_is_there(c->mb->account) && !any_copied(c))
		step_go_over(c, &move, &c->uids);
	else
		start_copy(c);
}

static void move_start(struct changes *c)
{
	if (unsure_ask(c))
		return;
	answer_some(c, is_unsure, ERR_UNSURE);
	if (list_empty(&c->batch))
		course_over(c, 0);
	else if (target(c)->dead)
		course_over(c, ERR_NO_MAILBOX);
	else if (!verify_first(c))
		move_go(c);
}

const struct verb change_move = {
	.gone_is_done = true,
	.alike = move_alike,
	.permit = removals_permit,
	.needs_lease = move_needs_lease,
	.start = move_start,
	.settle = removals_settle,
};

/* --- move --- */

static int compare_new_uids(const void *a, const void *b)
{
	const struct change *const *x = a, *const *y = b;

	return ((*x)->new_uid > (*y)->new_uid) - ((*x)->new_uid < (*y)->new_uid);
}

/* As it is here, where it is still known; that its size is right is not proved, since a server may mix
 * the UIDs up. */
static void add_to_target(const struct change *r)
{
	const struct cache_message *here = mailbox_find(r->mb, r->uid);
	struct cache_message m = {.flags = CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN};

	if (here)
		m = *here;
	m.uid = r->new_uid;
	m.flags &= CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN;
	sync_note_added(r->to, &m);
}

/* They are listed there at once, so that no lookup there has to ask for news of them: mv looks up the
 * target of each rename. */
static void note_new_uids(struct changes *c, const struct imap_uids *uids)
{
	const struct change **named = mem_alloc(BATCH_MAX * sizeof(struct change *));
	size_t n = 0;

	LIST_FOREACH (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		if (r->to->uidvalidity && r->to->uidvalidity != uids->uidvalidity)
			continue;
		uint32_t uid = imap_uids_find(uids, r->uid);
		if (uid >= c->target_uidnext && uid && uid != r->new_uid && n < BATCH_MAX) {
			r->new_uid = uid;
			named[n++] = r;
		}
	}
	qsort(named, n, sizeof(struct change *), compare_new_uids);
	for (size_t i = 0; i < n; i++)
		add_to_target(named[i]);
	free(named);
}

static bool all_are_named(const struct changes *c)
{
	LIST_FOREACH (pos, &c->batch)
		if (list_entry(pos, struct change, link)->new_uid == 0)
			return false;
	return true;
}

static void move_send(struct changes *c)
{
	step_send_fetch(c);
	c->now.slots[SLOT_FETCH].helps = true;
	step_send_piece_to(c, "UID MOVE", target(c)->name);
}

/* FETCH tells which there are; marked or not is of no interest. */
static void move_on_row(struct changes *c, const struct imap_fetch *row, uint32_t uid)
{
	if (!uidset_has(&c->uids, uid) || uidset_has(&c->expunge.rows, uid))
		return;
	uidset_add(&c->expunge.rows, uid, uid);
	uidset_sort(&c->expunge.rows);
}

static void move_ok(struct changes *c)
{
	if (!all_are_named(c))
		sync_note_news(target(c));
	course_over(c, 0);
}

/* Others have expunged some of the piece, and so nothing is done to it: without them, which the server tells of
 * before it answers the next command, once more. */
static bool is_begun_anew(struct changes *c, const struct slot *slot)
{
	if (!slot->stale || !retry_busy(&c->retry, RETRY_BRIEF))
		return false;
	queue_start_over(c);
	return true;
}

/* That there is no such mailbox, no room, or no right would be said of a COPY, too. */
static void move_refused(struct changes *c)
{
	struct account *a = c->mb->account;
	int err = c->now.err;

	sync_note_news(target(c));
	if (c->now.slots[SLOT_MOVE].unknown && !a->uidplus->no_move) {
		a->uidplus->no_move = true;
		log_notice("%s: MOVE is offered and not known: copying and removing instead",
			a->options.pool.host);
	}
	if (queue_batch_is_gone(c))
		course_over(c, 0);
	else if (is_begun_anew(c, &c->now.slots[SLOT_MOVE]))
		return;
	else if (err == ERR_REFUSED)
		start_copy(c);
	else
		course_over(c, err);
}

static const struct step move = {
	.name = "move",
	.send = move_send,
	.on_row = move_on_row,
	.on_copyuid = note_new_uids,
	.ok = move_ok,
	.refused = move_refused,
};

/* --- copy --- */

static void copy_send(struct changes *c)
{
	step_send_piece_to(c, "UID COPY", target(c)->name);
}

/* Those that were asked for before the piece under way, or with it, are copied. */
static void note_copied(struct changes *c, bool with_piece)
{
	LIST_FOREACH (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		if (r->copied || uidset_has(&c->now.todo, r->uid) ||
			(!with_piece && uidset_has(&c->now.piece, r->uid)))
			continue;
		r->copied = true;
		if (r->on_stage)
			r->on_stage(r);
	}
	sync_note_news(target(c));
}

static void copy_ok(struct changes *c)
{
	note_copied(c, true);
	remove_sources(c);
}

static bool is_not_copied(struct changes *c, struct change *r)
{
	return !r->copied;
}

static void copy_refused(struct changes *c)
{
	note_copied(c, false);
	if (is_begun_anew(c, &c->now.slots[0]))
		return;
	int err = c->now.err;
	answer_some(c, is_not_copied, err);
	remove_sources(c);
}

static void copy_lost(struct changes *c)
{
	bool sent = c->now.slots[0].command.sent;

	note_copied(c, false);
	LIST_FOREACH (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		if (r->copied || !sent || !uidset_has(&c->now.piece, r->uid))
			continue;
		r->unsure = true;
		r->target_uidnext = c->target_uidnext;
	}
}

static const struct step copy = {
	.name = "copy",
	.send = copy_send,
	.on_copyuid = note_new_uids,
	.on_lost = copy_lost,
	.ok = copy_ok,
	.refused = copy_refused,
};
