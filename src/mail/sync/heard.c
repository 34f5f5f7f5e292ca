/* SPDX-License-Identifier: MIT */
/*
 * What the watching connection tells, and whether it does so in time: each news is compared with
 * what checks find, and trust.h judges.
 */
#include "mail/sync/watch_private.h"

#include <string.h>

#include "base/log.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/lister.h"
#include "mail/sync/statuses.h"
#include "mail/sync/sync.h"

/* Milliseconds after a check, for which one that nobody waits for is not worth it: where the server
 * was not in time yet, and where it was. */
#define VERIFY_UNTRIED 1000
#define VERIFY_RELIABLE 10000

/* --- whether it tells in time --- */

/* Whether the server would tell of what happened at `at` (uv_now). IDLE tells also of what happened
 * since its mailbox was selected; NOTIFY does from when it was agreed to. */
static bool covers(const struct watch *w, uint64_t at)
{
	return w->mode == WATCH_IDLE || at >= w->agreed_at;
}

static void heard_on_judge(uv_timer_t *timer)
{
	struct watch *w = timer->data;

	bool was_late = w->trust.late;
	bool renew = trust_is_overdue(&w->trust, uv_now(w->account->loop));
	if (w->trust.late && !was_late)
		log_debug("the server tells too late of what happens: asking");
	if (renew && watch_holds(w))
		pool_drop(&w->task, "it tells too late of what happens");
}

/* The server told of the mailbox. ahead: of something that no check has found yet. */
static void note_told(struct watch *w, struct mailbox *mb, bool ahead)
{
	trust_told(&w->trust, mb->id, uv_now(w->account->loop));
	mb->freshness.watched.ahead = ahead;
}

void watch_checked(struct watch *w, struct mailbox *mb, uint64_t before, bool found)
{
	bool ahead = mb->freshness.watched.ahead;

	mb->freshness.watched.ahead = false;
	/* What happened before the server was asked to tell is none of its business. */
	if (!found || !w || before == 0 || !watch_tells_of(w, mb) || !covers(w, before))
		return;
	trust_found(&w->trust, mb->id, ahead, uv_now(w->account->loop));
	if (w->trust.awaited && !uv_is_active((uv_handle_t *)&w->judge) && !w->stopping)
		uv_timer_start(&w->judge, heard_on_judge, TRUST_PATIENCE, 0);
}

void watch_verify(struct watch *w, struct mailbox *mb)
{
	uint64_t age = w->trust.reliable ? VERIFY_RELIABLE : VERIFY_UNTRIED;

	if (!mailbox_selectable(mb) || sync_is_under_way(mb) || !mb->messages.complete ||
		!mb->messages.loaded || pool_is_unsure(w->account->pool) ||
		!watch_tells_of(w, mb) || uv_now(w->account->loop) < sync_checked_at(mb) + age)
		return;
	mb->freshness.verifying = true;
	sync_start(mb);
}

bool watch_covers(const struct watch *w, const struct mailbox *mb, uint64_t since)
{
	return !w->trust.late && watch_tells_of(w, mb) && covers(w, since);
}

/* --- what it tells --- */

/* Dovecot 2.3 names mailboxes in UTF-8 here, where LIST has modified UTF-7: "a&-b" is the mailbox
 * of that raw name, "a&b" to people, or from Dovecot that which people know as "a&-b". The numbers
 * of one must not be taken for the other's, its UIDVALIDITY least of all. */
static bool is_ambiguous(struct span name)
{
	return name.n > 0 && memchr(name.p, '&', name.n);
}

/* raw and text: the mailboxes that may be meant, or NULL. Both are looked at. */
static void on_ambiguous(struct watch *w, struct mailbox *raw, struct mailbox *text)
{
	struct mailbox *only = raw ? raw : text;

	if (raw)
		statuses_on_hint(raw);
	if (text && text != raw)
		statuses_on_hint(text);
	/* Which one of two it is that the server watches is not known. */
	if (!only || (raw && text && raw != text))
		return;
	only->freshness.watched.by = w->generation;
	note_told(w, only, true);
}

/* The server sent this before what is known here. */
static bool is_older(const struct imap_status_data *status, const struct mailbox *mb)
{
	uint32_t uidnext = mb->messages.uidnext;

	return status->has_uidnext && status->has_messages &&
	       (status->uidnext < uidnext ||
		       (status->uidnext == uidnext && status->messages > mailbox_count(mb)));
}

/* SET STATUS makes the server begin with a STATUS of each mailbox that it watches: that may not be
 * all (shared ones are not personal). */
static void on_status(struct watch *w, const struct imap_status_data *status)
{
	struct mailbox *raw = tree_by_name(&w->account->tree, status->name);
	struct mailbox *text = tree_by_text(&w->account->tree, status->name);
	struct mailbox *mb = raw ? raw : text;

	if (is_ambiguous(status->name)) {
		on_ambiguous(w, raw, text);
		return;
	}
	if (!mb)
		return;
	mb->freshness.watched.by = w->generation;
	if (status->has_highestmodseq)
		flags_on_status(mb, status->highestmodseq);
	/* It tells of changed flags alone. */
	if (status->has_highestmodseq && !status->has_messages && !status->has_uidnext)
		return;
	bool older = is_older(status, mb);
	statuses_on_status(w->account, w->task.conn, status);
	/* It may have another in its place now. */
	if (!mb->dead && !older)
		note_told(w, mb, !sync_agrees_with_status(mb));
}

/* What is deleted and made again may be told of by its name alone, which was known, and by the second
 * of both alone (RFC 5465 section 5.4). */
static void on_list(struct watch *w, const struct imap_list *list)
{
	struct mailbox *raw = tree_by_name(&w->account->tree, list->name);
	struct mailbox *text = tree_by_text(&w->account->tree, list->name);

	lister_on_news(w->account);
	if (list->flags & IMAP_LIST_NONEXISTENT)
		return;
	if (raw)
		statuses_on_named(raw);
	if (text && text != raw)
		statuses_on_named(text);
}

void heard_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct watch *w = list_entry(t, struct watch, task);

	if (r->kind == IMAP_STATUS)
		on_status(w, &r->status);
	else if (r->kind == IMAP_LIST)
		on_list(w, &r->list);
	else if (r->kind == IMAP_CONDITION && r->code == IMAP_CODE_NOTIFICATIONOVERFLOW)
		watch_on_overflow(w);
}

void heard_on_pool_untagged(void *ctx, struct mailbox *mb, struct conn *conn,
	const struct imap_response *r, uint32_t uid)
{
	struct watch *w = ctx;
	bool ahead = r->kind == IMAP_EXISTS ? r->seq > mailbox_count(mb)
					    : r->kind == IMAP_EXPUNGE && uid == 0;
	/* A check was quicker to find what this tells of. */
	bool behind = r->kind == IMAP_EXISTS && r->seq == mailbox_count(mb);

	if (!mb->dead && (ahead || r->kind == IMAP_EXPUNGE || r->kind == IMAP_VANISHED))
		note_told(w, mb, ahead);
	else if (!mb->dead && behind)
		trust_told(&w->trust, mb->id, uv_now(w->account->loop));
	sync_on_untagged(mb, conn, r, uid);
}
