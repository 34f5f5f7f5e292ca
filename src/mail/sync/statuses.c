/* SPDX-License-Identifier: MIT */
#include "mail/sync/statuses.h"

#include "mail/sync/lister.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "base/mem.h"
#include "link/pool.h"
#include "link/retry.h"
#include "mail/sync/private.h"

/* STATUS commands under way at a time. */
#define STATUSES_DEPTH POOL_DEPTH

struct statuses {
	struct pool_task task;
	struct lister_wait wait; /* for the LIST that each round begins with */
	struct account *account;
	bool (*wanted)(const struct mailbox *mb);
	statuses_on_done *on_ended; /* of who chose the mailboxes; NULL: it is the round over all */
	void *ctx;
	uint32_t *ids; /* of the mailboxes to ask for */
	size_t count, room;
	size_t next;        /* of ids: where to go on */
	unsigned pending;   /* commands */
	struct retry retry; /* when it gives up, the other mailboxes are left to the next round */
	bool lost;          /* the connection */
	struct slot {
		struct imap_command command;
		struct statuses *statuses;
		size_t at; /* of ids: the mailbox that it asks for */
	} slots[STATUSES_DEPTH];
};

void statuses_on_hint(struct mailbox *mb)
{
	if (!mb->messages.loaded)
		return;
	/* The check under way may have asked before that: it is repeated. */
	sync_note_news(mb);
	if (mb->messages.complete && !mb->freshness.sync)
		sync_start(mb);
}

void statuses_on_named(struct mailbox *mb)
{
	pool_select_named_anew(mb->account->pool, mb);
	statuses_on_hint(mb);
}

void statuses_on_status(
	struct account *a, const struct conn *conn, const struct imap_status_data *status)
{
	struct mailbox *mb = tree_by_name(&a->tree, status->name);

	if (!mb)
		mb = tree_by_text(&a->tree, status->name);
	/* STATUS of the mailbox that is selected there is, on many servers, what that session was
	 * told already (RFC 3501 section 6.3.10 advises against it). */
	if (!mb || conn_has_selected(conn, mb))
		return;
	if (status->has_uidvalidity && mb->uidvalidity != 0 &&
		status->uidvalidity != mb->uidvalidity && status->uidvalidity != 0 &&
		!(status->has_messages &&
			sync_stays(mb, status->uidvalidity, status->messages, NULL)))
		mb = tree_replace(&a->tree, mb);
	if (!mb)
		return;
	if (!status->has_messages || !status->has_uidnext)
		return;
	sync_note_status(mb, status->messages, status->uidnext);
	if (mb->freshness.sync && !mb->messages.complete)
		mb->freshness.sync->has_status = true;
	else if (mb->messages.loaded && !sync_agrees_with_status(mb))
		statuses_on_hint(mb);
}

static void end_round(struct statuses *p)
{
	for (unsigned i = 0; i < STATUSES_DEPTH; i++)
		imap_command_finish(&p->slots[i].command);
	if (p->account->statuses == p)
		p->account->statuses = NULL;
	statuses_on_done *on_ended = p->on_ended;
	void *ctx = p->ctx;
	free(p->ids);
	free(p);
	if (on_ended)
		on_ended(ctx);
}

static void statuses_on_fail(struct pool_task *t, int err)
{
	end_round(list_entry(t, struct statuses, task));
}

static void statuses_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	if (r->kind == IMAP_STATUS)
		statuses_on_status(
			list_entry(t, struct statuses, task)->account, t->conn, &r->status);
}

static bool wanted(const struct mailbox *mb)
{
	return mailbox_selectable(mb) && mb->messages.loaded && mb->messages.complete &&
	       !mb->freshness.sync;
}

static void note_wanted(void *ctx, uint64_t key, void *value)
{
	struct statuses *p = ctx;
	const struct mailbox *mb = value;

	if (!wanted(mb))
		return;
	p->ids = array_grow(p->ids, &p->room, p->count + 1, sizeof(*p->ids));
	p->ids[p->count++] = mb->id;
}

static int compare_ids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Gathers the mailboxes to ask for, in the order of their ids. */
static void gather_wanted(struct statuses *p)
{
	p->count = p->next = 0;
	map_each(&p->account->tree.by_id, note_wanted, p);
	if (p->count > 0)
		qsort(p->ids, p->count, sizeof(*p->ids), compare_ids);
}

/* The next that is still to be asked for, or NULL. */
static const struct mailbox *take_next(struct statuses *p)
{
	while (p->next < p->count) {
		const struct mailbox *mb = tree_mailbox(&p->account->tree, p->ids[p->next++]);
		if (mb && p->wanted(mb) && pool_may_ask(p->account->pool, &p->task, mb))
			return mb;
	}
	return NULL;
}

static bool send_status(struct statuses *p, struct slot *slot);

