/* SPDX-License-Identifier: MIT */
/*
 * Two commands that are foreseen together: the row, which comes first and is enough where the
 * server's sizes are believed, and the first chunk, by a batch. Both are offers: where one does not
 * bring what is wanted, for whatever reason, a check or a window asks again and judges. So neither
 * is asked for again when the train that it was in does not come.
 */
#include "mail/read/glance.h"

#include <stdlib.h>

#include "base/mem.h"
#include "mail/read/batch.h"
#include "mail/read/private.h"
#include "mail/sync/sync.h"

struct glance {
	struct pool_task task;
	struct imap_command command;
	uint32_t uid;
};

/* Only a first look: who looks up one message after the other wants the rows of all. */
static bool is_unknown(const struct mailbox *mb)
{
	return mb->uidvalidity == 0 && !mb->messages.loaded && mb->messages.rows.count == 0 &&
	       !sync_is_under_way(mb) && !sync_is_empty_by_status(mb) &&
	       !pool_is_unsure(mb->account->pool);
}

static void glance_end(struct glance *g)
{
	struct mailbox *mb = g->task.mailbox;
	bool found = !mb->dead && mailbox_find(mb, g->uid);

	if (!mb->dead && !found)
		body_forget(mb, g->uid);
	imap_command_finish(&g->command);
	free(g);
	/* What becomes of the message is seen only where all are known. */
	if (!mb->dead && !mb->account->on_stopped)
		sync_start(mb);
	if (found)
		mailbox_wake(mb, true, 0);
}

static void glance_on_fail(struct pool_task *t, int err)
{
	glance_end(list_entry(t, struct glance, task));
}

static void glance_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct glance *g = list_entry(c, struct glance, command);

	pool_end(&g->task);
	glance_end(g);
}

static void glance_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	const struct glance *g = list_entry(t, struct glance, task);

	if (r->kind == IMAP_FETCH && uid == g->uid)
		sync_take_row(t->mailbox, &r->fetch, uid);
}

static void ask(struct glance *g)
{
	imap_command_begin(&g->command, false, glance_on_done);
	imap_command_add(
		&g->command, "UID FETCH %u %s\r\n", g->uid, sync_row_items(g->task.mailbox));
}

static void glance_on_conn(struct pool_task *t)
{
	struct glance *g = list_entry(t, struct glance, task);

	ask(g);
	pool_submit(t, &g->command);
}

static struct glance *create(struct mailbox *mb, uint32_t uid)
{
	struct glance *g = mem_zalloc(sizeof(*g));

	g->uid = uid;
	g->task = (struct pool_task){
		.mailbox = mb,
		.access = POOL_READ,
		.deadline = account_deadline(mb->account),
		.on_conn = glance_on_conn,
		.on_fail = glance_on_fail,
		.on_untagged = glance_on_untagged,
	};
	return g;
}

bool glance_start(struct mailbox *mb, uint32_t uid)
{
	struct pool *p = mb->account->pool;

	if (!is_unknown(mb) || !pool_may_fetch(p))
		return false;
	mb->messages.loaded = true;
	struct glance *g = create(mb, uid);
	struct batch *octets = batch_create(mb);
	batch_want_chunks(octets);
	/* The kernel does not know the file yet, and could not take them. */
	batch_add(octets, uid, true);
	ask(g);
	const char *texts[] = {buf_cstr(&g->command.text), batch_text(octets)};
	unsigned number = pool_foresee_now(p, mb, texts, 2);
	pool_start(p, &g->task);
	g->task.foreseen = number;
	g->task.only_foreseen = number != 0;
	batch_start_foreseen(octets, number, true);
	return true;
}
