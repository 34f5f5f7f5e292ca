/* SPDX-License-Identifier: MIT */
/*
 * Over how many connections bulk tasks go. Pure.
 *
 * More than one pays where the server, or the way to it, holds each connection back; elsewhere it
 * only takes connections. So while they are slow one more is tried, and kept when all together
 * bring clearly more.
 */
#ifndef LINK_WIDTH_H
#define LINK_WIDTH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct width {
	unsigned more;             /* connections besides the first */
	bool decided;              /* one more would not help */
	unsigned samples;          /* with this many connections */
	bool busy;                 /* bulk tasks were under way at `at` */
	uint64_t at;               /* milliseconds, of the last octets */
	uint64_t octets, elapsed;  /* of the sample so far; milliseconds */
	uint64_t rate, rate_fewer; /* octets a second: the best with so many, and with one fewer */
};

/* Octets arrived, on whatever connection. busy: bulk tasks are under way. most: connections that
 * they may have. All zero is the beginning. True when the number of connections changed. */
bool width_note(struct width *w, size_t octets, bool busy, unsigned most, uint64_t now);
/* Connections for bulk tasks. */
unsigned width_count(const struct width *w);

#endif
