/* SPDX-License-Identifier: MIT */
/*
 * Modified UTF-7 of mailbox names (RFC 3501 section 5.1.3), both ways. Strict: what decoding
 * accepts, encoding gives back octet by octet; anything else is refused and the caller keeps the
 * raw octets.
 */
#ifndef IMAP_UTF7_H
#define IMAP_UTF7_H

#include "base/buf.h"
#include "base/span.h"

/* Appends the UTF-8 of a name in modified UTF-7 to out. Returns 0, or ERR_INVALID when name is not
 * the one canonical encoding (8-bit octets, bad base64, non-zero padding bits, a shift for what
 * needs none or two shifts in a row, lone surrogates), or buf's errors. On an error out is as
 * before. */
int imap_utf7_decode(struct span name, struct buf *out);

/* Appends the modified UTF-7 of UTF-8 text to out. ERR_INVALID when text is not valid UTF-8.
 * Control characters are encoded. */
int imap_utf7_encode(struct span text, struct buf *out);

#endif
