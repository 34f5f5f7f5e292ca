#include "mail/linerate.h"

/* A sample is over after so many octets, or after so many milliseconds with some octets at least.
 */
#define SAMPLE_OCTETS (512u << 10)
#define SAMPLE_TIME 1000
#define SAMPLE_MIN (16u << 10)
/* A window that is not known yet; and its bounds: readers are uneven, and memory is finite. */
#define WINDOW_UNKNOWN (8u << 20)
#define WINDOW_LEAST (4u << 20)
#define WINDOW_MOST (32u << 20)

static uint64_t a_second(uint64_t octets, uint64_t milliseconds)
{
	return octets * 1000 / (milliseconds ? milliseconds : 1);
}

bool line_rate_note(struct line_rate *r, size_t octets, bool midway, uint64_t now)
{
	if (r->midway) {
		r->octets += octets;
		r->elapsed += now - r->at;
	}
	r->midway = midway;
	r->at = now;
	if (r->octets < SAMPLE_OCTETS && (r->octets < SAMPLE_MIN || r->elapsed < SAMPLE_TIME))
		return false;

	r->rate_before = r->rate;
	r->rate = a_second(r->octets, r->elapsed);
	r->all_octets += r->octets;
	r->all_elapsed += r->elapsed;
	r->samples++;
	r->octets = r->elapsed = 0;
	return true;
}

bool line_rate_is_slow(const struct line_rate *r)
{
	return r->samples >= 2 && r->rate_before < LINE_RATE_SLOW && r->rate < LINE_RATE_SLOW &&
	       r->rate <= r->rate_before + r->rate_before / 2;
}

uint64_t line_rate_mean(const struct line_rate *r)
{
	return a_second(r->all_octets, r->all_elapsed);
}

uint64_t line_window(uint64_t rate, uint64_t round_trip)
{
	double window = 4.0 * (double)rate * (double)round_trip / 1e9;

	if (rate == 0 || round_trip == 0)
		return WINDOW_UNKNOWN;
	if (window < WINDOW_LEAST)
		return WINDOW_LEAST;
	return window < WINDOW_MOST ? (uint64_t)window : WINDOW_MOST;
}
