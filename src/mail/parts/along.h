/* SPDX-License-Identifier: MIT */
/*
 * Summaries along with rows, by the second command of a car (link/train.c), so that they cost no turn of their
 * own: those of a mailbox of which somebody wants all; and, where each mailbox that is listed shows them
 * (account_options.summaries), those of the next mailboxes of a walk.
 */
#ifndef MAIL_PARTS_ALONG_H
#define MAIL_PARTS_ALONG_H

#include "mail/sync/walk.h"

/* Rows to be asked for ahead of a walk: with their summaries some 2 MB, if the guess is wrong. */
#define ALONG_ROWS 2000u
/* For walk_take_riders; ctx is not used. */
walk_on_ahead along_on_ahead;

/* Somebody wants those of all messages: starts a check, unless it is fresh, with those of what is new behind
 * its first rows. Where that cannot be nothing is done; what does not come so is asked for as ever. */
void along_check(struct mailbox *mb);

#endif
