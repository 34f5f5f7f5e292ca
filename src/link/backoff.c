/* SPDX-License-Identifier: MIT */
#include "link/backoff.h"

#include "base/error.h"

#define SECOND ((uint64_t)1000)
#define MINUTE (60 * SECOND)
#define DELAY_MIN SECOND
#define DELAY_MAX (30 * SECOND)
/* Of failures that are no refused logins. */
#define FORGOTTEN_AFTER MINUTE
#define ASK_AGAIN MINUTE
#define REFUSALS_MAX 4
#define REFUSALS_TIME (5 * MINUTE)

static const uint64_t after_refusal[] = {
	5 * SECOND,
	MINUTE,
	5 * MINUTE,
	15 * MINUTE,
	60 * MINUTE,
};

uint64_t backoff_delay(unsigned failures)
{
	uint64_t delay = failures > 0 ? DELAY_MIN : 0;

	for (unsigned i = 1; i < failures && delay < DELAY_MAX; i++)
		delay *= 2;
	return delay < DELAY_MAX ? delay : DELAY_MAX;
}

static uint64_t refusal_delay(unsigned refusals)
{
	unsigned known = sizeof(after_refusal) / sizeof(after_refusal[0]);

	return after_refusal[refusals < known ? refusals - 1 : known - 1];
}

static uint64_t blur(uint64_t delay, uint32_t noise)
{
	return delay * 3 / 4 + noise % (delay / 2 + 1);
}

void backoff_failed(struct backoff *b, int err, unsigned forgiven, uint64_t now, uint32_t noise)
{
	b->failed_at = now;
	b->failures++;
	uint64_t delay = backoff_delay(b->failures > forgiven ? b->failures - forgiven : 0);
	if (err == ERR_AUTH) {
		if (b->refusals++ == 0)
			b->refused_since = now;
		b->refused_at = now;
		delay = refusal_delay(b->refusals);
	}
	uint64_t retry_at = now + blur(delay, noise);
	/* Another kind of failure does not bring a refused password forward. */
	if (err == ERR_AUTH || b->refusals == 0 || retry_at > b->retry_at)
		b->retry_at = retry_at;
}

bool backoff_is_due(const struct backoff *b, uint64_t now)
{
	return now >= b->retry_at;
}

bool backoff_may_ask(const struct backoff *b, uint64_t now)
{
	if (backoff_is_due(b, now))
		return true;
	return b->refusals > 0 && now >= b->failed_at + ASK_AGAIN &&
	       now >= b->refused_at + ASK_AGAIN &&
	       (b->refusals < REFUSALS_MAX || now >= b->refused_since + REFUSALS_TIME);
}

void backoff_age(struct backoff *b, uint64_t now)
{
	if (b->refusals == 0 && b->failures > 0 && now >= b->retry_at + FORGOTTEN_AFTER)
		*b = (struct backoff){0};
}

void backoff_wake(struct backoff *b)
{
	if (b->failures > 1)
		b->failures = 1;
	if (b->refusals == 0)
		b->retry_at = 0;
}
