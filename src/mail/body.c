#include "mail/body.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/ahead.h"
#include "mail/body_private.h"
#include "mail/sizes.h"

/* Octets of bodies in memory; beyond it those that are in the cache, or that nobody waits for, go.
 */
#define MEMORY_MAX (48u << 20)
/* Chunks of a window that a reader waits for, and of one ahead of him; the latter are so many at
 * least, where he goes on. */
#define WINDOW_CHUNKS 4u
#define WINDOW_CHUNKS_AHEAD 16u
#define WINDOWS_AHEAD 4u
/* Who begins with a read of so many octets does not just look at the header. */
#define READ_LARGE (128u << 10)
/* A sequential reader is kept ahead of by so many octets at first: one that began with the first
 * octet will likely read all, others look at a part. */
#define AHEAD_ALL (8u << 20)
#define AHEAD_PART (1u << 20)
/* How often octets may come where there were none before. */
#define DOUBTS_MAX 3

struct body_pool *body_pool_create(struct account *a)
{
	struct body_pool *p = mem_zalloc(sizeof(*p));

	p->account = a;
	list_init(&p->lru);
	return p;
}

static void free_chunk(struct body *b, struct chunk *c)
{
	b->pool->memory -= c->cap;
	free(c->data);
	free(c);
}

static void free_chunk_of(void *ctx, uint64_t key, void *value)
{
	free_chunk(ctx, value);
}

static void body_free(struct body *b)
{
	list_remove(&b->lru);
	map_each(&b->chunks, free_chunk_of, b);
	map_finish(&b->chunks);
	if (b->mb)
		map_remove(&b->mb->bodies, b->uid);
	free(b);
}

void body_pool_destroy(struct body_pool *p)
{
	if (!p)
		return;
	LIST_FOREACH_SAFE (pos, &p->lru)
		body_free(list_entry(pos, struct body, lru));
	free(p);
}

uint64_t body_memory(const struct body_pool *p)
{
	return p->memory;
}

static struct body *get_body(struct mailbox *mb, uint32_t uid)
{
	struct body_pool *p = mb->account->bodies;
	struct body *b = map_get(&mb->bodies, uid);

	if (!b) {
		b = mem_zalloc(sizeof(*b));
		b->pool = p;
		b->mb = mb;
		b->uid = uid;
		const struct cache_message *m = mailbox_find(mb, uid);
		b->bound = UINT64_MAX;
		b->end_known = m && (m->flags & CACHE_SIZE_PROVED);
		b->end = b->end_known ? m->size : 0;
		list_init(&b->lru);
		list_init(&b->readers);
		map_init(&b->chunks);
		map_put(&mb->bodies, uid, b);
	}
	list_remove(&b->lru);
	list_append(&p->lru, &b->lru);
	return b;
}

/* --- chunks --- */

struct chunk *body_chunk(struct body *b, uint32_t index)
{
	struct chunk *c = map_get(&b->chunks, index);

	if (!c) {
		c = mem_zalloc(sizeof(*c));
		c->index = index;
		map_put(&b->chunks, index, c);
	}
	return c;
}

void body_chunk_reserve(struct body *b, struct chunk *c, uint32_t n)
{
	if (n <= c->cap)
		return;
	b->pool->memory += n - c->cap;
	c->data = mem_resize(c->data, n, 1);
	c->cap = n;
}

/* The octets that RFC822.SIZE promises; UINT64_MAX when it promises nothing. */
static uint64_t promised(const struct body *b)
{
	const struct cache_message *m = b->mb ? mailbox_find(b->mb, b->uid) : NULL;

	return m && !(m->flags & CACHE_SIZE_UNKNOWN) ? m->size : UINT64_MAX;
}

/* The message has more octets than promised. Where it ends is not known yet; a size that is too
 * large the kernel corrects by itself at the end, one that is too small would cut. */
static void outgrow(struct body *b, uint64_t reached)
{
	if (promised(b) >= reached)
		return;
	b->outgrown = true;
	size_contradict(b->mb, mailbox_find(b->mb, b->uid), reached + CACHE_CHUNK);
}

/* What a whole chunk tells about the end. */
static void note_whole(struct body *b, const struct chunk *c)
{
	uint64_t end = (uint64_t)c->index * CACHE_CHUNK + c->n;

	if (b->end_known)
		return;
	if (c->n < CACHE_CHUNK)
		body_set_end(b, end);
	else
		outgrow(b, end);
}

