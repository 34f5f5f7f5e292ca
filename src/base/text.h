/* SPDX-License-Identifier: MIT */
/* Small things about text: numbers with overflow checks, server text made printable. */
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* Reads all of s as a decimal number without sign or space, at most max. False when it is none. */
bool text_parse_number(struct span s, uint64_t max, uint64_t *value);

/* Copies s with every octet that a terminal could act on (control characters, DEL, invalid UTF-8,
 * and characters that break lines or turn the direction of writing) replaced by '?', cut where size
 * (at least 4) demands it ("..." marks the cut), NUL-terminated. Returns out. */
const char *text_printable(struct span s, char *out, size_t size);

/* The length in octets of the valid UTF-8 sequence (RFC 3629) that s starts with, 0 when there is
 * none. */
size_t text_utf8_sequence(struct span s);

#endif
