/* SPDX-License-Identifier: MIT */
/*
 * What stands in a multipart before the first line that begins with its boundary (RFC 2046 section 5.1.1): all of
 * it where no line does, as when a sender writes another boundary into the header than into the body.
 */
#ifndef MIME_PREAMBLE_H
#define MIME_PREAMBLE_H

#include "base/buf.h"
#include "base/span.h"

/* RFC 2046 allows 70; what is longer is not looked for. */
#define MIME_BOUNDARY_MAX 200

struct mime_preamble {
	struct span boundary; /* empty: none is looked for */
	size_t matched; /* octets of "--boundary" that the line began with, and that are held back */
	bool differs;   /* the line has another octet behind them */
	bool ended;     /* such a line came */
};

/* The boundary must outlive p. */
void mime_preamble_init(struct mime_preamble *p, struct span boundary);
/* Append to out; return 0 or an error of it. */
int mime_preamble_feed(struct mime_preamble *p, struct span in, struct buf *out);
int mime_preamble_end(struct mime_preamble *p, struct buf *out);

#endif
