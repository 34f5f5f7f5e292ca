/* SPDX-License-Identifier: MIT */
/*
 * Directories of a view that mirror mailboxes: one for each, with those below it, and an entry for each
 * message. Number 0 of a node on level 0 is the mailbox's directory, any other the UID of a message.
 */
#ifndef FS_VIEW_TREE_H
#define FS_VIEW_TREE_H

#include <limits.h>

#include "fs/op.h"

/* How messages are called there, and what they are. */
struct view_tree {
	/* Appends nothing to out and returns 0 where the message has no name. NULL: as in its mailbox. */
	size_t (*name)(struct fs_op *op, const struct cache_message *m, char out[NAME_MAX + 1]);
	/* The UID that a name stands for, whether there is such a message or not; false: for none. */
	bool (*find)(struct fs_op *op, const char *name, uint32_t *uid);
	/* Lists what else there is, behind the entry of that number: positions LISTING_VIEW | number, from
	 * 1 on. False when it does not fit. NULL: nothing. */
	bool (*put_more)(struct listing *l, const struct mailbox *mb, uint32_t after);
	bool raw; /* they are the messages themselves, with the same inodes */
	/* Raw ones that any name finds that ends so. Nobody knows which of these the kernel knows when the
	 * message goes: it keeps names for NAME_TIMEOUT only, and is told that the inode has changed, which
	 * makes it ask for the name again. */
	bool loose;
};

/* For struct view's lookup and list; each also of the mailboxes below, and waits for messages. */
void tree_lookup(struct fs_op *op);
void tree_list(struct fs_op *op);
/* For struct view's attributes, of number 0. */
void tree_attributes(struct fs_op *op);
/* For struct view's opendir: the kernel may keep the listing as long as no name comes or goes. */
void tree_opendir(struct fs_op *op);
/* For struct view's on_directory_changed and on_message_gone: tell the kernel. */
void tree_on_directory_changed(struct fs *fs, struct view_node *node);
void tree_on_message_gone(struct fs *fs, struct view_node *node, uint32_t uid);

#endif
