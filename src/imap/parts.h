/* SPDX-License-Identifier: MIT */
/*
 * The same octets of several messages, or of the same section of each, by one command, `UID FETCH set
 * (UID BODY.PEEK[]<n.octets>)`: whose each body is that comes, and when it is complete. Pure.
 *
 * A body is a message's for certain when its row was parsed to the end and told the same message
 * as its beginning; and it is what was asked for when it begins where it was asked to. A body that
 * does not say where it begins may be the message from its start.
 */
#ifndef IMAP_PARTS_H
#define IMAP_PARTS_H

#include <stdbool.h>
#include <stdint.h>

#include "imap/command.h"
#include "imap/response.h"

/* As many UIDs of 10 digits as a command line of 1,000 octets surely takes. */
#define IMAP_PARTS_MAX 81

struct imap_part {
	uint32_t uid;
	void *owner;        /* the caller's */
	uint64_t announced; /* octets of the body, when it is streamed */
	uint64_t got;       /* of them so far */
	uint32_t seq;       /* of the row */
	bool begun;         /* a streamed body has */
	bool complete;      /* the row came to its end, and the body is what was asked for */
};

struct imap_parts {
	const char *section;                 /* of each, such as HEADER; NULL: all of it */
	uint64_t from, octets;               /* what is asked of that */
	uint32_t all;                        /* of all messages up to this UID; 0: of those below */
	struct imap_part at[IMAP_PARTS_MAX]; /* ascending UIDs */
	unsigned count;
	struct imap_part *current; /* whose body is arriving; NULL: nobody's */
};

/* Before the command or, with `all`, before any body comes; the UID must not be among them, and there
 * must be room. Moves others. */
void imap_parts_add(struct imap_parts *p, uint32_t uid, void *owner);
/* Adds the command's text. What has begun and is not complete is to begin anew. */
void imap_parts_ask(struct imap_parts *p, struct imap_command *c);
/* For on_body_begin: true claims the body, which becomes the current one's. is_next: no command before
 * this one is unanswered; one that does not say where it begins answers the first of them. */
bool imap_parts_begin(struct imap_parts *p, const struct imap_fetch *prefix, uint32_t uid,
	uint64_t size, bool is_next);
/* For on_body_data. */
void imap_parts_count(struct imap_parts *p, struct span octets);
/* For a FETCH row's end: the part whose answer it is, complete or not, or NULL. is_next: as
 * above. */
struct imap_part *imap_parts_end(
	struct imap_parts *p, const struct imap_fetch *row, uint32_t uid, bool is_next);

#endif
