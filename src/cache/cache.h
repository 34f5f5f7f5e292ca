/* SPDX-License-Identifier: MIT */
/*
 * The local cache of one account: one SQLite database (WAL) that remembers mailboxes, the
 * attributes of messages, and which bodies are kept, whole or in part; their octets are in files
 * beside it (segments.h). It is a copy: when it is lost or damaged everything is fetched again.
 * What is in it is right: kill -9 at any moment leaves a state that was true, or less.
 *
 * One thread of its own (uv_queue_work, one job at a time, in order) does all writing, and the
 * loading of message lists; another loads bodies, and a third reads single chunks of them, for
 * which the loop waits some milliseconds at most. So the loop never waits for a disk, and a load
 * sees every write queued before it. Writes report no result: when one fails (full disk, damage) a
 * line is logged, once per kind of failure, and the cache goes on as well as it can, without
 * keeping; it never makes a caller fail.
 *
 * Bodies are kept in chunks of CACHE_CHUNK octets, aligned; only a message's last chunk is shorter. So
 * are sections of messages, beside them: the chunks of section n, from 1 on, have the numbers from
 * n * CACHE_SECTION_CHUNKS on.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/span.h"

#define CACHE_CHUNK (256u << 10)
#define CACHE_SECTION_CHUNKS 65536u
#define CACHE_SECTION_MAX 65535u

struct cache;

struct cache_options {
	const char *dir;     /* of this account; created 0700 with its parents; refused when another
				user owns it or it is writable by others. NULL: in memory */
	const char *account; /* whose mail it is: one line that names host, port, user and whom the
				user acts as; kept in the database, see cache_open */
	uint64_t max_bytes;  /* bound on the bodies' octets; least recently used first. Kept ones
				(cache_keep_mailbox) are beside it */
	uint64_t gather;     /* milliseconds for which writes that nobody waits for are gathered */
};

/* For options.gather: little is lost by kill -9, and a walk makes 20 transactions a second. */
#define CACHE_GATHER 50

/*
 * Opens and locks (flock on a file in dir) the cache, blocking; before the loop runs. One that
 * holds the mail of another account is refused (NULL, and a line in error). A database of an older
 * schema is carried over but for its bodies. One that is damaged or of a newer schema is renamed to
 * cache.db.damaged (replacing an older one) and a new one is made, with one warning in the log.
 * When another process keeps the lock for 5 seconds, a cache in memory is returned, with one
 * warning that names the directory and that process. NULL, and a line in error, when dir cannot be
 * used at all.
 */
struct cache *cache_open(
	uv_loop_t *loop, const struct cache_options *options, char *error, size_t size);
/* Waits for queued writes (blocking), checkpoints, closes. Callbacks still due are called during
 * this call, those of loads with ERR_CANCELED, and none after it returned. Not from a callback of
 * the cache. The loop may still hold a request of libuv's, so run it once more before
 * uv_loop_close. NULL is fine. */
void cache_close(struct cache *c);
/* The program is about to end: house-keeping is left for the next time, as the loop would go on for it. */
void cache_wind_down(struct cache *c);
/* It came to nothing: cache_close is to remove the directory if it was not there before. */
void cache_discard_new(struct cache *c);

/* --- mailboxes --- */

struct cache_mailbox {
	uint32_t id;      /* never reused, from cache_new_id */
	struct span name; /* raw octets as on the wire */
	bool has_delimiter;
	char delimiter;
	uint32_t list_flags;  /* of LIST */
	uint32_t uidvalidity; /* 0: never selected; nothing of its messages is kept */
	uint32_t uidnext;     /* 0: unknown */
	uint64_t highestmodseq;
	uint32_t exists; /* as the server said when the rows were last complete */
	bool complete;   /* the rows were the whole mailbox at that time */
	bool listed;     /* LIST named it; else it is only a parent of others */
	int64_t changed; /* when its names last changed, seconds since 1970 */
};

/* Ids start at 1 and are unique for the life of the cache, also across deletion of mailboxes,
 * remounts and rebuilds of a damaged database (the counter is kept in a file of its own beside the
 * database and handed out in blocks). */
