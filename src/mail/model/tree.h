/* SPDX-License-Identifier: MIT */
/*
 * The tree of an account's mailboxes, made from LIST and from the cache. Whoever must know of a
 * change is told by a notice; the tree itself knows nobody above it.
 */
#ifndef MAIL_MODEL_TREE_H
#define MAIL_MODEL_TREE_H

#include <uv.h>

#include "base/buf.h"
#include "base/map.h"
#include "mail/model/mailbox.h"

struct account;

/* What the tree and its mailboxes tell, from within the call that changed them. */
struct tree_notices {
	/* Names came to the directory, or its listing changed otherwise. */
	void (*on_directory_changed)(struct account *a, struct mailbox *mb);
	/* The directory is no more under this name; its component in `parent` is to be forgotten.
	 */
	void (*on_directory_gone)(struct account *a, struct mailbox *parent, struct mailbox *mb);
	/* Optional: its raw name was another one. */
	void (*on_renamed)(struct account *a, struct mailbox *mb, struct span old);
	/* The message is no more, nor is its name. */
	void (*on_message_gone)(struct account *a, struct mailbox *mb, uint32_t uid);
	/* It was expunged: what is kept of it is to be forgotten. */
	void (*on_removed)(struct mailbox *mb, uint32_t uid);
	/* The flags of the message are others now, or known now. */
	void (*on_flags_changed)(struct mailbox *mb, uint32_t uid);
	/* Optional: rows came to the mailbox, of which all are known; or one that is kept was looked at first. */
	void (*on_rows)(struct mailbox *mb);
	/* Optional: its UIDVALIDITY is known now, which it was not; none of its rows was shown yet. */
	void (*on_numbered)(struct mailbox *mb);
	/* The mailbox is dead and loses its messages now. */
	void (*on_killed)(struct mailbox *mb);
	/* The dead mailbox has left the tree: tree_free frees it when nobody points at it. */
	void (*on_buried)(struct account *a, struct mailbox *mb);
	/* Some were buried: who waits for one of them gets err. Once for all of a LIST. */
	void (*on_dead)(struct account *a, int err);
	/* The mailbox is being freed: what hangs on it is to be freed too. */
	void (*on_freed)(struct mailbox *mb);
};

/* For tree_pass_over. */
#define TREE_PASSED 256

struct tree {
	struct account *account;
	const struct tree_notices *notices;
	uv_loop_t *loop; /* for the time */
	struct cache *cache;
	const char *host;     /* in logs */
	bool keeps_cache;     /* what is not listed any more stays cached: it may come again */
	struct mailbox *root; /* no mailbox itself, id 0 */
	struct mailbox *top;  /* what is mounted: the root, or the mailbox that was asked for */
	void *by_name;        /* tsearch tree of living mailboxes */
	struct map by_id;     /* living, and dead ones that are not freed yet */
	bool loading;         /* the tree is being made from the cache: nothing is new */
	bool listed;          /* a LIST came to its end */
	uint32_t living;      /* mailboxes and directories of the tree */
	size_t name_octets;   /* of their names */
	uint32_t left_out;    /* by the LIST under way: too many, too long, nested too deep */
	bool left_out_logged;
	uint32_t generation;             /* of LIST */
	struct span passed[TREE_PASSED]; /* see tree_pass_over; owned, the oldest is replaced */
	size_t passed_next;
};

/* Makes the root, and fills the tree with what the cache knows. The fields up to keeps_cache must
 * be set. */
void tree_init(struct tree *t);
void tree_finish(struct tree *t);

/* Living or dead, NULL when none is there any more. */
struct mailbox *tree_mailbox(const struct tree *t, uint32_t id);
/* The mailbox with this raw name, NULL when none lives. */
struct mailbox *tree_by_name(struct tree *t, struct span name);
/* The one whose raw name is this text in modified UTF-7. */
struct mailbox *tree_by_text(struct tree *t, struct span text);
/* The one at a path of components from the root, with '/' or its own delimiter between them. */
struct mailbox *tree_by_path(struct tree *t, struct span path);

/* A LIST begins. */
void tree_begin_list(struct tree *t);
/* One line of LIST: makes the mailbox and the directories above it. flags: enum imap_list_flag,
 * with IMAP_LIST_UTF8 where UTF8=ACCEPT is enabled. */
void tree_add_list(
	struct tree *t, struct span name, bool has_delimiter, char delimiter, uint32_t flags);
/* Whether such a line is no news. */
bool tree_knows_list(
	struct tree *t, struct span name, bool has_delimiter, char delimiter, uint32_t flags);
/* Whether the LIST that is over named all that the one before did: else it may have been cut short,
 * and is asked again. */
bool tree_list_is_complete(struct tree *t);
/* LIST is over: what two did not mention running is gone. */
void tree_end_list(struct tree *t);
/* LIST did not come to its end: what it did not mention is not missed. */
void tree_fail_list(struct tree *t);

/* A name of our own is no more. Other connections may go on to list it (Dovecot 2.3): the last
 * TREE_PASSED of them are no news, and never shown. */
void tree_pass_over(struct tree *t, struct span name);

/* What we ourselves did on the server; tree_change.c. */

/* The raw name of a mailbox that is called `component` in the directory, appended to name. 0;
 * ERR_INVALID when no mailbox can be called so: it is not a component (names.h), or holds the
 * delimiter; ERR_EXISTS for INBOX; ERR_TOO_LONG when it would be too long or nest too deep;
 * ERR_DENIED where the server has no levels of names; ERR_LIMIT when there are too many mailboxes.
 * utf8: names on the connection are UTF-8. */
int tree_name_child(struct tree *t, const struct mailbox *parent, struct span component, bool utf8,
	struct buf *name);
/* How the server delimits levels in that directory; false: it has none. */
bool tree_delimiter(const struct tree *t, const struct mailbox *parent, char *delimiter);
/* It was made, and LIST says this of it: NULL when it has no place here. Nobody can have taken the
 * names of messages in it from elsewhere: it is not barred. */
struct mailbox *tree_made(
	struct tree *t, struct span name, bool has_delimiter, char delimiter, uint32_t flags);
/* It was deleted, and had no children. */
void tree_deleted(struct tree *t, struct mailbox *mb);
/* It has this name now, in that directory, with all that is below it. They keep their ids, and so
 * what is cached of them. What else had come by that name (a LIST, meanwhile) is the same mailbox,
 * and is gone. */
void tree_renamed(struct tree *t, struct mailbox *mb, struct mailbox *parent, struct span name);

/* Puts a new mailbox in the place of one whose UIDVALIDITY changed. NULL, and nothing is done, when
 * the server numbers it anew so often that we would do nothing else than read it from the start. */
struct mailbox *tree_replace(struct tree *t, struct mailbox *old);

/* Frees a buried mailbox. */
void tree_free(struct tree *t, struct mailbox *mb);

#endif
