/* SPDX-License-Identifier: MIT */
/*
 * Octets of a part of a message, as they stand in it, encoded: BODY.PEEK[section]<offset.octets>. They
 * come in chunks, are kept, and end as those of a whole message do (mail/read/body.h). Where the whole
 * message is in memory or in the cache, or has no more than SECTION_WHOLE octets, the part is found in
 * it instead (places.h); so a small message costs one fetch whatever is shown of it.
 *
 * With the body of a part that comes alone its own header comes, too, and ERR_UNREADABLE is what that says to be encoded
 * otherwise than the structure says.
 *
 * The structure is asked for where it is not known (facts.h), but for the header.
 */
#ifndef MAIL_PARTS_SECTION_H
#define MAIL_PARTS_SECTION_H

#include "mail/read/body.h"
#include "mime/structure.h"

#define SECTION_WHOLE CACHE_CHUNK

enum section_what {
	SECTION_BODY, /* of any part: BODY[2.1]; of a multipart that is the whole message's: BODY[TEXT] */
	SECTION_MIME,   /* the fields of a part: BODY[2.1.MIME] */
	SECTION_HEADER, /* of the message (part MIME_NO_PART), octet for octet: BODY[HEADER]; or of
			   an attached one: BODY[3.HEADER] */
};

struct section {
	struct mailbox *mb;
	uint32_t uid;
	uint32_t part; /* in the structure, or MIME_NO_PART */
	enum section_what what;
	/* For section_read_try and section_size, from who has it: a large one takes milliseconds to
	 * be made of what is kept. NULL: that is done. */
	const struct mime_structure *structure;
};

struct section_read;
/* As body_read_done; also ERR_UNREADABLE for a part that the structure does not have. */
typedef void section_read_done(struct section_read *r, int err, const struct body_parts *parts);

struct section_read {
	struct section of;
	uint64_t offset;
	size_t size;                /* at most BODY_READ_MAX */
	section_read_done *on_done; /* once, from the loop */
	struct section_work *work;  /* section.c's */
};

/* From memory or the cache, now: 0, or ERR_NOT_CACHED, ERR_GONE, ERR_STALE, ERR_UNREADABLE. */
int section_read_try(const struct section_read *r, struct body_parts *parts);
/* Fetches; after section_read_try said ERR_NOT_CACHED. */
void section_read_start(struct section_read *r);
/* Who reads the header of one message after the other will want those: they are fetched many by one
 * command, as far as they are not here. */
void section_headers_ahead(struct mailbox *mb, const uint32_t *uids, size_t n);
/* No callback any more. What was asked of the server goes on, into the cache. */
void section_read_cancel(struct section_read *r);

/* The octets of the section, where its end is proved: 0; ERR_NOT_CACHED: who reads the last of the
 * octets that the structure states, and one more, knows it then; the other errors as above. */
int section_size(const struct section *s, uint64_t *size);

#endif
