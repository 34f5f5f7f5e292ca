/* SPDX-License-Identifier: MIT */
/*
 * The header fields that an index of messages shows, as they stand in the header but unfolded: gathered
 * from the octets of BODY[HEADER.FIELDS (...)] (RFC 3501 section 6.4.5) as they arrive, in bounded
 * memory, and kept packed. What they mean is told by header.h and words.h.
 */
#ifndef MIME_SUMMARY_H
#define MIME_SUMMARY_H

#include "base/buf.h"
#include "base/span.h"

enum mime_summary_field {
	MIME_SUMMARY_DATE,
	MIME_SUMMARY_FROM,
	MIME_SUMMARY_TO,
	MIME_SUMMARY_CC,
	MIME_SUMMARY_SUBJECT,
	MIME_SUMMARY_MESSAGE_ID,
	MIME_SUMMARY_IN_REPLY_TO,
	MIME_SUMMARY_REFERENCES,
	MIME_SUMMARY_LIST_ID,
	MIME_SUMMARY_CONTENT_TYPE,
	MIME_SUMMARY_FIELDS
};

/* What is asked for. */
#define MIME_SUMMARY_NAMES                                                                         \
	"DATE FROM TO CC SUBJECT MESSAGE-ID IN-REPLY-TO REFERENCES LIST-ID CONTENT-TYPE"

/* Octets of a packed summary at most: of a longer field only the beginning is kept. */
#define MIME_SUMMARY_MAX 20480u

/* The first field of each name that has a value, without white space around it; empty where there is
 * none. */
struct mime_summary {
	struct span value[MIME_SUMMARY_FIELDS];
	bool cut[MIME_SUMMARY_FIELDS]; /* it goes on */
};

struct mime_summary_builder {
	struct buf values[MIME_SUMMARY_FIELDS];
	bool cut[MIME_SUMMARY_FIELDS];
	char name[16]; /* of the field that comes, as far as it matters */
	size_t name_n;
	int field; /* whose value comes; -1: of no interest */
	enum { MIME_SUMMARY_LINE, MIME_SUMMARY_NAME, MIME_SUMMARY_VALUE, MIME_SUMMARY_END } state;
};

void mime_summary_init(struct mime_summary_builder *b);
void mime_summary_finish(struct mime_summary_builder *b);
/* Octets of the header. Returns 0 or ERR_NOMEM. */
int mime_summary_feed(struct mime_summary_builder *b, struct span in);
/* The header has ended: appends the packed summary. Returns 0, or ERR_NOMEM or ERR_LIMIT of out. */
int mime_summary_pack(const struct mime_summary_builder *b, struct buf *out);

/* Spans into packed. False: this is no packed summary. */
bool mime_summary_unpack(struct span packed, struct mime_summary *summary);

#endif
