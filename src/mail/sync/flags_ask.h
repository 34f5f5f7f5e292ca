/* SPDX-License-Identifier: MIT */
/*
 * Keeps the flags of messages true (mail/model/flags.h). Nobody pays for them who does not use
 * them: only when somebody asks for those of one message are those of its mailbox asked for, all in
 * one FETCH, and from then on the rows of any mailbox are asked for along with their flags.
 *
 * They stay true as long as the server tells of each change: IDLE does by FETCH in the mailbox that
 * it watches, NOTIFY (RFC 5465) by STATUS, which says that there is something to ask for. Else they
 * are asked for again when somebody wants them. With CONDSTORE (RFC 7162) that costs what changed
 * since, so what is older than SYNC_FRESH is asked for; without it they may be as old as
 * `refresh`.
 */
#ifndef MAIL_SYNC_FLAGS_ASK_H
#define MAIL_SYNC_FLAGS_ASK_H

#include "mail/model/account.h"
#include "mail/model/flags.h"

struct flags_wait;

/* Those of the message may be known now, or err says why not; the wait is over. */
typedef void flags_on_wake(struct flags_wait *w, int err);

/* Somebody who waits for the flags of a message. */
struct flags_wait {
	struct list link;
	struct mailbox *mb;
	uint32_t uid; /* 0: of all messages, and for the end */
	bool emailid; /* it is for the message's EMAILID (RFC 8474), and for the end */
	bool known;   /* when the wait began: then it is for the end of the question */
	flags_on_wake *on_wake;
};

/* Whether the flags of a living message are as the server has them; also when they are what is
 * remembered, and the server cannot be asked. */
bool flags_are_true(const struct mailbox *mb, const struct cache_message *m);
/* The same of all messages that the mailbox is known to have. */
bool flags_are_all_true(const struct mailbox *mb);
/* Whether they are known at all. */
bool flags_are_all_known(const struct mailbox *mb);
/* Somebody will want them: from now on they come along with the rows of any mailbox. */
void flags_want(struct account *a);
/* Asks for them, and waits: w->mb and w->uid are set. on_wake comes from the loop, once. */
void flags_wait(struct flags_wait *w);
void flags_unwait(struct flags_wait *w);

/* A FETCH of the message said something, asked for or not. */
void flags_on_row(struct mailbox *mb, const struct imap_fetch *row, uint32_t uid);
/* All that one read from the network brought was handed out. */
void flags_on_batch(struct mailbox *mb);
/* STATUS said HIGHESTMODSEQ. */
void flags_on_status(struct mailbox *mb, uint64_t modseq);
/* The mailbox was selected. With QRESYNC the server has told what changed. */
void flags_on_selected(struct mailbox *mb, const struct pool_selected *selected);
/* The mailbox was listed for the first time, as it was at `asked` (uv_hrtime) or later; modseq: 0:
 * not said. Its flags may have come along. */
void flags_on_listed(struct mailbox *mb, uint64_t asked, uint64_t modseq);
/* At the end of the process: a question that nobody will answer. */
void flags_ask_forget(struct mailbox *mb);

#endif
