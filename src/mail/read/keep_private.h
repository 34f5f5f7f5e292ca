/* SPDX-License-Identifier: MIT */
/* What the files of keep.h know of each other: keep_run.c goes through one mailbox, keep.c says which and
 * when, keep_told.c tells of it. */
#ifndef MAIL_READ_KEEP_PRIVATE_H
#define MAIL_READ_KEEP_PRIVATE_H

#include "mail/read/body.h"
#include "mail/read/keep.h"

enum keep_step {
	KEEP_REST,
	KEEP_WAIT, /* others are fetched first */
	KEEP_MARK, /* the cache writes that the mailbox is kept, or is not */
	KEEP_LOOK, /* it says what it has */
	KEEP_TURN, /* of the loop, to read */
	KEEP_READ, /* octets come */
	KEEP_MORE, /* what else is kept comes */
};

/* What begins when a run ends. */
enum keep_next { KEEP_NOTHING, KEEP_FETCH, KEEP_FETCH_NEWS, KEEP_NO_MORE };

/* More than so many at once are not told apart. */
#define KEEP_ASKERS 8

/* Who asks how far it is. */
struct keep_asker {
	pid_t pid;
	uint64_t asked; /* uv_now, the last time; 0: nobody is here */
};

enum keep_end { KEEP_NEVER, KEEP_DONE, KEEP_STOPPED, KEEP_FAILED };

struct keep {
	struct list link; /* keeper.runs, or keeper.waiting, while it does not rest */
	struct mailbox *mb;
	struct keeper *keeper;
	enum keep_step step;
	enum keep_next next;
	bool background; /* nobody waits */
	bool leave;      /* it ends as soon as the cache, or the server, has answered */
	bool full;       /* the disk: it ends when the cache has said what is here */
	unsigned looks;  /* at the cache in which that was not answered */
	bool before;     /* the mailbox was kept before the cache was told otherwise */
	struct keep_asker askers[KEEP_ASKERS];
	unsigned rounds;  /* that did not bring all that they were to bring */
	bool gathered;    /* more than octets came */
	uint32_t reached; /* the last message that was to be fetched; 0: none was */

	uint32_t *missing;
	size_t at, count, room;
	struct body_read read;

	/* What there is. All below `from` was here at the last look, which in the background need not be
	 * looked at again: so many octets. */
	uint32_t from;
	uint64_t before_from;
	uint64_t messages, octets, messages_here, octets_here;
	uint64_t unreadable;
	enum keep_end end;
	int err;
	bool no_room;
};

struct keeper {
	struct account *account;
	keep_more *more;
	uv_timer_t timer;
	struct list runs, waiting;
};

/* --- keep_run.c --- */

/* Begins one in a mailbox that rests. */
void keep_run_begin(struct keep *k, enum keep_next what);
/* Ends it, unless the cache is still to answer. */
void keep_run_end(struct keep *k, enum keep_end how, int err);
/* Its turn has come. */
void keep_run_go_on(struct keep *k);

/* --- keep.c --- */

/* Somebody has asked lately. */
bool keep_is_asked(const struct keep *k);

/* Its turn comes in so many milliseconds. */
void keep_take_turn(struct keep *k, uint64_t delay);
/* One has ended: another one may begin that waits. */
void keep_begin_waiting(struct keeper *all);

#endif
