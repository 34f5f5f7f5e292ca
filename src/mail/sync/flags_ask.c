/* SPDX-License-Identifier: MIT */
/*
 * One question at a time for a mailbox: UID FETCH 1:* (UID FLAGS), with CHANGEDSINCE where what
 * changed before is known. Where the server does only so many messages of a command (MESSAGELIMIT,
 * RFC 9738), the next one goes on below.
 *
 * How far an answer reaches: to the HIGHESTMODSEQ that the mailbox had when it was selected. A row
 * may name a higher one, but then a change before that may have been missed, of a message whose row
 * was made before; so what the rows of one answer name counts when the next has come.
 */
#include "mail/sync/flags_ask.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/retry.h"
#include "mail/sync/sync.h"
#include "mail/sync/watch.h"

struct flags_question {
	struct pool_task task;
	struct mailbox *mb;
	struct imap_command command;
	struct retry retry;
	bool emailids;    /* what EMAILID each message has, too */
	bool full;        /* all are asked for, not only what changed */
	uint64_t sent;    /* uv_hrtime when the first command of the question was */
	uint32_t to;      /* UID; 0: to the end */
	uint32_t lowest;  /* UID in the answer so far, or 0 */
	uint64_t highest; /* modseq that a row named */
	unsigned parts;   /* answers that were cut short by the server's limit */
};

#define ALL_FLAGS "UID FETCH 1:%s (UID FLAGS%s)"

/* --- whether they are true --- */

/* Milliseconds for which they may have been changed without that we know. */
static uint64_t age_allowed(const struct mailbox *mb)
{
	const struct account *a = mb->account;
	bool cheap = mb->flags->modseq != 0 && (pool_capabilities(a->pool) & IMAP_CAP_CONDSTORE);

	if (watch_covers_flags(a->watch, mb, mb->flags->asked) || !cheap)
		return a->options.refresh;
	return SYNC_FRESH;
}

static bool are_fresh(const struct mailbox *mb)
{
	const struct flags *f = mb->flags;

	return f && f->asked && !f->news && uv_hrtime() - f->asked < age_allowed(mb) * 1000000;
}

bool flags_are_true(const struct mailbox *mb, const struct cache_message *m)
{
	return mb->flags && (m->flags & CACHE_FLAGS_KNOWN) &&
	       (are_fresh(mb) || pool_is_unsure(mb->account->pool));
}

bool flags_are_all_known(const struct mailbox *mb)
{
	const struct rows *rows = &mb->messages.rows;

	for (size_t i = 0; i < rows->count; i++)
		if (!(rows->at[i].flags & (MESSAGE_GONE | CACHE_FLAGS_KNOWN)))
			return false;
	return true;
}

bool flags_are_all_true(const struct mailbox *mb)
{
	return mb->flags && flags_are_all_known(mb) &&
	       (are_fresh(mb) || pool_is_unsure(mb->account->pool));
}

/* --- the end of a question --- */

static void wake(struct list *woken, int err)
{
	while (!list_empty(woken)) {
		struct flags_wait *w = list_entry(woken->next, struct flags_wait, link);
		list_remove(&w->link);
		w->on_wake(w, err);
	}
}

static void free_question(struct flags_question *q)
{
	q->mb->flags->question = NULL;
	imap_command_finish(&q->command);
	free(q);
}

/* Who waits for a message that came meanwhile asks again. */
static void end_question(struct flags_question *q, int err)
{
	struct mailbox *mb = q->mb;
	struct list woken = LIST_INIT(woken);

	free_question(q);
	flags_save(mb);
	list_splice(&woken, &mb->flags->waiters);
	wake(&woken, err);
}

static void succeed(struct flags_question *q)
{
	struct flags *f = q->mb->flags;
	uint64_t selected = conn_selected(q->task.conn)->highestmodseq;

	flags_note_modseq(q->mb, f->reached);
	if (selected != 0)
		flags_note_modseq(q->mb, selected);
	if (q->highest > f->reached)
		f->reached = q->highest;
	f->asked = q->sent;
	pool_end(&q->task);
	end_question(q, 0);
}

static void fail(struct flags_question *q, int err)
{
	/* What it was told before is still to be asked for. */
	q->mb->flags->news = true;
	end_question(q, err);
}

