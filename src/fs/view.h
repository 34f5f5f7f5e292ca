/* SPDX-License-Identifier: MIT */
/*
 * Views: files and directories that show mail otherwise than as it is. Each is one file of fs/view/
 * with a struct view, and a row in the table of fs/view/views.c; CONTRIBUTING.md shows how.
 *
 * A view has nodes: one for each mailbox that it shows, and more where it has more levels. A node has
 * an id from the counter that mailboxes have, which the cache remembers, so an inode is id << 32 | a
 * number that the view chooses: the UID of a message or an ordinal, 0 for the node's own directory.
 *
 * The functions of a view answer a request, each, some time, by one of view_answer's or an error. They
 * have op->at, op->mb and the fields of struct fs_op that the request is about; they may wait, as any
 * op does (fs/op.h, fs/fresh.h). Nothing is answered for a mailbox that is dead: that is seen to before.
 */
#ifndef FS_VIEW_H
#define FS_VIEW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "base/list.h"
#include "base/span.h"
#include "fs/fuse.h"
#include "fs/process.h"

struct fs;
struct fs_op;
struct listing;
struct mailbox;
struct view;
struct view_tree;

/* Octets that the cache keeps of a node. */
#define VIEW_STATE 16

struct view_node {
	struct list link;
	uint32_t id;
	uint32_t mailbox; /* its id */
	uint32_t level;   /* 0, or what the view makes of it; below VIEW_LINK */
	const struct view *view;
	unsigned char state[VIEW_STATE]; /* what the view keeps of it; 0 at first: see view_save */
	bool used;                       /* the kernel may know inodes of it, this mount */
	bool fresh; /* it was made this mount: nothing of it was in the cache */
	uint64_t
		listed; /* for tree.c: names.version + 1 when the kernel last began to keep the listing */
	void *data; /* the view's own; NULL: none */
};

#define VIEW_LEVELS (1u << 24)

/* Whereof a request is. */
struct view_at {
	struct view_node *node;
	uint32_t number;
};

enum view_place {
	VIEW_FILE,      /* a file in each mailbox */
	VIEW_DIRECTORY, /* a directory in each mailbox */
	VIEW_TREE,      /* a directory at the root, with one for each mailbox; a symlink in each */
};

struct view {
	const char *name; /* what it is called, with its dot */
	/* What the cache calls it. Another one gives other inodes: where the octets of a file that
	 * never changes (its attributes have ATTR_TIMEOUT) would be others now. */
	const char *key;
	enum view_place place;
	const struct view_tree *tree; /* for tree.h */
	bool selectable;              /* it is only in mailboxes that can hold messages */
	bool derived;                 /* for content.h */

	/* op->octets is a name in a directory of the view, with a NUL behind it. */
	void (*lookup)(struct fs_op *op);
	/* READDIR or READDIRPLUS of a directory: see fs/listing.h. */
	void (*list)(struct fs_op *op);
	/* For LOOKUP and GETATTR of op->at: view_answer_attributes. */
	void (*attributes)(struct fs_op *op);
	/* op->size octets at op->offset: view_answer_octets, or fuse_reply's and op_end. */
	void (*read)(struct fs_op *op);

	/* Each may be NULL. */

	/* What its owner may do by its mode, beside reading: a set of W_OK and X_OK. NULL: directories are what has
	 * number 0, and what can be changed, or written, may be. */
	unsigned (*permissions)(const struct view_at *at);
	/* OPENDIR, with op->fi. NULL: answered when the mailbox is fresh, and the kernel may keep the
	 * listing until views_on_directory_changed says otherwise. */
	void (*opendir)(struct fs_op *op);
	/* OPEN, with op->fi; op->writes. fi->fh is a view_handle. NULL: for reading, of a file that never changes. */
	void (*open)(struct fs_op *op);
	/* For directories in which something can be changed. */
	const struct view_changing *changing;
	/* For a file that can be written. */
	const struct view_writing *writing;

