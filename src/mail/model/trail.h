/* SPDX-License-Identifier: MIT */
/*
 * Who goes through the tree from mailbox to mailbox, and where he will be next. A walk takes each
 * directory before what is in it (find, grep -r, rsync, tar, du), its children as readdir gives them
 * or in the order of their octets, forwards or backwards. Several walks at once are told apart; who
 * opens two mailboxes that happen to lie one behind the other looks like the beginning of one.
 */
#ifndef MAIL_MODEL_TRAIL_H
#define MAIL_MODEL_TRAIL_H

#include "mail/model/tree.h"

#define TRAIL_TRACKS 8
#define TRAIL_RECENT 4

struct trail_track {
	enum mailbox_order order;
	uint32_t last;    /* mailbox where the walk was seen last */
	uint32_t reached; /* that trail_step gave out last */
	unsigned ahead;   /* how far that is ahead of `last` */
	unsigned steps;   /* how often the walk was where it was expected; 0: there is none */
	uint64_t used;    /* the trail's count when it was there */
	uint64_t seen;    /* milliseconds, when it was there */
	uint64_t pace;    /* milliseconds from one mailbox to the next, lately */
};

struct trail {
	struct tree *tree;
	/* Mailboxes that nobody need go to; NULL: none. */
	bool (*is_skipped)(const struct mailbox *mb);
	struct trail_track tracks[TRAIL_TRACKS];
	uint32_t recent[TRAIL_RECENT]; /* mailboxes, of any walk or none */
	uint64_t count;                /* of notes */
};

/* Somebody is at the mailbox, at `now` (milliseconds): the walk that this belongs to, or NULL. */
struct trail_track *trail_note(struct trail *t, const struct mailbox *mb, uint64_t now);
/* Whether a walk in that order may have come to the mailbox from the one of this id. */
bool trail_is_behind(
	const struct trail *t, uint32_t from, const struct mailbox *mb, enum mailbox_order order);
/* The next mailbox ahead that was not given out for this walk, or NULL at the end. */
struct mailbox *trail_peek(const struct trail *t, const struct trail_track *track);
/* It is given out. */
void trail_step(const struct trail *t, struct trail_track *track);

#endif
