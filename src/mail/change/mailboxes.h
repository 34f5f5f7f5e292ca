/* SPDX-License-Identifier: MIT */
/*
 * Mailboxes are made, removed and renamed: CREATE, DELETE and RENAME (RFC 3501 sections 6.3.3 to
 * 6.3.5). One change after the other, but that several are made at once. What was begun goes on
 * when nobody waits for it any more, and the tree becomes what the server has.
 */
#ifndef MAIL_CHANGE_MAILBOXES_H
#define MAIL_CHANGE_MAILBOXES_H

#include "mail/model/account.h"

struct mailboxes_job;
struct mailboxes_wait;

/* mb: what was made or renamed; NULL: nothing, or it has no place in the tree. */
typedef void mailboxes_done(struct mailboxes_wait *w, int err, struct mailbox *mb);

/* Who waits for a change. */
struct mailboxes_wait {
	struct mailboxes_job *job; /* NULL when it is over */
	/*
	 * Once, from the loop: 0, and the server has confirmed it and the tree shows it; ERR_EXISTS,
	 * ERR_NOT_EMPTY, ERR_BUSY, ERR_INVALID (no such name can be), ERR_TOO_LONG, ERR_DENIED,
	 * ERR_QUOTA, ERR_NO_MAILBOX, and then all is as before; or what happened to the connection.
	 */
	mailboxes_done *on_done;
};

/* The account's one. */
struct mailboxes *mailboxes_create(struct account *a);
/* When its pool has shut down: no job is left. */
void mailboxes_destroy(struct mailboxes *m);

/* Each returns 0, and on_done follows, or an error of those above, and it does not. component: the
 * name in the directory, see model/names.h. */
int mailboxes_make(struct mailbox *parent, struct span component, struct mailboxes_wait *w);
/* One without messages and without children. A delivery meanwhile is not lost: see remove.c. */
int mailboxes_remove(struct mailbox *mb, struct mailboxes_wait *w);
/* With all that is below it. */
int mailboxes_rename(struct mailbox *mb, struct mailbox *parent, struct span component,
	struct mailboxes_wait *w);
/* No callback any more. What was not sent yet will not be. */
void mailboxes_cancel(struct mailboxes_wait *w);

/* Gives back what an interrupted removal left under a name of ours, once the mailboxes are listed.
 * For when the server is there for the first time. */
void mailboxes_restore_start(struct account *a);

#endif
