/* SPDX-License-Identifier: MIT */
/*
 * One command: `UID FETCH set (UID BODY.PEEK[]<from.octets>)` for messages whose questions lie near
 * each other. Which answers count is imap/parts.h's to say; a message that got none is left to
 * reading.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "imap/parts.h"
#include "mail/size/private.h"

/* Messages in a command. A server may have to convert each as a whole (Exchange), and meanwhile
 * somebody waits for the first. */
#define MESSAGES_MAX 32
/* Octets that may come in vain so that messages share a command. */
#define WASTE_MAX 512u
/* Commands under way for a mailbox; a connection takes POOL_DEPTH, and others have work too. */
#define COMMANDS_MAX 8

struct inquiry {
	struct pool_task task;
	struct prover *prover;
	struct imap_command command;
	struct imap_parts parts; /* owners: struct unproved */
	struct retry retry;
};

/* --- the end of it --- */

static void inquiry_destroy(struct inquiry *q)
{
	q->prover->commands--;
	imap_command_finish(&q->command);
	free(q);
}

/* err: why it has no answer, if so. */
static void judge_part(const struct inquiry *q, const struct imap_part *part, int err)
{
	struct prover *p = q->prover;
	struct unproved *u = part->owner;

	if (part->complete) {
		switch (probe_answer(&u->probe, q->parts.from, q->parts.octets, part->got)) {
		case PROBE_MORE:
			prove_ready(p, u);
			return;
		case PROBE_FOUND:
			prove_end(p, u, 0);
			return;
		case PROBE_NONSENSE:
			prove_end(p, u, ERR_UNREADABLE);
			return;
		}
	}
	if (err == ERR_REFUSED && q->parts.count > 1) {
		u->alone = true;
		prove_ready(p, u);
	} else {
		prove_end(p, u, err < 0 ? err : ERR_UNREADABLE);
	}
}

/* err: of those without an answer. Who is told may start more, so the prover counts this one until
 * it is over. */
static void inquiry_end(struct inquiry *q, int err)
{
	struct prover *p = q->prover;

	for (unsigned i = 0; i < q->parts.count; i++)
		judge_part(q, &q->parts.at[i], err);
	inquiry_destroy(q);
	inquiry_launch(p);
}

/* The connection is gone: all that was not answered is asked for again, a few times. */
static void inquiry_on_lost(struct inquiry *q, int err)
{
	struct prover *p = q->prover;

	for (unsigned i = 0; i < q->parts.count; i++) {
		const struct imap_part *part = &q->parts.at[i];
		struct unproved *u = part->owner;
		if (!part->complete && retry_lost(&u->retry, err))
			prove_ready(p, u);
		else
			judge_part(q, part, err);
	}
	inquiry_destroy(q);
	inquiry_launch(p);
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
	if (!retry_busy(&q->retry, RETRY_BRIEF)) {
		inquiry_end(q, ERR_THROTTLED);
		return;
	}
	inquiry_queue(q);
	pool_delay(&q->task, q->prover->mb->account->pool, retry_delay(&q->retry));
}

static void inquiry_on_fail(struct pool_task *t, int err)
{
	struct inquiry *q = list_entry(t, struct inquiry, task);

	if (err == ERR_THROTTLED && !q->prover->mb->dead)
		retry_later(q);
	else
		/* The mailbox was refused, not a message. */
		inquiry_end(q, err == ERR_REFUSED ? ERR_NO_MAILBOX : err);
}

static void inquiry_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct inquiry *q = list_entry(c, struct inquiry, command);

	pool_end(&q->task);
	if (result->outcome == IMAP_LOST)
		inquiry_on_lost(q, result->err);
	else if (result->outcome == IMAP_BUSY && !q->prover->mb->dead)
		retry_later(q);
	else
		/* NO and its finer kinds are the message's. */
		inquiry_end(q, result->err < 0 ? ERR_REFUSED : 0);
}

/* --- answers --- */

static bool inquiry_on_body_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	struct inquiry *q = list_entry(t, struct inquiry, task);

	/* The whole message, for example. */
	return size <= q->parts.octets &&
	       imap_parts_begin(&q->parts, prefix, uid, size, pool_is_next(t, &q->command));
}

static void inquiry_on_body_data(struct pool_task *t, struct span octets)
{
	imap_parts_count(&list_entry(t, struct inquiry, task)->parts, octets);
}

static void inquiry_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct inquiry *q = list_entry(t, struct inquiry, task);

	if (r->kind == IMAP_FETCH)
		imap_parts_end(&q->parts, &r->fetch, uid, pool_is_next(t, &q->command));
}

/* --- questions --- */

static void inquiry_on_conn(struct pool_task *t)
{
	struct inquiry *q = list_entry(t, struct inquiry, task);

	imap_command_begin(&q->command, false, inquiry_on_done);
	imap_parts_ask(&q->parts, &q->command);
	pool_submit(t, &q->command);
}

static void add_part(struct inquiry *q, struct unproved *u)
{
	struct imap_parts *parts = &q->parts;
	uint64_t end = parts->from + parts->octets, u_end = u->probe.from + u->probe.octets;

	if (parts->count == 0 || u->probe.from < parts->from)
		parts->from = u->probe.from;
	if (parts->count == 0 || u_end > end)
		end = u_end;
	parts->octets = end - parts->from;
	imap_parts_add(parts, u->uid, u);
	prove_take(q->prover, u);
}

static bool fits_inquiry(const struct imap_parts *parts, const struct unproved *u, uint64_t most)
{
	uint64_t end = parts->from + parts->octets, u_end = u->probe.from + u->probe.octets;
	uint64_t from = u->probe.from < parts->from ? u->probe.from : parts->from;

	return !u->alone && (u_end > end ? u_end : end) - from <= most;
}

static void start_inquiry(struct prover *p)
{
	struct inquiry *q = mem_zalloc(sizeof(*q));
	struct unproved *first = prove_next(p);
	uint64_t most = (uint64_t)first->probe.octets + WASTE_MAX;

	q->prover = p;
	p->commands++;
	imap_command_init(&q->command, false, NULL);
	add_part(q, first);
	LIST_FOREACH_SAFE (pos, &p->ready) {
		struct unproved *u = list_entry(pos, struct unproved, link);
		if (first->alone || q->parts.count == MESSAGES_MAX)
			break;
		if (fits_inquiry(&q->parts, u, most))
			add_part(q, u);
	}
	q->task = (struct pool_task){
		.access = POOL_READ,
		.uid = q->parts.at[q->parts.count - 1].uid,
		.on_conn = inquiry_on_conn,
		.on_fail = inquiry_on_fail,
		.on_untagged = inquiry_on_untagged,
		.on_body_begin = inquiry_on_body_begin,
		.on_body_data = inquiry_on_body_data,
	};
	inquiry_queue(q);
}

void inquiry_launch(struct prover *p)
{
	while (p->commands < COMMANDS_MAX && p->ready_count > 0)
		start_inquiry(p);
}
