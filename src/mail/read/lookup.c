/* SPDX-License-Identifier: MIT */
#include "mail/read/lookup.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/mem.h"
#include "mail/read/ahead.h"
#include "mail/read/batch.h"
#include "mail/read/private.h"

struct lookup {
	struct mailbox *mb;                 /* held */
	const struct body_section *section; /* NULL: the messages */
	uint32_t beginning;                 /* octets of each message; 0: all of it */
	struct cache_want *wants;
	size_t n, cap;
	struct map kept; /* UIDs of lookup_keep */
	bool foreseen;
	struct batch *ready[POOL_FORESEEN_MAX]; /* to be foreseen together */
	size_t ready_count;
};

struct lookup *lookup_create(struct mailbox *mb)
{
	struct lookup *l = mem_zalloc(sizeof(*l));

	l->mb = mailbox_hold(mb);
	l->beginning = ahead_beginning(mb);
	map_init(&l->kept);
	return l;
}

static void lookup_destroy(struct lookup *l)
{
	mailbox_release(l->mb);
	map_finish(&l->kept);
	free(l->wants);
	free(l);
}

void lookup_add(struct lookup *l, uint32_t uid, uint32_t chunk)
{
	l->wants = array_grow(l->wants, &l->cap, l->n + 1, sizeof(*l->wants));
	l->wants[l->n++] = (struct cache_want){.uid = uid, .chunk = chunk};
}

void lookup_headers(
	struct mailbox *mb, const struct body_section *section, const uint32_t *uids, size_t n)
{
	struct lookup *l = lookup_create(mb);

	l->section = section;
	l->beginning = 0;
	for (size_t i = 0; i < n; i++)
		if (!body_has(mb, uids[i], section, 0))
			lookup_add(l, uids[i], section->number * CACHE_SECTION_CHUNKS);
	lookup_start(l);
}

uint32_t lookup_octets(const struct lookup *l, const struct cache_message *m)
{
	uint64_t most = l->beginning ? l->beginning : LOOKUP_LARGE_MAX;

	if (m->flags & CACHE_SIZE_UNKNOWN)
		return 0;
	return (uint32_t)(m->size < most ? m->size : most);
}

void lookup_message(struct lookup *l, const struct cache_message *m, bool keep)
{
	uint32_t octets = lookup_octets(l, m);

	if (keep)
		lookup_keep(l, m->uid);
	if (body_begins(l->mb, m->uid, octets))
		return;
	for (uint64_t at = 0; at < octets; at += CACHE_CHUNK)
		if (!body_has(l->mb, m->uid, NULL, (uint32_t)(at / CACHE_CHUNK)))
			lookup_add(l, m->uid, (uint32_t)(at / CACHE_CHUNK));
}

void lookup_keep(struct lookup *l, uint32_t uid)
{
	map_put(&l->kept, uid, l);
}

void lookup_foresee(struct lookup *l)
{
	l->foreseen = true;
}

static bool comes_in_batch(const struct lookup *l, uint32_t uid)
{
	const struct cache_message *m = mailbox_find(l->mb, uid);

	return m && (l->section || l->beginning || m->size < BATCH_MESSAGE_MAX);
}

static bool is_there(const struct lookup *l, const struct cache_want *w)
{
	return w->data || body_has(l->mb, w->uid, l->section, w->chunk % CACHE_SECTION_CHUNKS) ||
	       (l->beginning && body_begins(l->mb, w->uid, l->beginning));
}

static struct batch *create_batch(const struct lookup *l)
{
	struct batch *b = batch_create(l->mb);

	if (l->beginning)
		batch_want_beginnings(b, l->beginning);
	if (l->section)
		batch_want_headers(b, l->section);
	return b;
}

/* Chunks of one message in a row that the cache does not have. */
static uint32_t missing_in_a_row(const struct cache_want *wants, size_t n)
{
	uint32_t count = 1;

	while (count < n && !wants[count].data && wants[count].uid == wants[0].uid &&
		wants[count].chunk == wants[0].chunk + count)
		count++;
	return count;
}

static void start_batch(struct lookup *l, struct batch *b)
{
	if (l->foreseen && l->ready_count < POOL_FORESEEN_MAX)
		l->ready[l->ready_count++] = b;
	else
		batch_start(b);
}

/* What the cache does not have: small messages and beginnings together, of large ones the chunks that miss. */
static void fetch_missing(struct lookup *l)
{
	struct batch *batch = NULL;

	for (size_t i = 0; i < l->n; i++) {
		const struct cache_want *w = &l->wants[i];
		if (is_there(l, w))
			continue;
		if (!comes_in_batch(l, w->uid)) {
			plan_prefetch(l->mb, w->uid, w->chunk, missing_in_a_row(w, l->n - i));
			continue;
		}
		if (!batch)
			batch = create_batch(l);
		batch_add(batch, w->uid, map_get(&l->kept, w->uid) != NULL);
		if (batch_is_full(batch)) {
			start_batch(l, batch);
			batch = NULL;
		}
	}
	if (batch)
		start_batch(l, batch);
	if (l->ready_count > 0)
		batch_foresee(l->ready, l->ready_count);
}

static void lookup_on_loaded(void *ctx, int err, struct cache_want *wants, size_t n)
{
	struct lookup *l = ctx;
	struct mailbox *mb = l->mb;

	l->wants = wants;
	l->n = n;
	if (err == 0 && !mb->dead && !mb->account->on_stopped)
		fetch_missing(l);
	for (size_t i = 0; i < n; i++) {
		struct cache_want *w = &wants[i];
		bool keep = w->chunk == 0 && map_get(&l->kept, w->uid);
		if (w->data && err == 0 && !mb->dead)
			body_loaded(mb, w->uid, l->section, w->chunk % CACHE_SECTION_CHUNKS,
				w->data, w->n, keep);
		else
			free(w->data);
	}
	body_trim(mb->account->bodies);
	lookup_destroy(l);
}

bool lookup_start(struct lookup *l)
{
	struct cache_want *wants = l->wants;

	if (l->n == 0) {
		lookup_destroy(l);
		return false;
	}
	l->wants = NULL;
	cache_load_chunks(
		l->mb->account->cache, l->mb->id, wants, l->n, false, lookup_on_loaded, l);
	return true;
}
