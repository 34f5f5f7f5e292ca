/* SPDX-License-Identifier: MIT */
/*
 * The third message in a row, in one of the orders, starts a stream: the messages behind it are
 * loaded from the cache by a thread, or asked for in batches (lookup.c), and pushed into the kernel
 * before they are read. Several readers of a mailbox have a stream each, and a read that belongs to
 * none (a single cat) leaves them alone. Reads in no order, when there are more than a few, are
 * followed by the sweep (sweep.c).
 *
 * What the kernel has is read without our hearing of it. So a message now and then is kept back:
 * its read shows how far the reader is, and is answered from memory. The lead, the octets that are
 * kept ahead of the reader, doubles whenever the reader had to wait or was quicker than we; a
 * reader that stops has wasted at most the lead of that moment.
 */
#include "mail/read/ahead.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/model/account.h"
#include "mail/model/order.h"
#include "mail/read/across.h"
#include "mail/read/batch.h"
#include "mail/read/lookup.h"
#include "mail/read/private.h"
#include "mail/read/readers.h"
#include "mail/read/sweep.h"
#include "mail/read/taking.h"

/* Messages that followed another in a row before a reader is believed to read on. */
#define RUN_MIN 2
/* Messages that a reader may leave out at once: those that it has, or does not want. */
#define SKIP_MAX 4
/* Messages that may lie between two that follow each other in one half of a Maildir. */
#define HALF_APART 256
/* Of a mailbox: readers that are kept ahead of, and others that are looked at. */
#define STREAMS_MAX 4
#define CANDIDATES 4
/* Messages that are being read at once, and are judged by how much of them was taken. */
#define BEGUN_MAX 8
/* Octets: the lead at first, and the least that is worth a batch. */
#define LEAD_MIN (1u << 20)
#define BATCH_MIN (256u << 10)
/* Batches under way, at most: more would stand in line before anything else in the mailbox. */
#define BATCHES_AHEAD 8u
/* Octets from one message that is kept back to the next: a quarter of the lead, within these. */
#define KEEP_MIN (128u << 10)
#define KEEP_MAX (512u << 10)
/* Octets that a reader may pass over at once, beyond SKIP_MAX: the kernel may have got a message
 * that was kept back from somewhere else, and then its read does not show. */
#define JUMP_MAX (4u << 20)
/* Messages looked at in one go. */
#define LOOK_MAX 256

struct upcoming {
	uint32_t uid;
	uint32_t size; /* octets that were asked for */
	bool kept;     /* its read will be seen */
};

struct stream {
	struct list link; /* ahead.streams, most recently used first */
	struct mailbox *mb;
	enum order order;
	uint32_t last;             /* message read */
	uint32_t frontier;         /* last message that was looked at, ahead of the reader */
	bool at_end;               /* nothing lies behind the frontier */
	bool aside;                /* each of its reader's reads is seen: all is kept back */
	uint64_t lead;             /* octets that may be ahead */
	uint64_t ahead;            /* octets asked for and not read yet */
	uint64_t unkept;           /* octets since the last that is kept back */
	struct upcoming *upcoming; /* the messages of `ahead`, in order: a ring */
	size_t upcoming_first, upcoming_count, upcoming_cap;
};

/* The end of what may become a stream. */
struct candidate {
	uint32_t uid;         /* 0: none */
	unsigned run[ORDERS]; /* messages in a row, in each order */
};

struct ahead {
	struct mailbox *mb;
	struct list streams;
	unsigned stream_count;
	struct candidate candidates[CANDIDATES];
	unsigned next_candidate; /* to be replaced */
	struct readers readers;  /* that belong to no stream */
	struct sweep *sweep;     /* NULL: they are few */
	struct taking taking;
	uint32_t begun[BEGUN_MAX]; /* messages that are to be judged for it; 0: none */
	unsigned next_begun;       /* to be replaced */
};

/* --- the messages ahead of the reader --- */

static struct upcoming *upcoming_at(const struct stream *s, size_t i)
{
	return &s->upcoming[(s->upcoming_first + i) % s->upcoming_cap];
}

