/* SPDX-License-Identifier: MIT */
#include "mail/read/readers.h"

bool readers_are_near(struct mailbox *mb, uint32_t a, uint32_t b, uint32_t apart)
{
	uint32_t from = a < b ? a : b, to = a < b ? b : a;

	if (to - from <= apart)
		return true;
	for (uint32_t i = 0; i <= apart && from < to; i++) {
		const struct cache_message *m = mailbox_after(mb, from);
		from = m ? m->uid : to;
	}
	return from >= to;
}

/* In the place of an older read of the same message, or of the oldest. */
static void keep(struct readers *r, uint32_t uid, uint64_t now)
{
	unsigned place = READERS_EVERYWHERE;

	for (unsigned i = 0; i < READERS_EVERYWHERE; i++)
		if (r->recent[i].uid == uid)
			place = i;
	if (place == READERS_EVERYWHERE)
		place = r->next++ % READERS_EVERYWHERE;
	r->recent[place].uid = uid;
	r->recent[place].at = now;
}

enum readers_are readers_note(struct readers *r, struct mailbox *mb, uint32_t uid, uint64_t now)
{
	unsigned near = 0, all = 0;

	keep(r, uid, now);
	for (unsigned i = 0; i < READERS_EVERYWHERE; i++) {
		uint32_t other = r->recent[i].uid;
		if (other == 0 || now - r->recent[i].at > READERS_MEMORY)
			continue;
		all++;
		near += readers_are_near(mb, uid, other, READERS_APART);
	}
	if (all == READERS_EVERYWHERE && near * 2 <= all)
		return READERS_ARE_EVERYWHERE;
	return near >= READERS_NEAR ? READERS_ARE_NEAR : READERS_ARE_FEW;
}
