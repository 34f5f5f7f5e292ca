/*
 * The end of dead mailboxes. One that vanished, or whose UIDVALIDITY changed, leaves the tree at
 * once; but operations, tasks, connections and answers of the cache may still point at it. It is
 * freed when none does any more, and only from a timer of its own, so that no function on the stack
 * holds it either.
 */
#ifndef MAIL_REAP_H
#define MAIL_REAP_H

#include "mail/account.h"

void reap_init(struct account *a);
/* The mailbox was killed, and is in the tree no more. */
void reap_later(struct account *a, struct mailbox *mb);
/* Frees none from now on: account_free_tree does. */
void reap_stop(struct account *a);

#endif
