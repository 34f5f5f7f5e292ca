/* SPDX-License-Identifier: MIT */
/*
 * A mailbox as it is known here: its place in the tree of directories and its messages in the order
 * of UIDs. A struct mailbox stands for one (name, UIDVALIDITY): when the UIDVALIDITY changes it
 * dies and another takes its place in the tree, under a new id, so nothing of the old can be taken
 * for the new.
 *
 * Dead mailboxes are kept, without their messages, until nobody points at them any more: reap.h.
 */
#ifndef MAIL_MODEL_MAILBOX_H
#define MAIL_MODEL_MAILBOX_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"
#include "base/span.h"
#include "cache/cache.h"
#include "mail/model/freshness.h"
#include "mail/model/rows.h"

struct account;
struct tree;
struct ahead;
struct facts;
struct flags;
struct changes;
struct promised;
struct given_names;
struct keep;
struct prover;
struct verb;

/* Where a mailbox is in the tree of directories: for tree.c and children.c. */
struct mailbox_place {
	struct mailbox *parent;     /* NULL for the root */
	struct list children;       /* struct mailbox.place.sibling, in the order of ids */
	struct list sibling;        /* of a dead one: in the reaper's list */
	void *by_id, *by_component; /* the children again, for children.c */
	uint32_t child_count;
	uint32_t list_flags; /* enum imap_list_flag */
	bool has_delimiter;
	char delimiter;
	bool listed;            /* in the newest LIST; else it is only a parent of others */
	uint32_t generation;    /* of the LIST that mentioned it, or what is below it, last */
	uint32_t named;         /* of the LIST that mentioned itself last */
	unsigned renumbered;    /* how often lately its UIDVALIDITY changed */
	uint64_t renumbered_at; /* uv_now */
};

/* What is known of its messages: for mail/sync. */
struct mailbox_messages {
	struct rows rows; /* those that are expunged included */
	bool held;        /* a message, once, under this id: the inodes of its UIDs are taken */
	bool loaded;      /* the cache's rows are here */
	bool complete;    /* the rows were all that the server has, once */
	uint32_t uidnext; /* all UIDs below were seen; 0: unknown */
	uint32_t assumed; /* from this UID on rows may be there since the server said, when messages
			     were put in, that these are their UIDs; 0: none */
	uint32_t settled; /* while it is not complete: all UIDs up to this one are known */
	uint64_t late;    /* counts names that came where a reader may have gone by */
	uint64_t highestmodseq;
};

/* The names in the directory, of messages and of mailboxes. */
struct mailbox_names {
	int64_t changed;           /* when the last change was seen, seconds since 1970 */
	bool unsaved;              /* changed is newer than in the cache */
	uint64_t version;          /* counts changes */
	uint64_t cached_version;   /* when the kernel last began to cache the listing */
	struct given_names *given; /* NULL: none. See given.h */
};

/* For mail/change. */
struct mailbox_removal {
	/* It came into being while mounted, and nobody has listed it yet: nothing is removed. A
	 * name that somebody took from a listing of what had its place before may be another
	 * message here. */
	bool barred;
	bool barred_logged;
	bool denied_logged;         /* the log has why nothing can be removed here */
	const struct verb *doubted; /* its last change here was refused; NULL: of none */
	struct changes *changes;    /* what waits to be changed; NULL: nothing */
	struct promised *promised;  /* what was promised, see change/intents.h; NULL: nothing */
	struct map *hidden; /* UIDs of messages that are not shown any more; NULL: there are none */
	uint64_t compared;  /* the selection (pool_selected.asked) in which the UIDs were found
				    to be the messages that were shown; 0: none */
};

/* For mail/read. */
struct mailbox_reading {
	struct map bodies;   /* UID -> struct body */
	struct ahead *ahead; /* read-ahead of messages; NULL: nobody reads */
	uint32_t kept;       /* UID that was kept back from the kernel when the mailbox was fetched
				ahead as a whole, see read/across.c; 0: it was not */
};

/* For mail/read/keep.h. */
struct mailbox_keeping {
	bool kept;         /* the cache evicts nothing of its messages */
	bool whole;        /* all of them were here once: what comes is fetched, too */
	struct keep *keep; /* what was done in this mount; NULL: nothing */
};

/* For mail/size. */
struct mailbox_sizes {
	struct prover *prover; /* NULL: none was ever to be proved */
	bool sampled;          /* some were proved, and right */
};

/* For mail/parts. */
struct mailbox_parts {
	struct facts *facts[CACHE_FACT_KINDS]; /* NULL: nobody has asked for them */
};

struct mailbox {
	struct tree *tree;
	struct account *account; /* not known to the model */
	uint32_t id;
	struct span name;     /* raw octets as in LIST, owned */
	char *component;      /* the last level as a path component, owned; "" for the root */
	uint32_t uidvalidity; /* 0: not known yet */
	bool dead;            /* deleted, or its UIDVALIDITY changed */
	uint32_t holds;       /* see mailbox_hold */
	uint32_t used_in;     /* the reaper's last round in which something pointed at it */

