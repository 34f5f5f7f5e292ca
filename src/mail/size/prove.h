/* SPDX-License-Identifier: MIT */
/*
 * Proving announced sizes on the server before they are shown (sizes.h), without fetching the
 * messages: see probe.h for the questions. Questions about messages of a mailbox are asked in
 * batches: messages of about the same size share a command, several commands are on their way at a
 * time, all who wait for a message share its answer, and for who asks for one message after the
 * other (ls -l) the next are proved ahead.
 */
#ifndef MAIL_SIZE_PROVE_H
#define MAIL_SIZE_PROVE_H

#include "mail/model/account.h"

struct proof;
typedef void prove_done(struct proof *p, int err);

struct proof {
	struct list link;
	struct mailbox *mb;
	uint32_t uid;
	/* Once, from the loop: 0 when the size was proved, ERR_GONE, ERR_STALE; ERR_REFUSED when
	 * the server refuses the message (it is marked MESSAGE_UNPROVABLE); ERR_UNREADABLE when
	 * only reading the message can tell; or what happened to the connection. */
	prove_done *on_done;
};

/* The message must be there, with a size that the server said (sizes_said). */
void prove_start(struct proof *p);
/* No callback any more. What was asked of the server goes on. */
void prove_cancel(struct proof *p);

/* Proves the messages that are there, when they are as few as before a first listing; the mailbox's
 * sizes.sampled tells the outcome. */
void prove_first(struct mailbox *mb);
/* Proves a few messages of a mailbox that was listed completely for the first time. */
void prove_some(struct mailbox *mb);

/* The mailbox is about to be freed; after its pool. No callback. */
void prove_forget(struct mailbox *mb);
/* Nothing is under way. */
bool prove_is_idle(const struct mailbox *mb);

#endif
