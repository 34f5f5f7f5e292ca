/* SPDX-License-Identifier: MIT */
/*
 * Marks of ours that a removal may leave behind: the line or the daemon was lost between STORE and EXPUNGE,
 * or the server did not take them off again. What was promised goes on with it (intents.h). Else whoever
 * removed it was told that it stays, and another client must not expunge it: that the mark is to be taken
 * off is promised in its place, and is in the journal from before STORE. Better that another's mark is
 * lost with a removal that fails than that ours stays.
 */
#include "mail/change/intents_private.h"
#include "mail/change/private.h"
#include "mail/model/flags.h"

static const char unmark[] = "-\\Deleted";

static void note(struct changes *c, uint32_t uid)
{
	struct mailbox *mb = c->mb;
	const struct cache_message *m = mailbox_find(mb, uid);

	if (!m || mailbox_hidden(mb, uid) || flags_promised(mb, uid) ||
		uidset_has(&c->expunge.noted, uid))
		return;
	const struct state_intent row = intents_row(mb, uid, INTENT_FLAGS, NULL, m, unmark);
	if (state_put(mb->account->state, &row) == 0)
		uidset_add(&c->expunge.noted, uid, uid);
}

void left_note(struct changes *c)
{
	const struct uidset *piece = &c->now.piece;

	for (size_t i = 0; i < piece->count; i++) {
		uidset_add(&c->expunge.stored, piece->ranges[i].first, piece->ranges[i].last);
		for (uint64_t uid = piece->ranges[i].first;
			c->mb->account->state && uid <= piece->ranges[i].last; uid++)
			note(c, (uint32_t)uid);
	}
}

void left_none(struct changes *c)
{
	const struct uidset *ours = &c->expunge.ours;

	for (size_t i = 0; i < ours->count; i++)
		uidset_remove(&c->expunge.stored, ours->ranges[i].first, ours->ranges[i].last);
}

static bool is_left(const struct changes *c, uint32_t uid)
{
	return !c->mb->dead && uidset_has(&c->expunge.stored, uid) &&
	       !uidset_has(&c->expunge.marked, uid) && mailbox_find(c->mb, uid) &&
	       !mailbox_hidden(c->mb, uid);
}

void left_settle(struct changes *c)
{
	struct uidset *stored = &c->expunge.stored, *noted = &c->expunge.noted;
	const struct intent_ask ask = {.verb = INTENT_FLAGS, .diff = unmark};
	struct mailbox *mb = c->mb;

	uidset_sort(stored);
	uidset_sort(noted);
	for (uint32_t uid = 0; (uid = uidset_after(noted, uid));)
		if (!is_left(c, uid))
			state_drop(mb->account->state, mb->name, mb->uidvalidity, uid);
	for (uint32_t uid = 0; mb->account->state && (uid = uidset_after(stored, uid));)
		if (is_left(c, uid))
			intents_put(mb, uid, &ask);
	uidset_clear(stored);
	uidset_clear(noted);
}
