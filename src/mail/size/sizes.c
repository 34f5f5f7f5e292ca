/* SPDX-License-Identifier: MIT */
#include "mail/size/sizes.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"

/* So many sizes that proved right make a server honest. */
#define RIGHT_MIN 8

/* What is known of the server's sizes; the numbers are kept in the cache. */
enum belief { UNJUDGED, HONEST, LIAR };

struct sizes {
	enum sizes_mode mode;
	enum belief belief;
	unsigned right; /* sizes that proved right, while the account is not judged */
};

struct sizes *sizes_create(enum sizes_mode mode, struct cache *cache)
{
	struct sizes *s = mem_zalloc(sizeof(*s));

	s->mode = mode;
	switch (cache_get_note(cache, CACHE_NOTE_SIZES)) {
	case HONEST:
		s->belief = HONEST;
		break;
	case LIAR:
		s->belief = LIAR;
		break;
	}
	return s;
}

void sizes_destroy(struct sizes *s)
{
	free(s);
}

bool sizes_were_wrong(const struct account *a)
{
	return a->sizes->belief == LIAR;
}

const char *sizes_text(const struct account *a)
{
	if (a->sizes->belief == LIAR)
		return a->sizes->mode == SIZES_TRUST ? "some are wrong, shown as the server says"
						     : "some are wrong, each is proved";
	if (a->sizes->mode == SIZES_VERIFY)
		return "each is proved";
	return a->sizes->belief == HONEST ? "right so far" : "as the server says";
}

static void set_belief(struct account *a, enum belief belief)
{
	a->sizes->belief = belief;
	cache_put_note(a->cache, CACHE_NOTE_SIZES, belief);
}

bool sizes_said(const struct cache_message *m)
{
	return !(m->flags & CACHE_SIZE_UNKNOWN) && m->size > 0;
}

bool sizes_can_show(const struct mailbox *mb, const struct cache_message *m)
{
	const struct sizes *sizes = mb->account->sizes;

	if (m->flags & CACHE_SIZE_PROVED)
		return true;
	/* The kernel reads nothing of a file of size 0: that is shown only when it is certain. */
	if (!sizes_said(m) || sizes->mode == SIZES_VERIFY)
		return false;
	if (sizes->mode == SIZES_TRUST || sizes->belief == HONEST)
		return true;
	return sizes->belief == UNJUDGED && mb->sizes.sampled;
}

bool sizes_want_sample(const struct mailbox *mb)
{
	const struct sizes *sizes = mb->account->sizes;

	/* One may have been looked up by itself. */
	return sizes->mode == SIZES_AUTO && sizes->belief == UNJUDGED && !mb->messages.complete &&
	       mb->messages.rows.count <= 1;
}

void sizes_note_shown(const struct mailbox *mb, struct cache_message *m)
{
	m->flags |= MESSAGE_SHOWN;
	if (m->flags & CACHE_SIZE_PROVED)
		m->flags &= ~(uint32_t)MESSAGE_MISLED;
}

bool sizes_misled(struct mailbox *mb, uint32_t uid)
{
	const struct cache_message *m = mailbox_find(mb, uid);

	return m && (m->flags & MESSAGE_MISLED);
}

/* The size that the kernel believes is wrong, or may be: says so. */
static void tell_shown_size(struct mailbox *mb, struct cache_message *m, bool at_once)
{
	struct account *a = mb->account;

	if (m->flags & MESSAGE_SHOWN)
		a->observer.on_size_changed(a->ctx, mb, m->uid, at_once);
}

/* Sizes that proved right while nobody doubted were not kept; now they are worth it. */
static void keep_proved(struct mailbox *mb)
{
	size_t from = 0;

	for (size_t i = 0; i <= mb->messages.rows.count; i++) {
		bool proved = i < mb->messages.rows.count &&
			      (mb->messages.rows.at[i].flags & CACHE_SIZE_PROVED) &&
			      !(mb->messages.rows.at[i].flags & MESSAGE_GONE);
		if (proved)
			continue;
		if (i > from)
			cache_put_messages(
				mb->account->cache, mb->id, mb->messages.rows.at + from, i - from);
		from = i + 1;
	}
}

static void doubt_mailbox(void *ctx, uint64_t key, void *value)
{
	struct mailbox *mb = value;

	for (size_t i = 0; i < mb->messages.rows.count; i++)
		if (!(mb->messages.rows.at[i].flags & (MESSAGE_GONE | CACHE_SIZE_PROVED)))
			tell_shown_size(mb, &mb->messages.rows.at[i], true);
	if (mb->uidvalidity != 0 && !mb->dead)
		keep_proved(mb);
}

/* The first lie. All sizes that were believed are to be asked for again. */
static void caught(struct mailbox *mb, const struct cache_message *m, uint64_t said)
{
	struct account *a = mb->account;

	if (a->sizes->belief == LIAR)
		return;
	set_belief(a, LIAR);
	if (a->sizes->mode == SIZES_TRUST)
		return;
	log_notice("%s: the server states wrong sizes, such as %llu bytes for message %u of %s: "
		   "each is proved before it is shown",
		a->options.pool.host, (unsigned long long)said, m->uid, mb->component);
	map_each(&a->tree.by_id, doubt_mailbox, NULL);
}

static void set_wrong(struct mailbox *mb, struct cache_message *m, uint64_t size)
{
	bool trust = mb->account->sizes->mode == SIZES_TRUST;
	bool grew = size > m->size || (m->flags & CACHE_SIZE_UNKNOWN);

	m->size = size;
	m->flags &= ~(uint32_t)CACHE_SIZE_UNKNOWN;
	if ((m->flags & MESSAGE_SHOWN) && !trust)
		m->flags |= MESSAGE_MISLED;
	tell_shown_size(mb, m, grew || !trust);
}

static void note_right(struct account *a)
{
	if (a->sizes->belief == UNJUDGED && ++a->sizes->right >= RIGHT_MIN)
		set_belief(a, HONEST);
}

void sizes_pin(struct mailbox *mb, struct cache_message *m, uint64_t octets)
{
	struct account *a = mb->account;
	uint64_t said = m->size;
	bool unsaid = m->flags & CACHE_SIZE_UNKNOWN;
	bool wrong = said != octets || unsaid;

	if (!wrong && (m->flags & CACHE_SIZE_PROVED))
		return;
	m->flags |= CACHE_SIZE_PROVED;
	if (wrong) {
		log_debug("message %u of %s has %llu bytes, not %llu", m->uid, mb->component,
			(unsigned long long)octets, (unsigned long long)said);
		set_wrong(mb, m, octets);
	} else {
		note_right(a);
	}
	/* The last chunk of a message in the cache tells where it ends, unless it is full. */
	bool full = octets > 0 && octets % CACHE_CHUNK == 0;
	bool keep = wrong || full || a->sizes->mode == SIZES_VERIFY || a->sizes->belief == LIAR;
	if (keep && mb->uidvalidity != 0)
		cache_put_messages(a->cache, mb->id, m, 1);
	/* What was assumed the server has not said of this message. */
	if (wrong && !unsaid && !mailbox_is_assumed(mb, m->uid))
		caught(mb, m, said);
}

void sizes_contradict(struct mailbox *mb, struct cache_message *m, uint64_t provisional)
{
	uint64_t said = m->size;
	bool assumed = mailbox_is_assumed(mb, m->uid) && !(m->flags & CACHE_SIZE_PROVED);

	set_wrong(mb, m, provisional);
	if (!assumed)
		caught(mb, m, said);
}
