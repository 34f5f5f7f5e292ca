/* SPDX-License-Identifier: MIT */
/*
 * The insides of a check. sync.c is its life, steps.c has the table of its steps. What a step says
 * to the server and does with the answer is in the file of that step: fetch.c, vanished.c, search.c,
 * fill.c. refused.c is for a mailbox that cannot be selected, rows.c takes in rows, told.c what
 * the server says unasked.
 */
#ifndef MAIL_SYNC_PRIVATE_H
#define MAIL_SYNC_PRIVATE_H

#include "link/retry.h"
#include "mail/sync/bisect.h"
#include "mail/sync/lister.h"
#include "mail/sync/sync.h"
#include "mail/model/uidset.h"

#define SYNC_ROW_BATCH 1024
/* Messages whose sizes are proved before the first listing. */
#define SYNC_SAMPLE_SIZE 8u
/* Octets of a command that asks for rows from a message on. */
#define SYNC_COMMAND_MAX 256
/* Milliseconds for which STATUS spares a first check. */
#define SYNC_STATUS_FRESH 5000

/* In the order in which they follow; see the head of sync.c. */
enum sync_step {
	SYNC_LOAD,
	SYNC_WAIT,
	SYNC_COMPARE,
	SYNC_SAMPLE,
	SYNC_FETCH,
	SYNC_BISECT,
	SYNC_SEARCH,
	SYNC_FILL
};

struct sync {
	struct pool_task task;
	struct mailbox *mb;
	enum sync_step step;
	struct imap_command command;
	uint64_t started; /* uv_hrtime when a connection was asked for */
	struct retry retry;
	uint64_t news_count; /* freshness.news_count when the check began */
	bool changed;        /* names came or went */
	uint32_t added;      /* names that came */
	bool by_status;      /* STATUS says it all: as true as that was when it came */
	bool has_status; /* one came during a first listing: it shall agree with the rows at the end */
	enum sync_for who;        /* began it */
	bool foresees;            /* its first command is to leave ahead of its turn */
	struct sync_rider *rider; /* behind that; NULL: none */

	/* The command under way, or the last one. */
	uint32_t from, to; /* UIDs that it asks for; to 0: to the end */
	uint64_t came;     /* rows in its answer so far */
	uint32_t lowest;   /* UID in its answer so far, or 0 */
	uint32_t parts;    /* answers of this check that were cut short by the server's limit */
	unsigned put_off;  /* commands for rows that were refused for the time being */
	bool unavailable;  /* the last of these by the code UNAVAILABLE */

	/* SELECT was refused. */
	struct {
		int err;
		char *text;                /* the server's words, or NULL */
		char *name;                /* what the mailbox was called, or NULL */
		struct lister_wait listed; /* the LIST that is to tell whether it is there */
		unsigned lists;            /* LISTs asked for */
		bool list_is_old;          /* the LIST that is waited for was under way before */
	} refusal;

	/* SYNC_COMPARE, SYNC_SAMPLE. */
	bool by_noop;     /* the mailbox was selected before this check */
	uint32_t uidnext; /* as this check's SELECT said, or 0 */
	uint64_t modseq;  /* HIGHESTMODSEQ as this check's SELECT said, or 0 */
	bool sampled;     /* SYNC_SAMPLE is over */

	/* When no row was known yet: whatever flags come along are at least of then. */
	struct {
		uint64_t at; /* uv_hrtime; 0: there were rows from the start */
		uint64_t modseq;
	} nothing_known;

	/* SYNC_FETCH. */
	struct {
		uint32_t anchor;     /* the last message that was known before, or 0 */
		uint32_t anchor_seq; /* its number there; 0: no row came for it */
		uint32_t prefix;     /* of the first listing: numbers from 1 whose rows are here */
		bool unsettled;      /* numbers are uncertain: prefix grows no more */
	} fetch;

	/* SYNC_BISECT. */
	struct bisect *bisect;
	unsigned bisects; /* begun */
	bool disturbed;   /* sequence numbers changed meanwhile, also during SYNC_FETCH */

	/* SYNC_SEARCH. */
	struct {
		struct uidset found;
		bool answered;      /* SEARCH; else an OK came alone */
		uint32_t exists;    /* messages in the mailbox when the answer came */
		uint64_t named;     /* UIDs in found, when they were counted last */
		bool uncounted;     /* found was added to since */
		unsigned counts;    /* how often they were counted */
		unsigned unsound;   /* answers that made no sense */
		bool selected_anew; /* because of that */
		bool holes;         /* the mailbox had some before; until SEARCH has succeeded */
	} search;

	/* SYNC_FILL. */
	struct {
		struct uidset missing; /* found, not known, and not asked for yet */
		struct uidset asked;   /* by the command under way */
		uint64_t most;         /* messages in a command; 0: as many as there are */
		unsigned splits;       /* commands whose messages were asked for again, apart */
		unsigned barren; /* messages in a row that were asked for alone, and refused */
	} fill;

	struct uidset gone; /* expunged since the server was asked for news: see sync_note_gone */
	size_t rows_used;
	struct cache_message rows[SYNC_ROW_BATCH]; /* to be written to the cache */
};

