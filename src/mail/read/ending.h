/* SPDX-License-Identifier: MIT */
/*
 * What an answer to `BODY.PEEK[]<from.octets>` tells about where a message ends. Pure.
 *
 * RFC822.SIZE is only a promise, and no octets are no end: so answers a server that is past the
 * end, but also one that has not told this connection of the message, or cannot open its file for a
 * moment. The end is where octets came, fewer than were asked for. So who expects the end asks from
 * an octet before it, and who got nothing asks again: on this connection after NOOP, then on one
 * that has selected the mailbox anew, then further down. What is still unclear is an error.
 */
#ifndef MAIL_READ_ENDING_H
#define MAIL_READ_ENDING_H

#include <stdbool.h>
#include <stdint.h>

/* Nothing is promised, no answer was short. */
#define ENDING_NOWHERE UINT64_MAX

struct ending_answer {
	uint64_t from, asked; /* the question */
	uint64_t came;        /* octets of the answer */
	uint64_t whole;       /* octets of the message, when it was sent whole instead; else 0 */
	bool has_origin;      /* the answer says where it begins */
	bool grown;           /* asked for more than before because of ENDING_VAGUE */
	uint64_t promised;    /* the size that is known or announced, or ENDING_NOWHERE */
	uint64_t short_at;    /* where an answer before ended that was short, or none came; or
				 ENDING_NOWHERE */
};

enum ending {
	ENDING_OPEN,    /* all that was asked for came */
	ENDING_VAGUE,   /* the same, or it was the whole message: ask for an octet more */
	ENDING_FOUND,   /* the message ends at *end */
	ENDING_UNSURE,  /* it may end at *end: ask once more, from the octet before */
	ENDING_NOTHING, /* no octets: nothing follows from that */
};

enum ending ending_judge(const struct ending_answer *a, uint64_t *end);

struct ending_silence {
	uint64_t start;    /* the first octet that was wanted */
	unsigned answers;  /* without octets, this one included */
	bool lower;        /* another such was found before: the end is sought further down */
	bool row;          /* the server named the message */
	bool empty_string; /* and said that it has no octets, not just nothing */
	bool promised_0;   /* and so does RFC822.SIZE, of a server that is not known to be wrong */
};

enum ending_next {
	ENDING_NEXT_AGAIN,      /* NOOP, then once more, from an octet before */
	ENDING_NEXT_ANEW,       /* the same where the mailbox is selected anew */
	ENDING_NEXT_LOWER,      /* the message ends further down, or not at all */
	ENDING_NEXT_EMPTY,      /* it is a message of 0 octets */
	ENDING_NEXT_UNREADABLE, /* it is there, but its octets do not come */
	ENDING_NEXT_LOOK,       /* whether it is there at all the list has to tell */
};

/* After ENDING_NOTHING. */
enum ending_next ending_after_nothing(const struct ending_silence *s);

#endif
