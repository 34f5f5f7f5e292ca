/* SPDX-License-Identifier: MIT */
/* A line on the terminal that says how far something is. */
#ifndef APP_ASK_BAR_H
#define APP_ASK_BAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BAR_SAMPLES 16u

struct bar {
	bool shown; /* there is a line to be wiped */
	/* The last looks, for the rate: a ring. */
	struct bar_sample {
		int64_t at; /* milliseconds */
		uint64_t octets;
	} samples[BAR_SAMPLES];
	unsigned count;
};

struct bar_state {
	const char *name;
	uint64_t messages, all_messages;
	uint64_t octets, all_octets;
};

/* Takes a look into account, and writes what the line says into text, at most `columns` wide: the name, a
 * bar, messages, megabytes, megabytes a second and the time left. What does not fit is left out, the
 * bar first. now: milliseconds. Pure. */
void bar_text(struct bar *b, const struct bar_state *s, int64_t now, unsigned columns, char *text,
	size_t size);

/* Shows it on the standard error, if that is a terminal. */
void bar_show(struct bar *b, const struct bar_state *s, int64_t now);
/* Wipes the line. */
void bar_wipe(struct bar *b);

/* "12.3 MB", or of little "4.5 kB" */
const char *bar_megabytes(uint64_t octets, char *text, size_t size);

#endif
