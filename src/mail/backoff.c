#include "mail/backoff.h"

#include "base/error.h"

enum {
	DELAY_MIN = 1000,
	DELAY_MAX = 30 * 1000,
	REFUSED_MAX = 5 * 60 * 1000,
};

static uint64_t doubled(unsigned times, uint64_t max)
{
	uint64_t delay = DELAY_MIN;

	for (unsigned i = 1; i < times && delay < max; i++)
		delay *= 2;
	return delay < max ? delay : max;
}

void backoff_note(struct backoff *b, int err)
{
	b->failures++;
	b->refusals += err == ERR_AUTH;
}

void backoff_wake(struct backoff *b)
{
	if (b->failures > 1)
		b->failures = 1;
}

uint64_t backoff_delay(const struct backoff *b, uint32_t noise)
{
	uint64_t delay = doubled(b->failures, DELAY_MAX);
	uint64_t refused = doubled(b->refusals, REFUSED_MAX);

	if (b->refusals > 0 && refused > delay)
		delay = refused;
	return delay * 3 / 4 + noise % (delay / 2 + 1);
}
