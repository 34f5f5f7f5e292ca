/* The insides of a check, for sync.c and sync_rows.c. */
#ifndef MAIL_SYNC_PRIVATE_H
#define MAIL_SYNC_PRIVATE_H

#include "mail/bisect.h"
#include "mail/sync.h"
#include "mail/uidset.h"

#define SYNC_ROW_BATCH 1024

enum sync_step {
	SYNC_LOAD,
	SYNC_WAIT,
	SYNC_CHECK,
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
	uint64_t started; /* uv_hrtime */
	unsigned attempts;
	unsigned throttled;         /* how often the server asked for patience */
	int refused;                /* SELECT: why */
	char *refusal;              /* in the server's words, or NULL */
	struct account_wait listed; /* LIST, because of that */
	unsigned relists;           /* begun */
	bool relist_is_old;         /* it was under way before */
	uint64_t told;              /* mb->told when the check began */
	bool changed;               /* names came or went */
	uint32_t added;             /* names that came */
	bool by_noop;               /* the mailbox was selected before this check */
	uint32_t uidnext;           /* as this check's SELECT said, or 0 */
	uint64_t modseq;            /* the same for HIGHESTMODSEQ */
	bool sampled;               /* SYNC_SAMPLE is over */
	uint32_t prefix;       /* in the first SYNC_FETCH: numbers from 1 whose rows are here */
	bool unsettled;        /* then: numbers are uncertain, nothing more settles */
	struct bisect *bisect; /* in SYNC_BISECT */
	uint32_t anchor;       /* the last message that was known before SYNC_FETCH, or 0 */
	uint32_t anchor_seq;   /* its number there; 0: no row came for it */
	bool disturbed;        /* sequence numbers changed meanwhile */
	unsigned bisects;      /* begun */
	bool holes;            /* what the mailbox's said before search, until that is over */
	bool answered;         /* SEARCH */
	uint32_t counted;      /* messages that there were when it was */
	uint64_t named;        /* messages in it */
	bool uncounted;        /* the answer has more than named tells */
	unsigned counts;       /* how often they were counted */
	unsigned searches;     /* that made no sense */
	bool selected_anew;    /* because of that */
	struct uidset found;   /* of search */
	struct uidset missing; /* still to fill */
	struct uidset asked;   /* of these, by the command under way */
	uint64_t most;         /* messages in such a command; 0: as many as there are */
	unsigned splits;       /* how often what was asked for was asked for again, apart */
	unsigned barren;       /* refused ones in a row that were asked for alone */
	uint64_t came;         /* rows in the answer so far */
	uint32_t from, to;     /* what it is asked for; to 0: to the end */
	uint32_t lowest;       /* UID in it, or 0 */
	uint32_t parts;        /* answers that were cut short by the server's limit */
	unsigned put_off;      /* rows that were refused for the time being */
	bool unavailable;      /* the last time by UNAVAILABLE */
	struct uidset gone; /* expunged since the server was asked for news: see sync_note_gone */
	size_t rows_used;
	struct cache_message rows[SYNC_ROW_BATCH]; /* on their way to the cache */
};

/* As sync_told, of what the SELECT for a check says, which that check covers. */
void sync_note_news(struct mailbox *mb);
/* A row, with what is known already in place of what it does not say. */
struct cache_message sync_merge_row(struct mailbox *mb, const struct imap_fetch *row, uint32_t uid);
/* Counts what SEARCH has named so far: what is expunged before the command ends is taken out. */
void sync_count_found(struct sync *s);
/* Into the mailbox, and on its way to the cache. */
void sync_add_row(struct sync *s, const struct cache_message *m);
enum fill_answer {
	FILL_ALL,
	FILL_REFUSED,
	FILL_PARTIAL, /* ERR_PARTIAL */
};

enum fill_next {
	FILL_MORE,
	FILL_DONE,
	FILL_NOTHING,  /* nothing at all is to be had now */
	FILL_TOO_MANY, /* so many have no row that they are not listed: the listing is an error */
};

/* --- sync_fill.c: rows of what SEARCH has found and nobody knows --- */

/* Puts what was found and is not known into s->missing. */
void sync_note_missing(struct sync *s);
/* What the next command asks for. */
void sync_fill_set(struct sync *s, struct buf *set);
/* When that is answered. */
enum fill_next sync_fill_next(struct sync *s, enum fill_answer answer);

/* --- sync_rows.c --- */

/* Moves mb->settled as far as the rows allow. */
void sync_settle(struct sync *s);
/* What is on its way arrives. */
void sync_flush_rows(struct sync *s);

#endif
