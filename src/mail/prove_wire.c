/*
 * One command: `UID FETCH set (UID BODY.PEEK[]<from.octets>)` for messages whose questions lie near
 * each other. An answer counts when its row was parsed to the end and is of that message and of
 * that offset for certain; whoever got no such answer is left to reading.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/backoff.h"
#include "mail/prove_private.h"
#include "mail/uidset.h"

/* Messages in a command. A server may have to convert each as a whole (Exchange), and meanwhile
 * somebody waits for the first. */
#define PARTS_MAX 32
/* Octets that may come in vain so that messages share a command. */
#define SPREAD 512u
/* Commands under way; a connection takes POOL_DEPTH, and others have work too. */
#define COMMANDS_MAX 8
/* Connections that may be lost. */
#define ATTEMPTS 3

struct part {
	struct search *search;
	uint32_t uid;
	uint64_t announced, got;
	uint32_t seq; /* of its row */
	bool begun, answered;
};

struct inquiry {
	struct pool_task task;
	struct prover *prover;
	struct imap_command command;
	uint64_t from, octets;
	struct part parts[PARTS_MAX]; /* ascending UIDs once started */
	unsigned count;
	struct part *current; /* whose body is arriving */
	unsigned throttled;
};

/* --- the end of it --- */

static void inquiry_free(struct inquiry *q)
{
	q->prover->commands--;
	imap_command_finish(&q->command);
	free(q);
}

static void judge_part(struct prover *p, const struct inquiry *q, struct part *part, int err)
{
	struct search *s = part->search;

	if (part->answered) {
		switch (probe_answer(&s->probe, q->from, q->octets, part->got)) {
		case PROBE_MORE:
			prove_ready(p, s);
			return;
		case PROBE_FOUND:
			prove_end(p, s, 0);
			return;
		case PROBE_NONSENSE:
			prove_end(p, s, ERR_UNREADABLE);
			return;
		}
	}
	if (err == ERR_REFUSED && q->count > 1) {
		s->alone = true;
		prove_ready(p, s);
	} else {
		prove_end(p, s, err < 0 ? err : ERR_UNREADABLE);
	}
}

/* err: of those without an answer. Who is told may start more, so the prover counts this one until
 * it is over. */
static void inquiry_end(struct inquiry *q, int err)
{
	struct prover *p = q->prover;

	for (unsigned i = 0; i < q->count; i++)
		judge_part(p, q, &q->parts[i], err);
	inquiry_free(q);
	prove_launch(p);
}

/* The connection is gone: all that was not answered is asked for again, a few times. */
static void on_lost(struct inquiry *q, int err)
{
	struct prover *p = q->prover;

	for (unsigned i = 0; i < q->count; i++) {
		struct search *s = q->parts[i].search;
		if (!q->parts[i].answered && ++s->lost < ATTEMPTS && err != ERR_CANCELED)
			prove_ready(p, s);
		else
			judge_part(p, q, &q->parts[i], err);
	}
	inquiry_free(q);
	prove_launch(p);
}

static void inquiry_queue(struct inquiry *q)
{
	struct account *a = q->prover->mb->account;

	q->task.mailbox = q->prover->mb;
	q->task.deadline = account_deadline(a);
	pool_start(a->pool, &q->task);
}

static void retry_later(struct inquiry *q)
{
	if (++q->throttled >= ATTEMPTS) {
		inquiry_end(q, ERR_THROTTLED);
		return;
	}
	inquiry_queue(q);
	pool_delay(&q->task, q->prover->mb->account->pool, backoff_delay(q->throttled));
}

static void on_fail(struct pool_task *t, int err)
{
	struct inquiry *q = list_entry(t, struct inquiry, task);

	if (err == ERR_THROTTLED && !q->prover->mb->dead)
		retry_later(q);
	else
		/* The mailbox was refused, not a message. */
		inquiry_end(q, err == ERR_REFUSED ? ERR_NO_MAILBOX : err);
}

static void on_done(struct imap_command *c, const struct imap_result *result)
{
	struct inquiry *q = list_entry(c, struct inquiry, command);

	pool_end(&q->task);
	q->current = NULL;
	if (!result->response && result->err < 0)
		on_lost(q, result->err);
	else if (result->err == ERR_THROTTLED && !q->prover->mb->dead)
		retry_later(q);
	else
		/* NO and its finer kinds are the message's. */
		inquiry_end(q, result->err < 0 ? ERR_REFUSED : 0);
}

/* --- answers --- */

