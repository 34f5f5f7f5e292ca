/* SPDX-License-Identifier: MIT */
/* Characters in UTF-8 (RFC 3629), for what converts texts. */
#ifndef MIME_UTF8_H
#define MIME_UTF8_H

#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* U+FFFD, in place of octets that are no character. */
#define MIME_REPLACEMENT SPAN("\xef\xbf\xbd")

/* What s, which is not empty, begins with: the length of a character; 0 where s ends within one; or
 * minus the number of octets that are none and count as one mistake (the longest beginning of a
 * character, as the WHATWG's decoder has it, else one octet). */
int mime_utf8_look(struct span s);

/* The code point of the character that s begins with; mime_utf8_look has said that there is one. */
uint32_t mime_utf8_value(struct span s);

/* Writes the UTF-8 of a code point; of U+FFFD for one that is a surrogate or too large. Returns its
 * length. */
size_t mime_utf8_encode(uint32_t c, char s[4]);

/* Appends a code point; U+FFFD for one that is a surrogate or too large. Returns buf's errors. */
int mime_utf8_append(struct buf *out, uint32_t c);

/* The length of the longest beginning of s that is ASCII. */
size_t mime_utf8_ascii(struct span s);

/* Whether a reader of one line would be deceived or disturbed: C0, DEL, C1, line and paragraph
 * separators, and the marks that turn the direction of writing. */
bool mime_utf8_is_control(uint32_t c);

/* Appends s, which is UTF-8, with a space for each character that mime_utf8_is_control. */
int mime_utf8_append_plain(struct buf *out, struct span s);

#endif
