/*
 * The third message in a row, in one of the two orders, starts a stream: the messages behind it are
 * loaded from the cache by a thread, or asked for in batches (bulk.c), and handed to the kernel
 * before they are read. Several readers of a mailbox have a stream each, and a read that belongs to
 * none (a single cat) leaves them alone.
 *
 * What the kernel has is read without our hearing of it. So a message now and then is kept back:
 * its read shows how far the reader is, and is answered from memory. The window, the octets that
 * are kept ahead of the reader, widens whenever he had to wait or was quicker than we; a reader
 * that stops has wasted at most the window of that moment.
 */
#include "mail/ahead.h"

#include <stdlib.h>

#include "base/log.h"
#include "base/array.h"
#include "base/mem.h"
#include "mail/account.h"
#include "mail/body_private.h"
#include "mail/bulk.h"
#include "mail/order.h"

/* Messages in a row before it is believed. */
#define RUN_MIN 2
/* A reader may leave out a few: what it has already, or does not want. */
#define SKIP_MAX 4
#define STREAMS_MAX 4
#define CANDIDATES 4
#define WINDOW_MIN (1u << 20)
#define BATCH_MIN (256u << 10)
/* Batches under way, at most: more would stand in line before anything else in the mailbox. */
#define BATCHES_AHEAD 8u
/* Octets from one message that is kept back to the next. */
#define KEEP_MIN (128u << 10)
#define KEEP_MAX (512u << 10)
/* Octets that a reader may pass over at once: what is kept back may be known to the kernel. */
#define JUMP_MAX (4u << 20)
/* Messages looked at for one batch. */
#define LOOK_MAX 256
/* Octets of a large message that are fetched before it is read. */
#define LARGE_MAX (8u << 20)

struct mark {
	uint32_t uid;
	uint32_t size; /* octets that were asked for */
	bool kept;     /* its read will be seen */
};

struct stream {
	struct list link; /* ahead.streams, most recently used first */
	struct mailbox *mb;
	enum order order;
	uint32_t last;      /* message read */
	uint32_t frontier;  /* last message looked at for a batch */
	bool at_end;        /* nothing lies behind it */
	uint64_t window;    /* octets */
	uint64_t ahead;     /* octets asked for and not read yet */
	uint64_t unkept;    /* octets since the last that is kept back */
	struct mark *marks; /* the messages of `ahead`, in order: a ring */
	size_t mark_first, mark_count, mark_cap;
};

/* The end of what may become a stream. */
struct candidate {
	uint32_t uid;    /* 0: none */
	unsigned run[2]; /* messages in a row, in each order */
};

struct ahead {
	struct mailbox *mb;
	struct list streams;
	unsigned stream_count;
	struct candidate candidates[CANDIDATES];
	unsigned next_candidate; /* to be replaced */
};

/* --- the messages ahead of the reader --- */

static struct mark *mark_at(const struct stream *s, size_t i)
{
	return &s->marks[(s->mark_first + i) % s->mark_cap];
}

static void push_mark(struct stream *s, struct mark mark)
{
	if (s->mark_count == s->mark_cap) {
		size_t cap = 0;
		struct mark *marks = array_grow(NULL, &cap, s->mark_count + 1, sizeof(*marks));
		for (size_t i = 0; i < s->mark_count; i++)
			marks[i] = *mark_at(s, i);
		free(s->marks);
		s->marks = marks;
		s->mark_cap = cap;
		s->mark_first = 0;
	}
	*mark_at(s, s->mark_count++) = mark;
	s->ahead += mark.size;
}

static void pop_mark(struct stream *s)
{
	s->ahead -= mark_at(s, 0)->size;
	s->mark_first = (s->mark_first + 1) % s->mark_cap;
	s->mark_count--;
}

/* Where the message is among those that a reader may have come to; SIZE_MAX: nowhere. */
static size_t find_mark(const struct stream *s, uint32_t uid)
{
	uint64_t passed = 0;

	for (size_t i = 0; i < s->mark_count && (i < SKIP_MAX || passed <= JUMP_MAX); i++) {
		if (mark_at(s, i)->uid == uid)
			return i;
		passed += mark_at(s, i)->size;
	}
	return SIZE_MAX;
}

/* --- batches --- */

/* Messages that are looked up in the cache. */
struct batch {
	struct mailbox *mb;
	struct map kept; /* UIDs of those to be kept back */
};

struct wants {
	struct cache_want *at;
	size_t n, cap;
};

static void want(struct wants *w, uint32_t uid, uint32_t chunk)
{
	w->at = array_grow(w->at, &w->cap, w->n + 1, sizeof(*w->at));
	w->at[w->n++] = (struct cache_want){.uid = uid, .chunk = chunk};
}

