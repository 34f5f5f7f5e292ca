/* SPDX-License-Identifier: MIT */
/*
 * A session played from a transcript (tests/transcripts/README has the form): what the file says
 * for the server and the owner is done, and what comes of it is written down beside what the file
 * expects. Breaches of the session's contract that no transcript could show (a command completed
 * twice, an event from submit) end the process.
 */
#ifndef IMAP_TEST_SCRIPT_H
#define IMAP_TEST_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

#define SCRIPT_SECRET_MAX 512

struct script {
	struct span text;
	/* How the server's octets are cut, besides where a line of another kind stands between
	 * them. */
	size_t part; /* at most so many at once */
	size_t cut;  /* and at this offset */

	/* Results. */
	struct buf expected, got;
	struct buf numbers; /* of each line of expected: an int, the file's line that wants it */
	size_t octets;      /* the server's */
	int wrong_line;     /* the first that is none of a transcript's; 0: all are */
	char user[SCRIPT_SECRET_MAX], password[SCRIPT_SECRET_MAX], authzid[SCRIPT_SECRET_MAX];

	struct buf block; /* scratch */
};

void script_init(struct script *s, struct span text);
void script_finish(struct script *s);
/* Plays it once more, from the beginning. Allocates nothing itself unless the results are long. */
void script_play(struct script *s, size_t part, size_t cut);

/* The file's line that wants the n-th (from 0) of the lines that are expected; behind the last: the last's. */
int script_line(const struct script *s, size_t n);

#endif
