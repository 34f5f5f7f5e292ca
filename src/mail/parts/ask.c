/* SPDX-License-Identifier: MIT */
/*
 * One question at a time for a mailbox and a kind of fact: `UID FETCH set (UID BODYSTRUCTURE)`, or
 * `(UID BODY.PEEK[HEADER.FIELDS (...)])`, of what is waited for and not known. Rows count as they come,
 * in any order.
 *
 * Who asks for one message after the other gets those behind it along, more of them each time. What is
 * refused is asked for by halves until it is known which message that is about; what breaks the
 * connection, by itself. What was not answered is asked for again: after NOOP, then where the mailbox is selected
 * anew; then the list tells whether it is there at all.
 */
#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"
#include "base/mem.h"
#include "link/retry.h"
#include "mail/parts/private.h"
#include "mail/sync/sync.h"

/* Octets of the set in a command: lines of 1,000 are taken everywhere. */
#define SET_MAX 700u
/* Messages that are known already and yet asked for, so that the set is shorter. */
#define GAP_MAX 4u
/* Messages that are asked for along with one, at most. */
#define ALONG_MAX 512u
/* Connections lost over one message. */
#define BROKEN_MAX 2u
#define LOOKS_MAX 3u
/* Messages in a row that are refused, after which it is no matter of one of them: then ever more together
 * have none. */
#define REFUSED_MAX 16u

struct question {
	struct facts *f;
	struct pool_task task;
	struct imap_command command;
	struct retry retry;
	uint32_t *asked; /* UIDs, ascending */
	size_t count, cap;
	size_t along;       /* messages behind the first one */
	size_t most;        /* messages to be asked for at once; 0: any number */
	unsigned silences;  /* answers in a row without any of them */
	uint32_t suspected; /* UID over which the connection was lost */
	unsigned broken;    /* how often */
	struct mailbox_wait wait;
	unsigned looks;   /* at the list */
	unsigned refused; /* commands in a row for which nothing came, each about what has none */
	struct arriving arriving;
};

static void ask(struct question *q);

/* --- what is asked for --- */

static void add_uid(struct question *q, uint32_t uid)
{
	q->asked = array_grow(q->asked, &q->cap, q->count + 1, sizeof(*q->asked));
	q->asked[q->count++] = uid;
}

static void add_all(struct question *q)
{
	struct mailbox *mb = q->f->mb;
	const struct cache_message *m = mailbox_after(mb, 0);

	for (; m; m = m->uid < UINT32_MAX ? mailbox_after(mb, m->uid) : NULL)
		if (facts_lacks(q->f, m->uid))
			add_uid(q, m->uid);
}

/* The message, and those behind it. */
static void add_along(struct question *q, uint32_t uid)
{
	struct facts *f = q->f;
	const struct cache_message *m = mailbox_find(f->mb, uid);

	for (size_t n = 0; m && n <= q->along; n++) {
		if (facts_lacks(f, m->uid))
			add_uid(q, m->uid);
		m = m->uid < UINT32_MAX ? mailbox_after(f->mb, m->uid) : NULL;
	}
}

/* How many that are: ever more for who asks for one behind the other. */
static void decide_along(struct question *q)
{
	struct facts *f = q->f;
	const struct facts_wait *w = list_entry(f->waiters.next, struct facts_wait, link);

	if (list_empty(&f->waiters) || w->uid == 0)
		return;
	q->along = f->last > 0 && w->uid > f->last ? f->along : 0;
	f->along = q->along ? q->along * 4 : 2;
	if (f->along > ALONG_MAX)
		f->along = ALONG_MAX;
}

static int compare_uids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void sort_asked(struct question *q)
{
	size_t n = 0;

	if (q->count > 0)
		qsort(q->asked, q->count, sizeof(*q->asked), compare_uids);
	for (size_t i = 0; i < q->count; i++)
		if (n == 0 || q->asked[n - 1] != q->asked[i])
			q->asked[n++] = q->asked[i];
	q->count = n;
}

/* What is waited for and not known. */
static void choose(struct question *q)
{
	bool all = false;
	size_t singles = 0;

	q->count = 0;
	LIST_FOREACH (pos, &q->f->waiters)
		all |= list_entry(pos, struct facts_wait, link)->uid == 0;
	LIST_FOREACH (pos, &q->f->waiters) {
		const struct facts_wait *w = list_entry(pos, struct facts_wait, link);
		if (all || !facts_lacks(q->f, w->uid))
			continue;
		if (singles++ == 0)
			add_along(q, w->uid);
		else
			add_uid(q, w->uid);
	}
	if (all)
		add_all(q);
	sort_asked(q);
	if (q->most > 0 && q->count > q->most)
		q->count = q->most;
}