static struct chunk *put_chunk(struct body *b, uint32_t index, char *data, size_t n)
{
	struct chunk *c = body_chunk(b, index);

	b->pool->memory -= c->cap;
	free(c->data);
	c->data = data;
	c->n = c->cap = (uint32_t)n;
	c->whole = true;
	b->pool->memory += n;
	note_whole(b, c);
	return c;
}

/* What the cache has of a chunk; NULL when that is nothing. */
static struct chunk *take_cached(struct body *b, uint32_t index, char *data, size_t n)
{
	/* Older programs took no octets for the end. */
	if (n == 0) {
		free(data);
		return NULL;
	}
	return put_chunk(b, index, data, n);
}

/* The chunk that the first reader begins in. */
static uint32_t want_of_first(const struct body *b)
{
	const struct body_read *r = list_entry(b->readers.next, struct body_read, link);

	return (uint32_t)(r->offset / CACHE_CHUNK);
}

/* A slow disk has answered: who waits is answered too, or the server is asked. */
static void on_chunk_loaded(void *ctx, int err, struct cache_want *want, size_t n)
{
	struct body *b = ctx;
	struct chunk *c = map_get(&b->chunks, want->chunk);
	bool wanted = err == 0 && b->mb && c && !c->whole && !c->fetching;

	b->loads--;
	if (c) {
		c->loading = false;
		c->absent = true;
	}
	if (want->data && wanted)
		take_cached(b, want->chunk, want->data, want->n);
	else
		free(want->data);
	free(want);
	if (err == 0 && b->mb) {
		b->windows++;
		body_wake(b);
		b->windows--;
	}
	if (err == 0 && b->mb && !list_empty(&b->readers) && b->windows == 0 && b->loads == 0)
		window_start(b, want_of_first(b), 1, false);
	body_release(b);
}

static void load_chunk(struct body *b, uint32_t index)
{
	struct cache_want *want = mem_zalloc(sizeof(*want));

	body_chunk(b, index)->loading = true;
	*want = (struct cache_want){.uid = b->uid, .chunk = index};
	b->loads++;
	cache_load_chunks(b->pool->account->cache, b->mb->id, want, 1, true, on_chunk_loaded, b);
}

/* The chunk if it has octets or is known to be whole, from memory or the cache. From a slow one it
 * comes later, and then readers are woken. */
static struct chunk *find_chunk(struct body *b, uint32_t index)
{
	struct chunk *c = map_get(&b->chunks, index);
	char *data;
	size_t n;

	if (c && (c->whole || c->fetching))
		return c;
	if (b->mb->uidvalidity == 0 || (c && (c->loading || c->absent)))
		return NULL;
	switch (cache_get_chunk(b->pool->account->cache, b->mb->id, b->uid, index, &data, &n)) {
	case CACHE_FOUND:
		return take_cached(b, index, data, n);
	case CACHE_LATER:
		load_chunk(b, index);
		return NULL;
	case CACHE_ABSENT:
		break;
	}
	return NULL;
}

struct chunk_save {
	struct body *body;
	uint32_t index;
};

static void on_saved(void *ctx)
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

void body_save_chunk(struct body *b, struct chunk *c)
{
	c->whole = true;
	c->fetching = false;
	if (!b->mb)
		return;
	note_whole(b, c);
	/* No octets prove nothing to who finds them in the cache. */
	if (b->mb->uidvalidity == 0 || c->n == 0)
		return;
	struct chunk_save *save = mem_alloc(sizeof(*save));
	*save = (struct chunk_save){b, c->index};
	c->saving = true;
	b->saves++;
	cache_put_chunk(b->pool->account->cache, b->mb->id, b->uid, c->index,
		mem_copy(c->data, c->n), c->n, on_saved, save);
}

/* --- the end of a message --- */

bool body_set_bound(struct body *b, uint64_t bound)
{
	const struct chunk *c = find_chunk(b, (uint32_t)(bound / CACHE_CHUNK));

	if (c && c->whole && (uint64_t)c->index * CACHE_CHUNK + c->n > bound)
		return false;
	if (bound < b->bound)
		b->bound = bound;
	return true;
}

bool body_reaches(struct body *b, uint64_t reached)
{
	if (b->end_known)
		return reached <= b->end;
	if (reached > b->bound) {
		b->bound = UINT64_MAX;
		if (++b->doubts > DOUBTS_MAX)
			return false;
	}
	outgrow(b, reached);
	return true;
}

