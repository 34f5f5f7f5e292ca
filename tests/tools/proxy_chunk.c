/* SPDX-License-Identifier: MIT */
/* Allocating 256 KiB for each read would cost page faults: what was used is kept. */
#include "proxy_chunk.h"

#include <stdlib.h>

#include "base/mem.h"

#define CHUNKS_SPARE 256 /* 64 MiB */

struct chunk *chunk_take(struct chunk_pool *pool)
{
	struct chunk *c;

	if (!list_empty(&pool->spare)) {
		c = list_entry(pool->spare.next, struct chunk, node);
		list_remove(&c->node);
		pool->count--;
	} else {
		c = mem_alloc(sizeof(*c));
		c->data = mem_alloc(CHUNK_SIZE);
	}
	c->large = true;
	c->kind = CHUNK_DATA;
	c->start = c->end = 0;
	list_init(&c->node);
	return c;
}

struct chunk *chunk_small(enum chunk_kind kind, const char *data, size_t n)
{
	struct chunk *c = mem_zalloc(sizeof(*c));

	c->kind = kind;
	c->end = n;
	if (n > 0)
		c->data = mem_copy(data, n);
	list_init(&c->node);
	return c;
}

void chunk_release(struct chunk_pool *pool, struct chunk *c)
{
	list_remove(&c->node);
	if (c->large && pool->count < CHUNKS_SPARE) {
		list_prepend(&pool->spare, &c->node);
		pool->count++;
		return;
	}
	free(c->data);
	free(c);
}

void chunk_pool_finish(struct chunk_pool *pool)
{
	while (!list_empty(&pool->spare)) {
		struct chunk *c = list_entry(pool->spare.next, struct chunk, node);

		list_remove(&c->node);
		free(c->data);
		free(c);
	}
}
