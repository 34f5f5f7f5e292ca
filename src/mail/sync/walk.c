/* SPDX-License-Identifier: MIT */
#include "mail/sync/walk.h"

#include <stdlib.h>

#include "base/mem.h"
#include "mail/model/trail.h"
#include "mail/size/sizes.h"
#include "mail/sync/private.h"
#include "mail/sync/statuses.h"

/* Mailboxes to be ahead of a walk. */
#define AHEAD_MAX 32
/* Rows that are asked for ahead of one walk: about 1 MiB, if the guess is wrong. */
#define ROWS_MAX 10000
/* Milliseconds in which a walk should come to what was asked for, so that it need not be asked again. */
#define LEAD (SYNC_FRESH * 3 / 4)
/* Mailboxes to be ahead of a walk with their rows at least, whatever rides along. */
#define AHEAD_MIN 2

struct walk {
	struct account *account;
	struct trail trail;
	struct trail_track *asking; /* that STATUS is asked for, or NULL */
	bool noted;                 /* in the cache: that the server does not bear it */
	uint32_t rows;              /* to be asked for ahead of one walk */
	walk_on_ahead *on_ahead;    /* NULL: nothing rides along */
	void *ctx;                  /* its */
};

/* By how often the walk was where it was expected: how many mailboxes to be ahead of it, and how
 * many messages each may have. */
static const struct {
	unsigned mailboxes;
	uint32_t messages;
} limits[] = {{0, 0}, {2, 50}, {8, 500}, {32, 4000}, {AHEAD_MAX, ROWS_MAX}};

#define LIMITS (sizeof(limits) / sizeof(limits[0]))

struct walk *walk_create(struct account *a)
{
	struct walk *w = mem_zalloc(sizeof(*w));

	w->account = a;
	w->trail.tree = &a->tree;
	w->rows = ROWS_MAX;
	w->noted = cache_get_note(a->cache, CACHE_NOTE_ONE_MAILBOX) == 1;
	if (w->noted)
		pool_take_no_trains(a->pool);
	return w;
}

void walk_destroy(struct walk *w)
{
	free(w);
}

void walk_take_riders(struct walk *w, uint32_t rows, walk_on_ahead *on_ahead, void *ctx)
{
	w->rows = rows < ROWS_MAX ? rows : ROWS_MAX;
	w->on_ahead = on_ahead;
	w->ctx = ctx;
}

/* Messages that are known; of a mailbox that was not loaded from the cache at least so many, as far as
 * none vanished. */
static uint32_t count_known(const struct mailbox *mb)
{
	uint32_t there = mb->freshness.status.messages, next = mb->freshness.status.uidnext;
	uint32_t known = mb->messages.uidnext;

	if (mb->messages.loaded || !mb->messages.complete)
		return (uint32_t)mailbox_count(mb);
	if (known == 0 || next < known || next - known > there)
		return 0;
	return there - (next - known);
}

/* Rows that there are to ask for, as STATUS says; 0: nothing. */
static uint32_t count_new(const struct mailbox *mb)
{
	uint32_t known = count_known(mb), there = mb->freshness.status.messages;

	if (!mailbox_selectable(mb) || sync_is_under_way(mb) || sync_is_fresh(mb) ||
		!sync_has_status(mb) || sync_agrees_with_status(mb) || there == 0)
		return 0;
	return there > known ? there - known : 1;
}

/* Rows that were asked for and the walk has not come to yet. */
static uint64_t count_ahead(const struct walk *w, const struct trail_track *track)
{
	struct trail_track at = {.order = track->order, .reached = track->last};
	const struct mailbox *mb;
	uint64_t rows = 0;

	while (at.ahead < track->ahead && (mb = trail_peek(&w->trail, &at))) {
		trail_step(&w->trail, &at);
		rows += mb->freshness.foreseen;
	}
	return rows;
}

/* How many mailboxes to be ahead: one that takes its time for each need not be far ahead. */
static unsigned count_mailboxes(const struct trail_track *track, size_t at)
{
	uint64_t most = track->pace ? LEAD / track->pace : AHEAD_MAX;

	if (most < limits[1].mailboxes)
		most = limits[1].mailboxes;
	return most < limits[at].mailboxes ? (unsigned)most : limits[at].mailboxes;
}

/* --- where LIST does not say what is there --- */

static void go_ahead(struct walk *w, struct trail_track *track);

