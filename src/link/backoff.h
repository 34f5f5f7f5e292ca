/* SPDX-License-Identifier: MIT */
/*
 * When to try again what failed: the one policy for connections, logins, mailboxes at which the
 * server drops the line, and commands that it is too busy for. Pure; times are milliseconds of any
 * clock.
 *
 * 1, 2, 4 ... 30 s, give or take a quarter so that many clients do not come back in step (noise:
 * any number). A refused login waits longer, by its own count: who tries a password that is no
 * longer right over and over gets the account locked, or the address banned. Five in ten minutes
 * are a common limit, so there are four at most.
 */
#ifndef LINK_BACKOFF_H
#define LINK_BACKOFF_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: nothing has failed. */
struct backoff {
	unsigned failures;      /* in a row, of any kind */
	unsigned refusals;      /* of these, refused logins; since the last success */
	uint64_t retry_at;      /* not before */
	uint64_t failed_at;     /* the last time */
	uint64_t refused_since; /* the first refusal */
	uint64_t refused_at;    /* the last one */
};

/* Milliseconds to wait after so many failures in a row, without noise. 0 for none. */
uint64_t backoff_delay(unsigned failures);
/* It failed with err. The first `forgiven` failures in a row cost no time. */
void backoff_failed(struct backoff *b, int err, unsigned forgiven, uint64_t now, uint32_t noise);
/* Whether it may be tried. */
bool backoff_is_due(const struct backoff *b, uint64_t now);
/* The same when somebody asks for it: after a refused login once a minute, too, though not before
 * five minutes have passed once there were four. */
bool backoff_may_ask(const struct backoff *b, uint64_t now);
/* Failures that are so long ago that they say nothing are forgotten. */
void backoff_age(struct backoff *b, uint64_t now);
/* The machine was suspended and is back, perhaps elsewhere: how often it failed before says little,
 * and it may be tried. That it did stays (failures is not 0), and so do refusals. */
void backoff_wake(struct backoff *b);

#endif
