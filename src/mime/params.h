/* SPDX-License-Identifier: MIT */
/*
 * Parameters of Content-Type and Content-Disposition, as IMAP gives them (unquoted pairs), with the
 * continuations and charsets of RFC 2231, and with the encoded words that most senders put there
 * instead; and what a file may be called.
 */
#ifndef MIME_PARAMS_H
#define MIME_PARAMS_H

#include "base/buf.h"
#include "base/span.h"

/* More pieces of one parameter are not looked at. */
#define MIME_PARAMS_PIECES 256
/* As the kernel has it: octets of a name. */
#define MIME_FILENAME_MAX 255

struct mime_param {
	struct span name, value;
};

/* Appends the UTF-8 of a parameter (its name in either case), nothing when there is none: the one
 * that says its charset (name*) before the one in pieces (name*0, name*1*), before the plain one.
 * Returns 0, ERR_NOMEM or ERR_LIMIT. */
int mime_params_get(
	const struct mime_param *params, size_t count, struct span name, struct buf *out);

/*
 * Appends what of a name that a sender gave, in UTF-8, may be a file's name, perhaps nothing: the
 * last component (after "/" or "\"), without control characters, marks of direction and what has no
 * width, without dots and spaces in front, in NFC, at most MIME_FILENAME_MAX octets, of which the
 * extension is kept. Returns 0, ERR_NOMEM or ERR_LIMIT.
 */
int mime_filename(struct span text, struct buf *out);

/* Where the extension of a file's name begins, with its dot: at most 32 octets; n when it has none. */
size_t mime_filename_extension(struct span name);

/* The length of the longest beginning of s that ends with a character and has at most n octets. */
size_t mime_filename_cut(struct span s, size_t n);

#endif
