/* SPDX-License-Identifier: MIT */
/*
 * Octets of a view's files that never change, where they must be made whole before their size is known:
 * made when somebody first looks at the file, kept in memory for its reader and in the cache under the
 * inode (the node's id stands where a mailbox's does), within the cache's bound. They are as right as
 * what they are made of, so they are not checked again; where another version of the program would make
 * others the view's key must change. Those of a view that is `derived` are not kept in the cache, as it
 * has what they are made of.
 */
#ifndef FS_VIEW_CONTENT_H
#define FS_VIEW_CONTENT_H

#include "base/buf.h"
#include "fs/op.h"
#include "fs/views.h"

/* Octets of one file, and of those that are kept in memory; the last one made always is. */
#define CONTENT_MAX ((size_t)16 << 20)
#define CONTENT_KEPT ((size_t)8 << 20)

/* Begins to make the octets of op->at, from op->mb: ends in content_made or an error of the op. */
typedef void content_make(struct fs_op *op);

/* Calls ready(op, 0) when content_of(op) is there, perhaps at once; else the op fails. */
void content_need(struct fs_op *op, content_make *make, op_resume *ready);
/* n octets are being made: as many of others are forgotten as are too many beside them. */
void content_make_room(struct contents *all, size_t n);
/* The octets; out (of at most CONTENT_MAX) is empty afterwards. */
void content_made(struct fs_op *op, struct buf *out);
/* Valid until the loop's next turn. */
struct span content_of(const struct fs_op *op);
/* For struct view's attributes and read, of files: the time is that of the message op->at.number. */
void content_attributes(struct fs_op *op, content_make *make);
void content_read(struct fs_op *op, content_make *make);
/* For struct view's on_message_gone, of a tree: the kernel is told, too. */
void content_on_message_gone(struct fs *fs, struct view_node *node, uint32_t uid);
/* The message is gone. */
void content_forget(struct fs *fs, const struct view_node *node, uint32_t number);

#endif
