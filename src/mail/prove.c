#include "mail/prove.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/prove_private.h"
#include "mail/sizes.h"

/* Messages proved ahead, at first and at most. */
#define WINDOW_MIN ((size_t)16)
#define WINDOW_MAX ((size_t)1024)
/* Of the first few that were asked for; a server may tell of others too. */
#define FIRST_MAX 16
/* Messages that do not need it are passed over, so many at a time. */
#define LOOK_MAX 4096
/* Messages between two that were asked for in a row: shown already. */
#define SKIP_MAX 64
/* Larger ones are not taken for a sample: a server may have to convert them first. */
#define SAMPLE_OCTETS_MAX ((uint64_t)1 << 20)

static struct prover *get_prover(struct mailbox *mb)
{
	struct prover *p = mb->prover;

	if (!p) {
		p = mb->prover = mem_zalloc(sizeof(*p));
		p->mb = mb;
		map_init(&p->searches);
		list_init(&p->ready);
	}
	return p;
}

/* --- searches --- */

void prove_take(struct prover *p, struct search *s)
{
	list_remove(&s->link);
	p->ready_count--;
}

void prove_ready(struct prover *p, struct search *s)
{
	struct list *at = p->ready.prev;

	while (at != &p->ready && list_entry(at, struct search, link)->uid > s->uid)
		at = at->prev;
	list_prepend(at, &s->link);
	p->ready_count++;
}

struct search *prove_next(const struct prover *p)
{
	LIST_FOREACH (pos, &p->ready) {
		struct search *s = list_entry(pos, struct search, link);
		if (!list_empty(&s->proofs))
			return s;
	}
	return list_entry(p->ready.next, struct search, link);
}

static struct search *add_search(struct prover *p, const struct cache_message *m)
{
	struct search *s = mem_zalloc(sizeof(*s));

	s->uid = m->uid;
	list_init(&s->proofs);
	probe_init(&s->probe, m->size, p->mb->account->sizes.belief == SIZES_LIAR);
	map_put(&p->searches, s->uid, s);
	prove_ready(p, s);
	return s;
}

static void end_sample(struct prover *p, int err)
{
	const struct sizes *sizes = &p->mb->account->sizes;

	p->sample_failed |= err < 0;
	if (--p->sampling == 0 && !p->sample_failed && sizes->belief != SIZES_LIAR)
		p->mb->sizes_sampled = true;
}

void prove_end(struct prover *p, struct search *s, int err)
{
	struct mailbox *mb = p->mb;
	struct cache_message *m = mailbox_find(mb, s->uid);
	struct list proofs = LIST_INIT(proofs);

	if (mb->dead)
		err = ERR_STALE;
	else if (!m)
		err = ERR_GONE;
	else if (err == 0 && !(m->flags & CACHE_SIZE_PROVED))
		size_pin(mb, m, s->probe.low);
	else if (err == ERR_REFUSED)
		m->flags |= MESSAGE_UNPROVABLE;
	if (s->sample)
		end_sample(p, err);
	list_splice(&proofs, &s->proofs);
	map_remove(&p->searches, s->uid);
	free(s);
	while (!list_empty(&proofs)) {
		struct proof *proof = list_entry(proofs.next, struct proof, link);
		list_remove(&proof->link);
		proof->on_done(proof, err);
	}
}

/* --- ahead --- */

/* Whether nothing that needs a proof lies between. */
static bool follows(const struct prover *p, uint32_t uid)
{
	uint32_t at = p->last;

	for (unsigned i = 0; at != 0 && i < SKIP_MAX; i++) {
		const struct cache_message *m = mailbox_after(p->mb, at);
		if (!m || m->uid >= uid)
			return m && m->uid == uid;
		at = m->uid;
	}
	return false;
}

static bool needs_proof(const struct prover *p, const struct cache_message *m)
{
	return size_is_said(m) && !(m->flags & MESSAGE_UNPROVABLE) &&
	       !size_can_be_shown(p->mb, m) && !map_get(&p->searches, m->uid);
}

static void look_ahead(struct prover *p, uint32_t uid)
{
	bool in_order = p->last != 0 && uid > p->last && (uid <= p->frontier || follows(p, uid));

	if (!in_order)
		p->window = 0;
	else if (p->window == 0)
		p->window = WINDOW_MIN;
	else if (p->window < WINDOW_MAX)
		p->window *= 2;
	if (!in_order || p->frontier < uid)
		p->frontier = uid;
	p->last = uid;
	for (unsigned i = 0; i < LOOK_MAX && p->searches.count < p->window; i++) {
		const struct cache_message *m = mailbox_after(p->mb, p->frontier);
		if (!m)
			return;
		p->frontier = m->uid;
		if (needs_proof(p, m))
			add_search(p, m);
	}
}

/* --- */

void prove_start(struct proof *proof)
{
	struct prover *p = get_prover(proof->mb);
	struct search *s = map_get(&p->searches, proof->uid);

	if (!s)
		s = add_search(p, mailbox_find(proof->mb, proof->uid));
	list_append(&s->proofs, &proof->link);
	look_ahead(p, proof->uid);
	prove_launch(p);
}

void prove_cancel(struct proof *proof)
{
	list_remove(&proof->link);
}

/* --- samples --- */

static void add_sample(struct prover *p, const struct cache_message *m)
{
	if (!m || !size_is_said(m) || m->flags & (CACHE_SIZE_PROVED | MESSAGE_GONE) ||
		map_get(&p->searches, m->uid))
		return;
	add_search(p, m)->sample = true;
	p->sampling++;
}

void prove_first(struct mailbox *mb)
{
	struct prover *p = get_prover(mb);

	rows_sort(&mb->rows);
	for (size_t i = 0; i < mb->rows.count && p->sampling < FIRST_MAX; i++)
		add_sample(p, &mb->rows.at[i]);
	prove_launch(p);
}

void prove_some(struct mailbox *mb)
{
	const struct cache_message *smallest = NULL, *largest = NULL;
	const struct sizes *sizes = &mb->account->sizes;

	if (sizes->mode != SIZES_AUTO || sizes->belief == SIZES_LIAR || mb->rows.count == 0)
		return;
	rows_sort(&mb->rows);
	for (size_t i = 0; i < mb->rows.count; i++) {
		const struct cache_message *m = &mb->rows.at[i];
		if (!size_is_said(m) || m->size > SAMPLE_OCTETS_MAX || m->flags & MESSAGE_GONE)
			continue;
		if (!smallest || m->size < smallest->size)
			smallest = m;
		if (!largest || m->size > largest->size)
			largest = m;
	}
	struct prover *p = get_prover(mb);
	add_sample(p, smallest);
	add_sample(p, largest);
	add_sample(p, &mb->rows.at[mb->rows.count / 2]);
	add_sample(p, &mb->rows.at[mb->rows.count - 1]);
	prove_launch(p);
}

bool prove_is_idle(const struct mailbox *mb)
{
	return !mb->prover || mb->prover->commands == 0;
}

static void free_search(void *ctx, uint64_t key, void *value)
{
	free(value);
}

void prove_forget(struct mailbox *mb)
{
	if (!mb->prover)
		return;
	map_each(&mb->prover->searches, free_search, NULL);
	map_finish(&mb->prover->searches);
	free(mb->prover);
	mb->prover = NULL;
}