static void queue_round(struct statuses *p)
{
	p->lost = false;
	p->task.deadline = account_deadline(p->account);
	pool_start(p->account->pool, &p->task);
}

/* Servers work in order: the first that is not answered is what the connection was lost over. The
 * others, which are behind it, are asked again. */
static void note_answer(struct statuses *p, const struct slot *slot, bool answered)
{
	const struct mailbox *mb = tree_mailbox(&p->account->tree, p->ids[slot->at]);

	if (!answered && !p->lost)
		p->next = slot->at + 1;
	if (mb && !p->lost)
		pool_note_asked(&p->task, mb, !answered);
	p->lost |= !answered;
}

static void statuses_on_answer(struct imap_command *c, const struct imap_result *result)
{
	struct slot *slot = list_entry(c, struct slot, command);
	struct statuses *p = slot->statuses;

	note_answer(p, slot, result->outcome != IMAP_LOST);
	p->pending--;
	if (!p->lost && send_status(p, slot))
		return;
	if (p->pending > 0)
		return;
	pool_end(&p->task);
	if (p->lost && retry_lost(&p->retry, result->err))
		queue_round(p);
	else
		end_round(p);
}

static bool send_status(struct statuses *p, struct slot *slot)
{
	const struct mailbox *mb = take_next(p);
	struct imap_command *c = &slot->command;

	if (!mb)
		return false;
	slot->statuses = p;
	slot->at = p->next - 1;
	imap_command_finish(c);
	imap_command_init(c, conn_literal_plus(p->task.conn), statuses_on_answer);
	imap_command_add(c, "STATUS ");
	imap_command_add_string(c, mb->name);
	imap_command_add(c, " (MESSAGES UIDNEXT UIDVALIDITY)\r\n");
	p->pending++;
	pool_submit(&p->task, c);
	return true;
}

static void statuses_on_conn(struct pool_task *t)
{
	struct statuses *p = list_entry(t, struct statuses, task);
	unsigned sent = 0;

	/* After a lost connection it goes on where it was. */
	if (p->retry.lost == 0 && !p->on_ended)
		gather_wanted(p);
	while (sent < STATUSES_DEPTH && send_status(p, &p->slots[sent]))
		sent++;
	if (sent > 0)
		return;
	pool_end(t);
	end_round(p);
}

/* A check that is under way on a selection that is not told of news would never see what STATUS says;
 * one that STATUS has not told of since then is no sign of that. */
static bool may_be_stale(const struct mailbox *mb)
{
	return wanted(mb) ||
	       (mailbox_selectable(mb) && mb->messages.loaded && mb->messages.complete &&
		       sync_has_status(mb) && !sync_agrees_with_status(mb));
}

static void check_anew(struct mailbox *mb)
{
	if (mb->freshness.sync)
		sync_note_news(mb);
	else
		sync_start(mb);
}

static void statuses_on_listed(struct lister_wait *w, int err)
{
	struct statuses *p = list_entry(w, struct statuses, wait);
	struct account *a = p->account;

	/* What is selected is selected again: NOOP and IDLE in a mailbox that was deleted and made
	 * anew would speak of the old one for ever. */
	if (err == 0)
		pool_select_all_anew(a->pool, may_be_stale, check_anew);
	/* LIST brought the status along. */
	if (err < 0 || lister_has_status(a)) {
		end_round(p);
		return;
	}
	queue_round(p);
}

static struct statuses *create(struct account *a)
{
	struct statuses *p = mem_zalloc(sizeof(*p));

	p->account = a;
	p->wanted = wanted;
	p->wait.on_wake = statuses_on_listed;
	p->task = (struct pool_task){
		.access = POOL_NO_MAILBOX,
		.on_conn = statuses_on_conn,
		.on_fail = statuses_on_fail,
		.on_untagged = statuses_on_untagged,
	};
	for (unsigned i = 0; i < STATUSES_DEPTH; i++)
		imap_command_init(&p->slots[i].command, false, NULL);
	return p;
}

void statuses_start(struct account *a)
{
	if (a->statuses || a->on_stopped)
		return;
	struct statuses *p = create(a);
	a->statuses = p;
	lister_list(a, &p->wait, false);
}

static bool is_unchecked(const struct mailbox *mb)
{
	return mailbox_selectable(mb) && !sync_is_under_way(mb);
}

void statuses_ask(
	struct account *a, const uint32_t *ids, size_t n, statuses_on_done *on_done, void *ctx)
{
	struct statuses *p = create(a);

	p->wanted = is_unchecked;
	p->on_ended = on_done;
	p->ctx = ctx;
	p->ids = array_grow(NULL, &p->room, n, sizeof(*p->ids));
	memcpy(p->ids, ids, n * sizeof(*ids));
	p->count = n;
	queue_round(p);
}
