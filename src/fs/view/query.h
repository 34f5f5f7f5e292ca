/* SPDX-License-Identifier: MIT */
/*
 * What the name of a directory in .search asks for: terms with spaces between, all of which a message
 * has to meet, or, between "or", those of one side. Pure.
 *
 *	from:X to:X cc:X subject:X list:X id:X   the header field has the text, in either case
 *	X                                        the subject or the sender has
 *	since:2026-11-21 before:2026-11 larger:10M smaller:4k
 *	is:unread,flagged,answered,draft,deleted has:attachment
 *	body:X text:X imap:KEYS gmail:X          the server says which
 *	-TERM                                    the term is not met
 *
 * X may be quoted; "%2F" is a slash. A query with control characters is none, nor are KEYS with
 * literals: nothing that is sent can be anything but one command.
 */
#ifndef FS_VIEW_QUERY_H
#define FS_VIEW_QUERY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"
#include "mime/structure.h"
#include "mime/summary.h"

enum query_kind {
	QUERY_FROM,
	QUERY_TO,
	QUERY_CC,
	QUERY_SUBJECT,
	QUERY_LIST,
	QUERY_ID,
	QUERY_ANY,
	QUERY_SINCE,
	QUERY_BEFORE,
	QUERY_LARGER,
	QUERY_SMALLER,
	QUERY_IS,
	QUERY_HAS_ATTACHMENT,
	QUERY_BODY,
	QUERY_TEXT,
	QUERY_IMAP,
	QUERY_GMAIL,
};

#define QUERY_TERMS_MAX 32u

struct query_term {
	enum query_kind kind;
	bool is_not;
	unsigned side;              /* of "or", from 0 on */
	struct span text;           /* in the query's */
	size_t folded_at, folded_n; /* in the query's: of text that is compared here */
	int64_t value;              /* of SINCE and BEFORE seconds since 1970, of sizes octets */
	unsigned set, unset;        /* of IS: enum imap_flag */
};

struct query {
	struct buf text, folded; /* what terms point into */
	struct query_term terms[QUERY_TERMS_MAX];
	unsigned count;
};

/* name: of the directory. 0, or ERR_INVALID: it is no query, or ERR_NOMEM; to be finished either way. */
int query_parse(struct query *q, struct span name);
void query_finish(struct query *q);

/* What must be known of each message. */
bool query_wants_flags(const struct query *q);
bool query_wants_summary(const struct query *q);
bool query_wants_structure(const struct query *q);
/* Whether the server must say which messages meet the term. */
bool query_is_asked(const struct query_term *t);

/* What the server does not tell of a message, or not so that it makes sense. */
enum query_unknown {
	QUERY_NO_SUMMARY = 1 << 0,
	QUERY_NO_STRUCTURE = 1 << 1,
	QUERY_NO_SIZE = 1 << 2,
	QUERY_NO_DATE = 1 << 3,
};

struct query_message {
	unsigned unknown; /* enum query_unknown */
	uint64_t size;
	int64_t date;
	unsigned flags;
	struct mime_summary summary;
	const struct mime_structure *structure; /* NULL: not wanted */
};

/* Whether a message meets the query, or may meet it, where what a term needs is unknown; met: for each term that is asked of the server whether it does. */
bool query_matches(const struct query *q, const struct query_message *m, const bool *met);

#endif