uint32_t cache_new_id(struct cache *c);
typedef void cache_mailbox_fn(void *ctx, const struct cache_mailbox *m);
/* Calls f for each known mailbox, shorter names first, so parents before their children, blocking;
 * before the loop runs. The spans are valid during the call. */
void cache_each_mailbox(struct cache *c, cache_mailbox_fn *f, void *ctx);
/* Inserts or replaces the row of m->id. m is copied. */
void cache_put_mailbox(struct cache *c, const struct cache_mailbox *m);
/* Drops the mailbox, its messages and bodies. What is put for this id later is not kept. */
void cache_drop_mailbox(struct cache *c, uint32_t id);
/* Nobody will name the id of a dropped mailbox any more, nor waits for anything of it. */
void cache_forget_mailbox(struct cache *c, uint32_t id);

/* --- messages --- */

/*
 * When a write of a mailbox or its messages failed, what is known of that mailbox stays as it was
 * before, which was true then: later writes of its row and messages are not kept in this process,
 * and its loads give ERR_IO.
 */

enum cache_message_flag {
	CACHE_SIZE_PROVED = 1 << 0, /* size is the octet count, not RFC822.SIZE's promise */
	CACHE_SIZE_UNKNOWN = 1 << 1,
	CACHE_DATE_UNKNOWN = 1 << 2,
	CACHE_FLAGS_KNOWN = 1 << 3, /* the message's own flags, which are: */
	/* the first five of enum imap_flag, and the number of its set of keywords, 0: none. */
	CACHE_SYSTEM_SHIFT = 4,
	CACHE_KEYWORDS_SHIFT = 21,
};
#define CACHE_SYSTEM_FLAGS (31u << CACHE_SYSTEM_SHIFT)
#define CACHE_KEYWORDS_MAX 2047u
#define CACHE_KEYWORDS (CACHE_KEYWORDS_MAX << CACHE_KEYWORDS_SHIFT)
/* All that is said of a message's own flags. */
#define CACHE_OWN_FLAGS (CACHE_FLAGS_KNOWN | CACHE_SYSTEM_FLAGS | CACHE_KEYWORDS)
/* Others are not written. */
#define CACHE_MESSAGE_FLAGS                                                                        \
	(CACHE_SIZE_PROVED | CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN | CACHE_OWN_FLAGS)

struct cache_message {
	uint32_t uid;
	uint32_t flags; /* enum cache_message_flag */
	uint64_t size;
	int64_t date; /* seconds since 1970 */
};

/* Inserts or replaces n rows (copied). */
void cache_put_messages(
	struct cache *c, uint32_t mailbox, const struct cache_message *messages, size_t n);
/* Drops rows, facts and bodies of n UIDs (copied). */
void cache_drop_messages(struct cache *c, uint32_t mailbox, const uint32_t *uids, size_t n);

typedef void cache_messages_done(void *ctx, int err, struct cache_message *messages, size_t n);
/* Reads all messages of a mailbox in the order of UIDs. on_done is called once from the loop, with
 * an array of n that it owns (free), n 0 when there are none; err is 0 or ERR_IO. */
void cache_load_messages(
	struct cache *c, uint32_t mailbox, cache_messages_done *on_done, void *ctx);

/* How far the flags of a mailbox's messages are known. */
struct cache_flags {
	uint64_t modseq;  /* all changes up to it (RFC 7162); 0: not told */
	struct span sets; /* the sets of keywords that the messages have, from number 1 on, each
			     with a NUL behind it */
};

/* Inserts or replaces that of a mailbox (copied). To be put before messages that have a set that is
 * new, and after messages whose flags it says to be known. */
void cache_put_flags(struct cache *c, uint32_t mailbox, const struct cache_flags *flags);
/* flags: NULL: none were put. Valid during the call. */
typedef void cache_flags_done(void *ctx, const struct cache_flags *flags);
/* Reads it; on_done is called once from the loop. Those messages that are loaded by a call right
 * after this one come later. */
