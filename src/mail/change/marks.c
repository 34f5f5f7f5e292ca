/* SPDX-License-Identifier: MIT */
/*
 * Our own \Deleted. What was not marked before us is unmarked again when the messages cannot be
 * expunged; so before STORE the server is asked what is marked, in the same turn.
 */
#include "mail/change/private.h"

/* The order in which marks_send sends. */
enum { SLOT_FETCH, SLOT_STORE };

/* FETCH tells which messages there are, which were marked already, and, where EXPUNGE will tell
 * sequence numbers, whose they are. */
void marks_send(struct changes *c, bool must_know)
{
	step_send_piece(c, "UID FETCH", " (UID FLAGS)")->helps = !must_know;
	left_note(c);
	step_send_piece(c, "UID STORE", " +FLAGS.SILENT (\\Deleted)");
}

/* The first row of a message is from before our STORE. */
void marks_on_row(struct changes *c, const struct imap_fetch *row, uint32_t uid)
{
	if (!row->has_flags || !uidset_has(&c->uids, uid) || uidset_has(&c->expunge.rows, uid))
		return;
	uidset_add(&c->expunge.rows, uid, uid);
	uidset_sort(&c->expunge.rows);
	/* Known from a connection that was lost. */
	if (uidset_has(&c->expunge.ours, uid) || uidset_has(&c->expunge.marked, uid))
		return;
	struct uidset *set = row->flags & IMAP_FLAG_DELETED ? &c->expunge.marked : &c->expunge.ours;
	uidset_add(set, uid, uid);
	uidset_sort(set);
}

bool marks_were_refused(const struct changes *c)
{
	return c->now.slots[SLOT_STORE].err < 0;
}

/* Which of them were marked before is not known. Better that another's mark is lost with a removal
 * that fails than that ours stays. */
bool marks_are_blind(struct changes *c)
{
	if (c->now.slots[SLOT_FETCH].err == 0 || marks_were_refused(c))
		return false;
	LIST_FOREACH (pos, &c->batch) {
		uint32_t uid = list_entry(pos, struct change, link)->uid;
		if (mailbox_find(c->mb, uid) && !uidset_has(&c->expunge.marked, uid))
			uidset_add(&c->expunge.ours, uid, uid);
	}
	uidset_sort(&c->expunge.ours);
	return true;
}

/* --- undo --- */

static void undo_send(struct changes *c)
{
	step_send_piece(c, "UID STORE", " -FLAGS.SILENT (\\Deleted)");
}

static void undo_ok(struct changes *c)
{
	left_none(c);
	journal_give_back(c);
}

static const struct step undo = {
	.name = "undo",
	.send = undo_send,
	.ok = undo_ok,
	.refused = journal_give_back,
};

void marks_undo(struct changes *c)
{
	if (c->expunge.ours.count > 0)
		step_go_over(c, &undo, &c->expunge.ours);
	else
		journal_give_back(c);
}