static void add_upcoming(struct stream *s, struct upcoming u)
{
	if (s->upcoming_count == s->upcoming_cap) {
		size_t cap = 0;
		struct upcoming *ring = array_grow(
			NULL, &cap, s->upcoming_count + 1, sizeof(*ring));
		for (size_t i = 0; i < s->upcoming_count; i++)
			ring[i] = *upcoming_at(s, i);
		free(s->upcoming);
		s->upcoming = ring;
		s->upcoming_cap = cap;
		s->upcoming_first = 0;
	}
	*upcoming_at(s, s->upcoming_count++) = u;
	s->ahead += u.size;
}

static void drop_upcoming(struct stream *s)
{
	s->ahead -= upcoming_at(s, 0)->size;
	s->upcoming_first = (s->upcoming_first + 1) % s->upcoming_cap;
	s->upcoming_count--;
}

/* Where the message is among those that a reader may have come to; SIZE_MAX: nowhere. */
static size_t find_upcoming(const struct stream *s, uint32_t uid)
{
	uint64_t passed = 0;

	for (size_t i = 0; i < s->upcoming_count && (i < SKIP_MAX || passed <= JUMP_MAX); i++) {
		if (upcoming_at(s, i)->uid == uid)
			return i;
		passed += upcoming_at(s, i)->size;
	}
	return SIZE_MAX;
}

/* --- what is fetched --- */

/* Whether the message is one to be kept back. A large one is, it comes by pieces anyway. */
static bool is_kept(struct stream *s, uint32_t octets)
{
	uint64_t distance = s->lead / 4;

	if (distance > KEEP_MAX)
		distance = KEEP_MAX;
	else if (distance < KEEP_MIN)
		distance = KEEP_MIN;
	s->unkept += octets;
	if (s->unkept < distance && octets < BATCH_MESSAGE_MAX)
		return false;
	s->unkept = 0;
	return true;
}

static void want_message(struct stream *s, const struct cache_message *m, struct lookup *lookup)
{
	uint32_t octets = lookup_octets(lookup, m);

	if (octets == 0)
		return;
	bool keep = is_kept(s, octets) || s->aside;
	lookup_message(lookup, m, keep);
	add_upcoming(s, (struct upcoming){m->uid, octets, keep});
}

/* Looks up messages of about `most` octets from the frontier on. False when none is to be asked
 * for. */
static bool look_further(struct stream *s, uint64_t most)
{
	struct lookup *lookup = lookup_create(s->mb);
	uint64_t before = s->ahead;

	for (unsigned looked = 0; looked < LOOK_MAX && s->ahead - before < most; looked++) {
		uint32_t uid = order_next(s->mb, s->order, s->frontier);
		if (!uid) {
			s->at_end = true;
			break;
		}
		s->frontier = uid;
		want_message(s, mailbox_find(s->mb, uid), lookup);
	}
	return lookup_start(lookup);
}

static void extend_stream(struct stream *s)
{
	struct cache_counts counts;
	uint64_t most = s->lead / 4;

	if (most > BATCH_OCTETS_MAX && s->lead / BATCHES_AHEAD > BATCH_OCTETS_MAX)
		most = s->lead / BATCHES_AHEAD;
	else if (most > BATCH_OCTETS_MAX)
		most = BATCH_OCTETS_MAX;
	else if (most < BATCH_MIN)
		most = BATCH_MIN;
	cache_counts(s->mb->account->cache, &counts);
	while (!s->at_end && s->ahead + most <= s->lead && counts.queued < BODY_QUEUE_MAX)
		if (!look_further(s, most))
			return;
}

/* --- streams --- */

static bool follows_in_order(struct mailbox *mb, enum order order, uint32_t from, uint32_t uid)
{
	uint32_t next = from;
	bool half = order == ORDER_BARE || order == ORDER_FLAGGED;

	if (half && (uid < from || !readers_are_near(mb, from, uid, HALF_APART)))
		return false;
	for (unsigned i = 0; i < SKIP_MAX; i++) {
		next = order_next(mb, order, next);
		if (next == uid || next == 0)
			return next == uid;
		if (order != ORDER_NAME && (order == ORDER_UID_BACK ? next < uid : next > uid))
			return false;
	}
	return false;
}