static bool is_known(const struct cache_message *m)
{
	return !(m->flags & CACHE_SIZE_UNKNOWN) && m->size > 0;
}

static bool is_small(struct mailbox *mb, uint32_t uid)
{
	const struct cache_message *m = mailbox_find(mb, uid);

	return m && m->size < BULK_MESSAGE_MAX;
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

/* What the cache does not have: small messages together, of large ones the chunks that miss. */
static void fetch_missing(struct batch *batch, const struct cache_want *wants, size_t n)
{
	struct bulk *bulk = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct cache_want *w = &wants[i];
		if (w->data || body_has(batch->mb, w->uid, w->chunk))
			continue;
		if (!is_small(batch->mb, w->uid)) {
			body_prefetch(batch->mb, w->uid, w->chunk, missing_in_a_row(w, n - i));
			continue;
		}
		if (!bulk)
			bulk = bulk_create(batch->mb);
		bulk_add(bulk, w->uid, map_get(&batch->kept, w->uid) != NULL);
		if (bulk_is_full(bulk)) {
			bulk_start(bulk);
			bulk = NULL;
		}
	}
	if (bulk)
		bulk_start(bulk);
}

static void on_loaded(void *ctx, int err, struct cache_want *wants, size_t n)
{
	struct batch *batch = ctx;
	struct mailbox *mb = batch->mb;

	if (err == 0 && !mb->dead && !mb->account->on_stopped)
		fetch_missing(batch, wants, n);
	for (size_t i = 0; i < n; i++) {
		struct cache_want *w = &wants[i];
		bool keep = w->chunk == 0 && map_get(&batch->kept, w->uid);
		if (w->data && err == 0 && !mb->dead)
			body_loaded(mb, w->uid, w->chunk, w->data, w->n, keep);
		else
			free(w->data);
	}
	body_trim(mb->account->bodies);
	mailbox_release(mb);
	map_finish(&batch->kept);
	free(batch);
	free(wants);
}

/* Looks the messages up, now in memory and soon in the cache, and asks for what is in neither. */
static void start_lookup(struct stream *s, struct wants *w, struct map *kept)
{
	struct cache *cache = s->mb->account->cache;
	struct batch *batch = mem_alloc(sizeof(*batch));

	*batch = (struct batch){.mb = mailbox_hold(s->mb), .kept = *kept};
	cache_load_chunks(cache, s->mb->id, w->at, w->n, false, on_loaded, batch);
}

/* Whether the message is one to be kept back. A large one is, it comes by pieces anyway. */
static bool is_kept(struct stream *s, const struct cache_message *m)
{
	uint64_t distance = s->window / 4;

	if (distance > KEEP_MAX)
		distance = KEEP_MAX;
	else if (distance < KEEP_MIN)
		distance = KEEP_MIN;
	s->unkept += m->size;
	if (s->unkept < distance && m->size < BULK_MESSAGE_MAX)
		return false;
	s->unkept = 0;
	return true;
}

static void want_message(
	struct stream *s, const struct cache_message *m, struct wants *wants, struct map *kept)
{
	uint64_t size = m->size < LARGE_MAX ? m->size : LARGE_MAX;
	bool keep = is_kept(s, m);

	for (uint64_t at = 0; at < size; at += CACHE_CHUNK)
		if (!body_has(s->mb, m->uid, (uint32_t)(at / CACHE_CHUNK)))
			want(wants, m->uid, (uint32_t)(at / CACHE_CHUNK));
	if (keep)
		map_put(kept, m->uid, s);
	push_mark(s, (struct mark){m->uid, (uint32_t)size, keep});
}

/* One batch from the frontier on. False when there is nothing more to ask for. */
static bool start_batch(struct stream *s, uint64_t most)
{
	struct wants wants = {0};
	struct map kept;
	uint64_t before = s->ahead;

	map_init(&kept);
	for (unsigned looked = 0; looked < LOOK_MAX && s->ahead - before < most; looked++) {
		uint32_t uid = order_next(s->mb, s->order, s->frontier);
		if (!uid) {
			s->at_end = true;
			break;
		}
		const struct cache_message *m = mailbox_find(s->mb, uid);
		s->frontier = uid;
		if (is_known(m))
			want_message(s, m, &wants, &kept);
	}
	bool any = wants.n > 0;
	if (any)
		start_lookup(s, &wants, &kept);
	else
		map_finish(&kept);
	return any;
}

static void extend(struct stream *s)
{
	struct cache_counts counts;
	uint64_t most = s->window / 4;

	if (most > BULK_OCTETS_MAX && s->window / BATCHES_AHEAD > BULK_OCTETS_MAX)
		most = s->window / BATCHES_AHEAD;
	else if (most > BULK_OCTETS_MAX)
		most = BULK_OCTETS_MAX;
	else if (most < BATCH_MIN)
		most = BATCH_MIN;
	cache_counts(s->mb->account->cache, &counts);
	while (!s->at_end && s->ahead + most <= s->window && counts.queued < BODY_QUEUE_MAX)
		if (!start_batch(s, most))
			return;
}

