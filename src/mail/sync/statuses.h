/* SPDX-License-Identifier: MIT */
/*
 * The round over all mailboxes that somebody may have listed, without selecting them: what STATUS
 * says (RFC 3501 section 6.3.10) is compared with what is known.
 */
#ifndef MAIL_SYNC_STATUSES_H
#define MAIL_SYNC_STATUSES_H

#include "mail/model/account.h"

/* Begins a round: lists the tree, and asks for the status of each mailbox that somebody listed.
 * Does nothing while a round is under way. */
void statuses_start(struct account *a);
/* Asks for the status of these mailboxes alone. on_done is called from the loop, whatever came. */
typedef void statuses_on_done(void *ctx);
void statuses_ask(
	struct account *a, const uint32_t *ids, size_t n, statuses_on_done *on_done, void *ctx);
/* A STATUS response, asked for or not, on that connection: starts a check of a mailbox that was
 * listed and changed since. */
void statuses_on_status(
	struct account *a, const struct conn *conn, const struct imap_status_data *status);
/* Something may have changed there: checks a mailbox that was listed. */
void statuses_on_hint(struct mailbox *mb);
/* Its name was told of as if it were new, so it may be another by that name: the same, on selections
 * of now. */
void statuses_on_named(struct mailbox *mb);

#endif
