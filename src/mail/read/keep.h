/* SPDX-License-Identifier: MIT */
/*
 * Mailboxes that are kept for when there is no server: the cache evicts nothing of their messages
 * (cache_keep_mailbox), and what it has not is read here, in the order of UIDs, as any reader would, so
 * that read-ahead, the bounds of the user and the cache's pace hold. A run goes on for as long as
 * somebody asks how far it is; askers are told apart by their process (0 where it is not known). Once one has come to its end, what comes to the mailbox is fetched, too,
 * as soon as it is known.
 *
 * Only the cache tells what is here: before a run, and again at its end.
 */
#ifndef MAIL_READ_KEEP_H
#define MAIL_READ_KEEP_H

#include <sys/types.h>

#include "base/buf.h"
#include "mail/model/account.h"

struct keep;
struct keeper;

/* What else is to be kept of a mailbox whose octets are all here: 0, it is here; ERR_NOT_CACHED, it is asked for, and
 * keep_more_came is called later, once; else an error. look: whether the cache has it, not memory. */
typedef int keep_more(struct mailbox *mb, bool look);

struct keeper *keeper_create(struct account *a, keep_more *more);
/* err: how that has ended. */
void keep_more_came(struct mailbox *mb, int err);
/* The server is there, or again: what failed without it, and what nobody has looked at since it was mounted. */
void keeper_go_on(struct account *a);
/* Nothing is read any more. */
void keeper_stop(struct keeper *k);
/* After the loop has closed what keeper_stop left, and after the tree is gone. */
void keeper_destroy(struct keeper *k);

/* The mailbox is kept from now on, and what is missing is fetched. Its rows must be known. Nothing is
 * done when that goes on already. */
void keep_start(struct mailbox *mb, pid_t asker);
/* It goes on for as long as this is called now and then. */
void keep_note_asked(struct mailbox *mb, pid_t asker);
/* The asker needs it no more. What is under way is left, unless another one has asked lately; the mailbox stays kept. */
void keep_pause(struct mailbox *mb, pid_t asker);
/* The mailbox is not kept any more. */
void keep_end(struct mailbox *mb, pid_t asker);
/* Rows came. */
void keep_note_rows(struct mailbox *mb);
/* The mailbox is being freed. */
void keep_forget(struct mailbox *mb);

/* Appends how it stands, one fact a line:
 *   kept: yes | no
 *   state: busy | done | stopped | failed   (of the last run; failed: and error)
 *   messages: HERE of ALL
 *   bytes: HERE of ALL
 *   unreadable: N   (messages that the server does not give; not where there are none)
 *   reason: offline | daylimit | room | other, and error: TEXT   (of what failed)
 * Returns buf's errors. */
int keep_print(const struct mailbox *mb, struct buf *out);
/* The same of all kept ones, for the report: a line each. */
int keep_report(const struct account *a, struct buf *out);

#endif