void body_set_end(struct body *b, uint64_t end)
{
	struct mailbox *mb = b->mb;

	if (b->end_known)
		return;
	b->end_known = true;
	b->end = end;
	struct cache_message *m = mb ? mailbox_find(mb, b->uid) : NULL;
	if (m)
		size_pin(mb, m, end);
}

/* --- reading --- */

/* Gathers the octets of a read. 0, or ERR_NOT_CACHED when some are missing. */
static int gather(struct body *b, uint64_t offset, size_t size, struct body_parts *parts)
{
	parts->count = 0;
	parts->total = 0;
	while (parts->total < size) {
		uint64_t at = offset + parts->total;
		if (b->end_known && at >= b->end)
			return 0;
		struct chunk *c = find_chunk(b, (uint32_t)(at / CACHE_CHUNK));
		uint32_t from = (uint32_t)(at % CACHE_CHUNK);
		if (!c || (from >= c->n && !c->whole))
			return ERR_NOT_CACHED;
		if (from >= c->n)
			return 0;
		size_t n = c->n - from;
		if (n > size - parts->total)
			n = size - parts->total;
		else if (!c->whole && n < size - parts->total)
			return ERR_NOT_CACHED;
		parts->iov[parts->count++] = (struct iovec){c->data + from, n};
		parts->total += n;
		if (c->whole && c->n < CACHE_CHUNK && parts->total < size)
			return 0;
	}
	/* The end may lie further than promised, and the kernel has to learn that before the reader
	 * takes the promised octets for all. The cache may know it, by a chunk that is short or
	 * empty. */
	if (!b->end_known && offset + size >= promised(b))
		find_chunk(b, (uint32_t)(promised(b) / CACHE_CHUNK));
	return !b->end_known && offset + size >= promised(b) ? ERR_NOT_CACHED : 0;
}

static int check(const struct body_read *r)
{
	if (r->mb->dead)
		return ERR_STALE;
	return mailbox_find(r->mb, r->uid) ? 0 : ERR_GONE;
}

/* A kernel reads ahead with a few requests that may pass each other. */
static void note_position(struct body *b, uint64_t offset, size_t size)
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
	uint64_t size = promised(b);

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

static bool missing(struct body *b, uint32_t index)
{
	const struct chunk *c = map_get(&b->chunks, index);

	return !c || (!c->whole && !c->fetching && !c->loading);
}

/* Starts windows for what is missing from first to last (chunks). bulk: ahead of the reader, and no
 * further than to what is in the cache, which is at hand when he comes to it. */
static void fetch_range(struct body *b, uint64_t first, uint64_t last, uint32_t window, bool bulk)
{
	for (uint64_t i = first; i <= last && i <= UINT32_MAX; i++) {
		if (!missing(b, (uint32_t)i))
			continue;
		if (find_chunk(b, (uint32_t)i)) {
			if (bulk)
				return;
			continue;
		}
		/* A slow disk may have it. */
		if (!missing(b, (uint32_t)i)) {
			if (bulk)
				return;
			continue;
		}
		uint32_t count = 1;
		while (count < window && i + count <= last && missing(b, (uint32_t)(i + count)))
			count++;
		window_start(b, (uint32_t)i, count, bulk);
		i += count - 1;
	}
}

static uint64_t ahead(const struct body *b)
{
	struct cache_counts counts;

	if (b->run == 0)
		return 0;
	cache_counts(b->pool->account->cache, &counts);
	if (counts.queued > BODY_QUEUE_MAX)
		return 0;
	uint64_t octets = (uint64_t)(b->from_start ? AHEAD_ALL : AHEAD_PART) << (b->run - 1);
	uint64_t most = pool_window(b->pool->account->pool);
	return octets < most ? octets : most;
}

