/* SPDX-License-Identifier: MIT */
#include "mail/read/sweep.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/model/account.h"
#include "mail/model/order.h"
#include "mail/read/batch.h"
#include "mail/read/lookup.h"
#include "mail/read/private.h"
#include "mail/read/readers.h"

/* Octets that are fetched ahead at first, around readers that are near each other. */
#define LEAD_MIN (512u << 10)
/* The same in a mailbox that is read everywhere, where few guesses are right before most messages are
 * here; then for each octet that was read so many may be ahead, but no more than the last. */
#define LEAD_EVERYWHERE (8u << 20)
#define AHEAD_OF_READ 256u
#define LEAD_MOST (128u << 20)
/* Octets after which guesses must have proved right. */
#define ASKED_UNSURE (1u << 20)
/* Messages from what was fetched to a reader that belongs there. */
#define ABOUT_HERE 512
/* Octets of one lookup, at least. */
#define LOOK_MIN (64u << 10)
/* Messages looked at in one go. */
#define LOOK_MAX 256

struct side {
	enum order order;
	uint32_t frontier; /* the last message that was looked at */
	bool at_end;       /* nothing lies behind it */
};

struct sweep {
	struct mailbox *mb;
	struct side low, high;
	struct map unread; /* UID -> octets asked for and not read yet */
	uint64_t ahead;    /* the sum of them */
	uint64_t asked;    /* octets, since the readers are about here */
	uint64_t right;    /* of them, read */
	uint64_t read;     /* octets, of all that were read meanwhile */
	bool everywhere;   /* see sweep_widen */
	uint64_t lead;     /* octets that may be ahead */
	uint32_t last;     /* message read */
	uint64_t last_at;  /* uv_now */
};

static uint64_t now(const struct sweep *s)
{
	return uv_now(s->mb->account->loop);
}

static void begin_at(struct sweep *s, uint32_t uid)
{
	s->low = (struct side){.order = ORDER_UID_BACK, .frontier = uid};
	s->high = (struct side){.order = ORDER_UID, .frontier = uid};
	map_finish(&s->unread);
	map_init(&s->unread);
	s->ahead = s->asked = s->right = 0;
}

struct sweep *sweep_create(struct mailbox *mb, uint32_t uid)
{
	struct sweep *s = mem_zalloc(sizeof(*s));

	log_debug("read-ahead in %s: around message %u", mb->component, uid);
	s->mb = mb;
	map_init(&s->unread);
	begin_at(s, uid);
	s->lead = LEAD_MIN / 2;
	s->last_at = now(s);
	return s;
}

void sweep_destroy(struct sweep *s)
{
	if (!s)
		return;
	map_finish(&s->unread);
	free(s);
}

bool sweep_covers(const struct sweep *s, uint32_t uid)
{
	return s->low.frontier <= uid && uid <= s->high.frontier;
}

bool sweep_is_over(const struct sweep *s)
{
	return now(s) - s->last_at > READERS_MEMORY;
}

/* --- what is fetched --- */

/* The side whose frontier the reader is nearer to; NULL: all is fetched. */
static struct side *nearer_side(struct sweep *s)
{
	uint32_t below = s->last > s->low.frontier ? s->last - s->low.frontier : 0;
	uint32_t above = s->high.frontier > s->last ? s->high.frontier - s->last : 0;

	if (s->low.at_end)
		return s->high.at_end ? NULL : &s->high;
	return s->high.at_end || below < above ? &s->low : &s->high;
}

static void want_around(struct sweep *s, struct lookup *lookup, const struct cache_message *m)
{
	uint32_t octets = lookup_octets(lookup, m);

	if (octets == 0 || m->uid == s->last)
		return;
	lookup_message(lookup, m, true);
	map_put_number(&s->unread, m->uid, octets);
	s->ahead += octets;
	s->asked += octets;
}

