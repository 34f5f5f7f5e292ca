/* SPDX-License-Identifier: MIT */
#include "link/rate.h"

/* A sample is over after so many octets, or after so many milliseconds if SAMPLE_MIN octets came.
 */
#define SAMPLE_OCTETS (512u << 10)
#define SAMPLE_TIME 1000
#define SAMPLE_MIN (16u << 10)
/* Octets to be ahead by while rate and round trip are not known, at least (readers are uneven) and at
 * most (memory is finite). */
#define AHEAD_UNKNOWN (8u << 20)
#define AHEAD_LEAST (4u << 20)
#define AHEAD_MOST (32u << 20)

static uint64_t a_second(uint64_t octets, uint64_t milliseconds)
{
	return octets * 1000 / (milliseconds ? milliseconds : 1);
}

bool rate_note(struct rate *r, size_t octets, bool midway, uint64_t now)
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

bool rate_is_slow(const struct rate *r)
{
	return r->samples >= 2 && r->rate_before < RATE_SLOW && r->rate < RATE_SLOW &&
	       r->rate <= r->rate_before + r->rate_before / 2;
}

uint64_t rate_mean(const struct rate *r)
{
	return a_second(r->all_octets, r->all_elapsed);
}

uint64_t rate_lead(uint64_t rate, uint64_t round_trip)
{
	double ahead = 4.0 * (double)rate * (double)round_trip / 1e9;

	if (rate == 0 || round_trip == 0)
		return AHEAD_UNKNOWN;
	if (ahead < AHEAD_LEAST)
		return AHEAD_LEAST;
	return ahead < AHEAD_MOST ? (uint64_t)ahead : AHEAD_MOST;
}
