/* Making a mailbox's list of messages agree with the server. */
#ifndef MAIL_SYNC_H
#define MAIL_SYNC_H

#include "mail/account.h"

/* How long, in milliseconds, a mailbox counts as fresh after a check without asking again. */
#define SYNC_FRESH 1000

/* Whether names in the mailbox can be answered from memory now. */
bool sync_is_fresh(const struct mailbox *mb);
/* Whether that there is no such message can be answered from memory now: one that may be newer than
 * all that is known is asked for, at most each SYNC_FRESH. */
bool sync_knows(const struct mailbox *mb, uint32_t uid);
/* At the end of the process: a check that nobody will finish. */
void sync_forget(struct mailbox *mb);
/* Starts a check, unless one is under way; the mailbox's waiters are woken at its end. */
void sync_start(struct mailbox *mb);
/* What STATUS said last agrees with the rows here. */
bool sync_agrees_with_status(const struct mailbox *mb);
/* The server told of something that is not known here. */
void sync_told(struct mailbox *mb);
/* It was expunged: a check that is under way may be on a connection that was not told of that. */
void sync_note_gone(struct mailbox *mb, uint32_t uid);
/* The first rows of a mailbox that was never complete are arriving: progress is worth waiting for.
 */
bool sync_is_streaming(const struct mailbox *mb);

/* Appends what SELECT is to ask for beside: a QRESYNC parameter (RFC 7162 section 3.2.5), where the
 * rows here are complete. Returns buf's errors. */
int sync_select_parameters(const struct mailbox *mb, struct buf *parameters);
/* GNU Mailutils numbers an empty mailbox anew at each SELECT. Where there never was a message none
 * can be taken for another: true, and the directory stays what it is. conn: which says so; NULL:
 * STATUS. */
bool sync_stays(struct mailbox *mb, uint32_t uidvalidity, uint32_t messages, struct conn *conn);
/* From the pool: SELECT's answer (0, or ERR_STALE after the mailbox was replaced), and untagged
 * data. */
int sync_on_selected(struct mailbox *mb, struct conn *conn);
/* SELECT was refused, in these words: true when a check waits for it, which will say so. */
bool sync_on_refused(struct mailbox *mb, struct span text);
void sync_on_untagged(
	struct mailbox *mb, struct conn *conn, const struct imap_response *r, uint32_t uid);
void sync_on_batch(struct mailbox *mb);

#endif
