/* SPDX-License-Identifier: MIT */
/*
 * One struct changes for each mailbox that has something to change. This file is what the outside
 * calls; the rest is in private.h.
 */
#include "mail/change/changes.h"

#include <stdlib.h>

#include "base/mem.h"
#include "mail/change/private.h"

struct changes *changes_of(struct mailbox *mb)
{
	struct changes *c = mb->removal.changes;

	if (c)
		return c;
	c = mb->removal.changes = mem_zalloc(sizeof(*c));
	c->mb = mb;
	queue_init(c);
	return c;
}

void changes_destroy(struct changes *c)
{
	step_finish(c);
	free(c->compared.all);
	uidset_finish(&c->uids);
	uidset_finish(&c->expunge.rows);
	uidset_finish(&c->expunge.ours);
	uidset_finish(&c->expunge.marked);
	uidset_finish(&c->expunge.stored);
	uidset_finish(&c->expunge.noted);
	uidset_finish(&c->expunge.fresh);
	uidset_finish(&c->expunge.others);
	lease_release(c->lease);
	free(c);
}

void changes_start(struct change *r)
{
	struct changes *c = changes_of(r->mb);
	const struct cache_message *m = mailbox_find(r->mb, r->uid);

	r->shown = m ? *m : (struct cache_message){.flags = CACHE_SIZE_UNKNOWN};
	list_append(&c->queued, &r->link);
	/* While it waits for a connection. */
	if (r->uid > c->task.uid)
		c->task.uid = r->uid;
	if (queue_is_idle(c))
		queue_start(c);
}

bool changes_cancel(struct change *r)
{
	struct changes *c = r->mb->removal.changes;
	bool queued = false;

	if (!c)
		return false;
	LIST_FOREACH (pos, &c->queued)
		queued = queued || pos == &r->link;
	list_remove(&r->link);
	return queued;
}

bool changes_is_idle(const struct mailbox *mb)
{
	return !mb->removal.changes || queue_is_idle(mb->removal.changes);
}

static bool any_removes(const struct list *changes, uint32_t uid)
{
	LIST_FOREACH (pos, changes) {
		const struct change *r = list_entry(pos, struct change, link);
		if (r->uid == uid && r->verb != &change_flags)
			return true;
	}
	return false;
}

bool changes_may_remove(const struct mailbox *mb, uint32_t uid)
{
	const struct changes *c = mb->removal.changes;

	if (!c)
		return false;
	bool sent = !queue_is_idle(c) && c->verb != &change_flags && uidset_has(&c->uids, uid);
	return sent || any_removes(&c->queued, uid) || any_removes(&c->batch, uid);
}

static void forget_all(struct list *changes)
{
	while (!list_empty(changes))
		list_remove(changes->next);
}

void changes_forget(struct mailbox *mb)
{
	struct changes *c = mb->removal.changes;

	if (!c)
		return;
	mb->removal.changes = NULL;
	list_remove(&c->task.link);
	forget_all(&c->queued);
	forget_all(&c->batch);
	changes_destroy(c);
}
