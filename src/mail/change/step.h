/* SPDX-License-Identifier: MIT */
/*
 * Steps of changing mail. A step sends commands about a set of messages, in as many pieces as the
 * set needs, hears what the server tells meanwhile, and then says what comes next. Each is one row,
 * a constant struct step; step.c carries them out, and knows none.
 */
#ifndef MAIL_CHANGE_STEP_H
#define MAIL_CHANGE_STEP_H

#include "imap/session.h"
#include "link/pool.h"
#include "mail/model/uidset.h"

/* Commands of one piece. */
#define STEP_COMMANDS 4

struct changes;

struct step {
	const char *name; /* for the log */
	/* Sends commands about now.piece, or asks the cache. NULL: nothing is asked, and who has
	 * set the step goes on alone. */
	void (*send)(struct changes *c);
	/* Optional: the server tells of a message; uid 0: of which is not known. */
	void (*on_row)(struct changes *c, const struct imap_fetch *row, uint32_t uid);
	/* Optional: the server answers SEARCH. */
	void (*on_search)(struct changes *c, const struct imap_response *r);
	/* Optional: the server answers STATUS. */
	void (*on_status)(struct changes *c, const struct imap_response *r);
	/* Optional: the server tells where messages are that were copied or moved. */
	void (*on_copyuid)(struct changes *c, const struct imap_uids *uids);
	/* Optional: the connection was lost while it was asked. */
	void (*on_lost)(struct changes *c);
	/* Everything that was asked for was done; or something was not, and now.err says why. */
	void (*ok)(struct changes *c);
	void (*refused)(struct changes *c);
};

struct slot {
	struct imap_command command;
	struct changes *changes;
	struct slot *before; /* sent before this one: never answered, if not by now */
	bool helps;          /* nothing depends on its success */
	bool done;
	int err;
	bool unknown; /* refused as a command that the server does not have */
	bool stale;   /* refused since others have expunged some of the messages */
};

/* The step under way. */
struct step_state {
	const struct step *step;
	struct uidset todo;  /* what is left to be sent */
	struct uidset piece; /* what the commands under way are about; empty: no set */
	uint64_t most;       /* messages in a piece, as the server taught; 0: no limit */
	struct uidset found; /* what the server answered, for on_row and on_search */
	bool searched;       /* SEARCH was answered */
	bool again;          /* and there is more, nobody knows which */
	struct slot slots[STEP_COMMANDS];
	unsigned sent;    /* commands of the piece */
	unsigned pending; /* of them and the cache, not answered yet */
	int err;          /* the first */
	bool lost;        /* the connection went, not the command */
	bool silent;      /* a command was passed by, see slot.before */
};

/* A state in which nothing is asked of the server. */
void step_set(struct changes *c, const struct step *step);
/* Begins a step over a set, in as many pieces as it needs. */
void step_go_over(struct changes *c, const struct step *step, const struct uidset *set);
/* Begins a step that is about no set. */
void step_go(struct changes *c, const struct step *step);
/* For struct step.send: "text", or "before SET after" about the piece. */
struct slot *step_send(struct changes *c, const char *text);
struct slot *step_send_piece(struct changes *c, const char *before, const char *after);
/* The same with a string behind it: another mailbox. */
struct slot *step_send_piece_to(struct changes *c, const char *before, struct span name);
/* About another mailbox. */
struct slot *step_send_to(
	struct changes *c, const char *before, struct span name, const char *after);
/* UID FETCH (UID FLAGS) of the piece. */
void step_send_fetch(struct changes *c);
/* The cache was asked, too; and has answered. */
void step_expect(struct changes *c);
void step_answered(struct changes *c, int err);
/* For struct step.on_row: found, if it is one of those. */
void step_note_found(struct changes *c, const struct uidset *wanted, uint32_t uid);
/* For pool_task. */
void step_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid);
void step_on_lost(struct pool_task *t, int err);
void step_finish(struct changes *c);

#endif