/* Whether so few messages lie between that asking for them as well is cheaper. */
static bool is_near(struct mailbox *mb, uint32_t from, uint32_t to)
{
	const struct cache_message *m = mailbox_after(mb, from);

	for (unsigned n = 0; n < GAP_MAX && m && m->uid < to; n++)
		m = mailbox_after(mb, m->uid);
	return m && m->uid >= to;
}

/* The command; what does not fit in it is asked for later. */
static void build(struct question *q)
{
	struct imap_command *c = &q->command;
	const char *comma = "";
	size_t i = 0;

	imap_command_add(c, "UID FETCH ");
	while (i < q->count && c->text.len < SET_MAX) {
		uint32_t first = q->asked[i], last = first;
		for (i++; i < q->count && is_near(q->f->mb, last, q->asked[i]); i++)
			last = q->asked[i];
		if (first == last)
			imap_command_add(c, "%s%u", comma, first);
		else
			imap_command_add(c, "%s%u:%u", comma, first, last);
		comma = ",";
	}
	q->count = i;
	imap_command_add(c, " (UID %s)\r\n",
		q->f->kind == FACT_STRUCTURE ? "BODYSTRUCTURE" : FACT_SUMMARY_ITEM);
}

/* --- the end of a question --- */

static void free_question(struct question *q)
{
	q->f->question = NULL;
	arriving_finish(&q->arriving);
	imap_command_finish(&q->command);
	free(q->asked);
	free(q);
}

static void end(struct question *q, int err)
{
	struct facts *f = q->f;

	free_question(q);
	facts_answered(f, err);
}

void ask_forget(struct facts *f)
{
	if (f->question)
		free_question(f->question);
}

static void end_task(struct question *q, int err)
{
	pool_end(&q->task);
	end(q, err);
}

static void queue(struct question *q)
{
	q->task.deadline = account_deadline(q->f->mb->account);
	q->task.foreseen = 0;
	pool_start(q->f->mb->account->pool, &q->task);
}

/* --- rows --- */

static bool ask_on_section_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	return arriving_on_section(&list_entry(t, struct question, task)->arriving, prefix, size);
}

static void ask_on_body_data(struct pool_task *t, struct span octets)
{
	arriving_on_octets(&list_entry(t, struct question, task)->arriving, octets);
}

static void ask_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	arriving_on_row(&list_entry(t, struct question, task)->arriving, r, uid);
}

/* --- answers --- */

/* Those of the question that are not known yet. */
static size_t keep_missing(struct question *q)
{
	size_t n = 0;

	for (size_t i = 0; i < q->count; i++)
		if (facts_lacks(q->f, q->asked[i]))
			q->asked[n++] = q->asked[i];
	return q->count = n;
}

static void none(struct question *q, const char *why)
{
	for (size_t i = 0; i < q->count; i++)
		if (facts_lacks(q->f, q->asked[i]))
			facts_note_none(q->f, q->asked[i], why);
}

static void look_at_list(struct question *q);

/* The list was looked at: what is still there has none. */
static void ask_on_listed(struct mailbox_wait *wait, int err)
{
	struct question *q = list_entry(wait, struct question, wait);

	if (q->f->mb->dead) {
		end(q, ERR_STALE);
		return;
	}
	/* A check that had looked already when it was doubted does not count. */
	if (err == 0 && sync_is_doubted(q->f->mb) && q->looks < LOOKS_MAX) {
		look_at_list(q);
		return;
	}
	if (err == 0)
		none(q, "the server lists it, and has none");
	end(q, err);
}

static void look_at_list(struct question *q)
{
	struct mailbox *mb = q->f->mb;

	q->looks++;
	sync_doubt(mb);
	q->wait = (struct mailbox_wait){.on_wake = ask_on_listed};
	mailbox_wait(mb, &q->wait);
	sync_start(mb);
}

static void ask_on_noop_done(struct imap_command *c, const struct imap_result *result);

static void nothing_came(struct question *q)
{
	switch (++q->silences) {
	case 1:
		pool_send(&q->task, &q->command, ask_on_noop_done, "NOOP");
		break;
	case 2:
		pool_end(&q->task);
		q->arriving.believes_empty = true;
		q->task.selected_after = pool_selection_now();
		queue(q);
		break;
	default:
		pool_end(&q->task);
		look_at_list(q);
		break;
	}
}

/* The command was carried out, or a part of it. */
static void go_on(struct question *q)
{
	size_t came = q->arriving.came;

	if (keep_missing(q) > 0 && came == 0) {
		nothing_came(q);
		return;
	}
	q->silences = 0;
	q->refused = 0;
	q->retry = (struct retry){0};
	if (q->most > 0)
		q->most *= 2;
	ask(q);
}

