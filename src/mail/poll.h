/* Looking at mailboxes without selecting them: what STATUS says (RFC 3501 section 6.3.10) against
 * what is known. */
#ifndef MAIL_POLL_H
#define MAIL_POLL_H

#include "mail/account.h"

/* Lists the tree, and asks for the status of each mailbox that somebody listed. One at a time. */
void poll_start(struct account *a);
/* A STATUS response, asked for or not, on that connection: starts a check of a mailbox that was
 * listed and changed since. */
void poll_on_status(
	struct account *a, const struct conn *conn, const struct imap_status_data *status);
/* Something may have changed there: checks a mailbox that was listed. */
void poll_on_hint(struct mailbox *mb);

#endif
