/* SPDX-License-Identifier: MIT */
/*
 * Names in the hidden directory that `imapfs --keep` looks up: a verb, and the inode of a mailbox's
 * directory. Each lookup does what the verb says, and finds a text, which mail/read/keep.h describes:
 *
 *   keep.INODE     the mailbox is kept, and what is missing is fetched while somebody asks
 *   kept.INODE     asks
 *   pause.INODE    what is under way is left, until somebody else asks for it again
 *   unkeep.INODE   the mailbox is not kept any more
 *
 * Where it is not possible the text is "kept: no" and "reason: memory | mailbox | view | gone". Gone
 * is a directory of which the kernel was not told yet that another one may have its name.
 */
#ifndef FS_KEEP_H
#define FS_KEEP_H

#include <stdbool.h>

#include "fs/fuse.h"

struct fs;

/* True: the name is one of these, and the lookup is or will be answered. */
bool keep_find(struct fs *fs, fuse_req_t req, fuse_ino_t parent, const char *name);

#endif