void cache_load_flags(struct cache *c, uint32_t mailbox, cache_flags_done *on_done, void *ctx);

/* --- what is kept of messages beside their octets (mail/parts/facts.h) --- */

#define CACHE_FACT_KINDS 2u
/* Octets that a fact takes beside its own, about. */
#define CACHE_FACT_COST 24u

struct cache_fact {
	uint32_t uid;
	struct span packed; /* not empty */
};

/* Inserts or replaces n facts of a kind (copied). All facts but those of kept mailboxes take a quarter of
 * max_bytes at most, of which bodies have less then. sections: what the cache has of sections of these messages follows
 * from what was known before, but for section 1: it is dropped. */
void cache_put_facts(struct cache *c, uint32_t mailbox, uint32_t kind,
	const struct cache_fact *facts, size_t n, bool sections);
/* Valid during the call. */
typedef void cache_facts_done(void *ctx, int err, const struct cache_fact *facts, size_t n);
/* Reads all facts of a kind in the order of UIDs; on_done is called once from the loop, err 0, ERR_IO or
 * ERR_CANCELED. */
void cache_load_facts(
	struct cache *c, uint32_t mailbox, uint32_t kind, cache_facts_done *on_done, void *ctx);

/* --- names that messages came in under (mail/model/given.h) --- */

/* The message's name, which replaces another one; an empty one: it has none. name is copied. */
void cache_put_given(struct cache *c, uint32_t mailbox, uint32_t uid, struct span name);
typedef void cache_given_fn(void *ctx, uint32_t mailbox, uint32_t uid, struct span name);
/* Calls f for each, in no order, blocking; before the loop runs. The spans are valid during the call.
 */
void cache_each_given(struct cache *c, cache_given_fn *f, void *ctx);

/* --- inodes of views (fs/view) --- */

/* What a view shows of a mailbox has an id of its own, which is the upper half of inodes. */
struct cache_view {
	uint32_t id; /* from cache_new_id */
	uint32_t mailbox;
	uint32_t level;    /* the view's own matter */
	struct span key;   /* which view */
	struct span state; /* what the view keeps of it, at most 256 octets */
};

/* Remembers it (copied), as long as the mailbox. */
void cache_put_view(struct cache *c, const struct cache_view *v);
typedef void cache_view_fn(void *ctx, const struct cache_view *v);
/* Calls f for each, in no order, blocking; before the loop runs. Valid during the call. */
void cache_each_view(struct cache *c, cache_view_fn *f, void *ctx);

/* --- bodies --- */

/* CACHE_LATER: the disk is slow; cache_load_chunks will tell. */
enum cache_found { CACHE_ABSENT, CACHE_FOUND, CACHE_LATER };

/* Looks up one chunk; answers within milliseconds. CACHE_FOUND: *data holds a malloc'ed copy of n
 * octets that the caller frees. A chunk of fewer than CACHE_CHUNK octets (also 0) is the message's
 * last. Counts as a use. */
enum cache_found cache_get_chunk(
	struct cache *c, uint32_t mailbox, uint32_t uid, uint32_t chunk, char **data, size_t *n);
/* A chunk to be looked up. */
struct cache_want {
	uint32_t uid, chunk;
	char *data; /* malloc'ed; NULL: not there */
	size_t n;
	/* The cache's own: where it is, and that it is not there as it should be. */
	uint32_t segment;
	uint64_t offset;
	bool spoilt;
};

typedef void cache_chunks_done(void *ctx, int err, struct cache_want *wants, size_t n);
/* Looks up n chunks in a thread of its own, so that nobody waits for the disk. urgent: somebody
 * waits for them, so before those that are not. Takes ownership of wants (malloc'ed; data NULL).
 * on_done(ctx) is called once from the loop and owns wants and their data; err is 0, or
 * ERR_CANCELED by cache_close. A use of each, as with cache_get_chunk. */
void cache_load_chunks(struct cache *c, uint32_t mailbox, struct cache_want *wants, size_t n,
	bool urgent, cache_chunks_done *on_done, void *ctx);

