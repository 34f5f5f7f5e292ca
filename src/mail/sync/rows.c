/* SPDX-License-Identifier: MIT */
/*
 * A row says of a message its UID, size and date. Rows go into the mailbox and the cache. While those
 * of a first listing arrive, the messages up to messages.settled, below which there is no gap, can be
 * listed already.
 */
#include "mail/model/given.h"
#include "mail/size/sizes.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/private.h"

/* Octets. A server that states a larger size for a message is not believed. */
#define SIZE_BELIEVED ((uint64_t)1 << 46)

const char *sync_row_items(struct mailbox *mb)
{
	if (mb->account->wants_flags)
		flags_follow(mb);
	return mb->flags ? "(UID RFC822.SIZE INTERNALDATE FLAGS)"
			 : "(UID RFC822.SIZE INTERNALDATE)";
}

/* Of those that wait to be written more may have become known since, as a size that was proved, and
 * some may be gone. */
static void renew_rows(struct sync *s)
{
	size_t n = 0;

	for (size_t i = 0; i < s->rows_used; i++) {
		const struct cache_message *m = mailbox_find(s->mb, s->rows[i].uid);
		if (m)
			s->rows[n++] = *m;
	}
	s->rows_used = n;
}

void sync_flush_rows(struct sync *s)
{
	renew_rows(s);
	flags_save(s->mb);
	if (s->rows_used > 0 && s->mb->uidvalidity != 0 && !s->mb->dead)
		cache_put_messages(s->mb->account->cache, s->mb->id, s->rows, s->rows_used);
	s->rows_used = 0;
}

struct cache_message sync_merge_row(struct mailbox *mb, const struct imap_fetch *row, uint32_t uid)
{
	const struct cache_message *old = mailbox_find(mb, uid);
	const struct rows *all = &mb->messages.rows;
	const struct cache_message *last = all->count ? &all->at[all->count - 1] : NULL;
	struct cache_message m = {
		.uid = uid,
		.flags = CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN,
		/* Where the server says no date: that of a neighbour is better than none. */
		.date = last ? last->date : mb->names.changed,
	};

	if (old)
		m = *old;
	if (row->has_size && row->size <= SIZE_BELIEVED && !(m.flags & CACHE_SIZE_PROVED)) {
		m.size = row->size;
		m.flags &= ~(uint32_t)CACHE_SIZE_UNKNOWN;
	}
	if (row->has_date) {
		m.date = row->date;
		m.flags &= ~(uint32_t)CACHE_DATE_UNKNOWN;
	}
	return m;
}

void sync_add_row(struct sync *s, const struct cache_message *m)
{
	struct mailbox *mb = s->mb;
	bool is_new = mailbox_add(mb, m);

	/* A reader of the directory may have gone by: sequence numbers do not rise with the UIDs, or
	 * the message was overlooked before. */
	if (is_new && (mb->messages.complete ? m->uid < mb->messages.uidnext
					     : m->uid <= mb->messages.settled))
		mb->messages.late++;
	s->changed |= is_new;
	s->added += is_new;
	s->rows[s->rows_used++] = *m;
	if (s->rows_used == SYNC_ROW_BATCH)
		sync_flush_rows(s);
}

/* --- how far a listing may go while rows arrive --- */

/* Whether the row of the message came; the message may be gone again. */
static bool has_row(struct mailbox *mb, uint32_t uid)
{
	return uid != 0 && mailbox_was(mb, uid);
}

/* Servers may send rows in any order (RFC 3501 section 7.4.2), so the row that came last says
 * nothing. But sequence numbers have no gaps, and UIDs rise with them: where the rows of the numbers
 * from 1 to n are here, no UID up to that of n is missing. */
static void settle_by_numbers(struct sync *s)
{
	struct mailbox *mb = s->mb;
	uint32_t uid;

	if (s->fetch.unsettled || !s->task.conn)
		return;
	while (has_row(mb, uid = conn_uid(s->task.conn, s->fetch.prefix + 1))) {
		s->fetch.prefix++;
		if (uid > mb->messages.settled)
			mb->messages.settled = uid;
	}
}

static void settle_by_search(struct sync *s)
{
	struct mailbox *mb = s->mb;
	uint32_t uid;

	uidset_sort(&s->search.found);
	while (has_row(mb, uid = uidset_after(&s->search.found, mb->messages.settled)))
		mb->messages.settled = uid;
}

void sync_settle(struct sync *s)
{
	if (s->mb->messages.complete)
		return;
	if (s->step == SYNC_FETCH)
		settle_by_numbers(s);
	else if (s->step == SYNC_FILL)
		settle_by_search(s);
}

void sync_numbers_moved(struct sync *s, const struct imap_response *r)
{
	if (r->kind == IMAP_VANISHED)
		s->fetch.unsettled = true;
	else if (r->seq <= s->fetch.prefix)
		s->fetch.prefix--;
}

/* --- rows --- */

