/* SPDX-License-Identifier: MIT */
/* The hidden directory .imapfs. */
#ifndef FS_CONTROL_H
#define FS_CONTROL_H

#include <stdbool.h>

#include "base/buf.h"
#include "fs/fuse.h"

struct fs;

struct control *control_create(void);
void control_destroy(struct control *c);
/* True: the name, in a directory of mailboxes, is the hidden directory's, and the lookup was
 * answered. */
bool control_find(struct fs *fs, fuse_req_t req, fuse_ino_t parent, const char *name);

/* A text to be filled, and the inode that it will have; good until a few others were made. */
struct buf *control_new_text(struct fs *fs, fuse_ino_t *ino);
/* Answers a lookup with it. */
void control_reply_text(struct fs *fs, fuse_req_t req, fuse_ino_t ino);

#define CONTROL_DIRECTORY 2 /* inode */
extern const struct fuse_lowlevel_ops control_operations;

#endif
