/* SPDX-License-Identifier: MIT */
/*
 * The transfer encoding quoted-printable (RFC 2045 section 6.7), as it arrives: white space at the
 * end of a line was added on the way and is dropped, "=" that introduces nothing stands for itself,
 * line ends stay what they are.
 */
#ifndef MIME_QP_H
#define MIME_QP_H

#include "base/buf.h"
#include "base/span.h"

/* White space in a row of which it is not clear yet whether a line ends behind it; more is data. */
#define MIME_QP_TAIL 256

struct mime_qp {
	char tail[MIME_QP_TAIL]; /* "=", perhaps a digit; white space, perhaps behind "="; CR */
	size_t count;            /* of it */
	bool escape;             /* it begins with "=" */
	bool at_soft_break;      /* "=" CR was there: LF belongs to it */
};

void mime_qp_init(struct mime_qp *q);
/* Appends what the octets give: at most as many, and what was held back. Returns buf's errors, after
 * which q is of no use. */
int mime_qp_feed(struct mime_qp *q, struct span in, struct buf *out);
int mime_qp_end(struct mime_qp *q, struct buf *out);

/* The value of a hexadecimal digit of either case, -1 when it is none. */
int mime_qp_digit(char c);

#endif
