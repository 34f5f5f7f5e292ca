/*
 * Reading messages: BODY.PEEK[] in aligned windows, kept in memory for a while and in the cache for
 * longer. A message's octets never change under one UID (RFC 3501 section 2.3.1.1), so what was
 * read once is right for ever.
 *
 * RFC822.SIZE is only a promise. The end of a message is where the server's octets end: an answer
 * that holds octets, is shorter than what was asked, and agrees with the promise or with another.
 * See ending.h.
 */
#ifndef MAIL_BODY_H
#define MAIL_BODY_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "mail/account.h"

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

struct body_read {
	struct list link;
	struct mailbox *mb;
	uint32_t uid;
	uint64_t offset;
	size_t size; /* at most BODY_READ_MAX */
	/* Once, from the loop; parts is NULL when err is negative: ERR_GONE, ERR_STALE,
	 * ERR_UNREADABLE, or what happened to the connection. */
	void (*on_done)(struct body_read *r, int err, const struct body_parts *parts);
};

/* Answers from memory or the cache, now: 0, or ERR_NOT_CACHED, ERR_GONE, ERR_STALE. */
int body_read_try(const struct body_read *r, struct body_parts *parts);
/* Fetches; after body_read_try said ERR_NOT_CACHED. */
void body_read_start(struct body_read *r);
/* No callback any more. What was asked of the server goes on, into the cache. */
void body_read_cancel(struct body_read *r);

/* Expunged, or the mailbox died: drops what is in memory, its readers get ERR_GONE or ERR_STALE. */
void body_forget(struct mailbox *mb, uint32_t uid);
void body_forget_mailbox(struct mailbox *mb);

/* For status. */
uint64_t body_memory(const struct body_pool *p);

#endif