	/* What the kernel may have to be told: node is that of the mailbox on level 0, of which the
	 * kernel may know inodes. */
	void (*on_flags_changed)(struct fs *fs, struct view_node *node, uint32_t uid);
	void (*on_directory_changed)(struct fs *fs, struct view_node *node);
	/* Of a node that the kernel need not know (node->used). */
	void (*on_message_gone)(struct fs *fs, struct view_node *node, uint32_t uid);
	/* The mailbox's own directory is listed now, as it is. */
	void (*on_listed)(struct fs *fs, struct view_node *node, struct mailbox *mb);
	/* Frees node->data. */
	void (*forget)(struct view_node *node);
};

/* RENAME from a directory of the view to one of it. */
struct view_rename {
	struct view_at from, to;
	struct mailbox *from_mailbox, *to_mailbox;
	const char *name, *newname;
	unsigned flags; /* RENAME_NOREPLACE or 0 */
};

/* Each answers the request, some time; the mount is not read-only. */
struct view_changing {
	void (*create)(fuse_req_t req, struct view_at at, struct mailbox *mb, const char *name,
		struct fuse_file_info *fi);
	void (*unlink)(fuse_req_t req, struct view_at at, struct mailbox *mb, const char *name);
	void (*rename)(fuse_req_t req, const struct view_rename *r);
};

struct view_writing {
	/* op->octets at op->offset: fuse_reply_write. */
	void (*write)(struct fs_op *op);
	/* To op->offset octets: as attributes. */
	void (*resize)(struct fs_op *op);
	/* A descriptor for writing is closed; the last one of an open is. */
	void (*flush)(struct fs_op *op);
	void (*release)(struct fs *fs, struct view_node *node);
	/* Something with op->octets was renamed onto it: op_reply_errno. */
	void (*replace)(struct fs_op *op);
	/* Its name was removed, by this process: 0, and for that one it is not there, or errno. */
	int (*unlink)(struct fs *fs, struct view_node *node, pid_t process);
	/* It is, still, and its name may be made anew. */
	bool (*is_unlinked)(const struct fs *fs, const struct view_node *node, pid_t process);
	/* It was made anew, and is open for writing and empty now. */
	void (*create)(struct fs *fs, struct view_node *node);
};

/* What stands for an open file, in fi->fh, where a view has `open`. */
struct view_handle {
	struct list link;
	bool writes;
	struct process by;  /* who opened it to write: only when that one closes it does it count */
	struct span octets; /* that are shown while it is open; owned */
};

/* Makes one for fi->fh, of that request, with a copy of the octets. It is freed with the file's last descriptor. */
uint64_t view_handle(struct fs *fs, fuse_req_t req, bool writes, struct span octets);
const struct view_handle *view_handle_of(const struct fuse_file_info *fi);

/* Octets that may be renamed onto a file. */
#define VIEW_TEXT_MAX ((size_t)4 << 20)

/* The node of a mailbox (0: of the root) on a level; made when there is none. */
struct view_node *view_node(
	struct fs *fs, const struct view *view, const struct mailbox *mb, uint32_t level);
/* NULL when there is none. */
struct view_node *view_find_node(
	struct fs *fs, const struct view *view, const struct mailbox *mb, uint32_t level);
/* node->state is to be kept, also for later mounts. */
void view_save(struct fs *fs, const struct view_node *node);
fuse_ino_t view_inode(const struct view_node *node, uint32_t number);

/* Attributes that are common to a view's files and directories of that mailbox, with the inode of
 * `at`: the mode is that of a file that can be read, or of a directory; times are `seconds`. */
void view_stat_file(
	const struct fs *fs, struct view_at at, uint64_t size, int64_t seconds, struct stat *st);
void view_stat_directory(
	const struct fs *fs, struct view_at at, const struct mailbox *mb, struct stat *st);

/* Each answers, and ends the op. */

/* What op->at is: of a LOOKUP, too. Seconds that the kernel may keep the name and the attributes. */
void view_answer_attributes(
	struct fs_op *op, const struct stat *st, double name_timeout, double attr_timeout);
/* All octets of a file that is in memory: what op asked of them. */
void view_answer_octets(struct fs_op *op, struct span octets);
/* LOOKUP of a name that is op->at from now on: calls attributes of its view. */
void view_found(struct fs_op *op, struct view_at at);
/* LOOKUP of the raw message op->uid. */
void view_found_message(struct fs_op *op);

#endif