/* Fewer at once; false when it was only one. */
static bool halve(struct question *q)
{
	size_t n = keep_missing(q);

	q->most = n > 1 ? n / 2 : 1;
	return n > 1;
}

static void refused(struct question *q, int err)
{
	if (q->arriving.came > 0)
		q->refused = 0;
	if (q->refused >= REFUSED_MAX ? keep_missing(q) > 0 : !halve(q) && q->count > 0) {
		none(q, error_text(err));
		q->most = ++q->refused >= REFUSED_MAX ? q->count * 2 : 1;
	}
	ask(q);
}

/* The connection broke, most likely over the first one that did not come: that is asked for alone. */
static void suspect(struct question *q)
{
	if (keep_missing(q) == 0)
		return;
	q->broken = q->asked[0] == q->suspected ? q->broken + 1 : 1;
	q->suspected = q->asked[0];
	q->most = q->count = 1;
	if (q->broken >= BROKEN_MAX)
		none(q, "its bytes break the protocol");
}

static void lost(struct question *q, int err)
{
	pool_end(&q->task);
	if (err == ERR_PROTOCOL)
		suspect(q);
	if (retry_lost(&q->retry, err))
		queue(q);
	else
		end(q, err);
}

static void busy(struct question *q, int err)
{
	pool_end(&q->task);
	if (!retry_busy(&q->retry, RETRY_PATIENT)) {
		end(q, err);
		return;
	}
	queue(q);
	pool_delay(&q->task, q->f->mb->account->pool, retry_delay(&q->retry));
}

static void ask_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct question *q = list_entry(c, struct question, command);

	if (q->f->mb->dead) {
		end_task(q, ERR_STALE);
		return;
	}
	switch (result->outcome) {
	case IMAP_DONE:
	case IMAP_PARTIAL:
		go_on(q);
		break;
	case IMAP_BUSY:
		busy(q, result->err);
		break;
	case IMAP_REFUSED:
		refused(q, result->err);
		break;
	case IMAP_LOST:
		lost(q, result->err);
		break;
	}
}

static void ask_on_noop_done(struct imap_command *c, const struct imap_result *result)
{
	struct question *q = list_entry(c, struct question, command);

	if (result->outcome == IMAP_LOST || q->f->mb->dead)
		ask_on_done(c, result);
	else
		ask(q);
}

/* --- a question --- */

/* What the connection was not told of has to wait for the next one. */
static void keep_told(struct question *q)
{
	while (q->count > 0 && !pool_is_told(&q->task, q->asked[q->count - 1]))
		q->count--;
}

/* Asks for what is still missing; ends the question when that is nothing. */
static void ask(struct question *q)
{
	choose(q);
	keep_told(q);
	if (q->count == 0) {
		end_task(q, 0);
		return;
	}
	arriving_begin(&q->arriving);
	imap_command_begin(&q->command, false, ask_on_done);
	build(q);
	pool_submit(&q->task, &q->command);
}

static void ask_on_conn(struct pool_task *t)
{
	struct question *q = list_entry(t, struct question, task);

	if (q->f->mb->dead)
		end_task(q, ERR_STALE);
	else
		ask(q);
}

static void ask_on_fail(struct pool_task *t, int err)
{
	end(list_entry(t, struct question, task), err);
}

/* Where the mailbox is not selected yet both are sent together. */
static void foresee(struct question *q)
{
	struct pool *p = q->f->mb->account->pool;

	if (!pool_may_foresee(p, q->f->mb) || !pool_may_fetch(p))
		return;
	imap_command_begin(&q->command, false, ask_on_done);
	build(q);
	const char *text = buf_cstr(&q->command.text);
	q->task.foreseen = pool_foresee_now(p, q->f->mb, &text, 1);
}

void ask_start(struct facts *f)
{
	if (f->question || f->riding)
		return;
	struct question *q = mem_zalloc(sizeof(*q));
	f->question = q;
	q->f = f;
	q->task = (struct pool_task){
		.mailbox = f->mb,
		.access = POOL_READ,
		.fetches = true,
		.on_conn = ask_on_conn,
		.on_fail = ask_on_fail,
		.on_untagged = ask_on_untagged,
		.on_section_begin = ask_on_section_begin,
		.on_body_data = ask_on_body_data,
	};
	list_init(&q->task.link);
	imap_command_init(&q->command, false, NULL);
	arriving_init(&q->arriving, f);
	decide_along(q);
	choose(q);
	q->task.uid = q->count > 0 ? q->asked[q->count - 1] : 0;
	f->last = q->task.uid;
	queue(q);
	foresee(q);
}
