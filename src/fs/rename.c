/* SPDX-License-Identifier: MIT */
#include "fs/rename.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>

#include "base/span.h"
#include "fs/dir.h"
#include "fs/draft.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/folder.h"
#include "fs/inode.h"
#include "fs/move.h"
#include "fs/node.h"
#include "fs/views.h"
#include "mail/model/given.h"

enum rename_what { RENAME_NOTHING, RENAME_DIRECTORY, RENAME_MESSAGE };

/* *uid: of a message. */
static enum rename_what what_is_renamed(const struct fs *fs, const struct rename *r, uint32_t *uid)
{
	if (mailbox_child(r->from, span_of(r->name)))
		return RENAME_DIRECTORY;
	if (entry_find(fs, r->from, r->name, uid))
		return RENAME_MESSAGE;
	return RENAME_NOTHING;
}

/* Not ESTALE for a directory that is no more: the kernel would try again by the names, and rename
 * what is called so now. */
static int find_directories(const struct fs *fs, struct rename *r)
{
	uint32_t uid, newuid;

	if (node_operations(fs, r->newparent) != &dir_operations)
		return EPERM;
	r->from = inode_resolve(fs, r->parent, &uid);
	r->to = inode_resolve(fs, r->newparent, &newuid);
	return !r->from || !r->to ? ENOENT : 0;
}

void rename_request(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	struct fs *fs = fuse_req_userdata(req);
	struct rename r = {.parent = parent,
		.newparent = newparent,
		.name = name,
		.newname = newname,
		.flags = flags};
	struct mailbox *at;
	uint32_t uid;
	int error = 0;

	if (fs->options.readonly)
		error = EROFS;
	else if (flags & ~(unsigned)RENAME_NOREPLACE)
		error = EINVAL;
	else
		error = find_directories(fs, &r);
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	struct draft *d = draft_named(fs, r.from, name, fuse_req_ctx(req)->pid);
	if (views_rename(fs, req, d, &r))
		return;
	if (d && (d->state != DRAFT_STORED || r.from == r.to)) {
		draft_rename(fs, req, d, &r);
		return;
	}
	/* What it is really called shows when the directory is listed. */
	if (given_is_passing(r.from, name) || moves_is_passing(fs, r.from, name)) {
		fuse_reply_err(req, EBUSY);
		return;
	}
	switch (what_is_renamed(fs, &r, &uid)) {
	case RENAME_DIRECTORY:
		folder_rename(fs, req, &r);
		break;
	case RENAME_MESSAGE:
		move_rename(fs, req, &r, uid);
		draft_message_gone(fs, r.from, uid);
		break;
	case RENAME_NOTHING:
		/* By a name that it came in under it may be on its way still. */
		fuse_reply_err(req, moves_find(fs, r.from, name, &at, &uid) ? EBUSY : ENOENT);
		break;
	}
}
