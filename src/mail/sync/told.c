/* SPDX-License-Identifier: MIT */
/*
 * What the server tells of a mailbox beside the answers to a check: SELECT's own answer, and what
 * comes unasked over any connection.
 */
#include "base/error.h"
#include "base/log.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/private.h"
#include "mail/sync/watch.h"

int sync_select_parameters(const struct mailbox *mb, struct buf *parameters)
{
	if (!pool_enabled(mb->account->pool, IMAP_CAP_QRESYNC) || !mb->messages.loaded ||
		!mb->messages.complete || mb->uidvalidity == 0 || mb->messages.highestmodseq == 0)
		return 0;
	return buf_printf(parameters, " (QRESYNC (%u %llu))", mb->uidvalidity,
		(unsigned long long)mb->messages.highestmodseq);
}

bool sync_stays(struct mailbox *mb, uint32_t uidvalidity, uint32_t messages, struct conn *conn)
{
	if (mb->messages.held || messages > 0)
		return false;
	log_debug("UIDVALIDITY of %s, which is empty, changed", mb->component);
	mb->uidvalidity = uidvalidity;
	mb->messages.uidnext = 0;
	mb->messages.highestmodseq = 0;
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
		return tree_replace(&mb->account->tree, mb) ? ERR_STALE : ERR_PROTOCOL;
	}
	if (mb->uidvalidity == 0 && selected->uidvalidity != 0) {
		mb->uidvalidity = selected->uidvalidity;
		mailbox_save(mb);
		if (mb->tree->notices->on_numbered)
			mb->tree->notices->on_numbered(mb);
	}
	if (mailbox_count(mb) != conn_exists(conn) || selected->uidnext == 0 ||
		selected->uidnext != mb->messages.uidnext)
		sync_note_selected_news(mb);
	flags_on_selected(mb, selected);
	return 0;
}

/* Whether a check is under way, over this connection. */
static bool is_of_check(const struct mailbox *mb, const struct conn *conn)
{
	return mb->freshness.sync && mb->freshness.sync->task.conn == conn;
}

/* The server told that the message is expunged. earlier: SELECT told so (QRESYNC), of what happened
 * before. */
static void message_gone(struct mailbox *mb, const struct conn *conn, uint32_t uid, bool earlier)
{
	struct account *a = mb->account;
	struct sync *s = mb->freshness.sync;

	if (s)
		sync_not_found(s, uid, uid);
	if (!mailbox_remove(mb, uid))
		return;
	if (s)
		s->changed = true;
	/* The check under way counts the messages on another connection, which may not have been
	 * told yet: another check follows. */
	if (s && s->task.conn != conn && earlier)
		sync_note_selected_news(mb);
	else if (s && s->task.conn != conn)
		sync_note_news(mb);
	mailbox_touch(mb);
	a->observer.on_message_gone(a->ctx, mb, uid);
	if (!earlier && mb->messages.complete && !watch_owns(a->watch, conn))
		watch_checked(a->watch, mb, mb->freshness.checked, true);
}

static void sync_on_vanished(
	struct mailbox *mb, const struct conn *conn, const struct imap_response *r)
{
	struct span set = r->words;
	uint32_t first, last;

	if (is_of_check(mb, conn) && !r->earlier)
		sync_numbers_moved(mb->freshness.sync, r);
	/* SELECT may speak of a mailbox that had this name before. */
	if (r->earlier && conn_selected(conn)->uidvalidity != mb->uidvalidity)
		return;
	while (imap_set_next(&set, &first, &last)) {
		if (mb->freshness.sync)
			sync_not_found(mb->freshness.sync, first, last);
		const struct cache_message *m = mailbox_after(mb, first - 1);
		while (m && m->uid <= last) {
			uint32_t uid = m->uid;
			message_gone(mb, conn, uid, r->earlier);
			m = mailbox_after(mb, uid);
		}
	}
}

/* A message was expunged whose UID that connection was never told. */
static void unknown_gone(struct mailbox *mb)
{
	sync_doubt(mb);
	sync_note_news(mb);
	if (mb->messages.complete)
		sync_start(mb);
}

/* The check under way counts what comes over its own connection itself. */
static void sync_on_exists(struct mailbox *mb, const struct conn *conn, uint32_t exists)
{
	if (!mb->messages.complete || exists <= mailbox_count(mb) || is_of_check(mb, conn))
		return;
	sync_note_news(mb);
	sync_start(mb);
}

static void sync_on_expunge(
	struct mailbox *mb, const struct conn *conn, const struct imap_response *r, uint32_t uid)
{
	if (is_of_check(mb, conn))
		sync_numbers_moved(mb->freshness.sync, r);
	if (uid)
		message_gone(mb, conn, uid, false);
	else
		unknown_gone(mb);
}

void sync_on_untagged(
	struct mailbox *mb, struct conn *conn, const struct imap_response *r, uint32_t uid)
{
	if (mb->dead || !mb->messages.loaded)
		return;
	if (r->kind == IMAP_FETCH) {
		/* SELECT, which is under way, may speak of a mailbox that had this name before. */
		uint32_t uidvalidity = conn_selected(conn)->uidvalidity;
		if (uidvalidity && uidvalidity != mb->uidvalidity)
			return;
		sync_on_row(mb, conn, &r->fetch, uid);
		flags_on_row(mb, &r->fetch, uid);
	} else if (r->kind == IMAP_EXPUNGE) {
		sync_on_expunge(mb, conn, r, uid);
	} else if (r->kind == IMAP_VANISHED) {
		sync_on_vanished(mb, conn, r);
	} else if (r->kind == IMAP_EXISTS) {
		sync_on_exists(mb, conn, r->seq);
	}
}

void sync_on_batch(struct mailbox *mb)
{
	flags_on_batch(mb);
	if (mb->names.unsaved)
		mailbox_save(mb);
	if (mb->freshness.sync)
		sync_settle(mb->freshness.sync);
	/* A sample is not shown before its sizes are proved. */
	bool came = mb->messages.rows.count != mb->woken_at || mb->messages.settled != mb->woken_to;
	if (!mb->freshness.sync || !came || mb->freshness.sync->step == SYNC_SAMPLE)
		return;
	mb->woken_at = mb->messages.rows.count;
	mb->woken_to = mb->messages.settled;
	mailbox_wake(mb, true, 0);
}