/* --- sync.c: for the steps --- */

/* Asks for a connection, and begins with the mailbox's state there. */
void sync_queue(struct sync *s);
/* The same, behind tasks that were queued a moment ago, as part of the same check. */
void sync_queue_behind(struct sync *s);
/* The same, later: the server asks for patience. Ends the check when it did so too often. */
void sync_retry_later(struct sync *s);
/* The check succeeded: gives the connection back and ends it. */
void sync_end(struct sync *s);
/* Gives the connection back and ends the check with an error. */
void sync_fail(struct sync *s, int err);
/* Ends a check that has no connection, and frees s. */
void sync_finish(struct sync *s, int err);

/* --- steps.c --- */

/* The step begins; nothing is sent yet. */
void sync_set_step(struct sync *s, enum sync_step step);
/* The step begins: its command is sent. */
void sync_enter(struct sync *s, enum sync_step step);
/* Sends the command of the step under way, as what is asked for stands now. */
void sync_send(struct sync *s);
/* The pool's callbacks: the mailbox is selected, and a response came. */
void sync_on_conn(struct pool_task *t);
void sync_on_response(struct pool_task *t, const struct imap_response *r, uint32_t uid);

/* Nothing speaks against the rows here, and they are as many as there are messages there. */
bool sync_counts_agree(const struct sync *s);
/* The server takes and tells UIDs alone (RFC 9586): message numbers are of no use. */
bool sync_by_uid_only(const struct sync *s);

/* The command of SYNC_SAMPLE; exists: messages that there are. Returns buf's errors. */
int sync_build_sample(struct mailbox *mb, uint32_t exists, struct buf *command);

/* --- fetch.c --- */

/* As sync_queue, and sends the first command ahead of its turn (pool_foresee), if that can be. */
void sync_queue_foreseen(struct sync *s);
/* The rider, if there is one: it is the check's no more. */
void sync_start_rider(struct sync *s, unsigned number);
void sync_send_fetch(struct sync *s, struct imap_command *c);
void sync_on_fetch_row(struct sync *s, const struct imap_response *r);
void sync_after_fetch(struct sync *s);
/* Whether as many came as there are: a server may leave out rows, and as many may have vanished, so
 * that counts agree all the same. */
bool sync_got_all_new(const struct sync *s);
/* How many living messages have a UID above uid. */
uint32_t sync_count_after(struct mailbox *mb, uint32_t uid);

/* --- vanished.c --- */

/* All that is new has been asked for: ends the check, or looks for what vanished. */
void sync_look_for_vanished(struct sync *s);
void sync_send_bisect(struct sync *s, struct imap_command *c);
void sync_on_bisect_row(struct sync *s, const struct imap_response *r);
void sync_after_bisect(struct sync *s);
/* The message is no more. */
void sync_vanish(struct sync *s, uint32_t uid);

/* --- search.c --- */

void sync_search(struct sync *s);
void sync_send_search(struct sync *s, struct imap_command *c);
void sync_on_search_row(struct sync *s, const struct imap_response *r);
void sync_after_search(struct sync *s);
/* The messages are expunged: takes them out of what SEARCH named, which is counted before. */
void sync_not_found(struct sync *s, uint32_t first, uint32_t last);

/* --- fill.c: rows of what SEARCH has found and nobody knows --- */

/* Asks for what was found and is not known; ends the check when that is nothing. */
void sync_fill(struct sync *s);
void sync_send_fill(struct sync *s, struct imap_command *c);
void sync_after_fill(struct sync *s);
void sync_after_fill_partial(struct sync *s, uint32_t low);
void sync_after_fill_refused(struct sync *s);

/* --- refused.c --- */

/* The pool's callback: no connection, or the mailbox cannot be selected. */
void sync_on_fail(struct pool_task *t, int err);
/* The callback of refusal.listed. */
void sync_on_relisted(struct lister_wait *w, int err);

/* --- rows.c --- */

/* The message of a row, with what is known of it already in place of what the row does not say. */
struct cache_message sync_merge_row(struct mailbox *mb, const struct imap_fetch *row, uint32_t uid);
/* Puts the message into the mailbox, and with the next batch into the cache. */
void sync_add_row(struct sync *s, const struct cache_message *m);
/* Writes what is still to be written to the cache. */
void sync_flush_rows(struct sync *s);
/* A row that the server sent, asked for or not. */
void sync_on_row(
	struct mailbox *mb, const struct conn *conn, const struct imap_fetch *row, uint32_t uid);
/* EXPUNGE or VANISHED came over the check's connection: the numbers behind it have moved. */
void sync_numbers_moved(struct sync *s, const struct imap_response *r);
/* Moves messages.settled as far as the rows allow. */
void sync_settle(struct sync *s);

/* --- freshness.c --- */

/* As sync_note_news, of what the SELECT for a check says, which that check covers. */
void sync_note_selected_news(struct mailbox *mb);
/* Nothing speaks against the rows here, but that there may be more. */
bool sync_rows_are_sound(const struct mailbox *mb);
/* STATUS, often with LIST, came so lately that it is as good as a check: nobody had listed the
 * mailbox yet. */
bool sync_has_status(const struct mailbox *mb);

#endif
