/* SPDX-License-Identifier: MIT */
/*
 * Inode numbers: mailbox id << 32 | UID. UID 0 is the mailbox's directory; the mounted directory
 * itself is FUSE_ROOT_ID; mailbox id 0, which no mailbox has, is that of what is not mail (node.h).
 */
#ifndef FS_INODE_H
#define FS_INODE_H

#include "fs/fuse.h"

struct fs;
struct mailbox;

fuse_ino_t inode_of_directory(const struct fs *fs, const struct mailbox *mb);
fuse_ino_t inode_of_message(const struct mailbox *mb, uint32_t uid);
/* The mailbox of an inode and, for a message, its UID (else 0). NULL when there never was or is no
 * more such a mailbox. */
struct mailbox *inode_resolve(const struct fs *fs, fuse_ino_t ino, uint32_t *uid);

#endif