void flags_ask_forget(struct mailbox *mb)
{
	if (mb->flags && mb->flags->question)
		free_question(mb->flags->question);
}

/* --- a question --- */

static void queue_question(struct flags_question *q)
{
	q->task.deadline = account_deadline(q->mb->account);
	pool_start(q->mb->account->pool, &q->task);
}

static void send_question(struct flags_question *q);

/* What was asked for was done from the highest UID down to this one. */
static void go_on_below(struct flags_question *q, const struct imap_response *r)
{
	uint32_t low = r->number ? (uint32_t)r->number : q->lowest;

	if (low <= 1) {
		succeed(q);
	} else if ((q->to == 0 || low <= q->to) && q->parts++ <= conn_exists(q->task.conn)) {
		q->to = low - 1;
		send_question(q);
	} else {
		pool_end(&q->task);
		fail(q, ERR_PARTIAL);
	}
}

static void lost(struct flags_question *q, int err)
{
	pool_end(&q->task);
	if (retry_lost(&q->retry, err))
		queue_question(q);
	else
		fail(q, err);
}

static void busy(struct flags_question *q, int err)
{
	pool_end(&q->task);
	if (!retry_busy(&q->retry, RETRY_BRIEF)) {
		fail(q, err);
		return;
	}
	queue_question(q);
	pool_delay(&q->task, q->mb->account->pool, retry_delay(&q->retry));
}

static void flags_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct flags_question *q = list_entry(c, struct flags_question, command);

	if (q->mb->dead) {
		pool_end(&q->task);
		fail(q, ERR_STALE);
		return;
	}
	switch (result->outcome) {
	case IMAP_DONE:
		succeed(q);
		break;
	case IMAP_PARTIAL:
		go_on_below(q, result->response);
		break;
	case IMAP_BUSY:
		busy(q, result->err);
		break;
	case IMAP_REFUSED:
		pool_end(&q->task);
		fail(q, result->err);
		break;
	case IMAP_LOST:
		lost(q, result->err);
		break;
	}
}

static void send_question(struct flags_question *q)
{
	char to[16] = "*", since[48] = "";

	if (q->to != 0)
		snprintf(to, sizeof(to), "%u", q->to);
	if (!q->full)
		snprintf(since, sizeof(since), " (CHANGEDSINCE %llu)",
			(unsigned long long)q->mb->flags->modseq);
	q->lowest = 0;
	pool_send(&q->task, &q->command, flags_on_done, ALL_FLAGS "%s", to,
		q->emailids ? " EMAILID" : "", since);
}

/* With no CONDSTORE for this mailbox (NOMODSEQ) SELECT says no HIGHESTMODSEQ. */
static void flags_on_conn(struct pool_task *t)
{
	struct flags_question *q = list_entry(t, struct flags_question, task);
	struct flags *f = q->mb->flags;

	f->news = false;
	q->sent = uv_hrtime();
	q->to = 0;
	q->highest = 0;
	q->full |= !conn_selected(t->conn)->highestmodseq;
	send_question(q);
}

static void flags_on_fail(struct pool_task *t, int err)
{
	fail(list_entry(t, struct flags_question, task), err);
}

static void flags_on_response(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct flags_question *q = list_entry(t, struct flags_question, task);

	if (r->kind != IMAP_FETCH || uid == 0)
		return;
	q->lowest = q->lowest && q->lowest < uid ? q->lowest : uid;
	if (r->fetch.modseq > q->highest)
		q->highest = r->fetch.modseq;
}

/* Where the mailbox is not selected yet both are sent together. */
static void foresee(struct flags_question *q)
{
	struct pool *p = q->mb->account->pool;
	char text[sizeof(ALL_FLAGS) + 16];
	const char *const command = text;

	snprintf(text, sizeof(text), ALL_FLAGS "\r\n", "*", q->emailids ? " EMAILID" : "");
	if (q->full && pool_may_foresee(p, q->mb))
		q->task.foreseen = pool_foresee_now(p, q->mb, &command, 1);
}

/* full: the flags of a message are not known, which CHANGEDSINCE would not tell. */
static struct flags_question *start_question(struct mailbox *mb, bool full, bool emailids)
{
	struct flags_question *q = mem_zalloc(sizeof(*q));

