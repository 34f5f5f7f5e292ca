/* SPDX-License-Identifier: MIT */
#include "fs/listing.h"

#include <stdlib.h>

#include "base/mem.h"
#include "fs/entry.h"

#define REPLY_MAX (256u << 10)

void listing_begin(struct listing *l, struct fs_op *op)
{
	*l = (struct listing){.op = op, .size = op->size < REPLY_MAX ? op->size : REPLY_MAX};
	l->data = mem_alloc(l->size);
}

bool listing_put(struct listing *l, const char *name, const struct stat *st, bool known,
	double timeout, uint64_t position)
{
	fuse_req_t req = l->op->req;
	char *at = l->data + l->used;
	size_t room = l->size - l->used, n;

	if (!l->op->plus) {
		n = fuse_add_direntry(req, at, room, name, st, (off_t)position);
	} else {
		/* An entry with inode 0 tells the name alone. */
		struct fuse_entry_param e = {
			.ino = known ? st->st_ino : 0,
			.generation = 1,
			.attr = *st,
			.attr_timeout = ATTR_TIMEOUT,
			.entry_timeout = timeout,
		};
		n = fuse_add_direntry_plus(req, at, room, name, &e, (off_t)position);
	}
	if (n > room)
		return false;
	l->used += n;
	return true;
}

bool listing_put_dots(struct listing *l, fuse_ino_t self, fuse_ino_t parent)
{
	struct stat st = {.st_mode = S_IFDIR, .st_ino = self};
	uint64_t off = l->op->offset;

	if (off == 0 && !listing_put(l, ".", &st, false, 0, 1))
		return false;
	st.st_ino = parent;
	return off > 1 || listing_put(l, "..", &st, false, 0, 2);
}

void listing_drop(struct listing *l)
{
	free(l->data);
	l->data = NULL;
}

void listing_end(struct listing *l)
{
	fuse_reply_buf(l->op->req, l->data, l->used);
	listing_drop(l);
	op_end(l->op);
}
