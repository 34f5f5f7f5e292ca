/*
 * The third message in a row, in one of the two orders, starts it; each further one widens the
 * window, the octets that are kept ahead of the reader. Messages in the window are asked for in
 * batches (bulk.c). A reader that leaves the order ends it, and has wasted at most the window of
 * that moment.
 */
#include "mail/ahead.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/account.h"
#include "mail/body_private.h"
#include "mail/bulk.h"
#include "mail/order.h"

/* Messages in a row before it is believed. */
#define RUN_MIN 2
/* A reader may leave out a few: what it has already, or does not want. */
#define SKIP_MAX 4
#define WINDOW_MIN (512u << 10)
#define WINDOW_MAX (16u << 20)
/* Messages looked at for one batch: most may be cached. */
#define LOOK_MAX 256
/* Octets of a large message that are fetched before it is read. */
#define LARGE_MAX (8u << 20)

struct ahead {
	struct mailbox *mb;
	uint32_t last;   /* message read */
	unsigned run[2]; /* messages in a row, in each order */
	bool on;
	enum order order;  /* while on */
	uint32_t frontier; /* last message looked at for a batch */
	bool at_end;       /* nothing lies behind it */
	uint64_t window;   /* octets */
	uint64_t ahead;    /* octets asked for and not read yet */
	struct mark {
		uint32_t uid;
		uint32_t size;
	} * marks; /* the messages of `ahead`, in order: a ring */
	size_t mark_first, mark_count, mark_cap;
};

/* --- the messages ahead of the reader --- */

static struct mark *mark_at(struct ahead *a, size_t i)
{
	return &a->marks[(a->mark_first + i) % a->mark_cap];
}

static void push_mark(struct ahead *a, uint32_t uid, uint32_t size)
{
	if (a->mark_count == a->mark_cap) {
		size_t cap = a->mark_cap ? a->mark_cap * 2 : 256;
		struct mark *marks = mem_alloc(cap * sizeof(*marks));
		for (size_t i = 0; i < a->mark_count; i++)
			marks[i] = *mark_at(a, i);
		free(a->marks);
		a->marks = marks;
		a->mark_cap = cap;
		a->mark_first = 0;
	}
	*mark_at(a, a->mark_count++) = (struct mark){uid, size};
	a->ahead += size;
}

static void pop_mark(struct ahead *a)
{
	a->ahead -= mark_at(a, 0)->size;
	a->mark_first = (a->mark_first + 1) % a->mark_cap;
	a->mark_count--;
}

/* The reader is at uid: it and all before it are read, or left out. */
static void pop_through(struct ahead *a, uint32_t uid)
{
	size_t i = 0;

	while (i < a->mark_count && mark_at(a, i)->uid != uid)
		i++;
	if (i == a->mark_count)
		return;
	for (size_t n = 0; n <= i; n++)
		pop_mark(a);
}

static void stop(struct ahead *a)
{
	if (a->on)
		log_debug("read-ahead in %s: off", a->mb->component);
	a->on = false;
	a->mark_first = a->mark_count = 0;
	a->ahead = 0;
	a->run[ORDER_UID] = a->run[ORDER_NAME] = 0;
}

/* --- batches --- */

static bool is_known(const struct cache_message *m)
{
	return !(m->flags & CACHE_SIZE_UNKNOWN) && m->size > 0;
}

/* One batch from the frontier on. False when there is nothing more to ask for, for now. */
static bool start_batch(struct ahead *a)
{
	struct bulk *bulk = NULL;
	bool large = false;
	uint64_t octets = 0,
		 most = a->window / 4 < BULK_OCTETS_MAX ? a->window / 4 : BULK_OCTETS_MAX;

	for (unsigned looked = 0;
		looked < LOOK_MAX && octets < most && !(bulk && bulk_is_full(bulk)); looked++) {
		uint32_t uid = order_next(a->mb, a->order, a->frontier);
		if (!uid) {
			a->at_end = true;
			break;
		}
		const struct cache_message *m = mailbox_find(a->mb, uid);
		a->frontier = uid;
		if (!is_known(m))
			continue;
		uint64_t size = m->size < LARGE_MAX ? m->size : LARGE_MAX;
		if (m->size >= BULK_MESSAGE_MAX) {
			/* Its beginning; the rest follows when the reader is there. */
			body_prefetch(a->mb, uid, size);
			large = true;
		} else if (!body_is_here(a->mb, uid)) {
			if (!bulk)
				bulk = bulk_create(a->mb);
			bulk_add(bulk, uid);
		}
		octets += size;
		push_mark(a, uid, (uint32_t)size);
	}
	if (bulk)
		bulk_start(bulk);
	return bulk != NULL || large;
}

static void extend(struct ahead *a)
{
	struct cache_counts counts;

	cache_counts(a->mb->account->cache, &counts);
	while (!a->at_end && a->ahead + a->window / 4 <= a->window &&
		counts.queued < BODY_QUEUE_MAX)
		if (!start_batch(a))
			return;
}

/* --- the reader --- */

static bool follows(struct mailbox *mb, enum order order, uint32_t from, uint32_t uid)
{
	uint32_t next = from;

	for (unsigned i = 0; i < SKIP_MAX; i++) {
		next = order_next(mb, order, next);
		if (next == uid || next == 0)
			return next == uid;
		if (order == ORDER_UID && next > uid)
			return false;
	}
	return false;
}

static void begin(struct ahead *a, enum order order)
{
	log_debug("read-ahead in %s: on, in the order of %s", a->mb->component,
		order == ORDER_UID ? "UIDs" : "names");
	a->on = true;
	a->order = order;
	a->frontier = a->last;
	a->at_end = false;
	a->window = WINDOW_MIN;
}

static void go_on(struct ahead *a)
{
	pop_through(a, a->last);
	if (a->window < WINDOW_MAX)
		a->window += a->window / 2;
	extend(a);
}

void ahead_note(struct mailbox *mb, uint32_t uid)
{
	struct ahead *a = mb->ahead;

	if (!a) {
		a = mb->ahead = mem_zalloc(sizeof(*a));
		a->mb = mb;
	}
	if (uid == a->last)
		return;
	for (enum order o = ORDER_UID; o <= ORDER_NAME; o++) {
		/* Once it is on only the order that it follows matters. */
		if (a->on && o != a->order)
			continue;
		bool next = a->last != 0 && follows(mb, o, a->last, uid);
		a->run[o] = next ? a->run[o] + 1 : 0;
	}
	a->last = uid;
	if (a->on && a->run[a->order] == 0)
		stop(a);
	for (enum order o = ORDER_UID; o <= ORDER_NAME && !a->on; o++)
		if (a->run[o] >= RUN_MIN)
			begin(a, o);
	if (a->on)
		go_on(a);
}

void ahead_forget(struct mailbox *mb)
{
	if (!mb->ahead)
		return;
	free(mb->ahead->marks);
	free(mb->ahead);
	mb->ahead = NULL;
}
