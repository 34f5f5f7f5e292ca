/* SPDX-License-Identifier: MIT */
/*
 * Encoded words in header fields (RFC 2047), to UTF-8. Lenient where the meaning is clear: words are
 * found anywhere, also within quotes and without white space around them, and may be of any length.
 * Words in the same charset that only white space parts are one text, since a character may be split
 * between them. What is not encoded is UTF-8 if it is that, else windows-1252.
 */
#ifndef MIME_WORDS_H
#define MIME_WORDS_H

#include "base/buf.h"
#include "base/span.h"

/* More than so many changes of charset in one text are not followed: what comes behind is taken for
 * not labelled. Each of them costs iconv much more than the few octets that make it necessary. */
#define MIME_WORDS_CHARSETS 1000

/*
 * Appends the UTF-8 of a field's text, folded or not: the line ends of folding vanish. With plain,
 * characters that mime_utf8_is_control become spaces, also encoded ones. At most three octets for
 * each one of text. Returns 0, ERR_NOMEM or ERR_LIMIT; after an error out has what came before.
 */
int mime_words_decode(struct span text, bool plain, struct buf *out);

#endif
