/* SPDX-License-Identifier: MIT */
#include "mail/read/body.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/read/ahead.h"
#include "mail/read/private.h"
#include "mail/size/sizes.h"

/* Octets of bodies in memory; beyond it those that are in the cache, or that nobody waits for, go.
 */
#define MEMORY_MAX (48u << 20)
/* How often octets may come where there were none before. */
#define DOUBTS_MAX 3

struct body_pool *body_pool_create(struct account *a)
{
	struct body_pool *p = mem_zalloc(sizeof(*p));

	p->account = a;
	list_init(&p->lru);
	return p;
}

/* --- those of a mailbox: by UID the first of each message's --- */

static struct body *find_body(const struct mailbox *mb, uint32_t uid, uint32_t number)
{
	struct body *b = map_get(&mb->reading.bodies, uid);

	while (b && b->number != number)
		b = b->beside;
	return b;
}

static uint32_t number_of(const struct body_section *section)
{
	return section ? section->number : 0;
}

static void link_body(struct body *b)
{
	b->beside = map_get(&b->mb->reading.bodies, b->uid);
	map_put(&b->mb->reading.bodies, b->uid, b);
}

static void unlink_body(struct body *b)
{
	struct map *bodies = &b->mb->reading.bodies;
	struct body *first = map_get(bodies, b->uid), *before = first;

	if (first != b) {
		while (before->beside != b)
			before = before->beside;
		before->beside = b->beside;
	} else if (b->beside) {
		map_put(bodies, b->uid, b->beside);
	} else {
		map_remove(bodies, b->uid);
	}
	b->beside = NULL;
}

static void forget_body(struct body *b, int err);

static void body_destroy(struct body *b)
{
	list_remove(&b->lru);
	chunk_free_all(b);
	if (b->mb)
		unlink_body(b);
	free(b->section);
	free(b);
}

void body_pool_destroy(struct body_pool *p)
{
	if (!p)
		return;
	LIST_FOREACH_SAFE (pos, &p->lru)
		body_destroy(list_entry(pos, struct body, lru));
	free(p);
}

uint64_t body_memory(const struct body_pool *p)
{
	return p->memory;
}

static struct body *create_body(
	struct mailbox *mb, uint32_t uid, const struct body_section *section)
{
	struct body *b = mem_zalloc(sizeof(*b));
	const struct cache_message *m = section ? NULL : mailbox_find(mb, uid);

	b->pool = mb->account->bodies;
	b->mb = mb;
	b->uid = uid;
	if (section) {
		b->number = section->number;
		b->section = mem_strdup(section->name);
		b->promised = section->promised;
		b->header = section->header;
	}
	b->bound = UINT64_MAX;
	b->end_known = m && (m->flags & CACHE_SIZE_PROVED);
	b->end = b->end_known ? m->size : 0;
	list_init(&b->lru);
	list_init(&b->readers);
	map_init(&b->chunks);
	link_body(b);
	return b;
}

/* Of a section, NULL: of the whole message. */
static struct body *get_body(struct mailbox *mb, uint32_t uid, const struct body_section *section)
{
	struct body *b = find_body(mb, uid, number_of(section));

	/* The server tells another structure than before. */
	if (b && section && strcmp(b->section, section->name) != 0) {
		forget_body(b, ERR_UNREADABLE);
		b = NULL;
	}
	if (!b)
		b = create_body(mb, uid, section);
	list_remove(&b->lru);
	list_append(&b->pool->lru, &b->lru);
	return b;
}

struct body *body_get(struct mailbox *mb, uint32_t uid)
{
	return get_body(mb, uid, NULL);
}

struct body *body_known(const struct mailbox *mb, uint32_t uid)
{
	return find_body(mb, uid, 0);
}

struct body *body_hold(struct mailbox *mb, uint32_t uid, const struct body_section *section)
{
	struct body *b = get_body(mb, uid, section);

	b->fetches++;
	return b;
}

/* --- the end of a message --- */

uint64_t body_promised(const struct body *b)
{
	const struct cache_message *m = b->mb ? mailbox_find(b->mb, b->uid) : NULL;

	if (b->number != 0)
		return b->promised;
	return m && !(m->flags & CACHE_SIZE_UNKNOWN) ? m->size : UINT64_MAX;
}

/* The message has more octets than promised. Where it ends is not known yet; a size that is too
 * large the kernel corrects by itself at the end, one that is too small would cut. */
static void outgrow(struct body *b, uint64_t reached)
{
	if (body_promised(b) >= reached)
		return;
	b->outgrown = true;
	/* What is asked for reaches as far as is promised. */
	if (b->number == 0)
		sizes_contradict(b->mb, mailbox_find(b->mb, b->uid), reached + CACHE_CHUNK);
	else
		b->promised = reached + CACHE_CHUNK;
}

