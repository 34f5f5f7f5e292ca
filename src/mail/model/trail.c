/* SPDX-License-Identifier: MIT */
#include "mail/model/trail.h"

/* So many mailboxes may a walk by several threads jump over, once it made so many steps. */
#define NEAR 8
#define SURE 3
/* Mailboxes that others may be at before a walk is thought to be over. */
#define LIFE 64

/* The mailbox that a walk visits behind this one, or NULL. */
static struct mailbox *after(const struct trail *t, struct mailbox *mb, enum mailbox_order order)
{
	struct mailbox *next = mailbox_child_beside(mb, NULL, order);

	while (!next && mb != t->tree->top && mb->place.parent) {
		next = mailbox_child_beside(mb->place.parent, mb, order);
		mb = mb->place.parent;
	}
	return next;
}

static struct mailbox *after_skipped(
	const struct trail *t, struct mailbox *mb, enum mailbox_order order)
{
	do
		mb = after(t, mb, order);
	while (mb && t->is_skipped && t->is_skipped(mb));
	return mb;
}

/* How many mailboxes behind `from` this one is, or 0: not within `most`. */
static unsigned steps_between(const struct trail *t, uint32_t from, const struct mailbox *mb,
	enum mailbox_order order, unsigned most)
{
	struct mailbox *at = tree_mailbox(t->tree, from);

	if (!at || at->dead)
		return 0;
	for (unsigned n = 1; n <= most; n++) {
		at = after_skipped(t, at, order);
		if (at == mb)
			return n;
		if (!at)
			return 0;
	}
	return 0;
}

/* A walk that was not seen for so long is none any more. */
static bool is_alive(const struct trail *t, const struct trail_track *track)
{
	return track->steps > 0 && t->count - track->used <= LIFE;
}

static struct trail_track *oldest(struct trail *t)
{
	struct trail_track *found = &t->tracks[0];

	for (size_t i = 1; i < TRAIL_TRACKS; i++)
		if (t->tracks[i].used < found->used)
			found = &t->tracks[i];
	return found;
}

static void advance(struct trail *t, struct trail_track *track, const struct mailbox *mb,
	unsigned n, uint64_t now)
{
	track->pace = (3 * track->pace + (now - track->seen) / n) / 4;
	track->seen = now;
	track->steps++;
	track->last = mb->id;
	track->used = t->count;
	/* Where it is ahead of what was given out, that begins here. */
	if (n >= track->ahead)
		track->reached = mb->id;
	track->ahead = n >= track->ahead ? 0 : track->ahead - n;
}

/* A walk may look like several, in different orders, until they part. The longest is believed. */
static struct trail_track *go_on(struct trail *t, const struct mailbox *mb, uint64_t now)
{
	struct trail_track *best = NULL;

	for (size_t i = 0; i < TRAIL_TRACKS; i++) {
		struct trail_track *track = &t->tracks[i];
		unsigned near = track->steps < SURE ? 1 : NEAR;
		unsigned n = is_alive(t, track)
				     ? steps_between(t, track->last, mb, track->order, near)
				     : 0;
		if (n == 0)
			continue;
		advance(t, track, mb, n, now);
		if (!best || track->steps > best->steps)
			best = track;
	}
	return best;
}

static struct trail_track *begin(struct trail *t, const struct mailbox *mb, uint64_t now)
{
	struct trail_track *track = NULL;

	for (size_t i = 0; i < TRAIL_RECENT && i < t->count; i++) {
		uint32_t from = t->recent[(t->count - 1 - i) % TRAIL_RECENT];
		for (enum mailbox_order order = 0; order < MAILBOX_ORDERS; order++) {
			if (steps_between(t, from, mb, order, 1) == 0)
				continue;
			track = oldest(t);
			*track = (struct trail_track){.order = order,
				.last = mb->id,
				.reached = mb->id,
				.steps = 1,
				.seen = now,
				.used = t->count};
		}
		if (track)
			break;
	}
	return track;
}

static bool was_there_lately(const struct trail *t, const struct mailbox *mb)
{
	for (size_t i = 0; i < TRAIL_RECENT && i < t->count; i++)
		if (t->recent[i] == mb->id)
			return true;
	return false;
}

struct trail_track *trail_note(struct trail *t, const struct mailbox *mb, uint64_t now)
{
	if (was_there_lately(t, mb))
		return NULL;
	struct trail_track *track = go_on(t, mb, now);
	if (!track)
		track = begin(t, mb, now);
	t->recent[t->count++ % TRAIL_RECENT] = mb->id;
	return track;
}

bool trail_is_behind(
	const struct trail *t, uint32_t from, const struct mailbox *mb, enum mailbox_order order)
{
	return steps_between(t, from, mb, order, NEAR) > 0;
}

struct mailbox *trail_peek(const struct trail *t, const struct trail_track *track)
{
	struct mailbox *mb = tree_mailbox(t->tree, track->reached);

	return mb && !mb->dead ? after_skipped(t, mb, track->order) : NULL;
}

void trail_step(const struct trail *t, struct trail_track *track)
{
	const struct mailbox *mb = trail_peek(t, track);

	if (!mb)
		return;
	track->reached = mb->id;
	track->ahead++;
}
