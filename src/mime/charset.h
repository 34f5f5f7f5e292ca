/* SPDX-License-Identifier: MIT */
/*
 * Text in some charset becomes UTF-8, as it arrives. What the sender calls his charset is looked up
 * in a closed list (labels.h), and only names that stand here reach iconv, which loads files by name.
 *
 * - No label, us-ascii, or one that is not in the list: UTF-8 if the text is that, else windows-1252.
 * - iso-8859-1 is windows-1252. Another charset of single octets: UTF-8 if the text is that, else
 *   what it says.
 * - Octets that are no character become U+FFFD each, in UTF-8 once for the beginning of a character.
 *
 * Whether a text is UTF-8 is decided where the first octet comes that is not, else MIME_CHARSET_LOOK
 * octets behind the first that is not ASCII, or at the end.
 */
#ifndef MIME_CHARSET_H
#define MIME_CHARSET_H

#include <iconv.h>

#include "base/buf.h"
#include "base/span.h"
#include "mime/labels.h"

#define MIME_CHARSET_LOOK 65536

struct mime_charset {
	enum mime_encoding encoding;
	bool unsure;   /* it may be UTF-8: encoding is what it is otherwise */
	bool begun;    /* a character of UTF-8 has been */
	bool has_cd;   /* iconv is open */
	iconv_t cd;    /* from encoding to UTF-8 */
	char rest[16]; /* the beginning of a character, or one to be joined */
	size_t rest_n;
	struct buf held; /* while unsure: from the first octet that is not ASCII */
	size_t checked;  /* of held: valid */
};

/* The encoding of a label, which may be anything; MIME_US_ASCII for one that is not in the list. */
enum mime_encoding mime_charset_lookup(struct span label);

/* Returns 0 or ERR_NOMEM, after which there is nothing to finish. An empty label is none. */
int mime_charset_init(struct mime_charset *c, struct span label);
void mime_charset_finish(struct mime_charset *c);

/* Appends the UTF-8 of the octets, at most three for each, and of what was held. Returns buf's
 * errors, after which c can only be finished. */
int mime_charset_feed(struct mime_charset *c, struct span in, struct buf *out);
/* The text ends: what was held back. */
int mime_charset_end(struct mime_charset *c, struct buf *out);

#endif