void body_note_whole(struct body *b, const struct chunk *c)
{
	uint64_t end = (uint64_t)c->index * CACHE_CHUNK + c->n;

	if (b->end_known)
		return;
	if (c->n < CACHE_CHUNK)
		body_set_end(b, end);
	else
		outgrow(b, end);
}

bool body_set_bound(struct body *b, uint64_t bound)
{
	const struct chunk *c = chunk_find(b, (uint32_t)(bound / CACHE_CHUNK));

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
	struct cache_message *m = mb && b->number == 0 ? mailbox_find(mb, b->uid) : NULL;
	if (m)
		sizes_pin(mb, m, end);
}

/* --- readers --- */

/* Gathers the octets of a read. 0, or ERR_NOT_CACHED when some are missing. */
static int gather_octets(struct body *b, uint64_t offset, size_t size, struct body_parts *parts)
{
	parts->count = 0;
	parts->total = 0;
	while (parts->total < size) {
		uint64_t at = offset + parts->total;
		if (b->end_known && at >= b->end)
			return 0;
		struct chunk *c = chunk_find(b, (uint32_t)(at / CACHE_CHUNK));
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
	if (!b->end_known && offset + size >= body_promised(b))
		chunk_find(b, (uint32_t)(body_promised(b) / CACHE_CHUNK));
	return !b->end_known && offset + size >= body_promised(b) ? ERR_NOT_CACHED : 0;
}

static int find_message(const struct body_read *r)
{
	if (r->mb->dead)
		return ERR_STALE;
	return mailbox_find(r->mb, r->uid) ? 0 : ERR_GONE;
}

int body_read_try(const struct body_read *r, struct body_parts *parts)
{
	int err = find_message(r);

	if (err < 0)
		return err;
	/* Before the body is looked up: trimming may free it. */
	body_trim(r->mb->account->bodies);
	struct body *b = get_body(r->mb, r->uid, r->section);
	err = gather_octets(b, r->offset, r->size, parts);
	if (err == 0) {
		plan_note_read(b, r->offset, r->size);
		if (b->run > 0)
			plan_fetch(b, r->offset, r->size);
	}
	if (r->section || r->quiet)
		return err;
	if (r->offset == 0)
		ahead_note(r->mb, r->uid, err != 0, r->aside);
	ahead_note_reach(r->mb, r->uid, r->offset + r->size);
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
	struct body *b = get_body(r->mb, r->uid, r->section);

	add_reader(b, r);
	plan_note_read(b, r->offset, r->size);
	plan_fetch(b, r->offset, r->size);
	/* Whatever the cache seemed to have: somebody must come and answer. */
	if (b->fetches == 0 && b->loads == 0)
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

	/* Readers may come and go while they are told: the count keeps b. */
	b->fetches++;
	LIST_FOREACH_SAFE (pos, &b->readers) {
		struct body_read *r = list_entry(pos, struct body_read, link);
		if (gather_octets(b, r->offset, r->size, &parts) == 0) {
			list_remove(&r->link);
			list_append(&ready, &r->link);
		}
	}
	while (!list_empty(&ready)) {
		struct body_read *r = list_entry(ready.next, struct body_read, link);
		list_remove(&r->link);
		int err = gather_octets(b, r->offset, r->size, &parts);
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
		plan_fetch(b, r->offset, r->size);
	}
	b->fetches--;
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

/* --- what is there before it is read --- */

bool body_has(struct mailbox *mb, uint32_t uid, const struct body_section *section, uint32_t index)
{
	struct body *b = find_body(mb, uid, number_of(section));

	return b && !chunk_is_missing(b, index);
}

static uint64_t reach_of(struct body *b, uint64_t end)
{
	for (uint64_t at = 0; at < end; at += CACHE_CHUNK) {
		const struct chunk *c = chunk_find(b, (uint32_t)(at / CACHE_CHUNK));
		if (!c || !c->whole)
			return at;
	}
	return end;
}

bool body_is_here(struct mailbox *mb, uint32_t uid)
{
	struct body *b = get_body(mb, uid, NULL);
	uint64_t end = b->end_known ? b->end : body_promised(b);

	return end != UINT64_MAX && reach_of(b, end) == end && b->end_known;
}

uint64_t body_reach(struct mailbox *mb, uint32_t uid)
{
	struct body *b = get_body(mb, uid, NULL);

	return reach_of(b, b->end_known ? b->end : body_promised(b));
}

int body_section_end(
	struct mailbox *mb, uint32_t uid, const struct body_section *section, uint64_t *end)
{
	struct body *b = get_body(mb, uid, section);

	/* The cache may know the last chunk. */
	if (!b->end_known && b->promised != UINT64_MAX)
		chunk_find(b, (uint32_t)(b->promised / CACHE_CHUNK));
	*end = b->end;
	return b->end_known ? 0 : ERR_NOT_CACHED;
}

bool body_is_coming(struct mailbox *mb, uint32_t uid)
{
	const struct cache_message *m = mailbox_find(mb, uid);

	return m && sizes_said(m) && m->size <= CACHE_CHUNK && body_has(mb, uid, NULL, 0);
}

bool body_begins(struct mailbox *mb, uint32_t uid, uint32_t octets)
{
	const struct body *b = body_known(mb, uid);
	const struct chunk *c = b ? map_get(&b->chunks, 0) : NULL;

	return c && (c->whole || c->n >= octets);
}

static void push_ahead(struct mailbox *mb, uint32_t uid, uint32_t index, char *data, size_t n)
{
	struct account *a = mb->account;

	a->observer.on_push(a->ctx, mb, uid, (uint64_t)index * CACHE_CHUNK, data, n);
}

void body_push(struct body *b, const struct chunk *c)
{
	if (list_empty(&b->readers))
		push_ahead(b->mb, b->uid, c->index, mem_copy(c->data, c->n), c->n);
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

void body_loaded(struct mailbox *mb, uint32_t uid, const struct body_section *section,
	uint32_t index, char *data, size_t n, bool keep)
{
	if (n == 0 || body_has(mb, uid, section, index) || !mailbox_find(mb, uid)) {
		free(data);
		return;
	}
	const struct body *known = find_body(mb, uid, number_of(section));
	bool waits = known && !list_empty(&known->readers);
	if (!section && !keep && !waits && is_as_promised(mb, uid, index, n)) {
		push_ahead(mb, uid, index, data, n);
		return;
	}
	struct body *b = get_body(mb, uid, section);
	chunk_put(b, index, data, n);
	if (waits) {
		body_wake(b);
		body_release(b);
	}
}

static void save_again(void *ctx, uint64_t key, void *value)
{
	struct chunk *c = value;

	if (c->whole && !c->saving)
		chunk_save(ctx, c);
}

void body_save_again(struct mailbox *mb, uint32_t uid)
{
	struct body *b = body_known(mb, uid);

	if (b)
		map_each(&b->chunks, save_again, b);
}

/* --- memory --- */

static bool is_in_use(const struct body *b)
{
	return b->fetches > 0 || b->saves > 0 || b->loads > 0 || !list_empty(&b->readers);
}

void body_release(struct body *b)
{
	if (is_in_use(b))
		return;
	if (!b->mb)
		body_destroy(b);
	else
		body_trim(b->pool);
}

void body_trim(struct body_pool *p)
{
	LIST_FOREACH_SAFE (pos, &p->lru) {
		struct body *b = list_entry(pos, struct body, lru);
		if (p->memory <= MEMORY_MAX)
			return;
		if (is_in_use(b))
			chunk_drop_behind(b);
		else
			body_destroy(b);
	}
}

static void forget_body(struct body *b, int err)
{
	unlink_body(b);
	b->mb = NULL;
	body_fail(b, err);
	body_release(b);
}

static void forget_each(struct mailbox *mb, uint32_t uid, int err)
{
	struct body *b;

	while ((b = map_get(&mb->reading.bodies, uid)) != NULL)
		forget_body(b, err);
}

void body_forget(struct mailbox *mb, uint32_t uid)
{
	forget_each(mb, uid, ERR_GONE);
}

static void collect(void *ctx, uint64_t key, void *value)
{
	uint32_t **next = ctx;

	*(*next)++ = (uint32_t)key;
}

void body_forget_mailbox(struct mailbox *mb)
{
	size_t n = mb->reading.bodies.count;
	uint32_t *uids = mem_alloc(n * sizeof(*uids)), *end = uids;

	map_each(&mb->reading.bodies, collect, &end);
	for (size_t i = 0; i < n; i++)
		forget_each(mb, uids[i], ERR_STALE);
	free(uids);
}

char *body_copy(const struct body_parts *parts)
{
	char *data = mem_alloc(parts->total);
	size_t used = 0;

	for (int i = 0; i < parts->count; i++) {
		memcpy(data + used, parts->iov[i].iov_base, parts->iov[i].iov_len);
		used += parts->iov[i].iov_len;
	}
	return data;
}
