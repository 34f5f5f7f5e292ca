/* SPDX-License-Identifier: MIT */
/*
 * The way to the account's server, which all its connections share: whether it is up, and when the
 * next of them may be made. Pure; times are milliseconds.
 *
 * A line is down when connections are refused for longer than the timeout, and also when the server
 * logs us in and then says nothing: then the next connection has to confirm by a NOOP that it is
 * alive, and once that was not enough either, nobody waits for more than one of them, those that rest
 * are closed, and none is made to spare.
 */
#ifndef LINK_LINE_H
#define LINK_LINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "imap/session.h"
#include "link/backoff.h"

/* All zero but pools: it may be up. */
struct line {
	struct list pools; /* of the account */
	struct backoff backoff;
	bool beside;        /* what failed last failed beside a connection that was up */
	bool shaken;        /* one that was up fell silent, or we slept, and none was ready since */
	unsigned silences;  /* connections that fell silent, in a row */
	uint64_t silent_at; /* the last of them */
	uint64_t up_at;     /* a connection was ready after a failure */
	uint64_t down_at;   /* it counts as down from then on; 0: it is up or may be */
	uint64_t heard_at;  /* octets on any connection, after its login */
	bool told;          /* people, of the failures since it was up */
	struct imap_pace pace; /* what the server does not bear; for good */
	unsigned borne;        /* what it did bear, see enum imap_behind */
	unsigned suspected;    /* what it fell silent over last, until the next is ready */
	unsigned stalls;       /* so often in a row */
	int error;             /* of the last failure, 0 when up */
	char text[256];        /* the same for people */
};

void line_init(struct line *l);
/* A connection could not be made. beside: another is up. patience: milliseconds until it counts as
 * down. */
void line_failed(struct line *l, int err, const char *text, bool beside, uint64_t now,
	uint64_t patience, uint32_t noise);
/* A connection that was heard last at `heard` owed an answer for `timeout`; true: nothing was heard on
 * any other either. */
bool line_fell_silent(
	struct line *l, uint64_t heard, uint64_t now, uint64_t timeout, uint32_t noise);
/* A connection is ready; true: that is news. */
bool line_ready(struct line *l, uint64_t now);
/* Something was done on a connection that was ready before: where that is news the line is not down, and is up
 * again (line_ready) but for what refuses new ones beside it. */
bool line_answered(struct line *l, uint64_t now);
/* Commands that were sent behind others (a set of enum imap_behind) were answered. */
void line_bore(struct line *l, unsigned behind);
/* A connection fell silent over what was sent behind others. */
void line_stalled(struct line *l, unsigned behind);
/* The next one is ready, so that was no outage: true when `pace` has changed by it. What the server
 * has borne before it must have stalled on some times in a row. */
bool line_learn_pace(struct line *l);
/* The next connection has to confirm that it is alive. */
bool line_is_doubted(const struct line *l);
/* Something was done on one. Before it has been up for `timeout` that says little: some lines carry
 * short answers only. */
void line_was_useful(struct line *l, uint64_t now, uint64_t timeout);
bool line_is_down(const struct line *l, uint64_t now);
/* It has come back since then, and is not doubted. */
bool line_is_back_since(const struct line *l, uint64_t then);
/* Something failed, and none was ready since. */
bool line_is_failing(const struct line *l);
/* One may be made. asked: somebody waits for it; only: the pool has none. Then one that was refused
 * beside others is no reason against it, and the pool has to see to it that it does not try too
 * often. */
bool line_may_try(const struct line *l, bool asked, bool only, uint64_t now);
/* When one may be made that nobody waits for. */
uint64_t line_retry_at(const struct line *l, bool only);
/* What to tell who cannot be served: 0 when it may be worth waiting. */
int line_error(const struct line *l, uint64_t now);

#endif
