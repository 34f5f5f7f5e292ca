/* SPDX-License-Identifier: MIT */
/* Pieces of a stream on their way through the proxy, and a store of large ones for reuse. */
#ifndef PROXY_CHUNK_H
#define PROXY_CHUNK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"

#define CHUNK_SIZE ((size_t)256 << 10)

enum chunk_kind { CHUNK_DATA, CHUNK_FIN, CHUNK_RST };

struct chunk {
	struct list node;
	uint64_t due;
	enum chunk_kind kind;
	size_t start, end;
	char *data; /* CHUNK_SIZE octets, or just what is needed */
	bool large;
};

struct chunk_pool {
	struct list spare; /* to be initialised */
	unsigned count;
};

/* A chunk with room for CHUNK_SIZE octets. */
struct chunk *chunk_take(struct chunk_pool *pool);
/* A chunk without room for octets (n 0), or with a copy of n of them. */
struct chunk *chunk_small(enum chunk_kind kind, const char *data, size_t n);
/* Takes it off its list, too. */
void chunk_release(struct chunk_pool *pool, struct chunk *c);
void chunk_pool_finish(struct chunk_pool *pool);

#endif