static int compare(const void *a, const void *b)
{
	const struct part *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

static struct part *find(struct inquiry *q, uint32_t uid)
{
	struct part key = {.uid = uid};

	return bsearch(&key, q->parts, q->count, sizeof(key), compare);
}

/* Without an origin it may be the message from its start. */
static bool is_from_here(const struct inquiry *q, const struct imap_fetch *row)
{
	return row->has_origin ? row->origin == q->from : q->from == 0;
}

static bool on_body_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	struct inquiry *q = list_entry(t, struct inquiry, task);
	struct part *p = uid && q->command.on_done ? find(q, uid) : NULL;

	if (!p || p->begun || p->answered || !is_from_here(q, prefix) || size > q->octets)
		return false;
	p->begun = true;
	p->announced = size;
	p->got = 0;
	p->seq = prefix->seq;
	q->current = p;
	return true;
}

static void on_body_data(struct pool_task *t, struct span octets)
{
	struct inquiry *q = list_entry(t, struct inquiry, task);

	if (q->current)
		q->current->got += octets.n;
}

static void on_body_end(struct pool_task *t)
{
}

static void on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct inquiry *q = list_entry(t, struct inquiry, task);
	struct part *p = r->kind == IMAP_FETCH && uid && q->command.on_done ? find(q, uid) : NULL;

	if (!p || p->answered)
		return;
	switch (r->fetch.body_kind) {
	case IMAP_BODY_ABSENT:
		break;
	case IMAP_BODY_NIL:
		/* Past the end some say NIL. */
		p->answered = is_from_here(q, &r->fetch);
		p->got = 0;
		break;
	case IMAP_BODY_INLINE:
		/* Past the end some say nothing without saying where. */
		p->answered = is_from_here(q, &r->fetch) ||
			      (!r->fetch.has_origin && r->fetch.body.n == 0 &&
				      pool_is_next(t, &q->command));
		p->got = r->fetch.body.n;
		break;
	case IMAP_BODY_STREAMED:
		p->answered = p->begun && p->seq == r->fetch.seq && p->got == p->announced;
		break;
	}
}

/* --- questions --- */

static void on_conn(struct pool_task *t)
{
	struct inquiry *q = list_entry(t, struct inquiry, task);
	struct uidset set = {0};
	struct buf text;

	for (unsigned i = 0; i < q->count; i++) {
		uidset_add(&set, q->parts[i].uid, q->parts[i].uid);
		q->parts[i].begun = false;
	}
	buf_init(&text, UIDSET_TEXT_MAX);
	uidset_take_text(&set, &text);
	uidset_finish(&set);
	imap_command_finish(&q->command);
	imap_command_init(&q->command, false, on_done);
	imap_command_add(&q->command, "UID FETCH %s (UID BODY.PEEK[]<%llu.%llu>)\r\n",
		buf_cstr(&text), (unsigned long long)q->from, (unsigned long long)q->octets);
	buf_finish(&text);
	pool_submit(t, &q->command);
}

static void add_part(struct inquiry *q, struct search *s)
{
	uint64_t end = q->from + q->octets, s_end = s->probe.from + s->probe.octets;

	if (q->count == 0 || s->probe.from < q->from)
		q->from = s->probe.from;
	if (q->count == 0 || s_end > end)
		end = s_end;
	q->octets = end - q->from;
	q->parts[q->count++] = (struct part){.search = s, .uid = s->uid};
	prove_take(q->prover, s);
}

static bool fits(const struct inquiry *q, const struct search *s, uint64_t most)
{
	uint64_t end = q->from + q->octets, s_end = s->probe.from + s->probe.octets;
	uint64_t from = s->probe.from < q->from ? s->probe.from : q->from;

	return !s->alone && (s_end > end ? s_end : end) - from <= most;
}

static void start_inquiry(struct prover *p)
{
	struct inquiry *q = mem_zalloc(sizeof(*q));
	struct search *first = prove_next(p);
	uint64_t most = (uint64_t)first->probe.octets + SPREAD;

	q->prover = p;
	p->commands++;
	imap_command_init(&q->command, false, NULL);
	add_part(q, first);
	LIST_FOREACH_SAFE (pos, &p->ready) {
		struct search *s = list_entry(pos, struct search, link);
		if (first->alone || q->count == PARTS_MAX)
			break;
		if (fits(q, s, most))
			add_part(q, s);
	}
	qsort(q->parts, q->count, sizeof(q->parts[0]), compare);
	q->task = (struct pool_task){
		.access = POOL_READ,
		.uid = q->parts[q->count - 1].uid,
		.on_conn = on_conn,
		.on_fail = on_fail,
		.on_untagged = on_untagged,
		.on_body_begin = on_body_begin,
		.on_body_data = on_body_data,
		.on_body_end = on_body_end,
	};
	inquiry_queue(q);
}

void prove_launch(struct prover *p)
{
	while (p->commands < COMMANDS_MAX && p->ready_count > 0)
		start_inquiry(p);
}