static void walk_on_status(void *ctx)
{
	struct walk *w = ctx;
	struct trail_track *track = w->asking;

	w->asking = NULL;
	if (!w->account->on_stopped)
		go_ahead(w, track);
}

/* What STATUS said is news: of a mailbox that was listed before, it spares a check for as long as the
 * check itself would. */
static bool has_new_status(const struct mailbox *mb)
{
	bool listed = mb->messages.complete && mb->messages.loaded;

	return sync_has_status(mb) && !(listed && sync_agrees_with_status(mb));
}

/* Once in a while: it may be refused. */
static bool wants_status(const struct mailbox *mb)
{
	uint64_t asked = mb->freshness.status.asked;
	bool answered = mb->freshness.status.at >= asked;

	return mailbox_selectable(mb) && !sync_is_under_way(mb) && !sync_is_fresh(mb) &&
	       !has_new_status(mb) &&
	       (asked == 0 || uv_now(mb->account->loop) >=
				      asked + (answered ? SYNC_FRESH : SYNC_STATUS_FRESH));
}

/* It is on its way: what is to be asked for there is not known yet. */
static bool awaits_status(const struct walk *w, const struct mailbox *mb)
{
	return w->asking && mb->freshness.status.asked > mb->freshness.status.at &&
	       !sync_is_under_way(mb) && !sync_is_fresh(mb);
}

static void ask(struct walk *w, struct trail_track *track, unsigned most)
{
	struct trail_track at = *track;
	uint32_t ids[AHEAD_MAX];
	struct mailbox *mb;
	size_t n = 0;

	while (at.ahead < most && n < AHEAD_MAX && (mb = trail_peek(&w->trail, &at))) {
		trail_step(&w->trail, &at);
		if (!wants_status(mb))
			continue;
		mb->freshness.status.asked = uv_now(w->account->loop);
		ids[n++] = mb->id;
	}
	w->asking = track;
	statuses_ask(w->account, ids, n, walk_on_status, w);
}

/* --- */

/* What rides along with the rows of the next mailbox, NULL: nothing. False: later. */
static bool find_rider(const struct walk *w, const struct trail_track *track, struct mailbox *next,
	struct sync_rider **rider)
{
	*rider = NULL;
	if (!w->on_ahead)
		return true;
	return w->on_ahead(w->ctx, track->order, next, rider) || track->ahead < AHEAD_MIN;
}

static void go_ahead(struct walk *w, struct trail_track *track)
{
	size_t at = track->steps < LIMITS ? track->steps : LIMITS - 1;
	unsigned most = count_mailboxes(track, at);
	uint64_t ahead = count_ahead(w, track);
	struct mailbox *next;

	while (track->ahead < most && pool_may_foresee(w->account->pool, NULL) &&
		(next = trail_peek(&w->trail, track)) && !sizes_want_sample(next)) {
		if (wants_status(next)) {
			if (!w->asking)
				ask(w, track, most);
			return;
		}
		if (awaits_status(w, next))
			return;
		uint32_t rows = count_new(next);
		/* It has its turn when the walk has come nearer. */
		if (rows > 0 && ahead > 0 && ahead + rows > w->rows)
			return;
		struct sync_rider *rider = NULL;
		bool asks = rows > 0 && rows <= limits[at].messages;
		if (asks && !find_rider(w, track, next, &rider))
			return;
		trail_step(&w->trail, track);
		if (asks && sync_start_foreseen(next, SYNC_FOR_AHEAD, rider))
			ahead += next->freshness.foreseen = rows;
	}
}

static void remember_pace(struct walk *w)
{
	if (w->noted || pool_bears_trains(w->account->pool))
		return;
	w->noted = true;
	cache_put_note(w->account->cache, CACHE_NOTE_ONE_MAILBOX, 1);
}

/* Where he is comes first: it will be asked for whatever STATUS says, unless that is nothing. */
static void check_here(struct mailbox *mb)
{
	bool asks = !mb->messages.complete && !sync_is_empty_by_status(mb);

	if (sync_is_fresh(mb))
		return;
	if (!(asks || count_new(mb) > 0) || !sync_start_foreseen(mb, SYNC_FOR_WALK, NULL))
		sync_start(mb);
}

void walk_note(struct walk *w, struct mailbox *mb)
{
	struct trail_track *track = trail_note(&w->trail, mb, uv_now(w->account->loop));

	mb->freshness.foreseen = 0;
	remember_pace(w);
	if (!track || w->account->on_stopped)
		return;
	check_here(mb);
	go_ahead(w, track);
}