/* What the read needs, and, for a sequential reader, what it will need. */
static void fetch(struct body *b, uint64_t offset, size_t size)
{
	uint64_t first = offset / CACHE_CHUNK;
	uint64_t needed = (offset + (size ? size - 1 : 0)) / CACHE_CHUNK;
	uint64_t end = last_chunk(b);
	uint32_t window = b->run >= 2 ? WINDOW_CHUNKS : b->run + 1;

	/* The kernel reads past the end that it knows; the first chunk is asked for in any case, it
	 * shows the true end. */
	if (first > end && b->bound != UINT64_MAX)
		first = needed = end;
	else if (needed > end)
		needed = end > first ? end : first;
	else if (!b->end_known && offset + size >= promised(b))
		needed = end;
	fetch_range(b, first, needed, window, false);
	uint64_t more = ahead(b);
	if (more == 0 || needed >= end)
		return;
	uint64_t wanted = (offset + size + more) / CACHE_CHUNK;
	window = (uint32_t)(more / CACHE_CHUNK / WINDOWS_AHEAD);
	if (window > WINDOW_CHUNKS_AHEAD)
		window = WINDOW_CHUNKS_AHEAD;
	/* Whole windows, not a chunk each time that the reader moved by one. */
	wanted = wanted < end ? wanted / window * window : end;
	fetch_range(b, needed + 1, wanted, window, true);
}

struct body *body_hold(struct mailbox *mb, uint32_t uid)
{
	struct body *b = get_body(mb, uid);

	b->windows++;
	return b;
}

/* --- ahead of the reader --- */

bool body_has(struct mailbox *mb, uint32_t uid, uint32_t index)
{
	struct body *b = map_get(&mb->bodies, uid);

	return b && !missing(b, index);
}

void body_prefetch(struct mailbox *mb, uint32_t uid, uint32_t index, uint32_t most)
{
	struct body *b = get_body(mb, uid);
	uint64_t end = last_chunk(b);
	uint32_t count = 0;

	while (count < most && count < WINDOW_CHUNKS && index + count <= end &&
		missing(b, index + count))
		count++;
	if (count > 0)
		window_start(b, index, count, true);
}

static void hand_out(struct mailbox *mb, uint32_t uid, uint32_t index, char *data, size_t n)
{
	struct account *a = mb->account;

	a->observer.on_octets_ahead(a->ctx, mb, uid, (uint64_t)index * CACHE_CHUNK, data, n);
}

void body_push(struct body *b, const struct chunk *c)
{
	if (list_empty(&b->readers))
		hand_out(b->mb, b->uid, c->index, mem_copy(c->data, c->n), c->n);
}

/* Whether the size that is shown agrees with these octets. A chunk that ends where it says proves
 * nothing when it is full: there may be more, and only a read that reaches us would find out. */
static bool is_as_promised(struct mailbox *mb, uint32_t uid, uint32_t index, size_t n)
{
	const struct cache_message *m = mailbox_find(mb, uid);
	uint64_t end = (uint64_t)index * CACHE_CHUNK + n;

	if (!m || (m->flags & CACHE_SIZE_UNKNOWN))
		return false;
	if (n == CACHE_CHUNK && !(m->flags & CACHE_SIZE_PROVED))
		return end < m->size;
	return n == CACHE_CHUNK ? end <= m->size : end == m->size;
}

void body_loaded(struct mailbox *mb, uint32_t uid, uint32_t index, char *data, size_t n, bool keep)
{
	if (n == 0 || body_has(mb, uid, index) || !mailbox_find(mb, uid)) {
		free(data);
		return;
	}
	const struct body *known = map_get(&mb->bodies, uid);
	bool waits = known && !list_empty(&known->readers);
	if (!keep && !waits && is_as_promised(mb, uid, index, n)) {
		hand_out(mb, uid, index, data, n);
		return;
	}
	struct body *b = get_body(mb, uid);
	put_chunk(b, index, data, n);
	if (waits) {
		b->windows++;
		body_wake(b);
		b->windows--;
		body_release(b);
	}
}

/* --- */

int body_read_try(const struct body_read *r, struct body_parts *parts)
{
	int err = check(r);

	if (err < 0)
		return err;
	/* Before the body is looked up: trimming may free it. */
	body_trim(r->mb->account->bodies);
	struct body *b = get_body(r->mb, r->uid);
	err = gather(b, r->offset, r->size, parts);
	if (err == 0) {
		note_position(b, r->offset, r->size);
		if (b->run > 0)
			fetch(b, r->offset, r->size);
	}
	if (r->offset == 0)
		ahead_note(r->mb, r->uid, err != 0);
	return err;
}

/* In the order of offsets: of several short answers the kernel believes the first, and that has to
 * be the one with the end. */
