/* SPDX-License-Identifier: MIT */
/*
 * What vanished from a mailbox, found with no extension at all: UIDs ascend with sequence numbers
 * (RFC 3501 section 2.3.1.1) and nothing that the server has is unknown here, so where two messages
 * have as many between them there as here, the same are between them. A sample of sequence numbers
 * tells where that is not so, and only there the next sample is taken. One that vanished of 100,000
 * costs three questions and some kB, where a list of all UIDs is hundreds.
 *
 * Pure: sequence numbers go out, what FETCH (UID) says of them comes in. It is void when the
 * mailbox's sequence numbers change meanwhile (EXPUNGE, VANISHED): throw it away and begin again.
 */
#ifndef MAIL_SYNC_BISECT_H
#define MAIL_SYNC_BISECT_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "mail/model/uidset.h"

struct bisect;

enum bisect_next {
	BISECT_ASK,    /* bisect_take says for what; then bisect_next again */
	BISECT_DONE,   /* bisect_vanished tells */
	BISECT_COSTLY, /* a list of all UIDs would be cheaper, or take fewer turns */
	BISECT_UNSOUND /* the answers are not those of a subset in ascending order */
};

/* Octets of a list of all these UIDs. ranges: as ESEARCH writes it (RFC 4731). */
uint64_t bisect_list_cost(const uint32_t *uids, size_t n, bool ranges);

/* uids: what is known, ascending; taken over. fresh: so many of them, at the end, have come
 * just now; that these are all with higher UIDs than the rest is checked. exists: messages at the
 * server. */
struct bisect *bisect_create(
	uint32_t *uids, size_t n, size_t fresh, uint32_t exists, uint64_t list_cost);
void bisect_destroy(struct bisect *b);
/* To be called at first, and when the command that asked has been completed. */
enum bisect_next bisect_next(struct bisect *b);
/* After BISECT_ASK: puts sequence numbers that the next command is to ask for into set, an empty
 * buffer of at most UIDSET_TEXT_MAX octets. */
void bisect_take(struct bisect *b, struct buf *set);
/* One row of the answer; those that were not asked for are ignored. */
void bisect_answer(struct bisect *b, uint32_t seq, uint32_t uid);
/* After BISECT_DONE: the UIDs that the server has no more. */
const struct uidset *bisect_vanished(struct bisect *b);

#endif