	q->mb = mb;
	q->emailids = emailids;
	q->full = full || emailids || mb->flags->modseq == 0;
	q->task = (struct pool_task){
		.mailbox = mb,
		.access = POOL_READ,
		.on_conn = flags_on_conn,
		.on_fail = flags_on_fail,
		.on_untagged = flags_on_response,
	};
	list_init(&q->task.link);
	imap_command_init(&q->command, false, NULL);
	mb->flags->question = q;
	queue_question(q);
	foresee(q);
	return q;
}

void flags_want(struct account *a)
{
	if (a->wants_flags)
		return;
	a->wants_flags = true;
	watch_want_flags(a->watch);
}

void flags_wait(struct flags_wait *w)
{
	const struct cache_message *m = mailbox_find(w->mb, w->uid);
	struct flags *f = flags_follow(w->mb);

	w->known = w->uid ? m && (m->flags & CACHE_FLAGS_KNOWN) : flags_are_all_known(w->mb);
	flags_want(w->mb->account);
	list_append(&f->waiters, &w->link);
	struct flags_question *q = f->question;
	if (!q)
		q = start_question(w->mb, !w->known, w->emailid);
	uint32_t last = w->uid ? w->uid : mailbox_last(w->mb);
	if (last > q->task.uid)
		q->task.uid = last;
}

void flags_unwait(struct flags_wait *w)
{
	list_remove(&w->link);
}

/* --- what the server tells --- */

/* What was changed before is known: a connection that is behind may still tell of it. */
static bool is_old(const struct flags *f, const struct imap_fetch *row)
{
	return row->modseq != 0 && row->modseq <= f->modseq && !(f->question && f->question->full);
}

void flags_on_row(struct mailbox *mb, const struct imap_fetch *row, uint32_t uid)
{
	struct cache_message *m = uid ? mailbox_find(mb, uid) : NULL;
	struct buf keywords;

	if (mb->flags && m && row->emailid.n > 0)
		flags_put_emailid(mb, uid, row->emailid);
	if (!mb->flags || !m || !row->has_flags)
		return;
	if ((m->flags & CACHE_FLAGS_KNOWN) && is_old(mb->flags, row))
		return;
	buf_init(&keywords, FLAGS_KEYWORDS_MAX);
	if (flags_sort_keywords(row->flag_words, &keywords)) {
		const struct flags_value value = {
			row->flags & IMAP_FLAGS_KEPT, buf_span(&keywords)};
		flags_put(mb, m, &value);
	} else {
		flags_doubt(mb, m);
	}
	buf_finish(&keywords);
}

void flags_on_batch(struct mailbox *mb)
{
	struct flags *f = mb->flags;
	struct list woken = LIST_INIT(woken);

	if (!f)
		return;
	flags_save(mb);
	LIST_FOREACH_SAFE (pos, &f->waiters) {
		struct flags_wait *w = list_entry(pos, struct flags_wait, link);
		bool early = w->uid && !w->known && !w->emailid;
		const struct cache_message *m = early ? mailbox_find(mb, w->uid) : NULL;
		if (m && (m->flags & CACHE_FLAGS_KNOWN)) {
			list_remove(&w->link);
			list_append(&woken, &w->link);
		}
	}
	wake(&woken, 0);
}

void flags_on_status(struct mailbox *mb, uint64_t modseq)
{
	struct flags *f = mb->flags;

	if (!f || modseq <= f->told)
		return;
	f->told = modseq;
	f->news |= modseq > f->modseq;
}

/* The parameter was the mailbox's highestmodseq, or less. */
void flags_on_selected(struct mailbox *mb, const struct pool_selected *selected)
{
	struct flags *f = mb->flags;

	if (!f || f->modseq == 0 || f->modseq < mb->messages.highestmodseq || !selected->resyncs ||
		!selected->is_alone || selected->highestmodseq == 0)
		return;
	flags_note_modseq(mb, selected->highestmodseq);
	f->asked = selected->asked > f->asked ? selected->asked : f->asked;
	f->news &= f->told > selected->highestmodseq;
	flags_save(mb);
}

void flags_on_listed(struct mailbox *mb, uint64_t asked, uint64_t modseq)
{
	if (!mb->flags || mb->flags->asked || !flags_are_all_known(mb))
		return;
	mb->flags->asked = asked;
	flags_note_modseq(mb, modseq);
	flags_save(mb);
}
