/* SPDX-License-Identifier: MIT */
#include "link/width.h"

/* Octets a second that are fast enough. */
#define RATE_FAST 50000000u
/* A sample of the rate ends when so many milliseconds have passed and so many octets have come. */
#define SAMPLE_TIME 1000
#define SAMPLE_OCTETS (256u << 10)
/* Samples that are taken with each number of connections. The first does not count: it was taken
 * while the newest connection was being made and TCP was still slow on it. */
#define SAMPLES_SKIPPED 1
#define SAMPLES 3
/* One more connection is kept if all together are faster by one part in so many than without it. */
#define GAIN 4

static void begin_samples(struct width *w, unsigned more)
{
	w->more = more;
	w->samples = 0;
	w->rate_fewer = w->rate;
	w->rate = 0;
}

/* The rate with this many connections is known. */
static bool decide(struct width *w, unsigned most)
{
	if (w->more > 0 && w->rate < w->rate_fewer + w->rate_fewer / GAIN) {
		w->decided = true;
		begin_samples(w, w->more - 1);
		return true;
	}
	if (w->rate < RATE_FAST && width_count(w) < most) {
		begin_samples(w, w->more + 1);
		return true;
	}
	w->samples = SAMPLES_SKIPPED;
	w->rate = 0;
	return false;
}

bool width_note(struct width *w, size_t octets, bool busy, unsigned most, uint64_t now)
{
	if (w->decided)
		return false;
	if (w->busy) {
		w->octets += octets;
		w->elapsed += now - w->at;
	}
	w->busy = busy;
	w->at = now;
	if (w->elapsed < SAMPLE_TIME || w->octets < SAMPLE_OCTETS)
		return false;

	uint64_t rate = w->octets * 1000 / w->elapsed;
	w->octets = w->elapsed = 0;
	/* The better of the two: what holds up one of them is not the number of connections. */
	if (++w->samples > SAMPLES_SKIPPED && rate > w->rate)
		w->rate = rate;
	return w->samples == SAMPLES && decide(w, most);
}

unsigned width_count(const struct width *w)
{
	return 1 + w->more;
}
