/* SPDX-License-Identifier: MIT */
/*
 * The verb of unlink. Our messages go the one way or the other, and in the end, whether that went
 * well or not, nobody else's marks are missing and none of ours are left:
 *
 *   with UIDPLUS  STORE \Deleted and UID EXPUNGE of just those, in one turn (uidplus.c);
 *   without       nothing, unless the user insists: what another client marks between a look and
 *                 EXPUNGE would be expunged. Else, with a lease, so that two of us do not undo each
 *                 other's care, EXPUNGE when the server finds ours marked and nothing else
 *                 (force.c). EXPUNGE takes whatever is marked, so what others marked is unmarked
 *                 first and marked again afterwards, with the list durable in the cache's journal
 *                 meanwhile (journal.c);
 *
 * and the server is asked which of them are still there when it did not say that each is gone
 * (verify.c). When something is refused our own marks are taken off again (marks.c), and the others
 * get theirs back. What cannot be marked again stays in `others` (and in the journal): for the next
 * batch, the next time that the server comes up, a later attempt (owed.c), or the next mount.
 */
#include "base/error.h"
#include "base/log.h"
#include "mail/change/private.h"

/* --- the verb --- */

static int permission(const struct pool_selected *selected)
{
	if (selected->readonly)
		return ERR_READONLY;
	if (selected->has_permanentflags && !(selected->permanentflags & IMAP_FLAG_DELETED))
		return ERR_DENIED;
	return selected->has_rights && !selected->can_delete ? ERR_DENIED : 0;
}

/* A mailbox that is read-only is nothing to wonder at. */
int removals_permit(struct changes *c)
{
	struct mailbox *mb = c->mb;
	int err = permission(conn_selected(c->task.conn));

	if (err == ERR_DENIED && !mb->removal.denied_logged)
		log_warning(
			"%s: nothing can be removed from %s: the server lets no message be marked "
			"as deleted there, or expunged (PERMANENTFLAGS, MYRIGHTS)",
			mb->account->options.pool.host, mailbox_path(mb));
	mb->removal.denied_logged |= err == ERR_DENIED;
	return err;
}

bool removals_need_lease(const struct changes *c)
{
	const struct account *a = c->mb->account;

	return !uidplus_is_there(a) && a->options.expunge_force;
}

bool removals_are_possible(struct account *a)
{
	if (uidplus_is_there(a) || a->options.expunge_force)
		return true;
	uidplus_tell_lack(a);
	return false;
}

void removals_go(struct changes *c)
{
	if (uidplus_is_there(c->mb->account))
		uidplus_start(c);
	else
		force_start(c);
}

static void removals_start(struct changes *c)
{
	if (!removals_are_possible(c->mb->account))
		removals_refuse(c, ERR_UNSAFE);
	else if (!verify_first(c))
		removals_go(c);
}

void removals_settle(struct changes *c)
{
	if (c->expunge.anew)
		queue_start_over(c);
	else if (c->verdict < 0)
		queue_end_batch(c, c->verdict);
	else if (queue_batch_is_gone(c))
		queue_end_batch(c, 0);
	else
		verify_start(c);
}

const struct verb change_remove = {
	.gone_is_done = true,
	.permit = removals_permit,
	.needs_lease = removals_need_lease,
	.start = removals_start,
	.settle = removals_settle,
};

/* --- for its steps --- */

void removals_begin(struct changes *c)
{
	uidset_clear(&c->expunge.rows);
	c->expunge.anew = c->expunge.again = false;
	c->expunge.rounds = 0;
}

void removals_forget(struct changes *c)
{
	left_settle(c);
	c->expunge.tries = 0;
	uidset_clear(&c->expunge.ours);
	uidset_clear(&c->expunge.marked);
}

void removals_expunged(struct changes *c)
{
	course_over(c, 0);
}

void removals_refuse(struct changes *c, int err)
{
	c->over = true;
	c->verdict = err;
	marks_undo(c);
}

void removals_step_refused(struct changes *c)
{
	removals_refuse(c, c->now.err);
}
