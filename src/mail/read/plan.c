/* SPDX-License-Identifier: MIT */
/*
 * What is fetched for a read: what it lacks, and, when its reader goes on from octet to octet, what
 * that one will read next. The farther the reader has come, the more.
 */
#include "mail/read/ahead.h"
#include "mail/read/private.h"
#include "mail/read/taking.h"

/* Chunks of a window, at most: of one that a reader waits for, and of one ahead of the reader. What
 * is ahead comes in so many windows at least. */
#define WINDOW_CHUNKS 4u
#define WINDOW_CHUNKS_AHEAD 16u
#define WINDOWS_AHEAD 4u
/* Who begins with a read of so many octets does not just look at the header. */
#define READ_LARGE (128u << 10)
/* Octets that a reader who goes on is kept ahead by at first: one that began with the first octet
 * will likely read all, others look at a part. */
#define LEAD_ALL (8u << 20)
#define LEAD_PART (1u << 20)

/* A reader who goes on does so within a chunk: the kernel reads ahead with a few requests, which may
 * pass each other. */
void plan_note_read(struct body *b, uint64_t offset, size_t size)
{
	bool sequential = offset + CACHE_CHUNK >= b->next && offset <= b->next + CACHE_CHUNK;

	if (offset == 0 || !sequential) {
		b->from_start = offset == 0;
		b->run = b->from_start && size >= READ_LARGE;
	} else if ((offset + size) / CACHE_CHUNK != b->next / CACHE_CHUNK) {
		b->run += b->run < 16;
	}
	b->next = offset + size;
}

/* The chunk that holds the end of the message, as far as is known: what lies behind it need not be
 * asked for. */
static uint64_t last_chunk(const struct body *b)
{
	uint64_t size = body_promised(b);

	if (b->end_known)
		return b->end > 0 ? (b->end - 1) / CACHE_CHUNK : 0;
	if (size == UINT64_MAX)
		return 0;
	/* Who asks for a chunk at whose end the message should end asks for an octet more. */
	if (size > 0 && size % CACHE_CHUNK == 0 && size < b->bound) {
		const struct chunk *last = map_get(&b->chunks, size / CACHE_CHUNK - 1);
		return size / CACHE_CHUNK - !(last && last->whole);
	}
	return (size < b->bound ? size : b->bound - 1) / CACHE_CHUNK;
}

/* Starts windows, of `most` chunks each at most, for what is missing from chunk `first` to `last`.
 * bulk: ahead of the reader, and no further than to what is in the cache, which is at hand when the
 * reader comes to it. */
static void fetch_range(struct body *b, uint64_t first, uint64_t last, uint32_t most, bool bulk)
{
	for (uint64_t i = first; i <= last && i <= UINT32_MAX; i++) {
		if (!chunk_is_missing(b, (uint32_t)i))
			continue;
		/* The cache may have it, or a slow disk. */
		chunk_find(b, (uint32_t)i);
		if (!chunk_is_missing(b, (uint32_t)i)) {
			if (bulk)
				return;
			continue;
		}
		uint32_t count = 1;
		while (count < most && i + count <= last &&
			chunk_is_missing(b, (uint32_t)(i + count)))
			count++;
		window_start(b, (uint32_t)i, count, bulk);
		i += count - 1;
	}
}

/* Octets that the reader is to be kept ahead by. */
static uint64_t lead(const struct body *b)
{
	struct cache_counts counts;

	if (b->run == 0)
		return 0;
	cache_counts(b->pool->account->cache, &counts);
	if (counts.queued > BODY_QUEUE_MAX)
		return 0;
	uint64_t octets = (uint64_t)(b->from_start ? LEAD_ALL : LEAD_PART) << (b->run - 1);
	uint64_t most = pool_lead(b->pool->account->pool);
	return octets < most ? octets : most;
}

/* Octets that are fetched of a large message for a read, when the mailbox's readers take no more than
 * beginnings; 0: as much as else. */
static uint64_t beginning(const struct body *b, uint64_t end_of_read)
{
	uint64_t size = body_promised(b);
	uint64_t octets = b->number == 0 ? ahead_beginning(b->mb) : 0;

	if (octets == 0 || b->end_known || b->bound != UINT64_MAX)
		return 0;
	if (octets < end_of_read)
		octets = end_of_read;
	return octets <= TAKING_BEGINNING_MAX && size != UINT64_MAX && size > octets ? octets : 0;
}

static void fetch_beginning(struct body *b, uint64_t octets)
{
	const struct chunk *c = chunk_find(b, 0);

	if (chunk_is_missing(b, 0) && !(c && c->n >= octets))
		window_start_beginning(b, octets);
}

/* What the read needs, and, for a sequential reader, what it will need. */
void plan_fetch(struct body *b, uint64_t offset, size_t size)
{
	uint64_t first = offset / CACHE_CHUNK;
	uint64_t needed = (offset + (size ? size - 1 : 0)) / CACHE_CHUNK;
	uint64_t end = last_chunk(b);
	uint32_t chunks = b->run >= 2 ? WINDOW_CHUNKS : b->run + 1;

	if (b->end_known && offset >= b->end)
		return;
	uint64_t octets = beginning(b, offset + size);
	if (octets > 0) {
		fetch_beginning(b, octets);
		return;
	}
	/* The kernel reads past the end that it knows; the first chunk is asked for in any case, it
	 * shows the true end. */
	if (first > end && b->bound != UINT64_MAX)
		first = needed = end;
	else if (needed > end)
		needed = end > first ? end : first;
	else if (!b->end_known && offset + size >= body_promised(b))
		needed = end;
	fetch_range(b, first, needed, chunks, false);
	uint64_t more = lead(b);
	if (more == 0 || needed >= end)
		return;
	/* A slow disk may have what comes before; else that is to be asked for first. Who waits for it asks
	 * again then. */
	if (b->loads > 0)
		return;
	uint64_t wanted = (offset + size + more) / CACHE_CHUNK;
	chunks = (uint32_t)(more / CACHE_CHUNK / WINDOWS_AHEAD);
	if (chunks > WINDOW_CHUNKS_AHEAD)
		chunks = WINDOW_CHUNKS_AHEAD;
	/* Whole windows, not a chunk each time that the reader moved by one. */
	wanted = wanted < end ? wanted / chunks * chunks : end;
	fetch_range(b, needed + 1, wanted, chunks, true);
}

void plan_prefetch(struct mailbox *mb, uint32_t uid, uint32_t index, uint32_t most)
{
	struct body *b = body_get(mb, uid);
	uint64_t end = last_chunk(b);
	uint32_t count = 0;

	while (count < most && count < WINDOW_CHUNKS && index + count <= end &&
		chunk_is_missing(b, index + count))
		count++;
	if (count > 0)
		window_start(b, index, count, true);
}