/* Messages of about `most` octets behind the frontier. */
static void look_beyond(struct sweep *s, struct side *side, uint64_t most)
{
	struct lookup *lookup = lookup_create(s->mb);
	uint64_t before = s->ahead;

	for (unsigned i = 0; i < LOOK_MAX && s->ahead - before < most; i++) {
		uint32_t uid = order_next(s->mb, side->order, side->frontier);
		if (!uid) {
			side->at_end = true;
			break;
		}
		side->frontier = uid;
		want_around(s, lookup, mailbox_find(s->mb, uid));
	}
	lookup_start(lookup);
}

static void extend_sides(struct sweep *s)
{
	struct cache_counts counts;
	struct side *side;
	uint64_t most = s->lead / 4;

	if (most > BATCH_OCTETS_MAX)
		most = BATCH_OCTETS_MAX;
	else if (most < LOOK_MIN)
		most = LOOK_MIN;
	cache_counts(s->mb->account->cache, &counts);
	while (s->ahead + most <= s->lead && counts.queued < BODY_QUEUE_MAX &&
		(side = nearer_side(s)))
		look_beyond(s, side, most);
}

/* --- who reads --- */

/* Octets that may be ahead, at most. */
static uint64_t lead_most(const struct sweep *s)
{
	struct cache_counts counts;
	uint64_t most = s->read * AHEAD_OF_READ;

	if (!s->everywhere)
		return pool_lead(s->mb->account->pool);
	/* What is ahead of its readers must not push each other out. */
	cache_counts(s->mb->account->cache, &counts);
	uint64_t room = counts.on_disk ? counts.max_bytes / 4 : LEAD_EVERYWHERE;
	if (most < LEAD_EVERYWHERE)
		most = LEAD_EVERYWHERE;
	if (most > LEAD_MOST)
		most = LEAD_MOST;
	return most < room ? most : room;
}

/* Near each other readers read most of what is around them, or it is not worth more. */
static bool is_worth_more(const struct sweep *s)
{
	return s->everywhere || s->asked <= ASKED_UNSURE || s->right >= s->asked / 8;
}

static void lengthen_lead(struct sweep *s)
{
	uint64_t most = lead_most(s);

	/* Where few guesses can be right each miss is worth more. */
	uint64_t more = s->lead * (s->everywhere ? 4 : 2);
	if (is_worth_more(s))
		s->lead = more < most ? more : most;
}

static void note_reader(struct sweep *s, uint32_t uid)
{
	const struct cache_message *m = mailbox_find(s->mb, uid);
	uint64_t octets = map_remove_number(&s->unread, uid);

	s->ahead -= octets;
	s->right += octets;
	s->read += octets == 0 && m && !(m->flags & CACHE_SIZE_UNKNOWN) ? m->size : octets;
	s->last = uid;
	s->last_at = now(s);
	/* New messages may have come. */
	s->high.at_end = false;
}

static bool is_about_here(const struct sweep *s, uint32_t uid)
{
	return readers_are_near(s->mb, uid, s->low.frontier, ABOUT_HERE) ||
	       readers_are_near(s->mb, uid, s->high.frontier, ABOUT_HERE);
}

/* The readers are where nothing was fetched. */
static void move_to(struct sweep *s, uint32_t uid)
{
	begin_at(s, uid);
	s->lead = s->lead / 2 > LEAD_MIN ? s->lead / 2 : LEAD_MIN;
}

void sweep_widen(struct sweep *s)
{
	s->everywhere = true;
}

void sweep_follow(struct sweep *s, uint32_t uid, bool waits)
{
	bool missed = waits && !sweep_covers(s, uid);
	/* Who reads everywhere and finds what he wants is where all is fetched. */
	bool lacks = s->everywhere ? missed : waits;

	note_reader(s, uid);
	if (lacks)
		lengthen_lead(s);
	/* So much is ahead that is not read: it was the wrong place. */
	if (missed && !s->everywhere && (!is_about_here(s, uid) || s->ahead + LOOK_MIN > s->lead))
		move_to(s, uid);
	if (lacks || !s->everywhere)
		extend_sides(s);
}
