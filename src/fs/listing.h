/* SPDX-License-Identifier: MIT */
/* The answer to READDIR and READDIRPLUS, entry by entry. */
#ifndef FS_LISTING_H
#define FS_LISTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>

#include "fs/op.h"

/*
 * A position in a listing is that of the entry before it, so listings stay right when entries come
 * and go: 1 after ".", 2 after "..", then LISTING_CHILD | id of a child mailbox, then LISTING_MESSAGE
 * | UID, then LISTING_DRAFT | inode of a draft, then LISTING_VIEW | number of a view.
 */
#define LISTING_CHILD ((uint64_t)1 << 32)
#define LISTING_MESSAGE ((uint64_t)2 << 32)
#define LISTING_DRAFT ((uint64_t)3 << 32)
#define LISTING_VIEW ((uint64_t)4 << 32)
#define LISTING_KIND(off) ((uint64_t)(off) & ~(uint64_t)UINT32_MAX)

struct listing {
	struct fs_op *op;
	char *data;
	size_t size, used;
	bool lacks_name; /* that of the next message is not known yet */
};

/* Of a request whose op has its size, offset and plus. */
void listing_begin(struct listing *l, struct fs_op *op);
/* st: at least mode and inode. known: the rest of it too, which the kernel may keep so long (seconds);
 * else it is told the name alone, and looks it up when it needs more. False when it does not fit any
 * more. */
bool listing_put(struct listing *l, const char *name, const struct stat *st, bool known,
	double timeout, uint64_t position);
/* "." and "..", as far as they are behind the op's offset. */
bool listing_put_dots(struct listing *l, fuse_ino_t self, fuse_ino_t parent);
/* Answers the request, and ends the op. */
void listing_end(struct listing *l);
/* Frees what it holds; the op goes on. */
void listing_drop(struct listing *l);

#endif
