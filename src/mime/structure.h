/* SPDX-License-Identifier: MIT */
/*
 * The parts of a message as a tree, as the server tells it in BODYSTRUCTURE (RFC 3501 section 7.4.2;
 * imap/bodystructure.h reads that), and what follows from it: sections, what is shown as the
 * message's text, what is an attachment. The parts stand in an array in the order of their octets, each
 * before those within it, so no walk needs recursion.
 */
#ifndef MIME_STRUCTURE_H
#define MIME_STRUCTURE_H

#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "mime/params.h"

#define MIME_DEPTH_MAX 100
#define MIME_PARTS_MAX 10000
/* Parameters of all parts together; each takes 32 octets while a structure is read. */
#define MIME_PAIRS_MAX 100000
#define MIME_NO_PART UINT32_MAX

enum mime_kind {
	MIME_LEAF,      /* has octets of its own */
	MIME_MULTIPART, /* has parts */
	MIME_MESSAGE,   /* message/rfc822: has octets, and one part */
};

struct mime_pairs {
	size_t first, count; /* in mime_structure.params */
};

struct mime_part {
	enum mime_kind kind;
	uint32_t parent;           /* or MIME_NO_PART */
	uint32_t number;           /* among the parts of its parent, from 1 */
	uint32_t children;         /* so far */
	uint32_t depth;            /* 0: the message itself */
	struct span type, subtype; /* in either case, as the server has them */
	struct mime_pairs params;
	struct span encoding;
	uint64_t octets;         /* encoded, as they are in the message; of a multipart 0 */
	struct span disposition; /* empty: none */
	struct mime_pairs disposition_params;
};

struct mime_structure {
	struct mime_part *parts;
	size_t count, cap;
	struct mime_param *params;
	size_t param_count, param_cap;
	/* What the spans point into; freed with the structure. */
	char *text, *unquoted;
};

void mime_structure_init(struct mime_structure *s);
void mime_structure_finish(struct mime_structure *s);

/* For who builds one. Adds a part behind all others; its parent must be the last or one around that.
 * ERR_LIMIT: too many or too deep; ERR_NOMEM. */
int mime_structure_add(struct mime_structure *s, uint32_t parent, uint32_t *part);
/* Adds a pair to those that were added last. ERR_NOMEM. */
int mime_structure_add_pair(
	struct mime_structure *s, struct mime_pairs *pairs, struct span name, struct span value);

/* Whether a part is of that type, in either case; of any subtype where that is empty. */
bool mime_part_is(const struct mime_part *part, struct span type, struct span subtype);

/* A parameter of Content-Type as it stands there, empty when there is none. */
struct span mime_structure_param(
	const struct mime_structure *s, const struct mime_part *part, struct span name);
/* Appends the name of a file that the sender gave to a part, decoded, not made harmless yet (see
 * mime_filename): of Content-Disposition, else of Content-Type. */
int mime_structure_filename(
	const struct mime_structure *s, const struct mime_part *part, struct buf *out);

/* Appends the section number of a part for BODY[section] ("2.1"): of a multipart that is a message's
 * whole body that of the message, perhaps nothing. */
int mime_structure_section(const struct mime_structure *s, uint32_t part, struct buf *out);
/* The leaf or message that has this section, MIME_NO_PART when there is none. */
uint32_t mime_structure_find(const struct mime_structure *s, struct span section);
/* The innermost message that a part is within; MIME_NO_PART: only the whole one. */
uint32_t mime_structure_enclosing(const struct mime_structure *s, uint32_t part);

/* One text of a message's text view: plain, and where that is missing or blank html. */
struct mime_shown {
	uint32_t plain, html; /* either may be MIME_NO_PART */
};

/*
 * Takes the next text that is shown; false at the end. *cursor is 0 at first. Shown are all texts that
 * are not called attachments, of an alternative one, of related parts the first, of attached
 * messages none. A multipart whose parts have no octet at all is shown itself, as plain text: perhaps its
 * boundary never occurs, and all its text stands before it (mime/preamble.h).
 */
bool mime_structure_next_shown(
	const struct mime_structure *s, uint32_t *cursor, struct mime_shown *shown);

/* Whether a part is what people call an attachment: a message, what is no text, what has the name of
 * a file or is said to be one, and a text of a kind that an alternative does not show. False for
 * what is within an attached message. */
bool mime_structure_is_attachment(const struct mime_structure *s, uint32_t part);

#endif
