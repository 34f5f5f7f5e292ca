/* SPDX-License-Identifier: MIT */
/* RENAME: what the old name stands for decides who carries it out. */
#ifndef FS_RENAME_H
#define FS_RENAME_H

#include <stdint.h>

#include "fs/fuse.h"

struct fs;
struct mailbox;

struct rename {
	fuse_ino_t parent, newparent;
	struct mailbox *from, *to; /* the directories, before and after */
	const char *name, *newname;
	unsigned flags; /* RENAME_NOREPLACE or 0 */
};

/* Answers the request, some time. */
void rename_request(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags);

#endif
