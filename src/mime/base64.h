/* SPDX-License-Identifier: MIT */
/*
 * The transfer encoding base64 (RFC 2045 section 6.8), as it arrives: octets that are no digits are
 * skipped, padding that completes a group of four is the end (what mailing lists append behind it
 * is no data), and a group that was cut gives the octets that are whole.
 */
#ifndef MIME_BASE64_H
#define MIME_BASE64_H

#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

struct mime_base64 {
	uint32_t bits;   /* of the digits of this group */
	unsigned digits; /* 0 to 3 */
	unsigned pads;   /* behind them */
	bool ended;
};

void mime_base64_init(struct mime_base64 *b);
/* Appends what the octets give, at most three for each four of them and one more. Returns buf's
 * errors, after which b is of no use. */
int mime_base64_feed(struct mime_base64 *b, struct span in, struct buf *out);
/* The last, cut group. */
int mime_base64_end(struct mime_base64 *b, struct buf *out);

/*
 * What octets of base64 will most likely give, by how they begin (100 octets show the length of a
 * line) and end (16 show the padding and the last line's end), where all lines have the same
 * length. False: these do not look as if they had. Wrong where the middle is not regular.
 */
bool mime_base64_foretell(struct span first, struct span last, uint64_t octets, uint64_t *size);

#endif
