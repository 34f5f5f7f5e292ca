/*
 * A mailbox as it is known here: its place in the tree of directories and its messages in the order
 * of UIDs. A struct mailbox stands for one (name, UIDVALIDITY): when the UIDVALIDITY changes it
 * dies and another takes its place in the tree, under a new id, so nothing of the old can be taken
 * for the new.
 *
 * Dead mailboxes are kept, without their messages, until nobody points at them any more: reap.h.
 */
#ifndef MAIL_MAILBOX_H
#define MAIL_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/span.h"
#include "cache/cache.h"
#include "mail/rows.h"

struct account;
struct ahead;
struct expunge;
struct prover;
struct sync;

/* What STATUS said last. */
struct mailbox_status {
	uint64_t when; /* uv_now; 0: never */
	uint32_t messages, uidnext;
};

struct mailbox {
	/* Identity. */
	struct account *account;
	uint32_t id;
	struct span name;     /* raw octets as in LIST, owned */
	char *component;      /* the last level as a path component, owned; "" for the root */
	uint32_t uidvalidity; /* 0: not known yet */
	bool dead;            /* deleted, or its UIDVALIDITY changed */
	uint32_t holds;       /* see mailbox_hold */
	uint32_t marked;      /* for reap.c */

	/* Place in the tree. */
	struct mailbox *parent;     /* NULL for the root */
	struct list children;       /* struct mailbox.sibling, in the order of ids */
	struct list sibling;        /* of a dead one: account.dead */
	void *by_id, *by_component; /* the same, for children.c */
	uint32_t child_count;
	bool has_delimiter;
	char delimiter;
	uint32_t list_flags; /* enum imap_list_flag */
	bool listed;         /* in the newest LIST; else it is only a parent of others */
	uint32_t generation; /* of the LIST that mentioned it, or what is below it, last */
	uint32_t named;      /* of the LIST that mentioned itself last */

	/* A name that somebody took from a listing of what had this place before may be another
	 * message now: nothing is removed until somebody has listed this one. */
	bool unseen;            /* came into being while mounted, and nobody listed it yet */
	bool unseen_told;       /* the log has it */
	unsigned renumbered;    /* how often lately its UIDVALIDITY changed */
	uint64_t renumbered_at; /* uv_now */

	/* Messages. */
	struct rows rows; /* those that are expunged included */
	bool held;        /* a message, once, under this id: the inodes of its UIDs are taken */
	bool loaded;      /* the cache's rows are here */
	bool complete;    /* the rows were all that the server has, once */
	uint32_t uidnext; /* all UIDs below were seen; 0: unknown */
	uint32_t settled; /* while it is not complete: all UIDs up to this one are known */
	uint64_t late;    /* counts names that came where a reader may have gone by */
	uint64_t highestmodseq;
	int64_t changed;         /* when the last change was seen, seconds since 1970 */
	bool unsaved;            /* changed is newer than in the cache */
	uint64_t version;        /* counts changes to names in this directory */
	uint64_t listed_version; /* when the kernel last began to cache the listing */

	/* Freshness. */
	struct sync *sync; /* under way */
	uint64_t checked;  /* uv_now of the last successful check; 0: never */
	bool doubt;        /* something was expunged that could not be named */
	bool holes;        /* the server may have more below uidnext than is known here */
	bool partial_told; /* the log has it that the server lists a part only */
	bool unsound_told; /* the log has it that SEARCH and EXISTS contradict each other */
	bool news;         /* the server told of something that is not known yet */
	uint64_t told;     /* how often it did */
	uint64_t told_at;  /* uv_hrtime of the last time, but by a SELECT of ours */
	struct mailbox_status status;
	uint32_t watched;    /* generation of the watching connection that tells of it */
	bool told_ahead;     /* it told of what no check has found yet */
	bool verifying;      /* the check under way is one that nobody waits for */
	struct list waiters; /* struct mailbox_wait */
	size_t woken_at;     /* rows when the waiters were last woken */

