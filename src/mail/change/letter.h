/* SPDX-License-Identifier: MIT */
/*
 * What may be put into a mailbox as a message, and how it is sent; pure. A message begins with a
 * header field, whose name is of letters, digits and "-_." (RFC 5322 allows more, but what has more
 * is a program or a page), and has no NUL octets (RFC 3501 section 4.3: literals have none; Dovecot turns them
 * into other octets). The line "From joe@example.org Mon Jan ..." that mbox files begin with is left
 * out. A bare LF becomes CRLF, as in all mail (RFC 5322 section 2.3); a CR that no LF follows stays
 * what it is: it ends no line, servers keep it, and what is signed must not change.
 */
#ifndef MAIL_CHANGE_LETTER_H
#define MAIL_CHANGE_LETTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* Octets that letter_write makes of n, at most. */
#define LETTER_WRITTEN(n) (2 * (n) + 5)
/* Octets of a Message-ID, and of a field's value, that are kept. */
#define LETTER_ID_MAX 256
#define LETTER_VALUE_MAX 1024

/* From a file's octets to those that are sent; {0} at first. */
struct letter_writer {
	unsigned from; /* octets of "From " so far; above 5: the first line is told */
	bool skips;    /* in the mbox line */
	bool mbox;     /* there was one */
	bool cr;       /* the last octet was CR */
};

/* Writes what is sent of the next octets of the file into out, which has room for
 * LETTER_WRITTEN(octets.n), and returns how many those are. */
size_t letter_write(struct letter_writer *w, struct span octets, char *out);

/* Looks at a message as it goes by; {0} at first. */
struct letter {
	struct letter_writer writer;
	uint64_t size; /* octets that are sent so far */
	uint64_t sum;  /* of those; what it begins with tells sums apart that others could make */
	const char *reason; /* why it is no message, so far; NULL: nothing */
	bool nul;           /* there was one */

	/* The header. */
	int at;                       /* enum in letter.c */
	bool told;                    /* the first line is a field */
	bool cr;                      /* the last octet was CR: a line's end if LF follows */
	size_t line;                  /* octets of the line so far, without its end */
	char name[16];                /* of the field, in lower case, as far as it is of interest */
	size_t name_length;           /* longer than name: of none */
	char value[LETTER_VALUE_MAX]; /* the last octets of the field */
	size_t value_length;
	bool received; /* the topmost Received was seen */
	bool has_date, has_received_date;
	int64_t date, received_date;
	char id[LETTER_ID_MAX]; /* Message-ID, without space around; "": none, or too long */

	/* mbox: a second message would begin behind an empty line. */
	unsigned second;
	bool empty_line;
};

/* Goes on with a sum over octets that are sent. */
uint64_t letter_sum(uint64_t sum, struct span octets);
/* The next octets of the file. */
void letter_feed(struct letter *l, struct span octets);
/* There are no more: 0, or ERR_INVALID and l->reason says in a few words what it is: "has NUL bytes"
 * (behind "the message", or the file's name). */
int letter_end(struct letter *l);
/* When it came: what the topmost Received says, else Date; false: it does not say. Seconds since 1970
 * UTC. */
bool letter_date(const struct letter *l, int64_t *date);

#endif