static bool same(const struct cache_message *a, const struct cache_message *b)
{
	return a && a->size == b->size && a->date == b->date && a->flags == b->flags;
}

/* Whether the row may be one of a new message. A mailbox has no more messages than EXISTS says: where
 * rows and EXISTS contradict each other, SEARCH shall tell which is wrong. */
static bool may_be_new(const struct sync *s, const struct conn *conn, uint32_t seq, uint32_t uid)
{
	if (s->step == SYNC_FILL)
		return uidset_has(&s->search.found, uid);
	return seq <= conn_exists(conn) && s->added < conn_exists(conn);
}

void sync_on_row(
	struct mailbox *mb, const struct conn *conn, const struct imap_fetch *row, uint32_t uid)
{
	struct sync *s = mb->freshness.sync;

	/* The answer to another command, such as flags or a body, is no row. */
	if (!s || uid == 0 || (!row->has_size && !row->has_date))
		return;
	/* The message was known when the rows were asked for, and was removed since. */
	if (!mailbox_find(mb, uid) && s->step == SYNC_FETCH && uid <= s->fetch.anchor)
		return;
	if (!mailbox_find(mb, uid) && !may_be_new(s, conn, row->seq, uid)) {
		mb->freshness.doubt |= s->step != SYNC_FILL;
		return;
	}
	/* SEARCH has named the message: it is there, whatever an EXPUNGE seemed to say before. */
	if (s->step == SYNC_FILL)
		mailbox_revive(mb, uid);
	struct cache_message m = sync_merge_row(mb, row, uid);
	struct cache_message *old = mailbox_find(mb, uid);
	if (same(old, &m))
		return;
	/* Dovecot writes a size of 0 for a message that was expunged a moment ago, before it tells of
	 * that. */
	if (old && sizes_said(old) && row->has_size && row->size == 0)
		return;
	/* What came in is not this message: the server said a wrong UID. */
	if (old && mailbox_is_assumed(mb, uid) && row->has_size && row->has_date &&
		message_is_other(
			old, &(struct cache_message){.size = row->size, .date = row->date})) {
		given_drop(mb, uid);
		old->flags |= CACHE_SIZE_UNKNOWN;
		m = sync_merge_row(mb, row, uid);
	}
	/* The server states two sizes for one message. */
	if (old && sizes_said(old) && old->size != m.size) {
		sizes_contradict(mb, old, m.size);
		m = sync_merge_row(mb, row, uid);
	}
	sync_add_row(s, &m);
}

/* Of a mailbox that nobody has listed: what else is there a check will tell. */
static void add_alone(struct mailbox *mb, const struct cache_message *m)
{
	mailbox_add(mb, m);
	if (mb->uidvalidity != 0)
		cache_put_messages(mb->account->cache, mb->id, m, 1);
}

/* A size of 0 may be that of a message that was expunged a moment ago: a check finds out. */
void sync_take_row(struct mailbox *mb, const struct imap_fetch *row, uint32_t uid)
{
	if (!row->has_size || row->size == 0 || mb->messages.complete || sync_is_under_way(mb))
		return;
	struct cache_message m = sync_merge_row(mb, row, uid);
	add_alone(mb, &m);
	flags_on_row(mb, row, uid);
}

/* Others may have put in messages below it, of which nobody has told: then a check finds it with
 * them. */
static bool is_next(const struct mailbox *mb, uint32_t uid)
{
	return mb->messages.complete && mb->messages.loaded && !mb->freshness.sync &&
	       sync_rows_are_sound(mb) && uid != 0 && uid == mb->messages.uidnext &&
	       uid > rows_last(&mb->messages.rows) && uid < UINT32_MAX;
}

/* Until a row of it comes. */
static void assume(struct mailbox *mb, const struct cache_message *m)
{
	if (mb->messages.assumed == 0 || m->uid < mb->messages.assumed)
		mb->messages.assumed = m->uid;
	mailbox_add(mb, m);
}

void sync_note_added(struct mailbox *mb, const struct cache_message *m)
{
	struct account *a = mb->account;

	if (mb->dead)
		return;
	/* It does not count this one: a mailbox that was empty is not any more. */
	mb->freshness.status.at = 0;
	if (!is_next(mb, m->uid)) {
		if (m->uid == 0 || !mailbox_find(mb, m->uid))
			sync_note_news(mb);
		if (m->uid && !mb->messages.complete && !sync_is_under_way(mb)) {
			assume(mb, m);
			if (mb->uidvalidity != 0)
				cache_put_messages(a->cache, mb->id, m, 1);
		}
		return;
	}
	assume(mb, m);
	mb->messages.uidnext = m->uid + 1;
	cache_put_messages(a->cache, mb->id, m, 1);
	mailbox_touch(mb);
	mailbox_save(mb);
	a->observer.on_directory_changed(a->ctx, mb);
	if (mb->messages.complete && mb->tree->notices->on_rows)
		mb->tree->notices->on_rows(mb);
}
