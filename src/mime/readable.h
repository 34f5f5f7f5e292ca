/* SPDX-License-Identifier: MIT */
/*
 * A message as people read it: some header fields, decoded, a line for each attachment, an empty line,
 * and its text as UTF-8 with LF at the ends of lines, which are not wrapped. It asks for the parts
 * that it wants and takes their octets as they arrive:
 *
 *	mime_readable_begin(&r, &structure, &names, header, &out)
 *	while ((part = mime_readable_wants(&r)) != MIME_NO_PART) {
 *		mime_readable_feed(&r, octets of its body, &out)  // as often as needed
 *		mime_readable_end_part(&r, &out)
 *	}
 *	mime_readable_finish(&r)
 *
 * It always succeeds, whatever a message holds; errors are those of out and of memory.
 */
#ifndef MIME_READABLE_H
#define MIME_READABLE_H

#include "mime/base64.h"
#include "mime/charset.h"
#include "mime/html.h"
#include "mime/names.h"
#include "mime/preamble.h"
#include "mime/qp.h"
#include "mime/structure.h"

/* Raised whenever the same message would give another text, for what is kept of it. */
#define MIME_READABLE_VERSION 3
/* Of a header field so many octets are decoded; what was cut is marked "...". */
#define MIME_READABLE_FIELD_MAX (1u << 20)

struct mime_transfer {
	enum { MIME_IDENTITY, MIME_BASE64, MIME_QUOTED_PRINTABLE } encoding;
	struct mime_base64 base64;
	struct mime_qp qp;
};

/* A part's transfer encoding taken off, and nothing else; one that is unknown is none. */
void mime_transfer_init(struct mime_transfer *t, const struct mime_part *part);
int mime_transfer_feed(struct mime_transfer *t, struct span in, struct buf *out);
int mime_transfer_end(struct mime_transfer *t, struct buf *out);

struct mime_readable {
	const struct mime_structure *structure;
	uint32_t cursor; /* behind the text that is shown */
	struct mime_shown shown;
	uint32_t wants; /* the part whose octets come, or MIME_NO_PART */
	bool begun;     /* it has been set up */
	bool any;       /* some text was shown before it */
	bool blank;     /* it gave nothing but white space so far */
	bool has_cr;    /* CR was its last octet */
	bool in_line;   /* the last octet given out was no line end */
	struct mime_transfer transfer;
	struct mime_preamble preamble; /* instead, of a multipart */
	struct mime_charset charset;
	struct mime_html html;
	struct buf octets, text; /* between the steps */
};

/* Appends everything before the text. The structure must outlive r, names and header need not.
 * Returns 0, ERR_NOMEM or ERR_LIMIT; r is to be finished either way. */
int mime_readable_begin(struct mime_readable *r, const struct mime_structure *s,
	const struct mime_names *names, struct span header, struct buf *out);
void mime_readable_finish(struct mime_readable *r);

/* The part whose octets are to be fed now; MIME_NO_PART: the text is complete. */
uint32_t mime_readable_wants(const struct mime_readable *r);
/* Octets of it as they stand in the message, encoded. Appends at most a few times as many. */
int mime_readable_feed(struct mime_readable *r, struct span in, struct buf *out);
/* The part has ended. */
int mime_readable_end_part(struct mime_readable *r, struct buf *out);

#endif
