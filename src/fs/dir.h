/* SPDX-License-Identifier: MIT */
/* Directories, which are mailboxes. */
#ifndef FS_DIR_H
#define FS_DIR_H

#include "fs/fuse.h"

struct fs;

extern const struct fuse_lowlevel_ops dir_operations;

/* Seconds that the kernel may keep the name of a mailbox. */
double dir_name_timeout(const struct fs *fs);

#endif
