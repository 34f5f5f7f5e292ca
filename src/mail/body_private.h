/* A body in memory, for body.c (readers, memory) and window.c (fetching). */
#ifndef MAIL_BODY_PRIVATE_H
#define MAIL_BODY_PRIVATE_H

#include "mail/body.h"

/* Octets that wait to be written to the cache; above, the disk is slower than the line and sets the
 * pace: nothing is fetched ahead. */
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
	bool fetching; /* a window fills it */
	bool saving;   /* on its way to the cache */
	bool loading;  /* on its way from a slow cache */
	bool absent;   /* that does not have it */
};

struct body {
	struct body_pool *pool;
	struct mailbox *mb; /* NULL: forgotten, kept for its windows only */
	uint32_t uid;
	struct list lru;
	struct map chunks;   /* index -> struct chunk */
	struct list readers; /* struct body_read */
	unsigned windows;    /* under way */
	unsigned saves;      /* under way */
	unsigned loads;      /* under way */
	bool end_known;
	uint64_t end;  /* octets of the message */
	bool outgrown; /* it has more octets than RFC822.SIZE said */
	/* From here on none came when they were asked for. No proof, but the end is sought below
	 * first. UINT64_MAX: not known. */
	uint64_t bound;
	unsigned doubts; /* how often octets came from behind it all the same */
	/* Read-ahead within the message. */
	uint64_t next;   /* where a sequential reader goes on */
	unsigned run;    /* how often it did */
	bool from_start; /* it began with the message's first octet */
};

struct chunk *body_chunk(struct body *b, uint32_t index); /* makes it */
/* Octets arrived or the end is known: answers who can be answered. */
void body_wake(struct body *b);
/* Ends all readers with err. */
void body_fail(struct body *b, int err);
/* Frees b when nothing holds it and nothing is in it. */
void body_release(struct body *b);
/* None came from `bound` on; false when some of those are here. */
bool body_set_bound(struct body *b, uint64_t bound);
/* It has octets up to `reached`; false when it did not too often, or they lie behind its end. */
bool body_reaches(struct body *b, uint64_t reached);
/* The end was found: pins the size. */
void body_set_end(struct body *b, uint64_t end);
/* The message's body with one more window: for who fetches it by other means. */
struct body *body_hold(struct mailbox *mb, uint32_t uid);
/* Whether the chunk is in memory or on its way. */
bool body_has(struct mailbox *mb, uint32_t uid, uint32_t index);
/* Fetches a window of at most so many chunks, of a message that somebody will read soon. */
void body_prefetch(struct mailbox *mb, uint32_t uid, uint32_t index, uint32_t most);
/* Hands a whole chunk, of a message that has the size that is shown, to the kernel. */
void body_push(struct body *b, const struct chunk *c);
/* What the cache holds of a message that somebody will read soon, for the kernel or, with keep, for
 * memory. data (malloc'ed) becomes the body's. */
void body_loaded(struct mailbox *mb, uint32_t uid, uint32_t index, char *data, size_t n, bool keep);
/* Keeps a whole chunk in the cache. */
void body_save_chunk(struct body *b, struct chunk *c);
/* Evicts what is over the bound. */
void body_trim(struct body_pool *p);
/* Makes room in the chunk for n octets in all. */
void body_chunk_reserve(struct body *b, struct chunk *c, uint32_t n);

/* Fetches `count` chunks from `first` on. bulk: nobody waits for them yet. */
void window_start(struct body *b, uint32_t first, uint32_t count, bool bulk);

#endif
