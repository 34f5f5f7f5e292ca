/* SPDX-License-Identifier: MIT */
/*
 * The step that finds out what vanished, when there are fewer messages at the server than here:
 * bisect.h does, from samples of sequence numbers.
 */
#include "mail/sync/private.h"

#include <stdlib.h>

#include "base/mem.h"

/* How often samples are taken anew because the mailbox changed meanwhile. */
#define BISECTS 4

void sync_vanish(struct sync *s, uint32_t uid)
{
	struct mailbox *mb = s->mb;

	if (!mailbox_remove(mb, uid))
		return;
	s->changed = true;
	mb->account->observer.on_message_gone(mb->account->ctx, mb, uid);
}

/* The UIDs that are known, and their number. */
static uint32_t *known_uids(struct mailbox *mb, size_t *n)
{
	uint32_t *uids = mem_resize(NULL, mb->messages.rows.count, sizeof(*uids));

	*n = 0;
	rows_sort(&mb->messages.rows);
	for (size_t i = 0; i < mb->messages.rows.count; i++)
		if (!(mb->messages.rows.at[i].flags & MESSAGE_GONE))
			uids[(*n)++] = mb->messages.rows.at[i].uid;
	return uids;
}

/* Whether samples can tell: they need that the server has nothing that is not known here, which is
 * so where the mailbox was complete before and all that is new was asked for. */
static bool can_bisect(const struct sync *s)
{
	const struct mailbox *mb = s->mb;
	uint32_t exists = conn_exists(s->task.conn);

	return mb->messages.complete && !mb->freshness.holes && exists > 0 &&
	       !sync_by_uid_only(s) && (sync_counts_agree(s) || exists < mailbox_count(mb)) &&
	       s->bisects < BISECTS;
}

static void begin_bisect(struct sync *s)
{
	struct mailbox *mb = s->mb;
	bool ranges = pool_capabilities(mb->account->pool) & IMAP_CAP_ESEARCH;
	size_t n;
	uint32_t *uids = known_uids(mb, &n);

	bisect_destroy(s->bisect);
	s->bisect = bisect_create(uids, n, sync_count_after(mb, s->fetch.anchor),
		conn_exists(s->task.conn), bisect_list_cost(uids, n, ranges));
	s->bisects++;
	s->disturbed = mb->freshness.doubt = false;
}

void sync_look_for_vanished(struct sync *s)
{
	if (sync_counts_agree(s) && sync_got_all_new(s)) {
		sync_end(s);
	} else if (can_bisect(s)) {
		begin_bisect(s);
		sync_set_step(s, SYNC_BISECT);
		sync_after_bisect(s);
	} else {
		sync_search(s);
	}
}

void sync_send_bisect(struct sync *s, struct imap_command *c)
{
	struct buf set;

	buf_init(&set, UIDSET_TEXT_MAX);
	bisect_take(s->bisect, &set);
	imap_command_add(c, "FETCH %s (UID)\r\n", buf_cstr(&set));
	buf_finish(&set);
}

void sync_on_bisect_row(struct sync *s, const struct imap_response *r)
{
	if (r->kind == IMAP_FETCH && r->fetch.uid)
		bisect_answer(s->bisect, r->fetch.seq, r->fetch.uid);
}

static void bisected(struct sync *s)
{
	const struct uidset *vanished = bisect_vanished(s->bisect);

	for (size_t i = 0; i < vanished->count; i++) {
		uint64_t uid = vanished->ranges[i].first;
		for (; uid <= vanished->ranges[i].last; uid++)
			sync_vanish(s, (uint32_t)uid);
	}
	s->fetch.anchor = 0;
	/* What came meanwhile is fetched, and counts once more. */
	if (sync_counts_agree(s))
		sync_end(s);
	else
		sync_enter(s, SYNC_FETCH);
}

void sync_after_bisect(struct sync *s)
{
	/* Numbers have moved: the samples so far are those of another list. */
	if (s->disturbed) {
		sync_look_for_vanished(s);
		return;
	}
	switch (bisect_next(s->bisect)) {
	case BISECT_ASK:
		sync_send(s);
		break;
	case BISECT_DONE:
		bisected(s);
		break;
	case BISECT_COSTLY:
	case BISECT_UNSOUND:
		sync_search(s);
		break;
	}
}