	struct mailbox_place place;
	struct mailbox_names names;
	struct mailbox_messages messages;
	struct freshness freshness;
	struct flags *flags; /* of the messages, see flags.h; NULL: nobody has asked for them */
	struct mailbox_reading reading;
	struct mailbox_keeping keeping;
	struct mailbox_parts parts;
	struct mailbox_sizes sizes;
	struct mailbox_removal removal;

	struct list waiters; /* for a check: struct mailbox_wait */
	size_t woken_at;     /* rows when the waiters were last woken */
	uint32_t woken_to;   /* messages.settled then */
};

/* In message.flags, beside those of rows.h. */
#define MESSAGE_SHOWN (1u << 17)      /* the kernel was told the size */
#define MESSAGE_MISLED (1u << 18)     /* and it was wrong: see sizes_misled */
#define MESSAGE_UNPROVABLE (1u << 19) /* the server would not let it be proved */

/* No row has come of the message, and it may be another one. */
bool mailbox_is_assumed(const struct mailbox *mb, uint32_t uid);
/* It is known that the message of that UID is another one than that which was moved here, whose size and date
 * are those of `is`. The date of a row that is assumed says nothing, and its size does when it is proved. */
bool mailbox_is_other(struct mailbox *mb, uint32_t uid, const struct cache_message *is);

struct mailbox_wait;

/* The wait is over (and not in any list any more): err of the check, 0 for success and for
 * progress. */
typedef void mailbox_on_wake(struct mailbox_wait *w, int err);

/* Someone who waits for a mailbox to become known: for progress (more rows) or for the end of the
 * check. */
struct mailbox_wait {
	struct list link;
	bool progress; /* wake for new rows too, not only at the end */
	mailbox_on_wake *on_wake;
};

typedef void mailbox_visit(void *ctx, struct mailbox *mb);

struct mailbox *mailbox_create(struct tree *t, uint32_t id, struct span name);
void mailbox_destroy(struct mailbox *mb);
/* Marks the mailbox dead and frees its messages and bodies. */
void mailbox_kill(struct mailbox *mb);

/* For who keeps a pointer to it while the loop goes on: a dead one is not freed before each has
 * released it. Tasks and connections of a pool need not, nor what hangs on the mailbox itself
 * (waiters, sync, expunge, prover, bodies). NULL may be held. Returns mb. */
struct mailbox *mailbox_hold(struct mailbox *mb);
void mailbox_release(struct mailbox *mb);

bool mailbox_is_dead(const struct mailbox *mb);
/* Whether it can be selected, i.e. whether it has messages at all. */
bool mailbox_selectable(const struct mailbox *mb);

/* The living message, or NULL. Valid until the next change. */
struct cache_message *mailbox_find(struct mailbox *mb, uint32_t uid);
/* The same, NULL also for one that is hidden: of what a name stands for. */
struct cache_message *mailbox_shown(struct mailbox *mb, uint32_t uid);
/* Its name is hidden from now on, whatever becomes of it on the server; and is not. why: for
 * mailbox_hidden, which returns NULL for one that is not hidden. */
void mailbox_hide(struct mailbox *mb, uint32_t uid, void *why);
void mailbox_unhide(struct mailbox *mb, uint32_t uid);
void *mailbox_hidden(const struct mailbox *mb, uint32_t uid);
/* Whether the message is here, or was and is expunged. */
bool mailbox_was(struct mailbox *mb, uint32_t uid);
/* The first living message with a UID above uid, or NULL. */
struct cache_message *mailbox_after(struct mailbox *mb, uint32_t uid);
/* The last one with a UID below uid, or NULL. */
struct cache_message *mailbox_before(struct mailbox *mb, uint32_t uid);
/* The UID of the last living message; 0: there is none. */
uint32_t mailbox_last(struct mailbox *mb);
/* Adds a message, or updates it; keeps a size that was proved. True when the name is new. */
bool mailbox_add(struct mailbox *mb, const struct cache_message *m);
/* Whether the message was known and is expunged; that is forgotten when 1,024 others or more are expunged. */
bool mailbox_was_removed(const struct mailbox *mb, uint32_t uid);
/* Forgets that the message was expunged: the server has shown that it is there. */
void mailbox_revive(struct mailbox *mb, uint32_t uid);
/* The message is expunged: drops it here and in the cache. True when it was there. */
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
/* Orders of children: as listed, which is that of their ids, or of their names' octets. */
enum mailbox_order {
	MAILBOX_LISTED,
	MAILBOX_LISTED_BACKWARDS,
	MAILBOX_BY_NAME,
	MAILBOX_BY_NAME_BACKWARDS,
	MAILBOX_ORDERS
};
/* The child behind this one, NULL: the first. NULL at the end. */
struct mailbox *mailbox_child_beside(
	const struct mailbox *mb, const struct mailbox *child, enum mailbox_order order);
/* The first child with an id above id, or NULL. */
struct mailbox *mailbox_child_after(struct mailbox *mb, uint32_t id);
void mailbox_attach(struct mailbox *parent, struct mailbox *child);
void mailbox_detach(struct mailbox *child);
/* The one behind mb of those that are in top, and of top itself, which is the first: parents before
 * their children. NULL at the end. */
struct mailbox *mailbox_next_in(struct mailbox *mb, const struct mailbox *top);
/* For mailbox_destroy. */
void mailbox_forget_children(struct mailbox *mb);

#endif
