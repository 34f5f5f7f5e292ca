/*
 * An account: its connections, its tree of mailboxes, and what the filesystem may ask of them. All
 * of mail/ hangs on a struct account; it lives in the loop's thread.
 */
#ifndef MAIL_ACCOUNT_H
#define MAIL_ACCOUNT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "base/list.h"
#include "base/map.h"
#include "cache/cache.h"
#include "mail/mailbox.h"
#include "mail/pool.h"

struct body_pool;
struct lister;
struct poll;
struct quota;
struct watch;

enum sizes_mode { SIZES_AUTO, SIZES_TRUST, SIZES_VERIFY };
/* What is known of the server's sizes; kept in the cache as CACHE_NOTE_SIZES. See sizes.h. */
enum sizes_belief { SIZES_UNJUDGED, SIZES_HONEST, SIZES_LIAR };

struct sizes {
	enum sizes_mode mode;
	enum sizes_belief belief;
	unsigned right; /* sizes that proved right, while the account is not judged */
};

struct account_options {
	struct pool_options pool;
	const char *mailbox; /* UTF-8, as a path from the root; NULL or "": all. That subtree is
				mounted */
	bool subscribed;     /* only subscribed mailboxes */
	uint64_t refresh;    /* milliseconds between looks at what the server does not tell of */
	bool readonly;
	bool expunge_force; /* also where it may take along what others mark meanwhile */
	const char *suffix; /* of message names; NULL: none */
	enum sizes_mode sizes;
};

/* What the account tells the filesystem; from the loop. Each is a change that the kernel may have
 * cached otherwise. */
struct account_observer {
	/* Names came, or the listing changed otherwise. */
	void (*on_directory_changed)(void *ctx, struct mailbox *mb);
	void (*on_message_gone)(void *ctx, struct mailbox *mb, uint32_t uid);
	/* The size that was shown is wrong, or may be. at_once: nothing of the message must be read
	 * before it is forgotten; else after the end was read. */
	void (*on_size_changed)(void *ctx, struct mailbox *mb, uint32_t uid, bool at_once);
	/* The directory is no more under this name; `component` in `parent` is to be forgotten. */
	void (*on_directory_gone)(void *ctx, struct mailbox *parent, struct mailbox *mb);
	/* Octets of a message that will be read soon, up to its end or a chunk's; data (malloc'ed)
	 * becomes the observer's. */
	void (*on_octets_ahead)(
		void *ctx, struct mailbox *mb, uint32_t uid, uint64_t offset, char *data, size_t n);
};

struct account {
	uv_loop_t *loop;
	struct account_options options;
	struct account_observer observer;
	void *ctx;
	struct cache *cache;
	struct pool *pool;

	struct mailbox *root; /* of the tree: no mailbox itself, id 0 */
	struct mailbox *top;  /* what is mounted: the root, or the mailbox that was asked for */
	void *by_name;        /* tsearch tree of living mailboxes */
	struct map by_id;     /* living, and dead ones that are not freed yet */
	struct list dead;     /* struct mailbox.sibling */
	uv_timer_t reaper;
	uint32_t reapings;
	bool loading;       /* the tree is being made from the cache: nothing is new */
	uint32_t living;    /* mailboxes and directories of the tree */
	size_t name_octets; /* of their names */
	uint32_t left_out;  /* by the LIST under way: too many, too long, nested too deep */
	bool left_out_told;
	uint32_t generation;     /* of LIST */
	uint64_t listed;         /* uv_now of the last LIST; 0: never */
	uint64_t listed_in_vain; /* uv_now: it named a mailbox that was refused; 0: never */
	uint64_t listed_young;   /* the same over a connection that was logged in newly */
	bool list_young;         /* the next LIST is to be followed by such a one */
	struct lister *lister;   /* LIST under way */
	bool list_again;         /* names changed meanwhile */
	bool stated;             /* the last LIST brought STATUS along */
	struct poll *poll;       /* the same for the look at all mailboxes */
	struct watch *watch;
	struct list list_waiters; /* struct account_wait */
	unsigned uidplus_doubts;  /* UID EXPUNGEs in a row that the server did not know or answer */
	bool uidplus_proven;      /* one was carried out */
	bool uidplus_broken;      /* advertised, but lacking all the same */
	bool unsafe_told;         /* that nothing is removed for this reason; the log has it */
	char delimiter;           /* of the personal namespace; 0: none */

	struct body_pool *bodies;
	struct sizes sizes;
	struct quota *quota;

	bool remembered; /* the cache knew it at the start */
	uv_timer_t start_deadline;
	void (*on_started)(void *ctx, int err, const char *text); /* while starting */
	void (*on_stopped)(void *ctx); /* while stopping, when nothing new begins */
};

/* The cache and what options points at must outlive the account. */
struct account *account_create(uv_loop_t *loop, const struct account_options *options,
	struct cache *cache, const struct account_observer *observer, void *ctx);
/* Connects, logs in, lists. on_started is called once, from the loop; text is one line for people
 * unless err is 0. */
void account_start(struct account *a, void (*on_started)(void *ctx, int err, const char *text));
/* Logs out; on_done from the loop. Everything that waits ends with ERR_CANCELED first. */
void account_stop(struct account *a, void (*on_done)(void *ctx));
void account_destroy(struct account *a);

struct mailbox *account_mailbox(struct account *a, uint32_t id);

/* uv_now plus most of the timeout: when what starts now must have a connection. */
uint64_t account_deadline(const struct account *a);

/* Someone who waits for the tree. */
struct account_wait {
	struct list link;
	void (*on_wake)(struct account_wait *w, int err);
};
/* Makes sure that the tree is fresh. True: it is, now. False: w will be woken. */
bool account_fresh_try(struct account *a, struct account_wait *w);
/* Lists anew; w is woken at the end. */
void account_list(struct account *a, struct account_wait *w);
void account_unwait(struct account_wait *w);

/* Puts a new mailbox in the place of one whose UIDVALIDITY changed. NULL, and nothing is done, when
 * the server numbers it anew so often that we would do nothing else than read it from the start. */
struct mailbox *account_replace(struct account *a, struct mailbox *old);

/* --- tree.c --- */

/* The mailbox with this raw name, NULL when none lives. */
struct mailbox *account_by_name(struct account *a, struct span name);
/* The one whose raw name is this text in modified UTF-7. */
struct mailbox *account_by_text(struct account *a, struct span text);
/* One line of LIST: makes the mailbox and the directories above it. flags: enum imap_list_flag,
 * with IMAP_LIST_UTF8 where UTF8=ACCEPT is enabled. */
void account_on_list(
	struct account *a, struct span name, bool has_delimiter, char delimiter, uint32_t flags);
/* Whether the LIST that is over named all that the one before did: else it may have been cut short,
 * and is asked again. */
bool account_list_is_complete(struct account *a);
/* Whether such a line is no news. */
bool account_knows_list(
	struct account *a, struct span name, bool has_delimiter, char delimiter, uint32_t flags);
/* LIST is over: what two did not mention running is gone. */
void account_on_listed(struct account *a);
/* LIST did not come to its end: what it did not mention is not missed. */
void account_on_list_failed(struct account *a);
/* Fills the tree with what the cache knows. */
void account_load_tree(struct account *a);
void account_free_tree(struct account *a);

/* --- lister.c --- */

/* status: asks for the status of each mailbox too, where LIST can (RFC 5819). young: over a
 * connection that was logged in newly, if there can be one; where what an older one says is news,
 * such a one is asked again in any case. */
void lister_start(struct account *a, bool status, bool young);

#endif
