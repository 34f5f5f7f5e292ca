/* SPDX-License-Identifier: MIT */
/*
 * Reading messages: BODY.PEEK[] in windows of aligned chunks, kept in memory for a while and in the
 * cache for longer. A message's octets never change under one UID (RFC 3501 section 2.3.1.1), so
 * what was read once is right for ever.
 *
 * RFC822.SIZE is only a promise. The end of a message is where the server's octets end: an answer
 * that holds octets, is shorter than what was asked, and agrees with the promise or with another.
 * See ending.h.
 *
 * A section of a message (BODY.PEEK[section]) is read in the same way, beside it: it has octets, an end,
 * and a promise of its own. What sections are is for mail/parts.
 */
#ifndef MAIL_READ_BODY_H
#define MAIL_READ_BODY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "mail/model/account.h"

struct body_pool;

struct body_pool *body_pool_create(struct account *a);
void body_pool_destroy(struct body_pool *p);

/* One read is at most this many octets (FUSE's max_read). */
#define BODY_READ_MAX (1u << 20)
#define BODY_PARTS (BODY_READ_MAX / CACHE_CHUNK + 1)

/* The octets of a read, where they lie; valid until the next call of any function of mail/. */
struct body_parts {
	struct iovec iov[BODY_PARTS];
	int count;
	size_t total; /* less than asked only at the end of the message */
};

/* The octets in one piece, malloc'ed. */
char *body_copy(const struct body_parts *parts);

/* A section, to be named in a read. */
struct body_section {
	uint32_t number; /* of it among those of the message: the same for the same section, always;
			      1 to CACHE_SECTION_MAX */
	const char *name;  /* what stands in the brackets */
	uint64_t promised; /* its octets, as stated; UINT64_MAX: nothing is */
	bool header;       /* it ends with an empty line, and has no other one */
};

struct body_read;
typedef void body_read_done(struct body_read *r, int err, const struct body_parts *parts);

struct body_read {
	struct list link;
	struct mailbox *mb;
	uint32_t uid;
	const struct body_section *section; /* NULL: the whole message */
	uint64_t offset;
	size_t size; /* at most BODY_READ_MAX */
	bool aside;  /* it is not a file's: what comes ahead of its reader is not for the kernel */
	bool quiet;  /* it says nothing of what will be read next */
	/* Once, from the loop; parts is NULL when err is negative: ERR_GONE, ERR_STALE,
	 * ERR_UNREADABLE, or what happened to the connection. */
	body_read_done *on_done;
};

/* Answers from memory or the cache, now: 0, or ERR_NOT_CACHED, ERR_GONE, ERR_STALE. */
int body_read_try(const struct body_read *r, struct body_parts *parts);
/* Fetches; after body_read_try said ERR_NOT_CACHED. */
void body_read_start(struct body_read *r);
/* No callback any more. What was asked of the server goes on, into the cache. */
void body_read_cancel(struct body_read *r);

/* Where a section ends, if that is proved: 0, or ERR_NOT_CACHED. */
int body_section_end(
	struct mailbox *mb, uint32_t uid, const struct body_section *section, uint64_t *end);
/* All of the message is in memory or in the cache, as far as can be told at once. */
bool body_is_here(struct mailbox *mb, uint32_t uid);
/* So many octets are, from its start on. */
uint64_t body_reach(struct mailbox *mb, uint32_t uid);
/* All of the message is in memory or on its way there: reading it tells its size. */
bool body_is_coming(struct mailbox *mb, uint32_t uid);

/* Expunged, or the mailbox died: drops what is in memory, its readers get ERR_GONE or ERR_STALE. */
void body_forget(struct mailbox *mb, uint32_t uid);
void body_forget_mailbox(struct mailbox *mb);

/* Octets of bodies in memory, for the report. */
uint64_t body_memory(const struct body_pool *p);

#endif
