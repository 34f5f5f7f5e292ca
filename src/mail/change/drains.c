/* SPDX-License-Identifier: MIT */
/* Who waits until what was promised is done. */
#include "mail/change/intents_private.h"

static bool is_drained(const struct drain *d, const struct promised *p)
{
	return !d->mb || d->mb == p->mb;
}

/* Also what is moved into a mailbox is promised of it. */
static bool concerns(const struct drain *d, const struct intent *i)
{
	return is_drained(d, i->promised) || i->to == d->mb;
}

static bool waits_for(const struct drain *d, const struct intent *i)
{
	bool others = d->kind == DRAIN_REST && i->by != d->by && due_is_held(i);

	return concerns(d, i) && !others;
}

static bool sends(const struct drain *d, const struct intent *i)
{
	bool at_once = d->kind == DRAIN_AT_END || (d->kind == DRAIN_OWN && i->by == d->by);

	return concerns(d, i) && (at_once || !due_is_held(i));
}

bool drains_want(const struct intent *i)
{
	LIST_FOREACH (pos, &intents_of(i->promised->mb)->drains)
		if (sends(list_entry(pos, struct drain, link), i))
			return true;
	return false;
}

static bool waits_for_any(const struct drain *d, const struct list *intents)
{
	LIST_FOREACH (pos, intents)
		if (waits_for(d, list_entry(pos, struct intent, link)))
			return true;
	return false;
}

static bool is_over(const struct intents *all, const struct drain *d)
{
	LIST_FOREACH (pos, &all->mailboxes) {
		const struct promised *p = list_entry(pos, struct promised, link);
		if (waits_for_any(d, &p->waiting) || waits_for_any(d, &p->sent))
			return false;
	}
	return true;
}

/* The first refusal, which is told once. */
static int take_error(struct intents *all, const struct drain *d)
{
	int err = 0;

	LIST_FOREACH (pos, &all->mailboxes) {
		struct promised *p = list_entry(pos, struct promised, link);
		if (!is_drained(d, p))
			continue;
		err = err ? err : p->err;
		p->err = 0;
	}
	return err;
}

void drains_end(struct intents *all)
{
	struct list over = LIST_INIT(over);

	LIST_FOREACH_SAFE (pos, &all->drains) {
		struct drain *d = list_entry(pos, struct drain, link);
		if (!is_over(all, d))
			continue;
		list_remove(&d->link);
		list_append(&over, &d->link);
	}
	while (!list_empty(&over)) {
		struct drain *d = list_entry(over.next, struct drain, link);
		list_remove(&d->link);
		d->on_done(d, take_error(all, d));
	}
}

bool intents_drain_try(struct account *a, struct drain *d, int *err)
{
	struct intents *all = a->intents;

	if (is_over(all, d)) {
		*err = take_error(all, d);
		return true;
	}
	list_append(&all->drains, &d->link);
	intents_wake(all, 0);
	return false;
}

void intents_drain_cancel(struct drain *d)
{
	list_remove(&d->link);
}
