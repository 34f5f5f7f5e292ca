/* SPDX-License-Identifier: MIT */
/*
 * Changes that were promised: whoever asked has been answered, the journal (state/state.h) has it, and
 * it is done on the server a moment later, together with others (changes.h). Until then it shows as if
 * it were done: a message that was removed or moved away is hidden (mailbox_shown).
 *
 * A message has one intent at most. With the line down they wait; what this mount cannot do is done
 * by the next. What the server refuses comes back: it shows again, the log has a line, and the report
 * and whoever drains are told.
 */
#ifndef MAIL_CHANGE_INTENTS_H
#define MAIL_CHANGE_INTENTS_H

#include <sys/types.h>

#include "mail/model/account.h"

/* Milliseconds in which a removal may be taken back: nothing is sent before. */
#define INTENTS_HOLD 300

/* In the journal; never another meaning for a number. */
enum intent_verb {
	INTENT_REMOVE = 1,
	INTENT_MOVE,
	INTENT_COPYING, /* a move that was being copied: whether it was is not known */
	INTENT_FLAGS,
};

struct intents *intents_create(struct account *a);
/* Nothing is begun any more. */
void intents_stop(struct intents *all);
/* After the loop has closed what intents_stop left. The journal keeps what is not done. */
void intents_destroy(struct intents *all);

struct intent_ask {
	enum intent_verb verb; /* INTENT_REMOVE, INTENT_MOVE or INTENT_FLAGS */
	struct mailbox *to;    /* of a move */
	const char *name;      /* of a move: what it is called there until it is done; or NULL */
	const char *diff;      /* of INTENT_FLAGS: model/flagdiff.h; copied */
	pid_t by; /* who asked for a removal and may take it back, while that process lives; -1: not
		     known, but somebody may; 0: nobody may */
};

/* Promises it, in the place of what was promised of the message before. Changes of flags that are
 * not done yet are done along with it, before a move. ERR_INVALID when a removal or a move is begun,
 * and for flags of what was removed or moved; ERR_UNSAFE and ERR_DENIED
 * where it is known beforehand that it will be refused; ERR_IO and ERR_DISK_FULL when the journal cannot be
 * written: then nothing is promised. */
int intents_put(struct mailbox *mb, uint32_t uid, const struct intent_ask *ask);
/* Who may take back a removal that is not begun yet; 0: nobody. */
pid_t intents_removed_by(const struct mailbox *mb, uint32_t uid);
/* The message is about to be replaced by the process that removed it just now: true when the removal
 * could be cancelled, and the message shows again. */
bool intents_take_back(struct mailbox *mb, uint32_t uid, pid_t by);
/* Whether something is promised of the message that is begun, and cannot be changed any more. */
bool intents_are_begun(const struct mailbox *mb, uint32_t uid);
/* What was asked for last by that verb in this mailbox was refused: who asks next for the like had
 * better wait for the answer (changes_start) than be promised anything. Not who asks for something
 * else: the hold is only where there are promises. */
bool intents_are_doubtful(const struct mailbox *mb, const struct verb *verb);

/* --- what was promised before --- */

/* Mailboxes are known: takes up what the journal has. Call when the account has started, and when
 * the server is back. */
void intents_go_on(struct account *a);
/* Its UIDVALIDITY is known now: what the journal has of it, so that no name shows which is to go. */
void intents_on_numbered(struct mailbox *mb);
/* The mailbox is no more, or its UIDVALIDITY changed. */
void intents_forget(struct mailbox *mb);

/* --- draining --- */

/* True, and *err is what on_done would have said, when there is nothing to wait for. */
bool intents_drain_try(struct account *a, struct drain *d, int *err);
void intents_drain_cancel(struct drain *d);

/* --- for people --- */

/* How many wait. */
size_t intents_waiting(const struct account *a);
/* Lines: how many wait, and what was refused lately. Returns buf's errors. */
int intents_print(const struct account *a, struct buf *out);
/* Lines about what was refused and not told yet, and how many wait; "" when all is well. *told is for
 * intents_note_told. */
int intents_print_news(const struct account *a, struct buf *out, unsigned *told);
/* Somebody reads it: that much is told. */
void intents_note_told(struct account *a, unsigned told);

#endif
