/*
 * The local cache of one account: one SQLite database (WAL) that remembers mailboxes, the
 * attributes of messages, and bodies, whole or in part. It is a copy: when it is lost or damaged
 * everything is fetched again. What is in it is right: kill -9 at any moment leaves a state that
 * was true, or less.
 *
 * One thread of its own (uv_queue_work, one job at a time, in order) does all writing, and the
 * loading of message lists; another loads bodies, and a third reads single chunks of them, for
 * which the loop waits some milliseconds at most. So the loop never waits for a disk, and a load
 * sees every write queued before it. Writes report no result: when one fails (full disk, damage) a
 * line is logged, once per kind of failure, and the cache goes on as well as it can, without
 * keeping; it never makes a caller fail.
 *
 * Bodies are kept in chunks of CACHE_CHUNK octets, aligned; only a message's last chunk is shorter.
 */
#ifndef CACHE_CACHE_H
#define CACHE_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/span.h"

#define CACHE_CHUNK (256u << 10)

struct cache;

struct cache_options {
	const char *dir;     /* of this account; created 0700 with its parents; refused when another
				user owns it or it is writable by others. NULL: in memory */
	const char *account; /* whose mail it is: one line that names host, port, user and whom the
				user acts as; kept in the database, see cache_open */
	uint64_t max_bytes;  /* bound on the bodies' octets; least recently used first */
};

/*
 * Opens and locks (flock on a file in dir) the cache, blocking; before the loop runs. One that
 * holds the mail of another account is refused (NULL, and a line in error). A database of an older
 * schema is removed, one that is damaged or of a newer schema is renamed to cache.db.damaged
 * (replacing an older one) and a new one is made, with one warning in the log. When another process
 * keeps the lock for 5 seconds, a cache in memory is returned, with one warning that names the
 * directory and that process. NULL, and a line in error, when dir cannot be used at all.
 */
struct cache *cache_open(
	uv_loop_t *loop, const struct cache_options *options, char *error, size_t size);
/* Waits for queued writes (blocking), checkpoints, closes. Callbacks still due are called during
 * this call, those of loads with ERR_CANCELED, and none after it returned. Not from a callback of
 * the cache. The loop may still hold a request of libuv's, so run it once more before
 * uv_loop_close. NULL is fine. */
void cache_close(struct cache *c);
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
/* Calls f for each known mailbox, shorter names first, so parents before their children, blocking;
 * before the loop runs. The spans are valid during the call. */
void cache_each_mailbox(
	struct cache *c, void (*f)(void *ctx, const struct cache_mailbox *m), void *ctx);
/* Inserts or replaces the row of m->id. m is copied. */
void cache_put_mailbox(struct cache *c, const struct cache_mailbox *m);
/* Drops the mailbox, its messages and bodies. What is put for this id later is not kept. */
/* Nobody will name the mailbox's id any more, nor waits for anything of it. */
void cache_forget_mailbox(struct cache *c, uint32_t id);
void cache_drop_mailbox(struct cache *c, uint32_t id);

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
	CACHE_MESSAGE_FLAGS = (1 << 3) - 1, /* others are not written */
};

struct cache_message {
	uint32_t uid;
	uint32_t flags; /* enum cache_message_flag */
	uint64_t size;
	int64_t date; /* seconds since 1970 */
};

/* Inserts or replaces n rows (copied). */
void cache_put_messages(
	struct cache *c, uint32_t mailbox, const struct cache_message *messages, size_t n);
/* Drops rows and bodies of n UIDs (copied). */
void cache_drop_messages(struct cache *c, uint32_t mailbox, const uint32_t *uids, size_t n);

/* Reads all messages of a mailbox in the order of UIDs. on_done is called once from the loop, with
 * an array of n that it owns (free), n 0 when there are none; err is 0 or ERR_IO. */
void cache_load_messages(struct cache *c, uint32_t mailbox,
	void (*on_done)(void *ctx, int err, struct cache_message *messages, size_t n), void *ctx);

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
	uint64_t used; /* the cache's own */
};

/* Looks up n chunks in a thread of its own, so that nobody waits for the disk. urgent: somebody
 * waits for them, so before those that are not. Takes ownership of wants (malloc'ed; data NULL).
 * on_done(ctx) is called once from the loop and owns wants and their data; err is 0, or
 * ERR_CANCELED by cache_close. A use of each, as with cache_get_chunk. */
void cache_load_chunks(struct cache *c, uint32_t mailbox, struct cache_want *wants, size_t n,
	bool urgent, void (*on_done)(void *ctx, int err, struct cache_want *wants, size_t n),
	void *ctx);

/* Keeps one chunk. Takes ownership of data (malloc'ed). on_done(ctx) is called once from the loop
 * when cache_get_chunk finds it, or when keeping it failed (the caller may then forget its own
 * copy). */
void cache_put_chunk(struct cache *c, uint32_t mailbox, uint32_t uid, uint32_t chunk, char *data,
	size_t n, void (*on_done)(void *ctx), void *ctx);

/* --- the journal of the expunge without UIDPLUS (mail/) --- */

/* Remembers that UIDs of a mailbox must get their \Deleted flag back; durable (synchronous=FULL,
 * committed) before on_done is called with 0, or ERR_IO. An entry of the same mailbox is replaced.
 * n 0 clears it. A cache in memory keeps it no longer than itself. */
void cache_put_journal(struct cache *c, uint32_t mailbox, const uint32_t *uids, size_t n,
	void (*on_done)(void *ctx, int err), void *ctx);
/* Calls f for each entry, blocking; before the loop runs. */
void cache_each_journal(struct cache *c,
	void (*f)(void *ctx, uint32_t mailbox, const uint32_t *uids, size_t n), void *ctx);

/* --- numbers that the account is to remember --- */

enum cache_note {
	CACHE_NOTE_SIZES = 2, /* enum sizes_belief; 1 is the cache's own */
};

/* 0 when there is none. Blocking; before the loop runs. */
int64_t cache_get_note(struct cache *c, enum cache_note note);
void cache_put_note(struct cache *c, enum cache_note note, int64_t value);

struct cache_counts {
	uint64_t bytes, max_bytes; /* bodies kept, and their bound */
	uint64_t hits, misses;     /* of cache_get_chunk */
	size_t queued;             /* octets waiting to be written */
	bool on_disk;
};
void cache_counts(struct cache *c, struct cache_counts *counts);

#endif
