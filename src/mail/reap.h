/* SPDX-License-Identifier: MIT */
/*
 * The end of dead mailboxes. One that vanished, or whose UIDVALIDITY changed, leaves the tree at
 * once; but operations, tasks, connections and answers of the cache may still point at it. It is
 * freed when none does any more, and only from a timer of its own, so that no function on the stack
 * holds it either.
 */
#ifndef MAIL_REAP_H
#define MAIL_REAP_H

#include "mail/model/account.h"

struct reaper *reaper_create(struct account *a);
/* The mailbox was killed, and is in the tree no more. */
void reaper_add(struct reaper *r, struct mailbox *mb);
/* Frees none from now on: tree_finish does. */
void reaper_stop(struct reaper *r);
/* After the loop has closed what reaper_stop left. */
void reaper_destroy(struct reaper *r);

#endif
