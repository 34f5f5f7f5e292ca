/* Taking in what the server says of messages: rows that a check asked for, and what it tells
 * unasked.
 */
#include "base/error.h"
#include "base/log.h"
#include "mail/sizes.h"
#include "mail/sync_private.h"
#include "mail/watch.h"

/* Octets of a message; a server that promises more is not believed. */
#define SIZE_BELIEVED ((uint64_t)1 << 46)
/* Answers to one SEARCH between which something was expunged. */
#define COUNTS_MAX 100

void sync_flush_rows(struct sync *s)
{
	if (s->rows_used > 0 && s->mb->uidvalidity != 0 && !s->mb->dead)
		cache_put_messages(s->mb->account->cache, s->mb->id, s->rows, s->rows_used);
	s->rows_used = 0;
}

struct cache_message sync_merge_row(struct mailbox *mb, const struct imap_fetch *row, uint32_t uid)
{
	const struct cache_message *old = mailbox_find(mb, uid);
	const struct rows *all = &mb->rows;
	const struct cache_message *last = all->count ? &all->at[all->count - 1] : NULL;
	struct cache_message m = {
		.uid = uid,
		.flags = CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN,
		/* A neighbour's date is better than none. */
		.date = last ? last->date : mb->changed,
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

	/* Numbers that do not rise with the UIDs, or a message that was overlooked. */
	if (is_new && (mb->complete ? m->uid < mb->uidnext : m->uid <= mb->settled))
		mb->late++;
	s->changed |= is_new;
	s->added += is_new;
	s->rows[s->rows_used++] = *m;
	if (s->rows_used == SYNC_ROW_BATCH)
		sync_flush_rows(s);
}

/* --- how far a listing may go while rows arrive --- */

/* Its row came; it may be gone again. */
static bool has_row(struct mailbox *mb, uint32_t uid)
{
	return uid != 0 && mailbox_was(mb, uid);
}

/* Servers may send rows in any order (RFC 3501 section 7.4.2), so what came last says nothing:
 * numbers have no gaps, and UIDs rise with them. */
static void settle_by_numbers(struct sync *s)
{
	struct mailbox *mb = s->mb;
	uint32_t uid;

	if (s->unsettled || !s->task.conn)
		return;
	while (has_row(mb, uid = conn_uid(s->task.conn, s->prefix + 1))) {
		s->prefix++;
		if (uid > mb->settled)
			mb->settled = uid;
	}
}

static void settle_by_search(struct sync *s)
{
	struct mailbox *mb = s->mb;
	uint32_t uid;

	uidset_sort(&s->found);
	while (has_row(mb, uid = uidset_after(&s->found, mb->settled)))
		mb->settled = uid;
}

void sync_settle(struct sync *s)
{
	if (s->mb->complete)
		return;
	if (s->step == SYNC_FETCH)
		settle_by_numbers(s);
	else if (s->step == SYNC_FILL)
		settle_by_search(s);
}

/* EXPUNGE and VANISHED move the numbers behind them. */
static void numbers_moved(struct sync *s, const struct imap_response *r)
{
	if (r->kind == IMAP_VANISHED)
		s->unsettled = true;
	else if (r->seq <= s->prefix)
		s->prefix--;
}

int sync_select_parameters(const struct mailbox *mb, struct buf *parameters)
{
	if (!pool_enabled(mb->account->pool, IMAP_CAP_QRESYNC) || !mb->loaded || !mb->complete ||
		mb->uidvalidity == 0 || mb->highestmodseq == 0)
		return 0;
	return buf_printf(parameters, " (QRESYNC (%u %llu))", mb->uidvalidity,
		(unsigned long long)mb->highestmodseq);
}

bool sync_stays(struct mailbox *mb, uint32_t uidvalidity, uint32_t messages, struct conn *conn)
{
	if (mb->held || messages > 0)
		return false;
	log_debug("UIDVALIDITY of %s, which is empty, changed", mb->component);
	mb->uidvalidity = uidvalidity;
	mb->uidnext = 0;
	mb->highestmodseq = 0;
	mailbox_save(mb);
	pool_forget_elsewhere(mb->account->pool, mb, conn);
	return true;
}

int sync_on_selected(struct mailbox *mb, struct conn *conn)
{
	const struct pool_selected *selected = conn_selected(conn);

	if (selected->uidvalidity != 0 && mb->uidvalidity != 0 &&
		selected->uidvalidity != mb->uidvalidity &&
		!sync_stays(mb, selected->uidvalidity, conn_exists(conn), conn)) {
		return account_replace(mb->account, mb) ? ERR_STALE : ERR_PROTOCOL;
	}
	if (mb->uidvalidity == 0 && selected->uidvalidity != 0) {
		mb->uidvalidity = selected->uidvalidity;
		mailbox_save(mb);
	}
	if (mailbox_count(mb) != conn_exists(conn) || selected->uidnext == 0 ||
		selected->uidnext != mb->uidnext)
		sync_note_news(mb);
	return 0;
}

static bool same(const struct cache_message *a, const struct cache_message *b)
{
	return a && a->size == b->size && a->date == b->date && a->flags == b->flags;
}

/* A mailbox has no more messages than EXISTS says: SEARCH shall tell who is wrong. */
static bool may_be_new(const struct sync *s, const struct conn *conn, uint32_t seq, uint32_t uid)
{
	if (s->step == SYNC_FILL)
		return uidset_has(&s->found, uid);
	return seq <= conn_exists(conn) && s->added < conn_exists(conn);
}

static void on_row(
	struct mailbox *mb, const struct conn *conn, const struct imap_fetch *row, uint32_t uid)
{
	struct sync *s = mb->sync;

