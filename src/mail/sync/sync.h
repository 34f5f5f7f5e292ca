/* SPDX-License-Identifier: MIT */
/* Checks, which make a mailbox's list of messages agree with the server, and what is asked between
 * them. */
#ifndef MAIL_SYNC_SYNC_H
#define MAIL_SYNC_SYNC_H

#include "mail/model/account.h"

/* How long, in milliseconds, a mailbox counts as fresh after a check without asking again. */
#define SYNC_FRESH 1000

/* What is asked of a message: "(UID RFC822.SIZE INTERNALDATE)", and its flags where they are
 * wanted. */
const char *sync_row_items(struct mailbox *mb);

/* Starts a check, unless one is under way; the mailbox's waiters are woken at its end. */
void sync_start(struct mailbox *mb);
/* What is to be asked for in a mailbox behind its first rows, by the same train, for who is above:
 * see walk.h. */
struct sync_rider {
	/* The command, CRLF included; valid until it is started. NULL: there is nothing to be asked for. */
	const char *(*text)(struct sync_rider *r);
	/* Once, whatever becomes of the check; it ends itself then. number: of pool_foresee, 0: it was
	 * not foreseen. */
	void (*start)(struct sync_rider *r, unsigned number);
};

/* Who wants a check. */
enum sync_for {
	SYNC_FOR_LOOK,  /* somebody looks at the mailbox */
	SYNC_FOR_WALK,  /* the same, and goes on to others */
	SYNC_FOR_AHEAD, /* nobody looks at it yet */
};

/* The same where none is under way, and what it will ask first is sent at once, behind other mailboxes
 * (pool_foresee). False, and nothing is done, when that cannot be. rider: NULL: none. */
bool sync_start_foreseen(struct mailbox *mb, enum sync_for who, struct sync_rider *rider);
/* At the end of the process: a check that nobody will finish. */
void sync_forget(struct mailbox *mb);

/* --- freshness.c: whether the rows are true --- */

/* Whether names in the mailbox can be answered from memory now. */
bool sync_is_fresh(const struct mailbox *mb);
/* Whether that there is no such message can be answered from memory now: one that may be newer than
 * all that is known is asked for, at most each SYNC_FRESH. */
bool sync_knows(const struct mailbox *mb, uint32_t uid);
/* A check is under way; and one that somebody may wait for. */
bool sync_is_under_way(const struct mailbox *mb);
bool sync_is_awaited(const struct mailbox *mb);
/* A first listing is under way, and some of its rows can be handed out already (mailbox_listable). */
bool sync_shows_rows(const struct mailbox *mb);
/* uv_now at the end of the last check that succeeded; 0: never. */
uint64_t sync_checked_at(const struct mailbox *mb);

/* STATUS says, and that is as good as a check, that there is no message, nor is one known. */
bool sync_is_empty_by_status(const struct mailbox *mb);

/* A message that is listed seems not to be there: the next check looks for what vanished. */
void sync_doubt(struct mailbox *mb);
bool sync_is_doubted(const struct mailbox *mb);
/* A message may be missing that is not new: the next check asks for all UIDs. */
void sync_note_holes(struct mailbox *mb);
/* The server has news: it told of something that no check has found yet. */
void sync_note_news(struct mailbox *mb);
/* What STATUS said. */
void sync_note_status(struct mailbox *mb, uint32_t messages, uint32_t uidnext);
/* What STATUS said last agrees with the rows here. */
bool sync_agrees_with_status(const struct mailbox *mb);

/* --- what happens meanwhile --- */

/* The server said that it put a message of ours in, under this UID; 0: it did not say. Where that is the
 * next one after all that are known it is listed from now on, else the mailbox has news. */
void sync_note_added(struct mailbox *mb, const struct cache_message *m);
/* The message was expunged: a check that is under way may be on a connection that was not told. */
void sync_note_gone(struct mailbox *mb, uint32_t uid);

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
/* The row of a message that was asked for by itself, in a mailbox that is not complete and that no
 * check is under way in. */
void sync_take_row(struct mailbox *mb, const struct imap_fetch *row, uint32_t uid);

#endif
