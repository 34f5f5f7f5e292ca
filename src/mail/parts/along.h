/* SPDX-License-Identifier: MIT */
/*
 * Summaries along with rows: where each mailbox that is listed shows them (account_options.summaries), those of
 * the next mailboxes of a walk are asked for by the second command of their cars, so that they cost no
 * turn for each.
 */
#ifndef MAIL_PARTS_ALONG_H
#define MAIL_PARTS_ALONG_H

#include "mail/sync/walk.h"

/* Rows to be asked for ahead of a walk: with their summaries some 2 MB, if the guess is wrong. */
#define ALONG_ROWS 2000u
/* For walk_take_riders; ctx is not used. */
walk_on_ahead along_on_ahead;

#endif
