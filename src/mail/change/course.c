/* SPDX-License-Identifier: MIT */
/*
 * The course of a batch on its connection: others get back what is owed to them, the verb's
 * steps follow, others get back what those took, and the verb says how it ends.
 */
#include "mail/change/private.h"

void course_on_conn(struct pool_task *t)
{
	struct changes *c = list_entry(t, struct changes, task);
	int err = c->verb->permit(c);

	if (err < 0) {
		queue_end_alike(c, err);
		return;
	}
	c->selected_anew = t->selected_after > 0;
	c->over = false;
	c->verdict = 0;
	removals_begin(c);
	journal_give_back(c);
}

static void start_batch(struct changes *c)
{
	bool needs_lease = c->verb->needs_lease && c->verb->needs_lease(c);

	if (list_empty(&c->batch))
		queue_end_batch(c, 0);
	else if (needs_lease && !c->lease)
		queue_start_over(c);
	else
		c->verb->start(c);
}

void course_start(struct changes *c)
{
	queue_fill_batch(c, false);
	start_batch(c);
}

void course_start_compared(struct changes *c)
{
	queue_fill_batch(c, true);
	start_batch(c);
}

void course_go_on(struct changes *c)
{
	if (!c->over)
		course_start(c);
	else if (c->verb->settle)
		c->verb->settle(c);
	else
		queue_end_batch(c, c->verdict);
}

void course_over(struct changes *c, int err)
{
	c->over = true;
	c->verdict = err;
	journal_give_back(c);
}
