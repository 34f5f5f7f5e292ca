/* SPDX-License-Identifier: MIT */
/*
 * What is changed in the messages of a mailbox. Changes of one mailbox that come while others are
 * under way wait and then share commands, those of one verb in one batch. How a verb is added is
 * told in private.h.
 */
#ifndef MAIL_CHANGE_CHANGES_H
#define MAIL_CHANGE_CHANGES_H

#include "mail/model/account.h"

struct change;
struct verb;
typedef void change_done(struct change *r, int err);
typedef void change_stage(struct change *r);

/* The message is deleted by STORE \Deleted and EXPUNGE, and never anything else is; 0 when the
 * server has confirmed that it is gone. */
extern const struct verb change_remove;
/* It goes to another mailbox, by MOVE, or by COPY and then as change_remove. 0 when it is there, and
 * not here any more; ERR_UNSURE when it may be in both. */
extern const struct verb change_move;
/* Flags are set and taken off, as change.diff says; 0 when the server has confirmed it. ERR_DENIED
 * when it does not take some of them. The mailbox's flags are followed (model/flags.h). */
extern const struct verb change_flags;

/* What was heard of the message's flags. */
enum change_heard { CHANGE_HEARD_NOTHING, CHANGE_HEARD_OTHER, CHANGE_HEARD_DONE };

struct change {
	struct list link; /* list_init before changes_start */
	const struct verb *verb;
	struct mailbox *mb;
	uint32_t uid;
	const char *diff;           /* of change_flags: model/flagdiff.h; its starter's */
	enum change_heard heard;    /* of change_flags */
	struct cache_message shown; /* what it looked like when it was to be changed */
	uint64_t compared;          /* the selection (pool_selected.asked) in which it was asked */
	/* Of a move. */
	struct mailbox *to;      /* must be held */
	uint32_t new_uid;        /* there, once it is moved; 0: not known */
	bool copying;            /* it may be there, too */
	bool copied;             /* it is there; only here it is still to be removed */
	bool unsure;             /* nobody knows whether it was copied */
	uint32_t target_uidnext; /* of where it was to be copied, before; 0: not known */
	change_stage *on_stage;  /* optional: copying or copied was just set */
	/* Once, from the loop: 0 when the server has confirmed it; ERR_GONE when its mailbox is no
	 * more, or has another UIDVALIDITY (never ERR_STALE: the kernel would try again by the name,
	 * on another message); ERR_READONLY, ERR_DENIED, ERR_UNSAFE before anything was sent;
	 * ERR_REFUSED and its kinds, and then all is as before; or what happened to the connection.
	 */
	change_done *on_done;
};

void changes_start(struct change *r);
/* No callback any more. True: nothing was sent for it and nothing will be. */
bool changes_cancel(struct change *r);

/* Whether the message is to go, and was not answered for yet: the server may be about to expunge it, also for
 * who waits no more. */
bool changes_may_remove(const struct mailbox *mb, uint32_t uid);

/* Gives the \Deleted flags back that a crash or an outage kept from other clients (the cache's
 * journal). Call before the first change, and when the server is back. */
void changes_restore_start(struct account *a);
/* The mailbox is about to be freed; after its pool and its cache. No callback. */
void changes_forget(struct mailbox *mb);
/* Nothing is under way. */
bool changes_is_idle(const struct mailbox *mb);

#endif
