/* SPDX-License-Identifier: MIT */
#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "mail/read/keep_private.h"
#include "mail/read/private.h"
#include "mail/size/sizes.h"

/* Octets that one turn of the loop reads. */
#define TURN_OCTETS ((uint64_t)4 << 20)
/* What a message costs beside its octets. */
#define MESSAGE_COST 4096u
/* Milliseconds between looks whether the cache has written enough. */
#define WRITE_WAIT 20
/* How often what the cache has not kept is fetched again. */
#define ROUNDS_MAX 1
/* How often the cache is asked again what it has, on a full disk. */
#define LOOKS_MAX 20

void keep_run_end(struct keep *k, enum keep_end how, int err)
{
	struct mailbox *mb = k->mb;
	enum keep_next next = k->next;
	struct cache_counts counts;

	cache_counts(mb->account->cache, &counts);
	list_remove(&k->link);
	k->step = KEEP_REST;
	k->next = KEEP_NOTHING;
	k->leave = false;
	k->end = how;
	k->err = err;
	k->no_room = how == KEEP_FAILED && (counts.no_room || k->full);
	free(k->missing);
	k->missing = NULL;
	k->at = k->count = k->room = 0;
	if (how == KEEP_FAILED)
		log_debug("keeping %s: %s", mb->component, error_text(err));
	if (next != KEEP_NOTHING && !mb->dead && !mb->account->on_stopped)
		keep_run_begin(k, next);
	keep_begin_waiting(k->keeper);
	mailbox_release(mb);
}

static bool is_over(struct keep *k)
{
	if (k->mb->dead)
		keep_run_end(k, KEEP_FAILED, ERR_STALE);
	else if (k->leave || k->mb->account->on_stopped)
		keep_run_end(k, KEEP_STOPPED, 0);
	else if (!k->background && !keep_is_asked(k))
		keep_run_end(k, KEEP_STOPPED, 0);
	else
		return false;
	return true;
}

/* --- what is missing --- */

static bool is_here(const struct mailbox *mb, const struct cache_message *m, uint64_t octets)
{
	if (m->size == 0 && !(m->flags & CACHE_SIZE_UNKNOWN))
		return sizes_can_show(mb, m);
	/* A size that proved right is not always kept: the last chunk tells, too, unless it is full. */
	bool proved = m->flags & CACHE_SIZE_PROVED ||
		      (!(m->flags & CACHE_SIZE_UNKNOWN) && octets % CACHE_CHUNK != 0);
	return proved && m->size == octets;
}

static void note_missing(struct keep *k, uint32_t uid)
{
	k->missing = array_grow(k->missing, &k->room, k->count + 1, sizeof(*k->missing));
	k->missing[k->count++] = uid;
}

static void note_message(struct keep *k, const struct cache_message *m, uint64_t octets)
{
	uint64_t size = m->flags & CACHE_SIZE_UNKNOWN ? 0 : m->size;

	k->octets += size;
	if (is_here(k->mb, m, octets))
		k->octets_here += size;
	else
		note_missing(k, m->uid);
}

/* Both are in the order of UIDs. */
static void compare(struct keep *k, const struct cache_held *held, size_t n)
{
	const struct cache_message *m = mailbox_after(k->mb, k->from ? k->from - 1 : 0);

	k->octets = k->octets_here = k->before_from;
	k->at = k->count = 0;
	for (size_t i = 0; m; m = mailbox_after(k->mb, m->uid)) {
		while (i < n && held[i].uid < m->uid)
			i++;
		note_message(k, m, i < n && held[i].uid == m->uid ? held[i].octets : 0);
	}
	k->messages = mailbox_count(k->mb);
	k->messages_here = k->messages - k->count;
}

/* All is here that can be: what comes is fetched from now on. */
static void end_well(struct keep *k)
{
	struct mailbox *mb = k->mb;

	mb->keeping.whole = true;
	if (k->unreadable == 0) {
		k->from = mailbox_last(mb) + 1;
		k->before_from = k->octets;
	}
	keep_run_end(k, KEEP_DONE, 0);
}

static void keep_on_whole(void *ctx, int err)
{
	struct keep *k = ctx;

	if (is_over(k))
		return;
	if (err < 0)
		keep_run_end(k, KEEP_FAILED, err);
	else
		end_well(k);
}

/* It is told when it is on the disk; what came since the last time may have been read by others. */
static void mark_whole(struct keep *k)
{
	struct mailbox *mb = k->mb;
	bool came = k->gathered || k->reached > 0 || (k->background && mailbox_last(mb) >= k->from);

	if (mb->keeping.whole && !came) {
		end_well(k);
		return;
	}
	k->step = KEEP_MARK;
	cache_keep_mailbox(mb->account->cache, mb->id, CACHE_KEEP_WHOLE, keep_on_whole, k);
}

static void take_more(struct keep *k, int err)
{
	if (err < 0)
		keep_run_end(k, KEEP_FAILED, err);
	else
		mark_whole(k);
}

void keep_more_came(struct mailbox *mb, int err)
{
	struct keep *k = mb->keeping.keep;

	k->gathered = true;
	if (!is_over(k))
		take_more(k, err);
}

/* All octets are here. */
static void settle(struct keep *k)
{
	k->step = KEEP_MORE;
	int err = k->keeper->more(k->mb, !k->background);
	if (err != ERR_NOT_CACHED)
		take_more(k, err);
}

static void look(struct keep *k);

