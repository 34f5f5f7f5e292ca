/* SPDX-License-Identifier: MIT */
/* Somebody who waits until all that was promised so far is done or refused: change/intents.h. */
#ifndef MAIL_MODEL_DRAIN_H
#define MAIL_MODEL_DRAIN_H

#include <sys/types.h>

#include "base/list.h"

struct drain;
struct mailbox;

typedef void drain_done(struct drain *d, int err);

/* What becomes of removals that somebody may still take back (intents.h, INTENTS_HOLD). */
enum drain_kind {
	DRAIN_REST,   /* others' are left alone: neither sent nor waited for */
	DRAIN_ALL,    /* all are waited for; the hold is kept */
	DRAIN_OWN,    /* the same, but what `by` has removed is sent at once */
	DRAIN_AT_END, /* all are sent at once: nobody will ask for anything any more */
};

struct drain {
	struct list link;   /* list_init before */
	struct mailbox *mb; /* in this mailbox, and into it; NULL: everywhere */
	enum drain_kind kind;
	pid_t by; /* who drains, as in intent_ask */
	/* Once, from the loop: the first refusal that no drain was told of, or 0. */
	drain_done *on_done;
};

#endif
