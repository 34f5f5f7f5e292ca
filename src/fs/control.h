/* SPDX-License-Identifier: MIT */
/* The hidden directory .imapfs. */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

#include <stdbool.h>

#include "fs/fuse.h"

struct fs;

struct control *control_create(void);
void control_destroy(struct control *c);
/* True: the name, in a directory of mailboxes, is the hidden directory's, and the lookup was
 * answered. */
bool control_find(struct fs *fs, fuse_req_t req, fuse_ino_t parent, const char *name);

extern const struct fuse_lowlevel_ops control_operations;

#endif
