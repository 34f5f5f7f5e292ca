/* SPDX-License-Identifier: MIT */
#include "mail/parts/facts.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/parts/private.h"
#include "mime/packed.h"

/* Octets of facts in memory; beyond it those of other mailboxes than the one that is asked for go, the one that was
 * unused longest first. */
#define MEMORY_MAX (64u << 20)

_Static_assert(FACT_STRUCTURE + 1 == CACHE_FACT_KINDS, "each has a place");

struct facts_pool {
	struct list lru; /* struct facts, least recently used first */
	size_t octets;
};

struct facts_pool *facts_pool_create(void)
{
	struct facts_pool *p = mem_zalloc(sizeof(*p));

	list_init(&p->lru);
	return p;
}

void facts_pool_destroy(struct facts_pool *p)
{
	free(p);
}

/* --- what is known --- */

struct facts *facts_of(struct mailbox *mb, enum fact kind)
{
	struct facts *f = mb->parts.facts[kind];

	if (!f) {
		f = mb->parts.facts[kind] = mem_zalloc(sizeof(*f));
		f->mb = mb;
		f->kind = kind;
		map_init(&f->known);
		list_init(&f->waiters);
		list_init(&f->lru);
	}
	list_remove(&f->lru);
	list_append(&mb->account->facts->lru, &f->lru);
	return f;
}

static void put_row(struct facts *f, uint32_t uid, struct span packed)
{
	struct fact_row *row = mem_alloc(sizeof(*row) + packed.n);

	row->n = packed.n;
	if (packed.n > 0)
		memcpy(row->octets, packed.p, packed.n);
	map_put(&f->known, uid, row);
	f->octets += sizeof(*row) + packed.n;
	f->mb->account->facts->octets += sizeof(*row) + packed.n;
	f->version++;
}

static void free_row(struct facts *f, struct fact_row *row)
{
	size_t n = sizeof(*row) + row->n;

	f->octets -= n;
	f->mb->account->facts->octets -= n;
	free(row);
}

static void free_each(void *ctx, uint64_t key, void *value)
{
	free_row(ctx, value);
}

/* Back to where nothing is known in memory. */
static void drop_rows(struct facts *f)
{
	map_each(&f->known, free_each, f);
	map_finish(&f->known);
	map_init(&f->known);
	f->unsaved_count = 0;
}

static bool is_idle(const struct facts *f)
{
	return !f->question && !f->riding && f->state != FACTS_LOADING && list_empty(&f->waiters);
}

/* Those of this mailbox stay, or who needs both kinds of many messages would lose one over the other, for ever. */
static void trim(struct facts_pool *p, const struct mailbox *but)
{
	LIST_FOREACH (pos, &p->lru) {
		struct facts *f = list_entry(pos, struct facts, lru);
		if (p->octets <= MEMORY_MAX)
			return;
		if (f->mb == but || !is_idle(f))
			continue;
		drop_rows(f);
		f->state = FACTS_COLD;
	}
}

bool facts_lacks(const struct facts *f, uint32_t uid)
{
	return !map_get(&f->known, uid) && mailbox_find(f->mb, uid);
}

int facts_try(struct mailbox *mb, enum fact kind, uint32_t uid, struct span *packed)
{
	if (mb->dead)
		return ERR_STALE;
	if (!mailbox_find(mb, uid))
		return ERR_GONE;
	const struct fact_row *row = map_get(&facts_of(mb, kind)->known, uid);
	if (!row)
		return ERR_NOT_CACHED;
	*packed = (struct span){row->octets, row->n};
	return row->n > 0 ? 0 : ERR_UNREADABLE;
}

int facts_summary(struct mailbox *mb, uint32_t uid, struct mime_summary *summary)
{
	struct span packed;
	int err = facts_try(mb, FACT_SUMMARY, uid, &packed);

	return err == 0 && !mime_summary_unpack(packed, summary) ? ERR_UNREADABLE : err;
}

int facts_structure(struct mailbox *mb, uint32_t uid, struct mime_structure *structure)
{
	struct span packed;
	int err = facts_try(mb, FACT_STRUCTURE, uid, &packed);

	if (err < 0)
		return err;
	err = mime_structure_unpack(packed, structure);
	if (err < 0)
		mime_structure_finish(structure);
	return err;
}

int facts_try_all(struct mailbox *mb, enum fact kind)
{
	if (mb->dead)
		return ERR_STALE;
	const struct facts *f = facts_of(mb, kind);
	if (f->state != FACTS_LOADED)
		return ERR_NOT_CACHED;
	const struct cache_message *m = mailbox_after(mb, 0);
	while (m && map_get(&f->known, m->uid))
		m = m->uid == UINT32_MAX ? NULL : mailbox_after(mb, m->uid);
	return m ? ERR_NOT_CACHED : 0;
}

uint64_t facts_version(const struct mailbox *mb, enum fact kind)
{
	const struct facts *f = mb->parts.facts[kind];

	return f ? f->version : 0;
}

/* --- who waits --- */

static bool is_satisfied(const struct facts_wait *w)
{
	struct span packed;

	if (w->uid == 0)
		return facts_try_all(w->mb, w->kind) != ERR_NOT_CACHED;
	return facts_try(w->mb, w->kind, w->uid, &packed) != ERR_NOT_CACHED;
}

static void wake(struct list *woken, int err)
{
	while (!list_empty(woken)) {
		struct facts_wait *w = list_entry(woken->next, struct facts_wait, link);
		list_remove(&w->link);
		w->on_wake(w, err);
	}
}