typedef void cache_chunk_done(void *ctx);
/* Keeps one chunk. Takes ownership of data (malloc'ed). on_done(ctx) is called once from the loop
 * when cache_get_chunk finds it, or when keeping it failed (the caller may then forget its own
 * copy). */
void cache_put_chunk(struct cache *c, uint32_t mailbox, uint32_t uid, uint32_t chunk, char *data,
	size_t n, cache_chunk_done *on_done, void *ctx);

/* --- mailboxes that are kept --- */

/* on_done is called once from the loop: 0, ERR_STALE when the mailbox was dropped, or ERR_IO. */
typedef void cache_keep_done(void *ctx, int err);
/* Unless NOT: what is put of the mailbox's messages, and was before, is not evicted, as long as the
 * mailbox is; their sections are. WHOLE: all of them were there once, which is
 * the caller's matter; they are on the disk then, and not only in the kernel's memory. */
enum cache_keep { CACHE_KEEP_NOT, CACHE_KEEP, CACHE_KEEP_WHOLE };
/* On the disk before on_done is called; NULL: nobody waits. */
void cache_keep_mailbox(struct cache *c, uint32_t mailbox, enum cache_keep keep,
	cache_keep_done *on_done, void *ctx);
typedef void cache_kept_fn(void *ctx, uint32_t mailbox, enum cache_keep keep);
/* Calls f for each, in no order, blocking; before the loop runs. */
void cache_each_kept(struct cache *c, cache_kept_fn *f, void *ctx);

struct cache_held {
	uint32_t uid;
	uint64_t octets; /* of its chunks */
};

/* Valid during the call. */
typedef void cache_held_done(void *ctx, int err, const struct cache_held *held, size_t n);
/* How much is here of each message of a mailbox, from a UID on and in the order of UIDs, with all that
 * was put before this call. on_done is called once from the loop, err 0, ERR_IO or ERR_CANCELED. */
void cache_load_held(
	struct cache *c, uint32_t mailbox, uint32_t from, cache_held_done *on_done, void *ctx);

/* --- the journal of the expunge without UIDPLUS (mail/) --- */

typedef void cache_journal_done(void *ctx, int err);
/* Remembers that UIDs of a mailbox must get their \Deleted flag back; durable (synchronous=FULL,
 * committed) before on_done is called with 0, or ERR_IO. An entry of the same mailbox is replaced.
 * n 0 clears it. A cache in memory keeps it no longer than itself. */
void cache_put_journal(struct cache *c, uint32_t mailbox, const uint32_t *uids, size_t n,
	cache_journal_done *on_done, void *ctx);
typedef void cache_journal_fn(void *ctx, uint32_t mailbox, const uint32_t *uids, size_t n);
/* Calls f for each entry, blocking; before the loop runs. */
void cache_each_journal(struct cache *c, cache_journal_fn *f, void *ctx);

/* --- numbers that the account is to remember --- */

enum cache_note {
	CACHE_NOTE_SIZES = 2,       /* enum sizes_belief */
	CACHE_NOTE_ONE_MAILBOX = 3, /* 1: the server does not bear pool_foresee */
};

/* 0 when there is none. Blocking; before the loop runs. */
int64_t cache_get_note(struct cache *c, enum cache_note note);
void cache_put_note(struct cache *c, enum cache_note note, int64_t value);

struct cache_counts {
	uint64_t bytes;        /* of the bodies that are here */
	uint64_t kept;         /* of those, of messages in mailboxes that are kept */
	bool kept_lost;        /* mailboxes were kept, in a database that is damaged */
	uint64_t max_bytes;    /* bound on what the files of the others hold of the disk */
	bool no_room;          /* nothing could be written lately: the disk is full */
	uint64_t hits, misses; /* of cache_get_chunk */
	size_t queued;         /* octets waiting to be written */
	bool on_disk;
};
void cache_counts(struct cache *c, struct cache_counts *counts);
/* Nothing waits to be written, or is being written. */
bool cache_is_idle(const struct cache *c);

#endif
