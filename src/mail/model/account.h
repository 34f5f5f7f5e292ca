/* SPDX-License-Identifier: MIT */
/*
 * What all of mail/ shares of an account: its options, its connections, its tree of mailboxes, and
 * the parts that work on them. It lives in the loop's thread. How one is made and ended is in
 * mail/account.h.
 */
#ifndef MAIL_MODEL_ACCOUNT_H
#define MAIL_MODEL_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "cache/cache.h"
#include "link/pool.h"
#include "mail/model/drain.h"
#include "mail/model/tree.h"

struct across;
struct allowance;
struct body_pool;
struct facts_pool;
struct intents;
struct keeper;
struct lister;
struct mailboxes;
struct owed;
struct places;
struct quota;
struct reaper;
struct sizes;
struct state;
struct statuses;
struct traffic;
struct uidplus;
struct walk;
struct watch;

/* How far the sizes that the server states are trusted: see size/sizes.h. */
enum sizes_mode { SIZES_AUTO, SIZES_TRUST, SIZES_VERIFY };

/* What unlink does. */
enum delete_mode { DELETE_EXPUNGE, DELETE_TRASH, DELETE_NEVER };

struct account_options {
	struct pool_options pool;
	const char *mailbox; /* UTF-8, as a path from the root; NULL or "": all. That subtree is
				mounted */
	bool subscribed;     /* only subscribed mailboxes */
	uint64_t refresh;    /* milliseconds between looks at what the server does not tell of */
	bool readonly;
	enum delete_mode delete;
	const char *trash;  /* where DELETE_TRASH moves messages to, as a path; NULL: the \Trash */
	bool expunge_force; /* also where it may take along what others mark meanwhile */
	const char *suffix; /* of message names; NULL: none */
	bool summaries;     /* who lists a mailbox is shown something of those of all messages */
	enum sizes_mode sizes;
	uint64_t daylimit;       /* octets from the server a day; 0: any */
	struct traffic *traffic; /* where those are counted; must outlive the account */
};

/* What the account tells the filesystem; from the loop. Each is a change that the kernel may have
 * cached otherwise. */
struct account_observer {
	/* Names came, or the listing changed otherwise. */
	void (*on_directory_changed)(void *ctx, struct mailbox *mb);
	void (*on_message_gone)(void *ctx, struct mailbox *mb, uint32_t uid);
	/* An earlier mount promised that the message is moved, and it was to be there under this name; it is as
	 * it was shown then. */
	void (*on_moving)(void *ctx, struct mailbox *from, const struct cache_message *m,
		struct mailbox *to, struct span name);
	/* A move that was promised is done (new_uid 0: its UID there is not known), or, err below 0,
	 * never will be. */
	void (*on_moved)(void *ctx, struct mailbox *from, uint32_t uid, struct mailbox *to,
		uint32_t new_uid, int err);
	/* The size that was shown is wrong, or may be. at_once: nothing of the message must be read
	 * before it is forgotten; else after the end was read. */
	void (*on_size_changed)(void *ctx, struct mailbox *mb, uint32_t uid, bool at_once);
	/* Optional: the flags of the message are others now, or known now. */
	void (*on_flags_changed)(void *ctx, struct mailbox *mb, uint32_t uid);
	/* Optional: the mailbox has another name, and is the same. */
	void (*on_renamed)(void *ctx, struct mailbox *mb);
	/* The directory is no more under this name; `component` in `parent` is to be forgotten. */
	void (*on_directory_gone)(void *ctx, struct mailbox *parent, struct mailbox *mb);
	/* Octets of a message that will be read soon, to be pushed into the kernel; up to its end or
	 * a chunk's. data (malloc'ed) becomes the observer's. */
	void (*on_push)(
		void *ctx, struct mailbox *mb, uint32_t uid, uint64_t offset, char *data, size_t n);
};

/* text: one line for people, unless err is 0. */
typedef void account_on_started(void *ctx, int err, const char *text);
typedef void account_on_stopped(void *ctx);

struct account {
	uv_loop_t *loop;
	struct account_options options;
	struct account_observer observer;
	void *ctx;
	struct cache *cache;
	struct state *state; /* what was promised and is not done yet; NULL: read-only */
	struct pool *pool;
	uint64_t received; /* octets from the server so far, by all connections */
	struct allowance *allowance;

	struct tree tree;

	struct lister *lister;
	struct watch *watch;
	struct statuses *statuses; /* the round over all mailboxes that is under way, or NULL */
	struct walk *walk;
	struct reaper *reaper;
	struct body_pool *bodies;
	struct facts_pool *facts;
	struct places *places;
	struct keeper *keeper;
	struct across *across;
	struct uidplus *uidplus;
	struct owed *owed;
	struct mailboxes *mailboxes; /* their changes */
	struct intents *intents;
	struct sizes *sizes;
	struct quota *quota;
	struct list appends;  /* struct upload */
	bool appends_select;  /* the server refuses them where the mailbox is selected by EXAMINE */
	struct list copyings; /* struct copying */

	bool wants_flags; /* somebody has asked for flags: they are asked for along with rows */
	uint32_t trash;   /* the id of what trash_of found; 0: nothing yet */
	bool remembered;  /* the cache knew it at the start */
	uv_timer_t start_deadline;
	uint64_t start_held; /* pool_held, as far as that deadline has been put off by it */
	account_on_started *on_started; /* while starting */
	account_on_stopped *on_stopped; /* while stopping, when nothing new begins */
	struct drain drain;             /* while stopping, before that */
};

/* uv_now plus most of the timeout: when what starts now must have a connection. */
uint64_t account_deadline(const struct account *a);

#endif
