/* SPDX-License-Identifier: MIT */
/*
 * The insides of what is promised. What is promised of one mailbox is in a struct promised: intents
 * that wait, in the order in which they were asked for, and those that are with changes.c.
 *
 *   intents.c   promises, taking back, the end of an intent
 *   due.c       sends what is due, and hears how it ended
 *   drains.c    who waits for it
 *   replay.c    what earlier mounts promised
 *   refusals.c  what people are told
 */
#ifndef MAIL_CHANGE_INTENTS_PRIVATE_H
#define MAIL_CHANGE_INTENTS_PRIVATE_H

#include "mail/change/changes.h"
#include "mail/change/intents.h"
#include "state/state.h"

/* Refusals that are kept for people. */
#define REFUSALS_KEPT 16
/* Milliseconds by which the timer may be late without being overdue. */
#define INTENTS_LATE 50
/* How often the time in which we stood still is given to an intent: who is late all the time must get on. */
#define INTENTS_GIVEN_MAX 8

struct refusal {
	int64_t at; /* seconds since 1970 */
	char text[240];
};

struct intent {
	struct list link; /* promised.waiting or .sent */
	struct change change;
	enum intent_verb verb;
	char *diff;      /* flags that are to be changed, of a move before it; owned, or NULL */
	bool superseded; /* it is sent, and another has its place, and does it too */
	struct promised *promised;
	struct mailbox *to; /* of a move; held */
	struct cache_message shown;
	bool sent;      /* it is in promised.sent */
	bool strict;    /* it must be just as it was shown: nothing else says that it is the same */
	bool replayed;  /* an earlier mount promised it, and may have begun it */
	uint64_t asked; /* uv_now */
	unsigned given; /* how often time was given to it since */
	pid_t by;
};

struct promised {
	struct list link;          /* intents.mailboxes */
	struct mailbox *mb;        /* held */
	struct list waiting, sent; /* struct intent */
	size_t superseded;         /* of those that are sent */
	struct mailbox_wait known; /* while it waits for a check */
	bool asking;               /* it does */
	bool unheard;        /* its UIDVALIDITY is not known, and the journal has some of it */
	bool unnumbered;     /* the journal has some of it under 0, as no UIDVALIDITY was known */
	uint64_t not_before; /* uv_now: the line failed it */
	int err;             /* the first refusal that no drain was told of */
};

struct intents {
	struct account *account;
	struct list mailboxes; /* struct promised */
	struct list drains;
	uv_timer_t timer;  /* runs while anything waits */
	uint64_t set, due; /* uv_now: when it was started, and when it is to fire */
	bool stopped;
	size_t count;
	struct refusal refusals[REFUSALS_KEPT]; /* a ring */
	unsigned refused;                       /* so far */
	unsigned told;                          /* of them by intents_print_news */
	uint64_t logged_at;                     /* uv_now, of the last one */
};

/* --- intents.c --- */

struct intents *intents_of(const struct mailbox *mb);
/* Made when there is none. */
struct promised *intents_promised(struct mailbox *mb);
/* Nothing waits, and nothing is under way. */
bool intents_are_done(const struct promised *p);
/* Looks what is to be done, in so many milliseconds. */
void intents_wake(struct intents *all, uint64_t delay);
/* uv_now, but while the timer is overdue the time at which it was started: since then we stood still (on a
 * machine that is busy, by SIGSTOP), and something may have been asked for in time that we have not heard of
 * yet. */
uint64_t intents_now(const struct intents *all);
/* What the journal has of it. */
struct state_intent intents_row(const struct mailbox *mb, uint32_t uid, enum intent_verb verb,
	const struct mailbox *to, const struct cache_message *shown, const char *diff);
/* One that waits; the journal has it. diff: it has it from now on. */
struct intent *intents_new(struct mailbox *mb, uint32_t uid, enum intent_verb verb, char *diff);
/* NULL: none. */
struct intent *intents_find(const struct list *intents, uint32_t uid);
/* The intent is no more; the message shows as it is, if it is there. */
void intents_end(struct intent *i);
/* Of a move: who asked for it hears that it is done, or why not. */
void intents_tell_moved(const struct intent *i, int err);
/* What was promised of flags was not done, or may not have been. */
void intents_doubt_flags(struct mailbox *mb, uint32_t uid);

/* --- due.c --- */

/* Whether its hold is not over, and who asked for it is there to take it back. */
bool due_is_held(const struct intent *i);
/* Sends what waits long enough, or somebody drains. */
void due_send(struct promised *p);
/* What the journal has of a mailbox says nothing before its messages are known: looks. */
void due_ask(struct promised *p);

/* --- drains.c --- */

/* Whether somebody waits for it, so that it is to be sent now. */
bool drains_want(const struct intent *i);
/* Tells those who have nothing to wait for any more. */
void drains_end(struct intents *all);

/* --- refusals.c --- */

extern const char refusals_no_mailbox[];
/* "not removed" */
const char *refusals_not_done(enum intent_verb verb);
/* For the log and the report. */
void refusals_note(struct mailbox *mb, uint32_t uid, const char *what, const char *why);

#endif