static void end_stream(struct ahead *a, struct stream *s)
{
	log_debug("read-ahead in %s: off", a->mb->component);
	list_remove(&s->link);
	a->stream_count--;
	free(s->upcoming);
	free(s);
}

static const char *const order_words[ORDERS] = {
	[ORDER_UID] = "UIDs",
	[ORDER_UID_BACK] = "UIDs, backwards",
	[ORDER_NAME] = "names",
	[ORDER_BARE] = "UIDs, without flags",
	[ORDER_FLAGGED] = "UIDs, with flags",
};

static void begin_stream(struct ahead *a, enum order order, uint32_t uid, bool aside)
{
	struct stream *s = mem_zalloc(sizeof(*s));

	log_debug("read-ahead in %s: on, in the order of %s", a->mb->component, order_words[order]);
	if (a->stream_count == STREAMS_MAX)
		end_stream(a, list_entry(a->streams.prev, struct stream, link));
	s->mb = a->mb;
	s->order = order;
	s->aside = aside;
	s->last = s->frontier = uid;
	s->lead = LEAD_MIN;
	list_prepend(&a->streams, &s->link);
	a->stream_count++;
	extend_stream(s);
}

static void lengthen(struct stream *s)
{
	uint64_t most = pool_lead(s->mb->account->pool);

	s->lead *= 2;
	if (s->lead > most)
		s->lead = most;
}

/* The reader is at uid, which is the upcoming one of that number or, with SIZE_MAX, behind all of
 * them. */
static void follow_reader(
	struct ahead *a, struct stream *s, uint32_t uid, size_t place, bool waited)
{
	bool late = place == SIZE_MAX || !upcoming_at(s, place)->kept;

	list_remove(&s->link);
	list_prepend(&a->streams, &s->link);
	s->last = uid;
	if (place == SIZE_MAX) {
		while (s->upcoming_count > 0)
			drop_upcoming(s);
		s->frontier = uid;
		s->at_end = false;
	}
	for (size_t i = 0; place != SIZE_MAX && i <= place; i++)
		drop_upcoming(s);
	if (waited || late)
		lengthen(s);
	extend_stream(s);
}

/* The stream whose reader is nearest to the message, and which of its upcoming ones that
 * is. */
static struct stream *find_stream(struct ahead *a, uint32_t uid, size_t *place)
{
	struct stream *nearest = NULL;

	*place = SIZE_MAX;
	LIST_FOREACH (pos, &a->streams) {
		struct stream *s = list_entry(pos, struct stream, link);
		size_t i = find_upcoming(s, uid);
		if (i < *place) {
			*place = i;
			nearest = s;
		}
	}
	LIST_FOREACH (pos, &a->streams) {
		struct stream *s = list_entry(pos, struct stream, link);
		if (!nearest && (s->last == uid ||
					(s->upcoming_count == 0 &&
						follows_in_order(s->mb, s->order, s->last, uid))))
			nearest = s;
	}
	return nearest;
}

/* --- candidates: what may become a stream --- */

/* Whether uid goes on where the candidate ended. */
static bool try_candidate(struct ahead *a, struct candidate *c, uint32_t uid)
{
	struct candidate next = {.uid = uid};
	bool any = false;

	for (enum order o = 0; o < ORDERS; o++) {
		if (follows_in_order(a->mb, o, c->uid, uid))
			next.run[o] = c->run[o] + 1;
		any |= next.run[o] > 0;
	}
	if (any)
		*c = next;
	return any;
}

/* True when it became a stream. */
static bool check_candidate(struct ahead *a, struct candidate *c, bool aside)
{
	for (enum order o = 0; o < ORDERS; o++) {
		if (c->run[o] >= RUN_MIN) {
			begin_stream(a, o, c->uid, aside);
			*c = (struct candidate){0};
			return true;
		}
	}
	return false;
}

