/* SPDX-License-Identifier: MIT */
/*
 * What the server loses connections over: a mailbox at whose EXAMINE it dies, a kind of work in
 * one, a message. Each waits by a back-off of its own, so that one poisonous object costs itself,
 * and neither logins nor others. Pure.
 */
#ifndef LINK_TROUBLE_H
#define LINK_TROUBLE_H

#include <stdbool.h>
#include <stdint.h>

#include "link/backoff.h"

/* What most accounts never come near; beyond it the oldest are forgotten. */
#define TROUBLE_MAX 32

struct mailbox;
struct pool_task;

/* All zero: nothing. */
struct trouble_of {
	const struct mailbox *mailbox;     /* NULL: work in none, such as LIST */
	void (*work)(struct pool_task *t); /* its on_conn; NULL: to select the mailbox */
	uint32_t uid;                      /* of the message that it is about; 0: of none alone */
};

struct trouble {
	struct {
		struct trouble_of of;
		struct backoff backoff;
	} all[TROUBLE_MAX];
};

/* A connection was lost over it. Returns how often that was in a row. */
unsigned trouble_note(struct trouble *t, const struct trouble_of *of, uint64_t now, uint32_t noise);
/* It was done. */
void trouble_clear(struct trouble *t, const struct trouble_of *of);
/* How it stands with that, NULL: well. */
const struct backoff *trouble_find(const struct trouble *t, const struct trouble_of *of);
/* Whether there is any in the mailbox. */
bool trouble_is_with(const struct trouble *t, const struct mailbox *mailbox);
/* The mailbox is no more. */
void trouble_forget(struct trouble *t, const struct mailbox *mailbox);

#endif
