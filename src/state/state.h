/* SPDX-License-Identifier: MIT */
/*
 * What imapfs must not lose, in a directory for each account: the journal of changes that were
 * promised and are not done on the server yet. Unlike the cache it is no copy of anything.
 *
 * The journal is one SQLite database (WAL, synchronous=NORMAL: kill -9 loses nothing, a power cut
 * perhaps the last intents, and an intent that is lost leaves mail where it was). Each mount has its
 * own, journal-1.db and so on, which it keeps locked (flock); what it finds in a journal that nobody
 * holds, since its mount was killed or could not do all before its end, it takes over. One that a newer
 * version of imapfs made it leaves alone, and says so: only that version knows what it promised.
 *
 * Everything is called from the loop; writing an intent takes some microseconds, and what would wait
 * for the disk (the checkpoint, which alone calls fsync) is done in libuv's pool. Measured on ext4, 2
 * cores with a load of 10: median 3 microseconds, p99 15; of 40,000 writes some 6 slept, for 5 ms at most,
 * and for 11 beside a program that wrote and fsynced 300 MB at a time.
 */
#ifndef STATE_STATE_H
#define STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

#include "base/span.h"

struct state;

struct state_options {
	const char *dir;     /* of this account; created 0700 with its parents. NULL: in memory, for
			    tests */
	const char *account; /* whose mail it is: one line, as the cache has it */
};

/* Opens, blocking; before the loop runs. NULL, and a line in error, when the directory cannot be
 * used, or is of another account. */
struct state *state_open(
	uv_loop_t *loop, const struct state_options *options, char *error, size_t size);
/* Blocking. A journal in which nothing is left is removed. NULL is fine. */
void state_close(struct state *s);
/* The directory, for files of others; -1: in memory. It stays the state's. */
int state_dir(const struct state *s);
const char *state_path(const struct state *s); /* NULL: in memory */

/* Something that was promised about a message. There is one for a message at most. */
struct state_intent {
	struct span mailbox; /* raw name */
	uint32_t uidvalidity, uid;
	uint32_t verb;      /* mail/change has a meaning for it */
	struct span target; /* raw name of another mailbox; empty: none */
	struct span argument;
	struct span name; /* under which it is to be there; empty: none */
	int64_t made;     /* seconds since 1970 */
	/* How the message was shown. */
	uint64_t size;
	int64_t date;
	uint32_t flags; /* enum cache_message_flag */
};

/* Puts it in the place of the message's former one. 0, or ERR_IO or ERR_DISK_FULL: it is not kept,
 * and must not be promised. Copied. */
int state_put(struct state *s, const struct state_intent *intent);
/* Nothing is to be done about the message any more. */
void state_drop(struct state *s, struct span mailbox, uint32_t uidvalidity, uint32_t uid);
typedef void state_intent_fn(void *ctx, const struct state_intent *intent);
/* Calls f for each, those that were made first first. f may not put or drop. */
void state_each(struct state *s, state_intent_fn *f, void *ctx);
/* The mailbox, or what is below it, has another name; see state_intent.mailbox and target. */
void state_rename(struct state *s, struct span from, struct span to);

#endif
