/* SPDX-License-Identifier: MIT */
/*
 * How fast the octets of a connection arrive, whether that is so slow that deflate may pay, and how
 * many should be under way. Pure.
 *
 * Only time in which the server owes the rest of a response counts: what passes while it waits for
 * us, or we for a round trip, says nothing about the line.
 */
#ifndef LINK_RATE_H
#define LINK_RATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Octets a second. zlib at Dovecot's level makes some 25 MB/s out of mail, on a processor of its
 * own. */
#define RATE_SLOW 15000000u

struct rate {
	bool midway;                      /* the server owed more when it last sent */
	uint64_t at;                      /* milliseconds, when it did */
	uint64_t octets, elapsed;         /* of the sample so far; milliseconds */
	uint64_t rate, rate_before;       /* of the last two samples, octets a second; 0: not yet */
	uint64_t all_octets, all_elapsed; /* of all samples */
	unsigned samples;
};

/* Octets arrived; midway: the server now owes the rest of a response. True when a sample is over.
 * All zero is the beginning. */
bool rate_note(struct rate *r, size_t octets, bool midway, uint64_t now);
/* Two samples in a row were slow, and the second hardly better than the first: TCP starts slowly on
 * every line, and any line stalls once. */
bool rate_is_slow(const struct rate *r);
/* Over all samples. */
uint64_t rate_mean(const struct rate *r);

/* Octets to be asked for before they are needed, so that a line of that rate (octets a second) and
 * round trip (nanoseconds) never waits: four times what it holds, since the rate is a mean and
 * readers are uneven. A default where either is 0, not known yet. */
uint64_t rate_lead(uint64_t rate, uint64_t round_trip);

#endif
