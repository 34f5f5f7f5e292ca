/* SPDX-License-Identifier: MIT */
/*
 * A hash map from 64-bit numbers (mailbox ids, inode numbers, UIDs) to pointers, or to numbers, which
 * have 64 bits on every machine; a map has only the one or the other. Open addressing; the hash is keyed
 * at random so that nobody who chooses UIDs can make it slow.
 */
#ifndef BASE_MAP_H
#define BASE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct map_slot {
	uint64_t key;
	uint64_t value; /* a number, or a pointer as one; 0: free */
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
/* The same of numbers; 0 is what a key has that was never put, or was put with 0. */
uint64_t map_number(const struct map *m, uint64_t key);
void map_put_number(struct map *m, uint64_t key, uint64_t number);
uint64_t map_remove_number(struct map *m, uint64_t key);
/* Calls f for each pointer, in no order. f must not change the map. */
void map_each(const struct map *m, void (*f)(void *ctx, uint64_t key, void *value), void *ctx);

#endif
