/* SPDX-License-Identifier: MIT */
/*
 * The insides of changing messages: one struct changes for each mailbox that has something to
 * change.
 *
 *   queue.c     changes wait, get a lease and a connection, form a batch and are answered
 *   course.c    the course of a batch on its connection, whatever its verb is
 *   step.c      a step: sends commands in pieces, collects the answers, goes on
 *   verify.c    looks whether messages are those that were shown, and whether they are gone
 *
 *   move.c      the verb of a rename into another mailbox
 *   removals.c  the verb of unlink: which way its batch goes
 *   uidplus.c   the way with UIDPLUS
 *   force.c     the way without, where the user insists
 *   marks.c     \Deleted set by us, and taken off again
 *   left.c      the same, where that was not possible at once
 *   journal.c   \Deleted set by others: taken off meanwhile, and given back
 *   owed.c      when that is tried again
 *
 *   unsure.c    whether a lost copy was made
 *
 *   store.c     the verb of setxattr: flags are set and taken off
 *
 * Each step is one row (struct step) beside the functions that it names; nothing else knows it:
 *
 *   step     of         asks for                                      when done
 *   -------  ---------  --------------------------------------------  ---------------------------
 *   idle     queue.c    nothing; `others` may wait for a better time
 *   lease    queue.c    a lease                                       wait
 *   wait     queue.c    a connection                                  reflag, if others are owed
 *                                                                     their marks; then a batch:
 *   compare  verify.c   UID FETCH (UID RFC822.SIZE INTERNALDATE)      the verb's first step; of
 *                                                                     removals: uidplus, or flag
 *   uidplus  uidplus.c  UID STORE +FLAGS, UID EXPUNGE                 over
 *   flag     force.c    UID STORE +FLAGS                              search
 *   search   force.c    UID SEARCH DELETED                            expunge; confirm when it found
 *                                                                     others too
 *   confirm  force.c    UID FETCH (UID FLAGS) of the others           journal
 *   journal  force.c    the cache to keep the list of others          unflag
 *   unflag   force.c    UID STORE -FLAGS of the others                search
 *   expunge  force.c    EXPUNGE                                       over
 *   undo     marks.c    UID STORE -FLAGS of what we marked            over
 *   move     move.c     UID FETCH (UID FLAGS), UID MOVE               over; copy when refused
 *   copy     move.c     UID COPY                                      uidplus, or flag
 *   ask      unsure.c   STATUS of where they go                       the verb's first step
 *
 *   store    store.c    UID STORE +FLAGS, UID STORE -FLAGS            over
 *
 *   over: reflag when others are owed their marks; then verify, or the end
 *   reflag   journal.c  UID STORE +FLAGS of the others                clear; filter when refused
 *   filter   journal.c  UID FETCH (UID FLAGS) of the others           reflag those that there are
 *   clear    journal.c  the cache to forget the list of others
 *   verify   verify.c   UID EXPUNGE, if that was sent; UID FETCH      the end
 *
 * A verb is added as a constant struct verb in a file of its own, declared in changes.h, whose steps
 * are rows as above:
 *
 *   1. what a change of it needs to know becomes a field of struct change;
 *   2. verb.start sets the first step over c->uids (step_go_over), on a connection that has the
 *      mailbox selected for writing and was told of all of them. verify_first sees to it that they
 *      are the messages that were shown;
 *   3. its steps end with course_over(c, err): 0, or why the batch is refused. Before that they put
 *      right what they did in part. Each change is then answered: verb.settle may take those out of
 *      the batch that it knows better of (queue_answer);
 *   4. when the connection is lost on the way the batch is begun anew on another one, from its first
 *      step: so each step must bear to be done twice, or must find out what was done.
 */
#ifndef MAIL_CHANGE_PRIVATE_H
#define MAIL_CHANGE_PRIVATE_H

#include "imap/session.h"
#include "link/pool.h"
#include "link/retry.h"
#include "mail/change/changes.h"
#include "mail/change/lease.h"
#include "mail/change/step.h"
#include "mail/model/uidset.h"

/* Messages that are marked by others; beyond that, nobody's mail is touched. */
#define OTHERS_MAX (1u << 20)