static void add_reader(struct body *b, struct body_read *r)
{
	struct list *at = b->readers.prev;

	while (at != &b->readers && list_entry(at, struct body_read, link)->offset > r->offset)
		at = at->prev;
	list_prepend(at, &r->link);
}

void body_read_start(struct body_read *r)
{
	struct body *b = get_body(r->mb, r->uid);

	add_reader(b, r);
	note_position(b, r->offset, r->size);
	fetch(b, r->offset, r->size);
	/* Whatever the cache seemed to have: somebody must come and answer. */
	if (b->windows == 0 && b->loads == 0)
		window_start(b, (uint32_t)(r->offset / CACHE_CHUNK), 1, false);
	body_trim(b->pool);
}

void body_read_cancel(struct body_read *r)
{
	list_remove(&r->link);
}

void body_wake(struct body *b)
{
	struct list ready = LIST_INIT(ready);
	struct body_parts parts;

	LIST_FOREACH_SAFE (pos, &b->readers) {
		struct body_read *r = list_entry(pos, struct body_read, link);
		if (gather(b, r->offset, r->size, &parts) == 0) {
			list_remove(&r->link);
			list_append(&ready, &r->link);
		}
	}
	while (!list_empty(&ready)) {
		struct body_read *r = list_entry(ready.next, struct body_read, link);
		list_remove(&r->link);
		int err = gather(b, r->offset, r->size, &parts);
		/* An answer before this one may have made room where it found these octets. */
		if (err == ERR_NOT_CACHED) {
			add_reader(b, r);
			continue;
		}
		r->on_done(r, err, err < 0 ? NULL : &parts);
	}
	/* A short window may have left a reader without any: ask again for what it lacks. */
	LIST_FOREACH (pos, &b->readers) {
		struct body_read *r = list_entry(pos, struct body_read, link);
		fetch(b, r->offset, r->size);
	}
}

void body_fail(struct body *b, int err)
{
	struct list failed = LIST_INIT(failed);

	list_splice(&failed, &b->readers);
	while (!list_empty(&failed)) {
		struct body_read *r = list_entry(failed.next, struct body_read, link);
		list_remove(&r->link);
		r->on_done(r, err, NULL);
	}
}

/* --- memory --- */

static bool held(const struct body *b)
{
	return b->windows > 0 || b->saves > 0 || b->loads > 0 || !list_empty(&b->readers);
}

void body_release(struct body *b)
{
	if (held(b))
		return;
	if (!b->mb)
		body_free(b);
	else
		body_trim(b->pool);
}

struct behind {
	struct body *body;
	uint32_t indexes[64];
	unsigned count;
};

static void note_behind(void *ctx, uint64_t key, void *value)
{
	struct behind *behind = ctx;
	const struct chunk *c = value;

	if (c->whole && !c->saving && behind->count < 64 &&
		(key + 2) * CACHE_CHUNK < behind->body->next)
		behind->indexes[behind->count++] = c->index;
}

/* A large message is read from its start to its end: what the reader left behind need not stay. */
static void drop_behind(struct body *b)
{
	struct behind behind = {.body = b};

	map_each(&b->chunks, note_behind, &behind);
	for (unsigned i = 0; i < behind.count; i++)
		free_chunk(b, map_remove(&b->chunks, behind.indexes[i]));
}

void body_trim(struct body_pool *p)
{
	LIST_FOREACH_SAFE (pos, &p->lru) {
		struct body *b = list_entry(pos, struct body, lru);
		if (p->memory <= MEMORY_MAX)
			return;
		if (held(b))
			drop_behind(b);
		else
			body_free(b);
	}
}

static void forget(struct body *b, int err)
{
	map_remove(&b->mb->bodies, b->uid);
	b->mb = NULL;
	body_fail(b, err);
	body_release(b);
}

void body_forget(struct mailbox *mb, uint32_t uid)
{
	struct body *b = map_get(&mb->bodies, uid);

	if (b)
		forget(b, ERR_GONE);
}

static void collect(void *ctx, uint64_t key, void *value)
{
	struct body ***next = ctx;

	*(*next)++ = value;
}

void body_forget_mailbox(struct mailbox *mb)
{
	size_t n = mb->bodies.count;
	struct body **bodies = mem_alloc(n * sizeof(*bodies)), **end = bodies;

	map_each(&mb->bodies, collect, &end);
	for (size_t i = 0; i < n; i++)
		forget(bodies[i], ERR_STALE);
	free(bodies);
}
