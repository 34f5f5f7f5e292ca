/* SPDX-License-Identifier: MIT */
/*
 * What is kept of messages beside their octets: a summary (the header fields that an index shows,
 * mime/summary.h) and the structure (BODYSTRUCTURE, mime/packed.h). Both are asked for in sets: those of
 * all messages that somebody waits for, or of a whole mailbox, as far as they are not known yet. Then
 * they are kept, packed, in memory while they are in use, and in the cache. Neither ever changes under
 * one UID, so what was told once is right for ever.
 *
 * The rules are those of bodies: a message is asked for where the connection was told of it, that
 * nothing came proves nothing, and what cannot be had is an error, never an empty value.
 */
#ifndef MAIL_PARTS_FACTS_H
#define MAIL_PARTS_FACTS_H

#include "mail/model/account.h"
#include "mime/structure.h"
#include "mime/summary.h"

enum fact {
	FACT_SUMMARY,
	FACT_STRUCTURE,
};

struct facts_pool;

struct facts_pool *facts_pool_create(void);
void facts_pool_destroy(struct facts_pool *p);

/*
 * What is known now; *packed is good until the loop's next turn. 0; ERR_NOT_CACHED: facts_wait finds
 * out; ERR_GONE, ERR_STALE; ERR_UNREADABLE: the server has none of this message, or none that makes
 * sense (the log has said so).
 */
int facts_try(struct mailbox *mb, enum fact kind, uint32_t uid, struct span *packed);
/* The same, unpacked. The summary's spans are good as long as packed is; the structure is the caller's
 * after 0, to be finished by mime_structure_finish. */
int facts_summary(struct mailbox *mb, uint32_t uid, struct mime_summary *summary);
int facts_structure(struct mailbox *mb, uint32_t uid, struct mime_structure *structure);

/* Whether those of all living messages are known, or known to be unreadable: 0; ERR_NOT_CACHED;
 * ERR_STALE. */
int facts_try_all(struct mailbox *mb, enum fact kind);
/* Counts how often more became known: who shows all sees by it that there is more to show. */
uint64_t facts_version(const struct mailbox *mb, enum fact kind);

/* What is known is to be what the cache has: facts_wait loads it. What goes on at the moment is left. */
void facts_forget_memory(struct mailbox *mb);

struct facts_wait;

/* The wait is over. err 0: facts_try, or facts_try_all, says something else than ERR_NOT_CACHED now.
 * Else what happened to the mailbox or to the connection. */
typedef void facts_on_wake(struct facts_wait *w, int err);

struct facts_wait {
	struct list link;
	struct mailbox *mb;
	enum fact kind;
	uint32_t uid; /* 0: all messages that are known here. Who wants all that the server has
			 sees to it before that the mailbox is fresh (sync/sync.h) */
	facts_on_wake *on_wake;
};

/* on_wake comes from the loop, once. */
void facts_wait(struct facts_wait *w);
/* No callback any more; what was asked of the server goes on, into the cache. */
void facts_unwait(struct facts_wait *w);

/* The message was expunged. */
void facts_forget(struct mailbox *mb, uint32_t uid);
/* The mailbox died: its waiters get ERR_STALE. */
void facts_forget_mailbox(struct mailbox *mb);
/* It is about to be freed. */
void facts_forget_freed(struct mailbox *mb);

#endif
