/* SPDX-License-Identifier: MIT */
/* RENAME of a message into another mailbox: promised, or done before it is answered. See fs/moves.h. */
#ifndef FS_MOVE_H
#define FS_MOVE_H

#include <stdint.h>

#include "fs/fuse.h"

struct fs;
struct rename;

/* Answers the request, some time. uid: what the old name stands for. */
void move_rename(struct fs *fs, fuse_req_t req, const struct rename *r, uint32_t uid);

#endif
