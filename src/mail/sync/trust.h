/* SPDX-License-Identifier: MIT */
/*
 * How far a server is believed that promised to tell of changes unasked (NOTIFY, IDLE). Some never
 * do, and some are in time for hours and then late for as long as the connection lives. So whatever
 * a check finds must have been told before or be told soon after: else the push is late. It is set
 * up anew then, and whoever wants to know something asks, until it was in time three times running.
 *
 * Pure: the time is passed in, in milliseconds. Mailboxes are numbers; 0 is none.
 */
#ifndef MAIL_SYNC_TRUST_H
#define MAIL_SYNC_TRUST_H

#include <stdbool.h>
#include <stdint.h>

/* Milliseconds that it has to tell of what was found. */
#define TRUST_PATIENCE 2000
/* How often running it must be in time to be believed again. */
#define TRUST_IN_TIME 3
/* Milliseconds from one new set-up to the next: it costs a login. Twice as long each time. */
#define TRUST_RENEW_MIN ((uint64_t)60 * 1000)
#define TRUST_RENEW_MAX ((uint64_t)32 * 60 * 1000)

/* All zero: nothing speaks against it yet. */
struct trust {
	bool late;
	bool reliable;     /* it told something in time since it was set up */
	unsigned in_time;  /* how often running, while it is late */
	uint32_t awaited;  /* where something was found that it has not told */
	uint64_t due;      /* until when it may */
	uint64_t renew_at; /* it may be set up anew from then on */
	uint64_t pause;    /* between the last two times */
};

/* It is set up, or set up anew. */
void trust_begin(struct trust *t);
/* It told of something in that mailbox, not older than what is known of it. */
void trust_told(struct trust *t, uint32_t mailbox, uint64_t now);
/* A check found something in that mailbox. ahead: it had told of it. Else trust_is_overdue is to be
 * asked at t->due. */
void trust_found(struct trust *t, uint32_t mailbox, bool ahead, uint64_t now);
/* Whether it has just turned out to be late, and is to be set up anew. */
bool trust_is_overdue(struct trust *t, uint64_t now);

#endif