/* True when it makes a stream. */
static bool note_candidate(struct ahead *a, uint32_t uid, bool aside)
{
	for (unsigned i = 0; i < CANDIDATES; i++) {
		struct candidate *c = &a->candidates[i];
		if (c->uid == uid)
			return false;
		if (c->uid != 0 && try_candidate(a, c, uid))
			return check_candidate(a, c, aside);
	}
	a->candidates[a->next_candidate++ % CANDIDATES] = (struct candidate){.uid = uid};
	return false;
}

/* --- readers in no order --- */

/* The message belongs to no stream, and its reader waits for the server. */
static void note_stray(struct ahead *a, uint32_t uid)
{
	uint64_t now = uv_now(a->mb->account->loop);
	enum readers_are are = readers_note(&a->readers, a->mb, uid, now);

	if (are == READERS_ARE_FEW)
		return;
	if (!a->sweep)
		a->sweep = sweep_create(a->mb, uid);
	if (are == READERS_ARE_EVERYWHERE)
		sweep_widen(a->sweep);
	sweep_follow(a->sweep, uid, true);
}

static void check_sweep(struct ahead *a)
{
	if (a->sweep && sweep_is_over(a->sweep)) {
		sweep_destroy(a->sweep);
		a->sweep = NULL;
	}
}

/* --- how much they take --- */

static bool is_larger(const struct cache_message *m, uint64_t octets)
{
	return m && !(m->flags & CACHE_SIZE_UNKNOWN) && m->size > octets;
}

/* Who was answered and begins with another message has taken what he takes of the ones before. With
 * many threads those that read on do so before another is through with its message. */
static void judge_begun(struct ahead *a, uint32_t uid)
{
	bool known = false;

	for (unsigned i = 0; i < BEGUN_MAX; i++) {
		const struct body *b = body_known(a->mb, a->begun[i]);
		known |= a->begun[i] == uid;
		if (a->begun[i] == uid || (b && !list_empty(&b->readers)))
			continue;
		if (b && is_larger(mailbox_find(a->mb, a->begun[i]), TAKING_LARGE))
			taking_note(&a->taking, b->next);
		a->begun[i] = 0;
	}
	if (!known)
		a->begun[a->next_begun++ % BEGUN_MAX] = uid;
}

/* --- from outside --- */

static struct ahead *ahead_of(struct mailbox *mb)
{
	struct ahead *a = mb->reading.ahead;

	if (!a) {
		a = mb->reading.ahead = mem_zalloc(sizeof(*a));
		a->mb = mb;
		list_init(&a->streams);
	}
	return a;
}

void ahead_note(struct mailbox *mb, uint32_t uid, bool waits, bool aside)
{
	struct ahead *a = ahead_of(mb);
	size_t place;

	across_note(mb, uid);
	judge_begun(a, uid);
	check_sweep(a);
	if (a->sweep && sweep_covers(a->sweep, uid)) {
		sweep_follow(a->sweep, uid, waits);
		return;
	}
	struct stream *s = find_stream(a, uid, &place);
	if (s) {
		s->aside = aside;
		if (s->last != uid)
			follow_reader(a, s, uid, place, waits);
	} else if (!note_candidate(a, uid, aside) && waits) {
		note_stray(a, uid);
	}
}

void ahead_note_reach(struct mailbox *mb, uint32_t uid, uint64_t reach)
{
	struct ahead *a = mb->reading.ahead;
	uint32_t octets = ahead_beginning(mb);

	if (octets > 0 && reach > octets && is_larger(mailbox_find(mb, uid), octets))
		taking_go_on(&a->taking, reach);
}

uint32_t ahead_beginning(const struct mailbox *mb)
{
	const struct ahead *a = mb->reading.ahead;

	return a ? taking_octets(&a->taking) : 0;
}

void ahead_forget(struct mailbox *mb)
{
	struct ahead *a = mb->reading.ahead;

	if (!a)
		return;
	while (!list_empty(&a->streams))
		end_stream(a, list_entry(a->streams.next, struct stream, link));
	sweep_destroy(a->sweep);
	free(a);
	mb->reading.ahead = NULL;
}