/* Changes of a batch: a step takes several commands for them where they do not fit into one. What was
 * done of them is known only at its end. */
#define BATCH_MAX 10000

/* A kind of change. */
struct verb {
	/* A message that is gone has had what was wanted; else its change ends with ERR_GONE. */
	bool gone_is_done;
	/* Optional: whether two changes of this verb may share commands. */
	bool (*alike)(const struct change *a, const struct change *b);
	/* Whether the mailbox, as it is selected, lets it be done: 0, ERR_READONLY or ERR_DENIED,
	 * which it has told the log. */
	int (*permit)(struct changes *c);
	/* Optional: whether it is for one imapfs of this machine at a time. */
	bool (*needs_lease)(const struct changes *c);
	/* The batch has a connection and is not empty. */
	void (*start)(struct changes *c);
	/* Optional: the steps are over, c->verdict says how; nothing is owed to others any more. Is
	 * to end the batch (queue_end_batch, queue_start_over) or to begin another step. */
	void (*settle)(struct changes *c);
};

/* What removals know of a batch. */
struct expunge {
	/* removals.c */
	bool anew; /* when over: to be done in the other way, since UIDPLUS proved to be lacking */

	/* verify.c */
	struct uidset rows; /* those that the server has, on this connection */
	unsigned tries;     /* that the server confirmed, and the messages stayed */
	bool again; /* UID EXPUNGE was confirmed: where messages stayed it is worth sending it
			       once more */

	/* marks.c */
	struct uidset ours;   /* marked by us alone */
	struct uidset marked; /* marked before us */

	/* left.c */
	struct uidset stored; /* we may have marked them, and have not taken the mark off again */
	struct uidset noted;  /* the journal has that it is to be taken off */

	/* force.c */
	struct uidset fresh; /* of the last SEARCH, not of the batch */
	unsigned rounds;     /* of SEARCH */

	/* journal.c. Marked by others, unmarked (or about to be) by us; as in the cache's journal.
	 * Outlives the batch when it cannot be marked again. */
	struct uidset others;
	bool filtered; /* `others` was reduced to what there is */
};

/* verify.c: what the server has under the UIDs of the batch. */
struct compared {
	struct cache_message *all; /* owned; NULL: none yet */
	size_t n;
};

struct changes {
	struct mailbox *mb;
	struct pool_task task;

	/* queue.c */
	struct list queued;      /* struct change: for the next batches */
	struct list batch;       /* struct change: under way, all alike */
	const struct verb *verb; /* of the batch, or of the one that a connection is wanted for */
	struct uidset uids;      /* of the batch */
	struct retry retry;      /* of the batch */
	/* Held while all that is marked is expunged, or marks are given back: each would be the
	 * other's undoing. NULL: not needed, or not yet. */
	struct lease *lease;

	/* course.c; of the batch */
	bool over;          /* done, or it never will be: only what is owed is left to put right */
	int verdict;        /* when over: 0 or why it never will be */
	bool selected_anew; /* the mailbox was selected because of this batch */

	struct step_state now;
	struct compared compared;

	struct expunge expunge;

	/* move.c; of where the batch goes, before it was sent; 0: not known */
	uint32_t target_uidnext;
};

/* --- changes.c --- */

/* The mailbox's, made when there is none. */
struct changes *changes_of(struct mailbox *mb);
void changes_destroy(struct changes *c);

/* --- queue.c --- */

void queue_init(struct changes *c);
bool queue_is_idle(const struct changes *c);
/* Asks for what the queued, and others, need: perhaps the lease, and a connection. */
void queue_start(struct changes *c);
/* Moves to the batch as many of the queued as share a command and as the connection knows, and
 * answers those that are gone already. compared: only those that need not be compared first. */
void queue_fill_batch(struct changes *c, bool compared);
void queue_answer(struct list *changes, int err);
/* The connection is not needed any more: the batch is answered, and what came meanwhile begins. */
void queue_end_batch(struct changes *c, int err);
/* The same, and those that wait and are alike are answered, too. */
void queue_end_alike(struct changes *c, int err);
/* The same with another connection, or with the lease. */
void queue_start_over(struct changes *c);
/* There is no connection (any more): tries again, or answers everything that waits. */
void queue_on_lost(struct changes *c, int err);
/* The mailbox died while a connection was held. */
void queue_on_dead(struct changes *c);
/* Whether all messages of the batch are gone. */
bool queue_batch_is_gone(const struct changes *c);

