/* SPDX-License-Identifier: MIT */
/*
 * The step that asks for the rows of new messages: from the last message that is known on, so that
 * its number there tells how many messages must lie behind it.
 */
#include "mail/size/sizes.h"
#include "mail/sync/private.h"

/* The UID from which on the server may have what is not known here. */
static uint32_t unknown_from(const struct mailbox *mb)
{
	uint32_t last = rows_last(&mb->messages.rows);

	if (!mb->messages.complete)
		return 1;
	if (mb->messages.assumed)
		return mb->messages.assumed;
	if (mb->messages.uidnext > last)
		return mb->messages.uidnext;
	return last == UINT32_MAX ? last : last + 1;
}

uint32_t sync_count_after(struct mailbox *mb, uint32_t uid)
{
	uint32_t n = 0;

	rows_sort(&mb->messages.rows);
	for (size_t i = mb->messages.rows.count; i-- > 0 && mb->messages.rows.at[i].uid > uid;)
		n += !(mb->messages.rows.at[i].flags & MESSAGE_GONE);
	return n;
}

bool sync_got_all_new(const struct sync *s)
{
	uint32_t seq = s->fetch.anchor_seq;

	if ((s->fetch.anchor == 0 && s->mb->messages.assumed == 0) || sync_by_uid_only(s))
		return true;
	return (seq != 0 || s->fetch.anchor == 0) && !s->disturbed &&
	       seq + sync_count_after(s->mb, s->fetch.anchor) == conn_exists(s->task.conn);
}

/* The last message that is known, or that is known by its row: what was put in comes once more. 0:
 * there is none. */
static uint32_t last_sure(struct mailbox *mb)
{
	const struct cache_message *m = mb->messages.assumed
						? mailbox_before(mb, mb->messages.assumed)
						: NULL;

	return mb->messages.assumed ? m ? m->uid : 0 : mailbox_last(mb);
}

static void begin_fetch(struct sync *s)
{
	/* When an earlier SYNC_FETCH of this check was cut off, its anchor stays: what came since
	 * is not known to be all that lies between. */
	if (s->mb->messages.complete && s->fetch.anchor == 0)
		s->fetch.anchor = last_sure(s->mb);
	s->fetch.anchor_seq = 0;
	s->fetch.prefix = 0;
	s->disturbed = s->fetch.unsettled = false;
	s->from = s->fetch.anchor ? s->fetch.anchor : unknown_from(s->mb);
}

#define FETCH_FROM "UID FETCH %u:* %s\r\n"

/* What a check of the mailbox will send first when it has been selected, as far as that can be known
 * now; else false. */
static bool foresee(struct mailbox *mb, struct buf *command)
{
	bool complete = mb->messages.complete;

	if (sizes_want_sample(mb))
		return sync_has_status(mb) && mb->freshness.status.messages > 0 &&
		       sync_build_sample(mb, mb->freshness.status.messages, command) == 0;
	if (!complete && mb->messages.rows.count > 0)
		return false;
	uint32_t anchor = complete ? last_sure(mb) : 0;
	return buf_printf(command, FETCH_FROM, anchor ? anchor : unknown_from(mb),
		       sync_row_items(mb)) == 0;
}

void sync_start_rider(struct sync *s, unsigned number)
{
	struct sync_rider *rider = s->rider;

	s->rider = NULL;
	if (rider)
		rider->start(rider, number);
}

void sync_queue_foreseen(struct sync *s)
{
	struct mailbox *mb = s->mb;
	struct pool *p = mb->account->pool;
	unsigned number = 0;
	struct buf command;

	buf_init(&command, SYNC_COMMAND_MAX);
	bool ok = pool_may_foresee(p, mb) && foresee(mb, &command);
	/* Asked for first, so that it finds what is on its way. */
	sync_queue(s);
	if (ok) {
		const char *texts[POOL_FORESEEN_MAX] = {
			buf_cstr(&command), s->rider ? s->rider->text(s->rider) : NULL};
		s->task.foreseen = pool_foresee(p, mb, texts, texts[1] ? 2 : 1);
		number = texts[1] ? s->task.foreseen : 0;
	}
	buf_finish(&command);
	sync_start_rider(s, number);
}

void sync_send_fetch(struct sync *s, struct imap_command *c)
{
	if (s->to == 0) {
		begin_fetch(s);
		imap_command_add(c, FETCH_FROM, s->from, sync_row_items(s->mb));
	} else {
		imap_command_add(
			c, "UID FETCH %u:%u %s\r\n", s->from, s->to, sync_row_items(s->mb));
	}
}

void sync_on_fetch_row(struct sync *s, const struct imap_response *r)
{
	if (r->kind == IMAP_FETCH && r->fetch.uid == s->fetch.anchor)
		s->fetch.anchor_seq = r->fetch.seq;
}

void sync_after_fetch(struct sync *s)
{
	struct mailbox *mb = s->mb;
	uint32_t next = rows_last(&mb->messages.rows) + 1;

	if (s->uidnext > next)
		next = s->uidnext;
	if (next > mb->messages.uidnext)
		mb->messages.uidnext = next;
	sync_look_for_vanished(s);
	mb->messages.assumed = 0;
}