/* --- streams --- */

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

static void end_stream(struct ahead *a, struct stream *s)
{
	log_debug("read-ahead in %s: off", a->mb->component);
	list_remove(&s->link);
	a->stream_count--;
	free(s->marks);
	free(s);
}

static void begin_stream(struct ahead *a, enum order order, uint32_t uid)
{
	struct stream *s = mem_zalloc(sizeof(*s));

	log_debug("read-ahead in %s: on, in the order of %s", a->mb->component,
		order == ORDER_UID ? "UIDs" : "names");
	if (a->stream_count == STREAMS_MAX)
		end_stream(a, list_entry(a->streams.prev, struct stream, link));
	s->mb = a->mb;
	s->order = order;
	s->last = s->frontier = uid;
	s->window = WINDOW_MIN;
	list_prepend(&a->streams, &s->link);
	a->stream_count++;
	extend(s);
}

static void widen(struct stream *s)
{
	uint64_t most = pool_window(s->mb->account->pool);

	s->window *= 2;
	if (s->window > most)
		s->window = most;
}

/* The reader is at uid, which is the mark of that number or, with SIZE_MAX, behind all of them. */
static void advance(struct ahead *a, struct stream *s, uint32_t uid, size_t mark, bool waited)
{
	bool late = mark == SIZE_MAX || !mark_at(s, mark)->kept;

	list_remove(&s->link);
	list_prepend(&a->streams, &s->link);
	s->last = uid;
	if (mark == SIZE_MAX) {
		while (s->mark_count > 0)
			pop_mark(s);
		s->frontier = uid;
		s->at_end = false;
	}
	for (size_t i = 0; mark != SIZE_MAX && i <= mark; i++)
		pop_mark(s);
	if (waited || late)
		widen(s);
	extend(s);
}

/* The stream whose reader is nearest to the message, and the number of its mark there. */
static struct stream *find_stream(struct ahead *a, uint32_t uid, size_t *mark)
{
	struct stream *nearest = NULL;

	*mark = SIZE_MAX;
	LIST_FOREACH (pos, &a->streams) {
		struct stream *s = list_entry(pos, struct stream, link);
		size_t i = find_mark(s, uid);
		if (i < *mark) {
			*mark = i;
			nearest = s;
		}
	}
	LIST_FOREACH (pos, &a->streams) {
		struct stream *s = list_entry(pos, struct stream, link);
		if (!nearest && (s->last == uid || (s->mark_count == 0 &&
							   follows(s->mb, s->order, s->last, uid))))
			nearest = s;
	}
	return nearest;
}

/* --- what is not one yet --- */

static bool try_candidate(struct ahead *a, struct candidate *c, uint32_t uid)
{
	unsigned run[2];

	for (enum order o = ORDER_UID; o <= ORDER_NAME; o++)
		run[o] = follows(a->mb, o, c->uid, uid) ? c->run[o] + 1 : 0;
	if (run[ORDER_UID] == 0 && run[ORDER_NAME] == 0)
		return false;
	*c = (struct candidate){uid, {run[ORDER_UID], run[ORDER_NAME]}};
	for (enum order o = ORDER_UID; o <= ORDER_NAME; o++) {
		if (run[o] >= RUN_MIN) {
			c->uid = 0;
			begin_stream(a, o, uid);
			break;
		}
	}
	return true;
}

static void note_candidate(struct ahead *a, uint32_t uid)
{
	for (unsigned i = 0; i < CANDIDATES; i++) {
		struct candidate *c = &a->candidates[i];
		if (c->uid != 0 && (c->uid == uid || try_candidate(a, c, uid)))
			return;
	}
	a->candidates[a->next_candidate++ % CANDIDATES] = (struct candidate){.uid = uid};
}

/* --- */

void ahead_note(struct mailbox *mb, uint32_t uid, bool waits)
{
	struct ahead *a = mb->ahead;
	size_t mark;

	if (!a) {
		a = mb->ahead = mem_zalloc(sizeof(*a));
		a->mb = mb;
		list_init(&a->streams);
	}
	struct stream *s = find_stream(a, uid, &mark);
	if (!s)
		note_candidate(a, uid);
	else if (s->last != uid)
		advance(a, s, uid, mark, waits);
}

void ahead_forget(struct mailbox *mb)
{
	struct ahead *a = mb->ahead;

	if (!a)
		return;
	while (!list_empty(&a->streams))
		end_stream(a, list_entry(a->streams.next, struct stream, link));
	free(a);
	mb->ahead = NULL;
}