/* What was to be written before the cache was asked has failed for want of room, and the question with it. */
static bool look_again(struct keep *k)
{
	struct cache_counts counts;

	cache_counts(k->mb->account->cache, &counts);
	if (!counts.no_room || k->looks++ >= LOOKS_MAX)
		return false;
	k->full = true;
	look(k);
	return true;
}

static void keep_on_held(void *ctx, int err, const struct cache_held *held, size_t n)
{
	struct keep *k = ctx;

	if (is_over(k) || (err < 0 && look_again(k)))
		return;
	/* Nothing is kept where UIDs mean nothing another day. */
	if (err < 0 || k->mb->uidvalidity == 0) {
		keep_run_end(k, KEEP_FAILED, err < 0 ? err : ERR_REFUSED);
		return;
	}
	compare(k, held, n);
	if (k->full && k->count > 0) {
		keep_run_end(k, KEEP_FAILED, ERR_IO);
		return;
	}
	uint64_t old = 0;
	while (old < k->count && k->missing[old] <= k->reached)
		old++;
	bool failed = old > k->unreadable;
	if (k->count == old && !failed) {
		settle(k);
	} else if (failed && k->rounds++ >= ROUNDS_MAX) {
		keep_run_end(k, KEEP_FAILED, ERR_IO);
	} else {
		k->unreadable = 0;
		k->reached = k->missing[k->count - 1];
		/* What could not be written when it came. */
		for (size_t i = 0; i < k->count; i++)
			body_save_again(k->mb, k->missing[i]);
		keep_take_turn(k, 0);
	}
}

static void look(struct keep *k)
{
	k->step = KEEP_LOOK;
	cache_load_held(k->mb->account->cache, k->mb->id, k->from, keep_on_held, k);
}

/* --- reading --- */

static void next_message(struct keep *k)
{
	k->at++;
	k->read.offset = 0;
}

/* What a read brought. False: that was the end of the run. */
static bool take(struct keep *k, int err, const struct body_parts *parts)
{
	const struct cache_message *m;

	switch (err) {
	case 0:
		k->read.offset += parts->total;
		if (parts->total == k->read.size)
			return true;
		m = mailbox_find(k->mb, k->read.uid);
		k->messages_here += m != NULL;
		k->octets_here += m && !(m->flags & CACHE_SIZE_UNKNOWN) ? m->size : 0;
		next_message(k);
		return true;
	case ERR_GONE:
		next_message(k);
		return true;
	case ERR_UNREADABLE:
		k->unreadable++;
		next_message(k);
		return true;
	default:
		keep_run_end(k, KEEP_FAILED, err);
		return false;
	}
}

static void keep_on_read(struct body_read *r, int err, const struct body_parts *parts)
{
	struct keep *k = list_entry(r, struct keep, read);

	k->step = KEEP_TURN;
	if (!is_over(k) && take(k, err, parts))
		keep_take_turn(k, 0);
}

void keep_run_go_on(struct keep *k)
{
	struct account *a = k->mb->account;
	struct cache_counts counts;
	struct body_parts parts;
	uint64_t done = 0;

	cache_counts(a->cache, &counts);
	while (!is_over(k)) {
		if (counts.no_room) {
			/* What came is not all here. */
			k->full = true;
			look(k);
			return;
		}
		if (counts.queued > BODY_QUEUE_MAX || done > TURN_OCTETS) {
			keep_take_turn(k, done > TURN_OCTETS ? 0 : WRITE_WAIT);
			return;
		}
		if (k->at == k->count) {
			look(k);
			return;
		}
		k->read = (struct body_read){.mb = k->mb,
			.uid = k->missing[k->at],
			.offset = k->read.offset,
			.size = BODY_READ_MAX,
			.aside = true,
			.on_done = keep_on_read};
		list_init(&k->read.link);
		int err = body_read_try(&k->read, &parts);
		if (err == ERR_NOT_CACHED) {
			k->step = KEEP_READ;
			body_read_start(&k->read);
			return;
		}
		done += MESSAGE_COST + (err == 0 ? parts.total : 0);
		if (!take(k, err, &parts))
			return;
	}
}

/* --- the beginning --- */

static void keep_on_marked(void *ctx, int err)
{
	struct keep *k = ctx;

	if (err < 0)
		k->mb->keeping.kept = k->before;
	if (is_over(k))
		return;
	if (err < 0)
		keep_run_end(k, KEEP_FAILED, err);
	else if (k->mb->keeping.kept)
		look(k);
	else
		keep_run_end(k, KEEP_DONE, 0);
}

static void mark(struct keep *k, bool kept)
{
	struct mailbox *mb = k->mb;

	k->step = KEEP_MARK;
	k->before = mb->keeping.kept;
	mb->keeping.kept = kept;
	mb->keeping.whole = kept && mb->keeping.whole;
	enum cache_keep as = mb->keeping.whole ? CACHE_KEEP_WHOLE : CACHE_KEEP;
	cache_keep_mailbox(
		mb->account->cache, mb->id, kept ? as : CACHE_KEEP_NOT, keep_on_marked, k);
}

void keep_run_begin(struct keep *k, enum keep_next what)
{
	mailbox_hold(k->mb);
	list_append(&k->keeper->runs, &k->link);
	k->background = what == KEEP_FETCH_NEWS;
	if (!k->background)
		k->from = k->before_from = 0;
	k->full = false;
	k->looks = 0;
	k->rounds = 0;
	k->gathered = false;
	k->reached = 0;
	k->unreadable = 0;
	k->read.offset = 0;
	k->err = 0;
	if (k->background)
		look(k);
	else
		mark(k, what == KEEP_FETCH);
}
