/* SPDX-License-Identifier: MIT */
#include "link/trouble.h"

#include <stddef.h>

#include "base/error.h"

/* Lines break; only what happens again is anything's fault. */
#define FORGIVEN 1

static bool equal(const struct trouble_of *a, const struct trouble_of *b)
{
	return a->mailbox == b->mailbox && a->work == b->work && a->uid == b->uid;
}

static struct backoff *find_trouble(struct trouble *t, const struct trouble_of *of)
{
	for (unsigned i = 0; i < TROUBLE_MAX; i++)
		if (t->all[i].backoff.failures > 0 && equal(&t->all[i].of, of))
			return &t->all[i].backoff;
	return NULL;
}

/* An empty place, or that of the oldest: an empty one's time is 0. */
static struct backoff *make_trouble(struct trouble *t, const struct trouble_of *of)
{
	unsigned oldest = 0;

	for (unsigned i = 1; i < TROUBLE_MAX; i++)
		if (t->all[i].backoff.failed_at < t->all[oldest].backoff.failed_at)
			oldest = i;
	t->all[oldest].of = *of;
	t->all[oldest].backoff = (struct backoff){0};
	return &t->all[oldest].backoff;
}

unsigned trouble_note(struct trouble *t, const struct trouble_of *of, uint64_t now, uint32_t noise)
{
	struct backoff *b = find_trouble(t, of);

	if (!b)
		b = make_trouble(t, of);
	backoff_age(b, now);
	backoff_failed(b, ERR_NET, FORGIVEN, now, noise);
	return b->failures;
}

void trouble_clear(struct trouble *t, const struct trouble_of *of)
{
	struct backoff *b = find_trouble(t, of);

	if (b)
		*b = (struct backoff){0};
}

const struct backoff *trouble_find(const struct trouble *t, const struct trouble_of *of)
{
	return find_trouble((struct trouble *)t, of);
}

bool trouble_is_with(const struct trouble *t, const struct mailbox *mailbox)
{
	for (unsigned i = 0; i < TROUBLE_MAX; i++)
		if (t->all[i].backoff.failures > 0 && t->all[i].of.mailbox == mailbox)
			return true;
	return false;
}

void trouble_forget(struct trouble *t, const struct mailbox *mailbox)
{
	for (unsigned i = 0; i < TROUBLE_MAX; i++)
		if (t->all[i].of.mailbox == mailbox)
			t->all[i].backoff = (struct backoff){0};
}
