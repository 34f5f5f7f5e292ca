/* SPDX-License-Identifier: MIT */
#include "mail/sync/trust.h"

static void was_in_time(struct trust *t)
{
	t->reliable = true;
	if (!t->late || ++t->in_time < TRUST_IN_TIME)
		return;
	t->late = false;
	t->in_time = 0;
	t->pause = 0;
}

/* Whether it is to be set up anew. */
static bool was_late(struct trust *t, uint64_t now)
{
	t->late = true;
	t->reliable = false;
	t->in_time = 0;
	t->awaited = 0;
	if (now < t->renew_at)
		return false;
	t->pause = t->pause == 0 ? TRUST_RENEW_MIN : 2 * t->pause;
	if (t->pause > TRUST_RENEW_MAX)
		t->pause = TRUST_RENEW_MAX;
	t->renew_at = now + t->pause;
	return true;
}

void trust_begin(struct trust *t)
{
	t->reliable = false;
	t->in_time = 0;
	t->awaited = 0;
}

void trust_told(struct trust *t, uint32_t mailbox, uint64_t now)
{
	if (t->awaited != mailbox || now >= t->due)
		return;
	t->awaited = 0;
	was_in_time(t);
}

void trust_found(struct trust *t, uint32_t mailbox, bool ahead, uint64_t now)
{
	if (ahead) {
		if (t->awaited == mailbox)
			t->awaited = 0;
		was_in_time(t);
	} else if (t->awaited == 0) {
		t->awaited = mailbox;
		t->due = now + TRUST_PATIENCE;
	}
}

bool trust_is_overdue(struct trust *t, uint64_t now)
{
	return t->awaited != 0 && now >= t->due && was_late(t, now);
}
