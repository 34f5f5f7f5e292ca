/* SPDX-License-Identifier: MIT */
/* Looking after a cache that no mount uses: what is in it, whether it is sound, less of it, nothing of it.
 * All of this blocks, and needs no loop. */
#ifndef CACHE_CARE_H
#define CACHE_CARE_H

#include "cache/cache.h"

/* --- from outside: nothing is changed --- */

struct cache_look {
	char *account;     /* whose mail it holds; NULL: that cannot be said now */
	uint64_t octets;   /* of the disk */
	uint64_t messages; /* of which octets are kept; where `account` is known */
	int64_t used;      /* seconds since 1970: when something was written last */
	bool in_use;       /* a process has it, */
	unsigned pid;      /* which is this; 0: not known */
};

/* False when there is no cache in the directory. On true look is to be cache_look_finish'ed. */
bool cache_look(const char *dir, struct cache_look *look);
void cache_look_finish(struct cache_look *look);

/* --- from inside --- */

/* As cache_open, without a loop, and for what is below only: NULL, and a line in error, also when
 * another process has the cache, and when the database is damaged or of another version, which is left
 * as it is. options->gather is 0. */
struct cache *cache_open_alone(const struct cache_options *options, char *error, size_t size);

struct cache_verified {
	uint64_t messages, octets; /* that are kept and sound */
	uint64_t damaged;          /* messages that were not, and are kept no more */
};

/* Reads all that is kept. 0, or ERR_IO: the database itself is damaged, the next mount begins a new
 * one. */
int cache_verify(struct cache *c, struct cache_verified *v);
/* Drops what was unused longest, until the files of octets take no more than that of the disk. 0 or
 * ERR_IO. */
int cache_trim(struct cache *c, uint64_t max_bytes);
/* Nothing is left when it is closed, but for the counter of ids. Nothing is done after ERR_BUSY: it has
 * promises to the server that a mount is to keep (cache_put_journal), and ERR_IO: those cannot be read,
 * or the counter cannot be written, without which ids would come again. */
int cache_clear(struct cache *c);

#endif
