/* SPDX-License-Identifier: MIT */
/* Messages, and statfs. Each of these answers its request, some time. */
#ifndef FS_FILE_H
#define FS_FILE_H

#include <stdbool.h>

#include "fs/fuse.h"

struct mailbox;

/* Of any file that never changes; false: refused. */
bool file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* Of a message in a mailbox's directory. */
void file_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
/* The same of one that was found by another name, in another directory. */
void file_remove(fuse_req_t req, fuse_ino_t parent, struct mailbox *mb, uint32_t uid);
/* Nothing is removed from a mailbox that nobody has listed since it came, which the log is told. */
bool file_is_barred(struct mailbox *mb);
void file_statfs(fuse_req_t req, fuse_ino_t ino);

extern const struct fuse_lowlevel_ops file_operations;

#endif
