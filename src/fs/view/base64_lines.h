/* SPDX-License-Identifier: MIT */
/*
 * base64 in lines of one length: what is decoded from where follows from the first and the last octets
 * and their number alone, as long as all lines are so. Pure.
 */
#ifndef FS_VIEW_BASE64_LINES_H
#define FS_VIEW_BASE64_LINES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Octets that are enough for base64_lines_begin and base64_lines_end. */
#define BASE64_LINES_HEAD 100u
#define BASE64_LINES_TAIL 16u

struct base64_lines {
	uint32_t line, stride; /* octets of each, without and with its end; 0: not in such lines */
	uint64_t encoded;      /* octets up to the last digit or "=" */
	uint64_t size;         /* decoded */
};

/* The first octets. False: it is not in such lines. */
bool base64_lines_begin(struct base64_lines *l, struct span head);
/* And the last of so many octets. */
bool base64_lines_end(struct base64_lines *l, struct span tail, uint64_t octets);
/* Whether what begins with the line at `at` is such lines, and ends as it should where it does. */
bool base64_lines_are(const struct base64_lines *l, struct span octets, uint64_t at);

#endif
