/* SPDX-License-Identifier: MIT */
/*
 * A hash map from 64-bit numbers (mailbox ids, inode numbers, UIDs) to pointers. Open addressing;
 * the hash is keyed at random so that nobody who chooses UIDs can make it slow.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t key;
	void *value; /* NULL: free */
};

struct map {
	struct map_slot *slots;
	size_t cap; /* a power of two, or 0 */
	size_t count;
};

void map_init(struct map *m);
void map_finish(struct map *m);
/* NULL when there is none. */
void *map_get(const struct map *m, uint64_t key);
/* value must not be NULL; replaces. Ends the process when out of memory. */
void map_put(struct map *m, uint64_t key, void *value);
/* Returns what was there, or NULL. */
void *map_remove(struct map *m, uint64_t key);
/* Calls f for each value, in no order. f must not change the map. */
void map_each(const struct map *m, void (*f)(void *ctx, uint64_t key, void *value), void *ctx);

#endif
