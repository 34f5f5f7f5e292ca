/* SPDX-License-Identifier: MIT */
/*
 * Copies messages from one mailbox to another within the server (UID COPY, RFC 3501 section 6.4.7):
 * no octet goes over the line. What is asked for together, between the same two, shares a command. A
 * command that was lost with its connection is sent again only when nothing of it can have been done.
 */
#ifndef MAIL_CHANGE_COPY_H
#define MAIL_CHANGE_COPY_H

#include "mail/model/account.h"

struct copy;
/*
 * It ended, once, from the loop. 0: it is in the other mailbox. ERR_GONE: there is no such message, or
 * its mailbox is no more; ERR_NO_MAILBOX, ERR_QUOTA, ERR_DENIED, ERR_READONLY, ERR_REFUSED and its
 * kinds: it is not there; one of a connection's: it is not there; ERR_UNSURE: it may be, which the log
 * tells.
 */
typedef void copy_done(struct copy *c, int err);

struct copy {
	struct list link;
	struct mailbox *from; /* neither needs a hold */
	uint32_t uid;
	struct mailbox *to;
	copy_done *on_done;

	uint32_t new_uid; /* at the end: in `to`; 0: not known */
};

void copy_start(struct copy *c);
/* No callback any more. True: nothing was sent for it, and nothing will be. */
bool copy_cancel(struct copy *c);
/* The account is about to be freed, after its pool: no callback any more. */
void copy_forget_all(struct account *a);

#endif