	/* Unlinks that wait for a turn, and bodies in memory. */
	struct expunge *expunge;
	bool denied_told;    /* the log has why nothing can be removed here */
	uint64_t compared;   /* the selection (pool_selected.asked) in which the UIDs were found to
				be the messages that were shown; 0: none */
	struct map bodies;   /* UID -> struct body */
	struct ahead *ahead; /* read-ahead of messages; NULL: nobody reads */

	/* Sizes. */
	struct prover *prover; /* NULL: none was ever to be proved */
	bool sizes_sampled;    /* some were proved, and right */
};

/* In message.flags, beside those of rows.h. */
#define MESSAGE_SHOWN (1u << 17)      /* the kernel was told the size */
#define MESSAGE_MISLED (1u << 18)     /* and it was wrong: see size_misled */
#define MESSAGE_UNPROVABLE (1u << 19) /* the server would not let it be proved */

/* Someone who waits for a mailbox to become known: progress (more rows) or the end of a sync. */
struct mailbox_wait {
	struct list link;
	bool progress; /* wake for new rows too, not only at the end */
	/* The wait is over (and not in any list any more): err of the sync, 0 for success and for
	 * progress. */
	void (*on_wake)(struct mailbox_wait *w, int err);
};

struct mailbox *mailbox_create(struct account *a, uint32_t id, struct span name);
void mailbox_destroy(struct mailbox *mb);
/* Frees messages and bodies, marks it dead. */
void mailbox_kill(struct mailbox *mb);

/* For who keeps a pointer to it while the loop goes on: a dead one is not freed before each has
 * released it. Tasks and connections of a pool need not, nor what hangs on the mailbox itself
 * (waiters, sync, expunge, prover, bodies). NULL may be held. Returns mb. */
struct mailbox *mailbox_hold(struct mailbox *mb);
void mailbox_release(struct mailbox *mb);

/* Whether it can be selected, i.e. whether it has messages at all. */
bool mailbox_selectable(const struct mailbox *mb);

/* The living message, or NULL. Valid until the next change. */
struct cache_message *mailbox_find(struct mailbox *mb, uint32_t uid);
/* Whether it is here, or was and is expunged. */
bool mailbox_was(struct mailbox *mb, uint32_t uid);
/* The first living message with a UID above uid, or NULL. */
struct cache_message *mailbox_after(struct mailbox *mb, uint32_t uid);
/* Inserts or updates; keeps a size that was proved. True when the name is new. */
bool mailbox_add(struct mailbox *mb, const struct cache_message *m);
/* It was known and expunged, not too many others ago. */
bool mailbox_was_removed(const struct mailbox *mb, uint32_t uid);
/* Forgets that it was expunged: the server has proved otherwise. */
void mailbox_unmark(struct mailbox *mb, uint32_t uid);
/* Expunged: true when it was there. The cache's rows are dropped too. */
bool mailbox_remove(struct mailbox *mb, uint32_t uid);
size_t mailbox_count(const struct mailbox *mb);
/* The highest UID up to which a listing can be handed out: no name is missing below, whatever
 * rows are still to come. */
uint32_t mailbox_listable(const struct mailbox *mb);

/* Sets changed and version after names came or went. */
void mailbox_touch(struct mailbox *mb);

void mailbox_wait(struct mailbox *mb, struct mailbox_wait *w);
void mailbox_unwait(struct mailbox_wait *w);
/* Wakes all waiters, or only those for progress. */
void mailbox_wake(struct mailbox *mb, bool progress_only, int err);

/* Writes the mailbox's row to the cache. */
void mailbox_save(struct mailbox *mb);

/* Its path from the top of the tree, for people: when it is very long the end of it, of a dead one
 * the last level. Valid until the next call; for the loop's thread. */
const char *mailbox_path(const struct mailbox *mb);

/* --- children.c --- */

/* The first of that component, which stays as it is while the child is attached. */
struct mailbox *mailbox_child(struct mailbox *mb, struct span component);
/* The first child with an id above id, or NULL. */
struct mailbox *mailbox_child_after(struct mailbox *mb, uint32_t id);
void mailbox_attach(struct mailbox *parent, struct mailbox *child);
void mailbox_detach(struct mailbox *child);
/* For mailbox_destroy. */
void mailbox_forget_children(struct mailbox *mb);

#endif
