/* The insides of an expunge: expunge.c decides, expunge_wire.c asks the server and the cache. */
#ifndef MAIL_EXPUNGE_PRIVATE_H
#define MAIL_EXPUNGE_PRIVATE_H

#include "imap/session.h"
#include "mail/expunge.h"
#include "mail/lease.h"
#include "mail/pool.h"
#include "mail/uidset.h"

#define EXPUNGE_COMMANDS 4
/* Messages that are marked by others; beyond that, nobody's mail is touched. */
#define EXPUNGE_OTHERS_MAX (1u << 20)

/* Which slots have what, in EXPUNGE_UIDPLUS. */
enum { EXPUNGE_SLOT_FETCH, EXPUNGE_SLOT_STORE, EXPUNGE_SLOT_EXPUNGE, EXPUNGE_SLOT_PROBE };

enum expunge_step {
	EXPUNGE_IDLE,  /* nothing was asked; `others` may wait for a better time */
	EXPUNGE_LEASE, /* until no other imapfs does the like */
	EXPUNGE_WAIT,  /* for a connection */
	EXPUNGE_COMPARE,
	EXPUNGE_UIDPLUS,
	EXPUNGE_FLAG,
	EXPUNGE_SEARCH,
	EXPUNGE_CONFIRM,
	EXPUNGE_JOURNAL,
	EXPUNGE_UNFLAG,
	EXPUNGE_PLAIN,
	EXPUNGE_UNDO,   /* takes our own marks off */
	EXPUNGE_REFLAG, /* marks `others` again */
	EXPUNGE_FILTER, /* which of `others` there still are */
	EXPUNGE_CLEAR,
	EXPUNGE_VERIFY,
};

struct expunge {
	struct pool_task task;
	struct mailbox *mb;
	enum expunge_step step;
	unsigned attempts; /* connections lost in a row */
	/* Held while all that is marked is expunged, or marks are given back: each would be the
	 * other's undoing. NULL: not needed, or not yet. */
	struct lease *lease;

	/* Marked by others, unmarked (or about to be) by us; as in the journal. Outlives the batch
	 * when it cannot be marked again. */
	struct uidset others;

	/* The batch. */
	struct list queued, batch; /* struct removal */
	struct uidset uids;        /* of the batch */
	struct uidset rows;        /* those that the server has, on this connection */
	struct uidset ours;        /* not marked before us */
	struct uidset marked;      /* marked before us */
	struct uidset fresh;       /* of the last SEARCH, not ours */
	bool compared;             /* what was shown with what there is */
	unsigned rounds;           /* of SEARCH */
	unsigned tries;            /* that the server confirmed, and the messages stayed */
	bool selected_anew;        /* the mailbox was selected because of this batch */
	bool over;     /* expunged, or it never will be: only marks are left to put right */
	int verdict;   /* when over: 0 or why it never will be */
	bool retry;    /* when over: in another way, which is known now */
	bool filtered; /* `others` was reduced to what there is */

	/* The step. */
	struct uidset todo;  /* what is left to be sent */
	struct uidset piece; /* what the commands under way are about; empty: no set */
	uint64_t most;       /* messages in a piece, as the server's answers taught; 0: no limit */
	struct uidset found; /* what the server answered */
	bool answered;       /* by SEARCH */
	struct slot {
		struct imap_command command;
		struct expunge *expunge;
		bool helps; /* nothing depends on its success */
		bool done;
		int err;
		bool unknown; /* refused as a command that the server does not have */
	} slots[EXPUNGE_COMMANDS];
	unsigned sent, pending;
	int err;
	bool lost;   /* the connection went, not the command */
	bool silent; /* UID EXPUNGE was passed by */
};

/* From expunge_wire.c: all that was sent in this step has been answered. */
void expunge_advance(struct expunge *e);

/* Sends a step. More of the same, as long as todo has some. */
void expunge_send(struct expunge *e);
/* The server did the piece in part only (MESSAGELIMIT): it is to be sent again in smaller ones.
 * False when that is of no use. */
bool expunge_split(struct expunge *e);
/* For pool_task. */
void expunge_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid);
void expunge_on_lost(struct pool_task *t, int err);
void expunge_free(struct expunge *e);

#endif
