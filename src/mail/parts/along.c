/* SPDX-License-Identifier: MIT */
#include "mail/parts/along.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/parts/private.h"

/* Messages whose summaries ride along, about a kilobyte each. */
#define MESSAGES_MAX 1000u

struct along {
	struct facts *f;
	struct sync_rider rider;
	struct pool_task task;
	struct imap_command command;
	struct arriving arriving;
	uint32_t first, last; /* UIDs; what has come since STATUS may be any number */
};

static void free_along(struct along *a)
{
	arriving_finish(&a->arriving);
	imap_command_finish(&a->command);
	free(a);
}

void along_forget(struct facts *f)
{
	if (f->riding)
		free_along(f->riding);
	f->riding = NULL;
}

/* Who waits for something that has not come is asked for it now. */
static void end(struct along *a, int err)
{
	struct facts *f = a->f;

	if (f->mb->dead)
		err = ERR_STALE;
	else if (err != ERR_CANCELED)
		err = 0;
	along_forget(f);
	facts_answered(f, err);
}

static void along_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct along *a = list_entry(c, struct along, command);

	pool_end(&a->task);
	end(a, result->outcome == IMAP_LOST ? result->err : 0);
}

static void build(struct along *a)
{
	imap_command_begin(&a->command, false, along_on_done);
	imap_command_add(
		&a->command, "UID FETCH %u:%u (UID " FACT_SUMMARY_ITEM ")\r\n", a->first, a->last);
}

static void along_on_conn(struct pool_task *t)
{
	struct along *a = list_entry(t, struct along, task);

	build(a);
	pool_submit(t, &a->command);
}

static void along_on_fail(struct pool_task *t, int err)
{
	end(list_entry(t, struct along, task), err);
}

static void along_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	arriving_on_row(&list_entry(t, struct along, task)->arriving, r, uid);
}

static bool along_on_section_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	return arriving_on_section(&list_entry(t, struct along, task)->arriving, prefix, size);
}

static void along_on_body_data(struct pool_task *t, struct span octets)
{
	arriving_on_octets(&list_entry(t, struct along, task)->arriving, octets);
}

/* Of what is new; where that is nothing after all, of one message, since it must be a command. */
static const char *along_text(struct sync_rider *r)
{
	struct along *a = list_entry(r, struct along, rider);
	uint32_t known = rows_last(&a->f->mb->messages.rows);

	a->first = known < a->last ? known + 1 : a->last;
	build(a);
	return buf_cstr(&a->command.text);
}

static void along_start(struct sync_rider *r, unsigned number)
{
	struct along *a = list_entry(r, struct along, rider);
	struct facts *f = a->f;

	/* Somebody asks already, and the command's answer is thrown away. */
	if (number == 0 || f->question || f->riding) {
		free_along(a);
		return;
	}
	f->riding = a;
	a->task = (struct pool_task){
		.mailbox = f->mb,
		.access = POOL_READ,
		.fetches = true,
		.deadline = account_deadline(f->mb->account),
		.on_conn = along_on_conn,
		.on_fail = along_on_fail,
		.on_untagged = along_on_untagged,
		.on_section_begin = along_on_section_begin,
		.on_body_data = along_on_body_data,
	};
	list_init(&a->task.link);
	pool_start(f->mb->account->pool, &a->task);
	a->task.foreseen = number;
	a->task.only_foreseen = true;
}

bool along_on_ahead(
	void *ctx, enum mailbox_order order, struct mailbox *mb, struct sync_rider **rider)
{
	uint32_t next = mb->freshness.status.uidnext;
	size_t known = mailbox_count(mb);

	if (next < 2 || mb->freshness.status.messages > known + MESSAGES_MAX ||
		!pool_may_fetch(mb->account->pool))
		return true;
	struct along *a = mem_zalloc(sizeof(*a));
	a->f = facts_of(mb, FACT_SUMMARY);
	a->last = next - 1;
	a->rider = (struct sync_rider){.text = along_text, .start = along_start};
	arriving_init(&a->arriving, a->f);
	imap_command_init(&a->command, false, NULL);
	*rider = &a->rider;
	return true;
}
