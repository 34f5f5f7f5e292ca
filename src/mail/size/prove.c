/* SPDX-License-Identifier: MIT */
#include "mail/size/prove.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/size/private.h"
#include "mail/size/sizes.h"

/* Messages proved ahead of who asks for one after the other, at first and at most. */
#define LEAD_MIN ((size_t)16)
#define LEAD_MAX ((size_t)1024)
/* Messages of the sample before a first listing, which asks for a few; a server may tell of others
 * too. */
#define FIRST_MAX 16
/* Messages that are looked at in one go, for some that need a proof. */
#define LOOK_MAX 4096
/* Messages without need of a proof that may lie between two that were asked for in a row. */
#define SKIP_MAX 64
/* Octets of a message that is taken for a sample: a server may have to convert it first. */
#define SAMPLE_OCTETS_MAX ((uint64_t)1 << 20)

static struct prover *prover_of(struct mailbox *mb)
{
	struct prover *p = mb->sizes.prover;

	if (!p) {
		p = mb->sizes.prover = mem_zalloc(sizeof(*p));
		p->mb = mb;
		map_init(&p->unproved);
		list_init(&p->ready);
	}
	return p;
}

/* --- the messages that are to be proved --- */

void prove_take(struct prover *p, struct unproved *u)
{
	list_remove(&u->link);
	p->ready_count--;
}

void prove_ready(struct prover *p, struct unproved *u)
{
	struct list *at = p->ready.prev;

	while (at != &p->ready && list_entry(at, struct unproved, link)->uid > u->uid)
		at = at->prev;
	list_prepend(at, &u->link);
	p->ready_count++;
}

struct unproved *prove_next(const struct prover *p)
{
	LIST_FOREACH (pos, &p->ready) {
		struct unproved *u = list_entry(pos, struct unproved, link);
		if (!list_empty(&u->proofs))
			return u;
	}
	return list_entry(p->ready.next, struct unproved, link);
}

static struct unproved *add_unproved(struct prover *p, const struct cache_message *m)
{
	struct unproved *u = mem_zalloc(sizeof(*u));

	u->uid = m->uid;
	list_init(&u->proofs);
	probe_init(&u->probe, m->size, sizes_were_wrong(p->mb->account));
	map_put(&p->unproved, u->uid, u);
	prove_ready(p, u);
	return u;
}

static void end_sample(struct prover *p, int err)
{
	p->sample_failed |= err < 0;
	if (--p->sampling == 0 && !p->sample_failed && !sizes_were_wrong(p->mb->account))
		p->mb->sizes.sampled = true;
}

void prove_end(struct prover *p, struct unproved *u, int err)
{
	struct mailbox *mb = p->mb;
	struct cache_message *m = mailbox_find(mb, u->uid);
	struct list proofs = LIST_INIT(proofs);

	if (mb->dead)
		err = ERR_STALE;
	else if (!m)
		err = ERR_GONE;
	else if (err == 0 && !(m->flags & CACHE_SIZE_PROVED))
		sizes_pin(mb, m, u->probe.low);
	else if (err == ERR_REFUSED)
		m->flags |= MESSAGE_UNPROVABLE;
	if (u->sample)
		end_sample(p, err);
	list_splice(&proofs, &u->proofs);
	map_remove(&p->unproved, u->uid);
	free(u);
	while (!list_empty(&proofs)) {
		struct proof *proof = list_entry(proofs.next, struct proof, link);
		list_remove(&proof->link);
		proof->on_done(proof, err);
	}
}

/* --- ahead of who asks for one after the other --- */

/* Whether nothing that needs a proof lies between the message that was asked for last and this. */
static bool follows_last(const struct prover *p, uint32_t uid)
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
	return sizes_said(m) && !(m->flags & MESSAGE_UNPROVABLE) && !sizes_can_show(p->mb, m) &&
	       !map_get(&p->unproved, m->uid);
}

static void look_ahead(struct prover *p, uint32_t uid)
{
	bool in_order = p->last != 0 && uid > p->last &&
			(uid <= p->frontier || follows_last(p, uid));

	if (!in_order)
		p->lead = 0;
	else if (p->lead == 0)
		p->lead = LEAD_MIN;
	else if (p->lead < LEAD_MAX)
		p->lead *= 2;
	if (!in_order || p->frontier < uid)
		p->frontier = uid;
	p->last = uid;
	for (unsigned i = 0; i < LOOK_MAX && p->unproved.count < p->lead; i++) {
		const struct cache_message *m = mailbox_after(p->mb, p->frontier);
		if (!m)
			return;
		p->frontier = m->uid;
		if (needs_proof(p, m))
			add_unproved(p, m);
	}
}

/* --- from outside --- */

void prove_start(struct proof *proof)
{
	struct prover *p = prover_of(proof->mb);
	struct unproved *u = map_get(&p->unproved, proof->uid);

	if (!u)
		u = add_unproved(p, mailbox_find(proof->mb, proof->uid));
	list_append(&u->proofs, &proof->link);
	look_ahead(p, proof->uid);
	inquiry_launch(p);
}

void prove_cancel(struct proof *proof)
{
	list_remove(&proof->link);
}

/* --- samples --- */

static void add_sample(struct prover *p, const struct cache_message *m)
{
	if (!m || !sizes_said(m) || m->flags & (CACHE_SIZE_PROVED | MESSAGE_GONE) ||
		map_get(&p->unproved, m->uid))
		return;
	add_unproved(p, m)->sample = true;
	p->sampling++;
}

void prove_first(struct mailbox *mb)
{
	struct prover *p = prover_of(mb);

	rows_sort(&mb->messages.rows);
	for (size_t i = 0; i < mb->messages.rows.count && p->sampling < FIRST_MAX; i++)
		add_sample(p, &mb->messages.rows.at[i]);
	inquiry_launch(p);
}

void prove_some(struct mailbox *mb)
{
	const struct cache_message *smallest = NULL, *largest = NULL;
	const struct account *a = mb->account;

	if (a->options.sizes != SIZES_AUTO || sizes_were_wrong(a) || mb->messages.rows.count == 0)
		return;
	rows_sort(&mb->messages.rows);
	for (size_t i = 0; i < mb->messages.rows.count; i++) {
		const struct cache_message *m = &mb->messages.rows.at[i];
		if (!sizes_said(m) || m->size > SAMPLE_OCTETS_MAX || m->flags & MESSAGE_GONE)
			continue;
		if (!smallest || m->size < smallest->size)
			smallest = m;
		if (!largest || m->size > largest->size)
			largest = m;
	}
	struct prover *p = prover_of(mb);
	add_sample(p, smallest);
	add_sample(p, largest);
	add_sample(p, &mb->messages.rows.at[mb->messages.rows.count / 2]);
	add_sample(p, &mb->messages.rows.at[mb->messages.rows.count - 1]);
	inquiry_launch(p);
}

bool prove_is_idle(const struct mailbox *mb)
{
	return !mb->sizes.prover || mb->sizes.prover->commands == 0;
}

static void free_unproved(void *ctx, uint64_t key, void *value)
{
	free(value);
}

void prove_forget(struct mailbox *mb)
{
	if (!mb->sizes.prover)
		return;
	map_each(&mb->sizes.prover->unproved, free_unproved, NULL);
	map_finish(&mb->sizes.prover->unproved);
	free(mb->sizes.prover);
	mb->sizes.prover = NULL;
}
