#include "mail/spread.h"

/* Octets a second that are fast enough. */
#define RATE_FAST 50000000u
/* A sample is over after so many milliseconds and octets. */
#define SAMPLE_TIME 1000
#define SAMPLE_OCTETS (256u << 10)
/* The first while connections are made and lines warm up; then two that count. */
#define SAMPLES_SKIPPED 1
#define SAMPLES 3
/* One more has to bring one so-maniest more. */
#define GAIN 4

static void begin(struct spread *s, unsigned more)
{
	s->more = more;
	s->samples = 0;
	s->rate_fewer = s->rate;
	s->rate = 0;
}

/* The rate with this many connections is known. */
static bool decide(struct spread *s, unsigned most)
{
	if (s->more > 0 && s->rate < s->rate_fewer + s->rate_fewer / GAIN) {
		s->decided = true;
		begin(s, s->more - 1);
		return true;
	}
	if (s->rate < RATE_FAST && spread_width(s) < most) {
		begin(s, s->more + 1);
		return true;
	}
	s->samples = SAMPLES_SKIPPED;
	s->rate = 0;
	return false;
}

bool spread_note(struct spread *s, size_t octets, bool busy, unsigned most, uint64_t now)
{
	if (s->decided)
		return false;
	if (s->busy) {
		s->octets += octets;
		s->elapsed += now - s->at;
	}
	s->busy = busy;
	s->at = now;
	if (s->elapsed < SAMPLE_TIME || s->octets < SAMPLE_OCTETS)
		return false;

	uint64_t rate = s->octets * 1000 / s->elapsed;
	s->octets = s->elapsed = 0;
	/* The better of the two: what holds up one of them is not the number of connections. */
	if (++s->samples > SAMPLES_SKIPPED && rate > s->rate)
		s->rate = rate;
	return s->samples == SAMPLES && decide(s, most);
}

unsigned spread_width(const struct spread *s)
{
	return 1 + s->more;
}
