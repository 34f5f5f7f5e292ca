/* SPDX-License-Identifier: MIT */
/*
 * Finds the parts of a whole message in its octets, as they arrive, at the boundaries that its
 * structure names (RFC 2046 section 5.1). What was found is good only when it is just what the
 * server said: every part is there and has as many octets; else the server is asked for sections.
 */
#ifndef MIME_SPLIT_H
#define MIME_SPLIT_H

#include <stdint.h>

#include "base/span.h"
#include "mime/readable.h"
#include "mime/structure.h"

struct mime_region {
	uint64_t at, end;     /* of the part's body */
	struct span boundary; /* of a multipart that is open */
	uint32_t last_child;  /* the last that began, or the part itself */
	bool begun, ended;
	/* Transfer encodings that its header names, a bit for each of enum mime_encoding. Another one, or
	 * one that is not plain to read, may be any. */
	unsigned encodings;
	bool any_encoding;
};

struct mime_split {
	const struct mime_structure *s;
	struct mime_region *regions; /* by part */
	uint32_t current;            /* the innermost part that is open, or MIME_NO_PART */
	bool in_header;              /* of it */
	bool in_encoding;            /* the field of its encoding may go on in the next line */
	bool failed;
	uint64_t offset;                   /* of the octets so far */
	char line[MIME_BOUNDARY_MAX + 64]; /* the line that has begun, as far as it matters */
	uint64_t line_n;                   /* its octets so far, without its end */
	bool has_cr;                       /* it ends with CR so far */
	unsigned end_before;               /* the octets of the end of the line before it */
};

/* The structure must outlive p. Returns 0 or ERR_NOMEM; p is to be finished either way. */
int mime_split_init(struct mime_split *p, const struct mime_structure *s);
void mime_split_finish(struct mime_split *p);

/* The message's octets in their order. */
void mime_split_feed(struct mime_split *p, struct span in);
/* The message has ended. True: all parts were found with the octets that the structure says, and
 * regions have their places; else nothing there may be used. */
bool mime_split_end(struct mime_split *p);
/* After that: whether a part that has octets of its own is encoded in another way, as its header has it, than the
 * structure says. */
bool mime_split_contradicts(const struct mime_split *p, uint32_t part);
/* The same of a header alone, and the part that it is of; one without any field contradicts nothing. */
bool mime_header_contradicts(struct span header, const struct mime_part *part);

#endif