	/* Not what a check asked for: flags, a body. */
	if (!s || uid == 0 || (!row->has_size && !row->has_date))
		return;
	/* It was known when it was asked for, and was removed since. */
	if (!mailbox_find(mb, uid) && s->step == SYNC_FETCH && uid <= s->anchor)
		return;
	if (!mailbox_find(mb, uid) && !may_be_new(s, conn, row->seq, uid)) {
		mb->doubt |= s->step != SYNC_FILL;
		return;
	}
	/* SEARCH has proved that it is there, whatever an EXPUNGE seemed to say before. */
	if (s->step == SYNC_FILL)
		mailbox_unmark(mb, uid);
	struct cache_message m = sync_merge_row(mb, row, uid);
	struct cache_message *old = mailbox_find(mb, uid);
	if (same(old, &m))
		return;
	/* So Dovecot writes one that was expunged a moment ago, before it says so. */
	if (old && size_is_said(old) && row->has_size && row->size == 0)
		return;
	/* Two sizes for one message. */
	if (old && size_is_said(old) && old->size != m.size) {
		size_contradict(mb, old, m.size);
		m = sync_merge_row(mb, row, uid);
	}
	sync_add_row(s, &m);
}

void sync_count_found(struct sync *s)
{
	/* Each counting is as long as the answer: one that never ends is not counted for ever, and
	 * agrees with nothing. */
	if (!s->uncounted || s->counts == COUNTS_MAX)
		return;
	s->uncounted = false;
	s->counts++;
	uidset_sort(&s->found);
	s->named = s->counts == COUNTS_MAX ? UINT64_MAX : uidset_size(&s->found);
}

/* SEARCH said otherwise before. */
static void not_found(struct mailbox *mb, uint32_t first, uint32_t last)
{
	if (!mb->sync)
		return;
	sync_count_found(mb->sync);
	uidset_remove(&mb->sync->found, first, last);
	uidset_remove(&mb->sync->missing, first, last);
}

/* earlier: as SELECT tells, for the check that it is. */
static void message_gone(struct mailbox *mb, const struct conn *conn, uint32_t uid, bool earlier)
{
	struct account *a = mb->account;

	not_found(mb, uid, uid);
	if (!mailbox_remove(mb, uid))
		return;
	if (mb->sync)
		mb->sync->changed = true;
	/* The check under way counts on a connection that may not know yet: once more. */
	if (mb->sync && mb->sync->task.conn != conn && earlier)
		sync_note_news(mb);
	else if (mb->sync && mb->sync->task.conn != conn)
		sync_told(mb);
	mailbox_touch(mb);
	a->observer.on_message_gone(a->ctx, mb, uid);
	if (!earlier && mb->complete && !watch_owns(a->watch, conn))
		watch_checked(a->watch, mb, mb->checked, true);
}

static void on_vanished(struct mailbox *mb, const struct conn *conn, const struct imap_response *r)
{
	struct span set = r->words;
	uint32_t first, last;

	while (imap_set_next(&set, &first, &last)) {
		not_found(mb, first, last);
		const struct cache_message *m = mailbox_after(mb, first - 1);
		while (m && m->uid <= last) {
			uint32_t uid = m->uid;
			message_gone(mb, conn, uid, r->earlier);
			m = mailbox_after(mb, uid);
		}
	}
}

void sync_on_untagged(
	struct mailbox *mb, struct conn *conn, const struct imap_response *r, uint32_t uid)
{
	if (mb->dead || !mb->loaded)
		return;
	if (mb->sync && mb->sync->task.conn == conn && !r->earlier &&
		(r->kind == IMAP_EXPUNGE || r->kind == IMAP_VANISHED))
		numbers_moved(mb->sync, r);
	if (r->kind == IMAP_FETCH) {
		on_row(mb, conn, &r->fetch, uid);
	} else if (r->kind == IMAP_EXPUNGE && uid) {
		message_gone(mb, conn, uid, false);
	} else if (r->kind == IMAP_EXPUNGE) {
		mb->doubt = true;
		sync_told(mb);
		if (mb->complete)
			sync_start(mb);
	} else if (r->kind == IMAP_VANISHED &&
		   (!r->earlier || conn_selected(conn)->uidvalidity == mb->uidvalidity)) {
		on_vanished(mb, conn, r);
	} else if (r->kind == IMAP_EXISTS && mb->complete && r->seq > mailbox_count(mb) &&
		   !(mb->sync && mb->sync->task.conn == conn)) {
		sync_told(mb);
		sync_start(mb);
	}
}

void sync_on_batch(struct mailbox *mb)
{
	if (mb->unsaved)
		mailbox_save(mb);
	if (mb->sync)
		sync_settle(mb->sync);
	/* A sample is shown when its sizes are proved. */
	if (!mb->sync || mb->rows.count == mb->woken_at || mb->sync->step == SYNC_SAMPLE)
		return;
	mb->woken_at = mb->rows.count;
	mailbox_wake(mb, true, 0);
}
