/* SPDX-License-Identifier: MIT */
/*
 * The chunks of a body: made as octets come, found in memory or in the cache, and kept in the cache
 * once they are whole.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/read/private.h"

/* --- memory --- */

struct chunk *chunk_make(struct body *b, uint32_t index)
{
	struct chunk *c = map_get(&b->chunks, index);

	if (!c) {
		c = mem_zalloc(sizeof(*c));
		c->index = index;
		map_put(&b->chunks, index, c);
	}
	return c;
}

void chunk_reserve(struct body *b, struct chunk *c, uint32_t n)
{
	if (n <= c->cap)
		return;
	b->pool->memory += n - c->cap;
	c->data = mem_resize(c->data, n, 1);
	c->cap = n;
}

static void free_chunk(struct body *b, struct chunk *c)
{
	b->pool->memory -= c->cap;
	free(c->data);
	free(c);
}

static void free_each(void *ctx, uint64_t key, void *value)
{
	free_chunk(ctx, value);
}

void chunk_free_all(struct body *b)
{
	map_each(&b->chunks, free_each, b);
	map_finish(&b->chunks);
}

bool chunk_is_missing(struct body *b, uint32_t index)
{
	const struct chunk *c = map_get(&b->chunks, index);

	return !c || (!c->whole && !c->fetching && !c->loading);
}

bool chunk_ends_header(const struct body *b, uint64_t end)
{
	const struct chunk *c = map_get(&b->chunks, (end - 1) / CACHE_CHUNK);
	uint64_t n = end - (uint64_t)(c ? c->index : 0) * CACHE_CHUNK;

	if (!b->header || !c || n > c->cap || n < 4)
		return false;
	return memcmp(c->data + n - 4, "\r\n\r\n", 4) == 0;
}

struct behind {
	struct body *body;
	uint32_t indexes[64];
	unsigned count;
};

static void note_left_behind(void *ctx, uint64_t key, void *value)
{
	struct behind *behind = ctx;
	const struct chunk *c = value;

	if (c->whole && !c->saving && behind->count < 64 &&
		(key + 2) * CACHE_CHUNK < behind->body->next)
		behind->indexes[behind->count++] = c->index;
}

/* A large message is read from its start to its end: what the reader left behind need not stay. */
void chunk_drop_behind(struct body *b)
{
	struct behind behind = {.body = b};

	map_each(&b->chunks, note_left_behind, &behind);
	for (unsigned i = 0; i < behind.count; i++)
		free_chunk(b, map_remove(&b->chunks, behind.indexes[i]));
}

/* --- the cache --- */

static bool has_place(const struct body *b, uint32_t index)
{
	return b->mb->uidvalidity != 0 && index < CACHE_SECTION_CHUNKS;
}

/* The number of the chunk there. */
static uint32_t place_of(const struct body *b, uint32_t index)
{
	return b->number * CACHE_SECTION_CHUNKS + index;
}

struct chunk *chunk_put(struct body *b, uint32_t index, char *data, size_t n)
{
	struct chunk *c = chunk_make(b, index);

	b->pool->memory -= c->cap;
	free(c->data);
	c->data = data;
	c->n = c->cap = (uint32_t)n;
	c->whole = true;
	b->pool->memory += n;
	body_note_whole(b, c);
	return c;
}

/* What the cache has of a chunk; NULL when that is nothing. */
static struct chunk *take_cached(struct body *b, uint32_t index, char *data, size_t n)
{
	/* Older versions kept a chunk of 0 octets for the end of a message, which proves nothing. */
	if (n == 0) {
		free(data);
		return NULL;
	}
	return chunk_put(b, index, data, n);
}

/* The chunk that the first reader begins in. */
static uint32_t want_of_first(const struct body *b)
{
	const struct body_read *r = list_entry(b->readers.next, struct body_read, link);

	return (uint32_t)(r->offset / CACHE_CHUNK);
}

/* A slow disk has answered: readers are answered, or the server is asked. */
static void chunk_on_loaded(void *ctx, int err, struct cache_want *want, size_t n)
{
	struct body *b = ctx;
	uint32_t index = want->chunk % CACHE_SECTION_CHUNKS;
	struct chunk *c = map_get(&b->chunks, index);
	bool wanted = err == 0 && b->mb && c && !c->whole && !c->fetching;

	b->loads--;
	if (c) {
		c->loading = false;
		c->absent = true;
	}
	if (want->data && wanted)
		take_cached(b, index, want->data, want->n);
	else
		free(want->data);
	free(want);
	if (err == 0 && b->mb)
		body_wake(b);
	if (err == 0 && b->mb && !list_empty(&b->readers) && b->fetches == 0 && b->loads == 0)
		window_start(b, want_of_first(b), 1, false);
	body_release(b);
}

static void load_chunk(struct body *b, uint32_t index)
{
	struct cache_want *want = mem_zalloc(sizeof(*want));

	chunk_make(b, index)->loading = true;
	*want = (struct cache_want){.uid = b->uid, .chunk = place_of(b, index)};
	b->loads++;
	cache_load_chunks(b->pool->account->cache, b->mb->id, want, 1, true, chunk_on_loaded, b);
}

struct chunk *chunk_find(struct body *b, uint32_t index)
{
	struct chunk *c = map_get(&b->chunks, index);
	char *data;
	size_t n;

	if (c && (c->whole || c->fetching))
		return c;
	struct chunk *part = c && c->n > 0 ? c : NULL;
	if (!has_place(b, index) || (c && (c->loading || c->absent)))
		return part;
	switch (cache_get_chunk(
		b->pool->account->cache, b->mb->id, b->uid, place_of(b, index), &data, &n)) {
	case CACHE_FOUND:
		return take_cached(b, index, data, n);
	case CACHE_LATER:
		load_chunk(b, index);
		return part;
	case CACHE_ABSENT:
		break;
	}
	return part;
}

struct chunk_save {
	struct body *body;
	uint32_t index;
};

static void chunk_on_saved(void *ctx)
{
	struct chunk_save *save = ctx;
	struct body *b = save->body;
	struct chunk *c = map_get(&b->chunks, save->index);

	if (c)
		c->saving = false;
	b->saves--;
	free(save);
	body_release(b);
}

void chunk_save(struct body *b, struct chunk *c)
{
	c->whole = true;
	c->fetching = false;
	if (!b->mb)
		return;
	body_note_whole(b, c);
	/* A chunk of 0 octets would prove nothing to who finds it in the cache. */
	if (!has_place(b, c->index) || c->n == 0)
		return;
	struct chunk_save *save = mem_alloc(sizeof(*save));
	*save = (struct chunk_save){b, c->index};
	c->saving = true;
	b->saves++;
	cache_put_chunk(b->pool->account->cache, b->mb->id, b->uid, place_of(b, c->index),
		mem_copy(c->data, c->n), c->n, chunk_on_saved, save);
}