/* --- course.c --- */

void course_on_conn(struct pool_task *t);
/* Nothing owed to others stands in the way: begins, or goes to the end when it is over. */
void course_go_on(struct changes *c);
/* The batch, filled up with what came meanwhile, from its first step. */
void course_start(struct changes *c);
/* The same behind a comparison: what came meanwhile and is to be compared first is left for the next
 * batch, or there would be no end of it. */
void course_start_compared(struct changes *c);
/* The steps have come to their end: the server has confirmed, or err says why it never will. */
void course_over(struct changes *c, int err);

/* --- removals.c --- */

/* For struct verb.permit and settle, of verbs that remove. */
int removals_permit(struct changes *c);
void removals_settle(struct changes *c);
/* Whether the server expunges one message alone, or the user insists; else tells the log. */
bool removals_are_possible(struct account *a);
/* The one way or the other. */
void removals_go(struct changes *c);
bool removals_need_lease(const struct changes *c);

/* Nothing more is done for this batch but to put the marks right. */
void removals_refuse(struct changes *c, int err);
/* For struct step.ok: the server has confirmed. For struct step.refused: with what the step was
 * refused for. */
void removals_expunged(struct changes *c);
void removals_step_refused(struct changes *c);
/* A batch begins on a connection; and is over for good. */
void removals_begin(struct changes *c);
void removals_forget(struct changes *c);

/* --- unsure.c --- */

/* Asks whether those of the batch that may have been copied can have been: the verb starts anew then. False:
 * there is nothing to be asked. */
bool unsure_ask(struct changes *c);

/* --- move.c --- */

/* Whether the server has MOVE. */
bool move_is_there(const struct account *a);

/* --- verify.c --- */

/* Whether its message is to be compared with what was shown. */
bool verify_is_due(const struct changes *c, const struct change *r);
/* For struct verb.start: true when the batch's messages are first compared with those that were
 * shown; then the batch, without those that are others, is started again. */
bool verify_first(struct changes *c);
/* Which of the batch's messages there are still, and ends the batch. */
void verify_start(struct changes *c);

/* --- uidplus.c --- */

/* What an account's server was found to be able to do. */
struct uidplus {
	unsigned doubts; /* UID EXPUNGEs in a row that the server did not know or answer */
	bool proven;     /* one was carried out */
	bool broken;     /* advertised, but lacking all the same */
	bool lack_told;  /* the log has it that nothing is removed without it */
	bool no_move;    /* MOVE is advertised, but not known to the server */
};

bool uidplus_is_there(const struct account *a);
void uidplus_tell_lack(struct account *a);
void uidplus_start(struct changes *c);

/* --- force.c --- */

void force_start(struct changes *c);

/* --- marks.c --- */

/* FETCH, which tells what was marked before, and STORE. must_know: FETCH may not fail. */
void marks_send(struct changes *c, bool must_know);
/* For struct step.on_row, of a step that called marks_send. */
void marks_on_row(struct changes *c, const struct imap_fetch *row, uint32_t uid);
/* Whether STORE was refused. */
bool marks_were_refused(const struct changes *c);
/* FETCH was refused and STORE was not: true, and all that was not seen marked is taken for ours. */
bool marks_are_blind(struct changes *c);
/* Takes ours off again; journal_give_back follows. */
void marks_undo(struct changes *c);

/* --- left.c --- */

/* Before the piece is marked. */
void left_note(struct changes *c);
/* `ours` was unmarked. */
void left_none(struct changes *c);
/* The batch is over for good: sees to the marks that are left. */
void left_settle(struct changes *c);

/* --- journal.c --- */

/* For struct step.send: keeps `others` in the cache. */
void journal_send(struct changes *c);
/* Gives others their marks back, if any are owed; course_go_on follows. */
void journal_give_back(struct changes *c);

#endif
