/* SPDX-License-Identifier: MIT */
/*
 * An account played from a transcript (tests/transcripts/README has the form): mail/, link/, imap/
 * and the cache (in memory) as they are, on streams and a clock that the play has in hand. What the
 * file says for the server is said, what it says for the filesystem is done, and what comes of both
 * is written down beside what the file expects.
 *
 *   play.c         lines: what is expected, what came, the first difference
 *   play_acts.c    the filesystem's part: the account, options, which action is whose
 *   play_reading.c, play_changing.c, play_writing.c
 *                  its requests (play_requests.h), each with its action
 *   play_events.c  what it is told
 *   play_stream.c  the server's part: net/stream.h without a network
 *   play_clock.c   the time
 */
#ifndef MAIL_TEST_PLAY_H
#define MAIL_TEST_PLAY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

#define PLAY_LINES_MAX 1000

struct play {
	struct span text;
	/* How the server's octets are cut, besides where a line of another kind stands between
	 * them. */
	size_t part; /* at most so many at once */
	size_t cut;  /* and at this offset */

	/* Results: lines of text. */
	struct buf expected, got;
	int numbers[PLAY_LINES_MAX]; /* in the file, of the lines of `expected` */
	size_t lines;                /* of `expected` */
	size_t octets;               /* the server's, where they may be cut */
	int wrong_line;              /* the first that is none of a transcript's; 0: all are */
	unsigned waiting;            /* of the filesystem's requests that never ended */
};

/* One at a time. */
void play_init(struct play *p, struct span text);
void play_finish(struct play *p);
/* Plays it once more, from the beginning. */
void play_run(struct play *p, size_t part, size_t cut);
/* Whether all came as expected. Else appends a few lines that say what did first not. */
bool play_compare(const struct play *p, const char *name, struct buf *report);

#endif
