/* SPDX-License-Identifier: MIT */
#include "mail/parts/along.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/parts/private.h"
#include "mail/size/sizes.h"
#include "mail/sync/sync.h"

/* Messages whose summaries ride along on a walk, about a kilobyte each. */
#define MESSAGES_MAX 1000u
/* Messages whose summaries may come before all but the first rows of a mailbox. */
#define FIRST_MAX 20000u

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

/* Of what is new. */
static const char *along_text(struct sync_rider *r)
{
	struct along *a = list_entry(r, struct along, rider);
	uint32_t known = rows_last(&a->f->mb->messages.rows);

	if (known >= a->last)
		return NULL;
	a->first = known + 1;
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
	/* Later all that comes now would be on its way to the cache, and be read again. */
	if (f->state == FACTS_COLD)
		facts_load(f);
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

/* NULL: it is not known what is new, or those are too many. */
static struct sync_rider *create_rider(struct mailbox *mb, size_t most)
{
	uint32_t next = mb->freshness.status.uidnext;
	size_t known = mailbox_count(mb);

	if (next < 2 || !pool_may_fetch(mb->account->pool))
		return NULL;
	if (mb->freshness.status.messages > known && mb->freshness.status.messages - known > most)
		return NULL;
	struct along *a = mem_zalloc(sizeof(*a));
	a->f = facts_of(mb, FACT_SUMMARY);
	a->last = next - 1;
	a->rider = (struct sync_rider){.text = along_text, .start = along_start};
	arriving_init(&a->arriving, a->f);
	imap_command_init(&a->command, false, NULL);
	return &a->rider;
}

bool along_on_ahead(
	void *ctx, enum mailbox_order order, struct mailbox *mb, struct sync_rider **rider)
{
	*rider = create_rider(mb, MESSAGES_MAX);
	return true;
}

void along_check(struct mailbox *mb)
{
	struct sync_rider *rider = NULL;

	if (!sync_is_fresh(mb) && !sync_is_under_way(mb))
		rider = create_rider(mb, sizes_want_sample(mb) ? FIRST_MAX : SIZE_MAX);
	if (rider)
		sync_start_foreseen(mb, SYNC_FOR_LOOK, rider);
}
