/*
 * Whether the octets of a connection arrive so slowly that deflate pays. Pure.
 *
 * Only time in which the server owes the rest of a response counts: what passes while it waits for
 * us, or we for a round trip, says nothing about the line. The rate is taken in samples, and the
 * line is slow when two in a row are and the second is hardly better than the first: TCP starts
 * slowly on every line, and any line stalls once.
 */
#ifndef MAIL_LINERATE_H
#define MAIL_LINERATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Octets a second. Dovecot deflates mail at some 50 MB/s, to two thirds or less; a line that brings
 * less than half of that gains for sure, whoever else computes on the server.
 */
#define LINE_RATE_SLOW 20000000u

struct line_rate {
	bool midway;      /* the server owed more when it last sent */
	uint64_t at;      /* milliseconds, when it did */
	uint64_t octets;  /* of the sample so far, */
	uint64_t elapsed; /* in milliseconds */
	uint64_t rate;    /* of the last sample, octets a second; 0: there was none */
};

/* Octets arrived; midway: the server now owes the rest of a response. True when the line has proved
 * slow. All zero is the beginning. */
bool line_rate_note(struct line_rate *r, size_t octets, bool midway, uint64_t now);

#endif
