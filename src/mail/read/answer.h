/* SPDX-License-Identifier: MIT */
/*
 * One answer to `UID FETCH uid (UID BODY.PEEK[]<from.asked>)`: whether it is that message's, and
 * which octets of the message come. Pure. What it tells about the message's end is in ending.h.
 *
 * A server may send what was asked for, or, where it does not know parts, the whole message. It may
 * not say where the octets begin, and then they answer the first question that is not answered, and
 * their number tells which it is; where it does not, the answer is nonsense. It may not say whose
 * they are before they come, and then the row's end does.
 */
#ifndef MAIL_READ_ANSWER_H
#define MAIL_READ_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "imap/response.h"

struct answer {
	/* The question. */
	uint32_t uid;
	uint64_t from, asked; /* octets of the message */
	uint64_t start;       /* the first that is wanted: from, or the octet behind it */

	/* What is known of the message while the answer comes; the caller keeps it true. */
	uint64_t end;  /* where it ends, as far as known or promised; 0: nothing is */
	bool outgrown; /* it has more octets than promised */

	/* The answer. */
	bool begun;         /* a body was claimed */
	bool ended;         /* and its row was seen */
	bool row;           /* any row of the message was seen */
	bool has_origin;    /* it says where it begins */
	bool uid_said;      /* the body is this message's for certain */
	uint32_t seq;       /* of the body, while that is not certain */
	bool nonsense;      /* the body is not what was asked for */
	uint64_t announced; /* octets from `start` on */
	uint64_t skip;      /* octets that are still to be passed over, before `start` */
	uint64_t came;      /* octets, with those before `start` */
	uint64_t whole;     /* octets of the message, when it is sent whole instead; else 0 */
};

/* Of octets from..from+asked of the message; nothing came. */
void answer_init(struct answer *a, uint32_t uid, uint64_t from, uint64_t asked, uint64_t start);
/* A body of so many octets begins: true claims it. is_next: no question before this one is unanswered. */
bool answer_begin(struct answer *a, const struct imap_fetch *prefix, uint32_t uid, uint64_t size,
	bool is_next);
/* Octets of it: those of them that are wanted, or that lie behind. */
struct span answer_take(struct answer *a, struct span octets);
/* The end of a row. True when row->body is the body, which answer_take has not seen. is_next: as
 * above. */
bool answer_end(struct answer *a, const struct imap_fetch *row, uint32_t uid, bool is_next);
/* The row as it would be if that section (NULL: all of it) were the message. */
struct imap_fetch answer_of_section(const struct imap_fetch *row, const char *section);
/* What has come is of that message, from there. */
bool answer_is_certain(const struct answer *a);

#endif