/* uid: only who waits for that one; 0: whoever has what he waits for. */
static void wake_satisfied(struct facts *f, uint32_t uid)
{
	struct list woken = LIST_INIT(woken);

	LIST_FOREACH_SAFE (pos, &f->waiters) {
		struct facts_wait *w = list_entry(pos, struct facts_wait, link);
		if (uid != 0 ? w->uid == uid : is_satisfied(w)) {
			list_remove(&w->link);
			list_append(&woken, &w->link);
		}
	}
	wake(&woken, 0);
}

static void wake_all(struct facts *f, int err)
{
	struct list woken = LIST_INIT(woken);

	list_splice(&woken, &f->waiters);
	wake(&woken, err);
}

/* --- the cache --- */

static void save(struct facts *f)
{
	struct cache_fact facts[FACTS_SAVED_TOGETHER];
	size_t n = 0;

	for (unsigned i = 0; i < f->unsaved_count; i++) {
		const struct fact_row *row = map_get(&f->known, f->unsaved[i]);
		if (row && row->n > 0)
			facts[n++] = (struct cache_fact){f->unsaved[i], {row->octets, row->n}};
	}
	f->unsaved_count = 0;
	if (f->mb->uidvalidity != 0)
		cache_put_facts(f->mb->account->cache, f->mb->id, f->kind, facts, n,
			f->kind == FACT_STRUCTURE);
}

static void facts_on_loaded(void *ctx, int err, const struct cache_fact *facts, size_t n)
{
	struct facts *f = ctx;
	struct mailbox *mb = f->mb;

	f->state = FACTS_LOADED;
	for (size_t i = 0; i < n && !mb->dead; i++)
		if (facts_lacks(f, facts[i].uid))
			put_row(f, facts[i].uid, facts[i].packed);
	if (err == ERR_CANCELED || mb->dead)
		wake_all(f, mb->dead ? ERR_STALE : err);
	else
		facts_answered(f, 0);
	mailbox_release(mb);
}

void facts_load(struct facts *f)
{
	f->state = FACTS_LOADING;
	mailbox_hold(f->mb);
	cache_load_facts(f->mb->account->cache, f->mb->id, f->kind, facts_on_loaded, f);
}

/* --- waiting --- */

void facts_wait(struct facts_wait *w)
{
	trim(w->mb->account->facts, w->mb);
	struct facts *f = facts_of(w->mb, w->kind);
	list_append(&f->waiters, &w->link);
	if (f->state == FACTS_LOADING)
		return;
	/* Who has already what he waits for is told so by the cache's answer, too. */
	if (f->state == FACTS_COLD || is_satisfied(w))
		facts_load(f);
	else
		ask_start(f);
}

void facts_unwait(struct facts_wait *w)
{
	list_remove(&w->link);
}

void facts_note(struct facts *f, uint32_t uid, struct span packed)
{
	put_row(f, uid, packed);
	f->unsaved[f->unsaved_count++] = uid;
	if (f->unsaved_count == FACTS_SAVED_TOGETHER)
		save(f);
	wake_satisfied(f, uid);
}

void facts_note_none(struct facts *f, uint32_t uid, const char *why)
{
	static const char *const names[] = {
		[FACT_SUMMARY] = "header", [FACT_STRUCTURE] = "structure"};

	if (!f->told)
		log_warning("%s: the %s of message %u of %s cannot be had: %s; of others here that "
			    "is not told",
			f->mb->account->options.pool.host, names[f->kind], uid, mailbox_path(f->mb),
			why);
	f->told = true;
	put_row(f, uid, SPAN(""));
	wake_satisfied(f, uid);
}

void facts_answered(struct facts *f, int err)
{
	save(f);
	if (err < 0) {
		wake_all(f, err);
		return;
	}
	wake_satisfied(f, 0);
	if (!list_empty(&f->waiters) && f->state == FACTS_LOADED)
		ask_start(f);
}

void facts_forget_memory(struct mailbox *mb)
{
	for (unsigned kind = 0; kind < CACHE_FACT_KINDS; kind++) {
		struct facts *f = mb->parts.facts[kind];
		if (!f || !is_idle(f))
			continue;
		save(f);
		drop_rows(f);
		f->state = FACTS_COLD;
	}
}

/* --- the end of messages and mailboxes --- */

void facts_forget(struct mailbox *mb, uint32_t uid)
{
	for (unsigned kind = 0; kind < CACHE_FACT_KINDS; kind++) {
		struct facts *f = mb->parts.facts[kind];
		struct fact_row *row = f ? map_remove(&f->known, uid) : NULL;
		if (row)
			free_row(f, row);
	}
}

void facts_forget_mailbox(struct mailbox *mb)
{
	for (unsigned kind = 0; kind < CACHE_FACT_KINDS; kind++) {
		struct facts *f = mb->parts.facts[kind];
		if (!f)
			continue;
		drop_rows(f);
		wake_all(f, ERR_STALE);
	}
}

void facts_forget_freed(struct mailbox *mb)
{
	for (unsigned kind = 0; kind < CACHE_FACT_KINDS; kind++) {
		struct facts *f = mb->parts.facts[kind];
		if (!f)
			continue;
		ask_forget(f);
		along_forget(f);
		drop_rows(f);
		map_finish(&f->known);
		list_remove(&f->lru);
		free(f);
		mb->parts.facts[kind] = NULL;
	}
}
