/* SPDX-License-Identifier: MIT */
/*
 * The kinds of inodes. Each kind is one file with a table of the operations that it has, in the
 * form of libfuse's own; operations.c gives a request to the table of its inode (of its directory,
 * where it is for a name), and refuses what that table has not.
 *
 *   number                 kind                     table
 *   1                      the mounted directory    dir.c
 *   mailbox id << 32       a mailbox                dir.c
 *   mailbox id << 32, UID  a message                file.c
 *   view's id << 32, ...   a file of a view         view/requests.c
 *   2 and up, below 2^31   the hidden directory     control.c
 *   2^31 and up, to 2^32   a draft                  draft_io.c
 */
#ifndef FS_NODE_H
#define FS_NODE_H

#include "fs/fuse.h"

struct fs;

const struct fuse_lowlevel_ops *node_operations(const struct fs *fs, fuse_ino_t ino);

/* What its owner may do by its mode, beside reading: a set of W_OK and X_OK. */
unsigned node_permissions(const struct fs *fs, fuse_ino_t ino);

#endif
