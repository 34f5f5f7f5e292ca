/* SPDX-License-Identifier: MIT */
/* When a mailbox's rows can be believed: struct freshness (mail/model/freshness.h) is judged here. */
#include "mail/sync/private.h"

#include "mail/sync/watch.h"

/* --- what speaks for the rows, or against them --- */

void sync_doubt(struct mailbox *mb)
{
	mb->freshness.doubt = true;
}

void sync_note_holes(struct mailbox *mb)
{
	mb->freshness.holes = true;
}

void sync_note_selected_news(struct mailbox *mb)
{
	mb->freshness.news = true;
	mb->freshness.news_count++;
}

void sync_note_news(struct mailbox *mb)
{
	sync_note_selected_news(mb);
	mb->freshness.news_at = uv_hrtime();
}

void sync_note_status(struct mailbox *mb, uint32_t messages, uint32_t uidnext)
{
	mb->freshness.status.at = uv_now(mb->account->loop);
	mb->freshness.status.messages = messages;
	mb->freshness.status.uidnext = uidnext;
	/* As good as a check, but that one will say what it found itself. */
	if (mb->messages.loaded && !mb->freshness.sync && sync_agrees_with_status(mb))
		mb->freshness.checked = mb->freshness.status.at;
}

/* --- questions --- */

bool sync_is_under_way(const struct mailbox *mb)
{
	return mb->freshness.sync;
}

bool sync_shows_rows(const struct mailbox *mb)
{
	const struct sync *s = mb->freshness.sync;

	return s && (s->step == SYNC_FETCH || s->step == SYNC_FILL) && !mb->messages.complete &&
	       mb->messages.settled > 0;
}

bool sync_is_awaited(const struct mailbox *mb)
{
	return mb->freshness.sync && !mb->freshness.verifying;
}

uint64_t sync_checked_at(const struct mailbox *mb)
{
	return mb->freshness.checked;
}

bool sync_is_doubted(const struct mailbox *mb)
{
	return mb->freshness.doubt;
}

bool sync_rows_are_sound(const struct mailbox *mb)
{
	return !mb->freshness.doubt && !mb->freshness.holes;
}

bool sync_agrees_with_status(const struct mailbox *mb)
{
	return mb->messages.complete && mb->messages.loaded && sync_rows_are_sound(mb) &&
	       mailbox_count(mb) == mb->freshness.status.messages &&
	       mb->messages.uidnext == mb->freshness.status.uidnext;
}

bool sync_has_status(const struct mailbox *mb)
{
	uint64_t at = mb->freshness.status.at;

	return at && (uv_now(mb->account->loop) < at + SYNC_STATUS_FRESH ||
			     watch_covers(mb->account->watch, mb, at));
}

bool sync_is_empty_by_status(const struct mailbox *mb)
{
	return sync_has_status(mb) && mb->freshness.status.messages == 0 &&
	       mb->messages.rows.count == 0 && sync_rows_are_sound(mb);
}

/* The last check was a moment ago, or the server would have told of any change since. */
static bool was_checked_lately(const struct mailbox *mb)
{
	uint64_t at = mb->freshness.checked;

	return at && (uv_now(mb->account->loop) < at + SYNC_FRESH ||
			     watch_covers(mb->account->watch, mb, at));
}

bool sync_is_fresh(const struct mailbox *mb)
{
	bool whole = mb->messages.complete && mb->messages.loaded;

	if (!mailbox_selectable(mb))
		return true;
	/* What is remembered, until the server can be asked. */
	if (whole && pool_is_unsure(mb->account->pool))
		return true;
	return whole && !sync_is_awaited(mb) && sync_rows_are_sound(mb) && !mb->freshness.news &&
	       was_checked_lately(mb);
}

/* There may be a message that nobody has told of. */
static bool is_unheard_of(const struct mailbox *mb, uint32_t uid)
{
	return uid >= mb->messages.uidnext && !pool_is_unsure(mb->account->pool) &&
	       uv_now(mb->account->loop) >= mb->freshness.checked + SYNC_FRESH;
}

bool sync_knows(const struct mailbox *mb, uint32_t uid)
{
	return sync_is_fresh(mb) && !(mailbox_selectable(mb) && is_unheard_of(mb, uid));
}
