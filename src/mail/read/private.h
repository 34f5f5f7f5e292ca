/* SPDX-License-Identifier: MIT */
/* A body in memory, and what its files offer each other. */
#ifndef MAIL_READ_PRIVATE_H
#define MAIL_READ_PRIVATE_H

#include "mail/read/body.h"

/* Octets that may wait to be written to the cache. When more do, the disk is slower than the line
 * and sets the pace: nothing is fetched ahead. */
#define BODY_QUEUE_MAX (16u << 20)

struct body_pool {
	struct account *account;
	struct list lru; /* struct body, least recently used first */
	uint64_t memory; /* octets of all chunks */
};

struct chunk {
	uint32_t index;
	char *data;
	uint32_t n; /* octets from the chunk's start that can be shown */
	uint32_t cap;
	bool whole;    /* n is all of it: CACHE_CHUNK, or up to the end of the message */
	bool fetching; /* a window or a batch fills it */
	bool saving;   /* on its way to the cache */
	bool loading;  /* on its way from a slow cache */
	bool absent;   /* the slow cache was asked, and does not have it */
};

struct body {
	struct body_pool *pool;
	struct mailbox *mb; /* NULL: forgotten, kept for its fetches only */
	uint32_t uid;
	uint32_t number; /* 0: the whole message; else of the section, whose name */
	char *section;   /* and promised octets these are: see struct body_section */
	uint64_t promised;
	bool header;
	struct body *beside; /* another one of the same message */
	struct list lru;     /* the pool's */
	struct map chunks;   /* index -> struct chunk */
	struct list readers; /* struct body_read */
	unsigned fetches; /* windows and batches under way; and whoever keeps it from being freed */
	unsigned saves;   /* of chunks to the cache, under way */
	unsigned loads;   /* of chunks from a slow cache, under way */
	bool end_known;
	uint64_t end;  /* octets of the message */
	bool outgrown; /* it has more octets than RFC822.SIZE said */
	/* From this octet on none came when they were asked for. No proof, but the end is sought
	 * below first. UINT64_MAX: always some came. */
	uint64_t bound;
	unsigned doubts; /* how often octets came from behind the bound all the same */
	/* Read-ahead within the message, see plan.c. */
	uint64_t next;   /* the octet at which a sequential reader goes on */
	unsigned run;    /* how often one did */
	bool from_start; /* that reader began with the message's first octet */
};

/* --- body.c: bodies, their readers, and where they end --- */

/* The message's, made when there is none. */
struct body *body_get(struct mailbox *mb, uint32_t uid);
/* The message's if there is one, or NULL. */
struct body *body_known(const struct mailbox *mb, uint32_t uid);
/* That, or a section's, with one more fetch, for who fetches it by other means than a window. */
struct body *body_hold(struct mailbox *mb, uint32_t uid, const struct body_section *section);
/* Destroys b when nothing holds it and it is of no use. */
void body_release(struct body *b);
/* Octets arrived or the end is known: answers who can be answered. */
void body_wake(struct body *b);
/* Ends all readers with err. */
void body_fail(struct body *b, int err);
/* The octets that RFC822.SIZE, or the structure, promises; UINT64_MAX when nothing is promised. */
uint64_t body_promised(const struct body *b);
/* None came from `bound` on; false when some of those are here. */
bool body_set_bound(struct body *b, uint64_t bound);
/* It has octets up to `reached`; false when it did not too often, or they lie behind its end. */
bool body_reaches(struct body *b, uint64_t reached);
/* The end was found: pins the size. */
void body_set_end(struct body *b, uint64_t end);
/* What a whole chunk tells about the end. */
void body_note_whole(struct body *b, const struct chunk *c);
/* Whether the chunk, of a section or with NULL of the message, is in memory or on its way. */
bool body_has(struct mailbox *mb, uint32_t uid, const struct body_section *section, uint32_t index);
/* Whether so many octets from the message's start are in memory. */
bool body_begins(struct mailbox *mb, uint32_t uid, uint32_t octets);
/* Pushes a whole chunk, or whole pages of the first one's beginning, of a message that has the size that
 * is shown, into the kernel. */
void body_push(struct body *b, const struct chunk *c);
/* What the cache holds of a message that somebody will read soon: pushes it into the kernel or, with
 * keep, keeps it in memory, always that of a section. data (malloc'ed) becomes the body's. */
void body_loaded(struct mailbox *mb, uint32_t uid, const struct body_section *section,
	uint32_t index, char *data, size_t n, bool keep);
/* Puts what is in memory of the message into the cache, which is known not to have all of it. */
void body_save_again(struct mailbox *mb, uint32_t uid);
/* Evicts what is over the bound. */
void body_trim(struct body_pool *p);

/* --- chunk.c --- */

/* The body's chunk of that number, made when there is none. */
struct chunk *chunk_make(struct body *b, uint32_t index);
/* Makes room for n octets in all. */
void chunk_reserve(struct body *b, struct chunk *c, uint32_t n);
/* Neither in memory nor on its way. */
bool chunk_is_missing(struct body *b, uint32_t index);
/* The chunk if it has octets or is known to be whole, from the cache when memory has not all of it. From
 * a slow disk it comes later, and then readers are woken. */
struct chunk *chunk_find(struct body *b, uint32_t index);
/* Whether a header's octets, of which so many came, end there because it does: only a header is known to be
 * whole by what it is. */
bool chunk_ends_header(const struct body *b, uint64_t end);
/* A whole one; data (malloc'ed) becomes its. */
struct chunk *chunk_put(struct body *b, uint32_t index, char *data, size_t n);
/* It is whole now: keeps it in the cache. */
void chunk_save(struct body *b, struct chunk *c);
void chunk_drop_behind(struct body *b);
void chunk_free_all(struct body *b);

/* --- plan.c: what is fetched for whom --- */

/* A read, which may go on where another ended. */
void plan_note_read(struct body *b, uint64_t offset, size_t size);
/* Starts windows for what the read lacks, and, for a reader who goes on, for what comes next. */
void plan_fetch(struct body *b, uint64_t offset, size_t size);
/* A window of at most so many chunks, of a message that somebody will read soon. */
void plan_prefetch(struct mailbox *mb, uint32_t uid, uint32_t index, uint32_t most);

/* --- window.c --- */

/* Fetches `count` chunks from `first` on. bulk: nobody waits for them yet. */
void window_start(struct body *b, uint32_t first, uint32_t count, bool bulk);
/* Fetches so many octets from the message's start. */
void window_start_beginning(struct body *b, uint64_t octets);

#endif
