/* SPDX-License-Identifier: MIT */
#include "fs/move.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "fs/file.h"
#include "fs/filesystem.h"
#include "fs/hold.h"
#include "fs/inode.h"
#include "fs/moves.h"
#include "fs/notify.h"
#include "fs/op.h"
#include "fs/rename.h"
#include "mail/change/intents.h"

static void remember(struct fs *fs, const struct rename *r, uint32_t uid)
{
	const struct cache_message *shown = mailbox_find(r->from, uid);
	const struct cache_message unknown = {.uid = uid, .flags = CACHE_SIZE_UNKNOWN};

	moves_on_moving(fs, r->from, shown ? shown : &unknown, r->to, span_of(r->newname));
}

static void move_soon(struct fs *fs, fuse_req_t req, const struct rename *r, uint32_t uid)
{
	struct intent_ask ask = {.verb = INTENT_MOVE, .to = r->to, .name = r->newname};
	uint64_t started = uv_hrtime();
	fuse_ino_t ino = inode_of_message(r->from, uid);
	int err = intents_put(r->from, uid, &ask);
	int error = err < 0 ? error_errno(err) : 0;

	if (err == 0) {
		remember(fs, r, uid);
		/* The kernel has put the source's inode there, perhaps in the place of another message. */
		notify_name_gone(fs->notifier, inode_of_directory(fs, r->to), 0, r->newname,
			strlen(r->newname));
	}
	fuse_reply_err(req, error);
	op_log("rename", ino, started, error);
}

static void move_done(struct fs_op *op, int err)
{
	op_reply_errno(op, err < 0 ? error_errno(err) : 0);
}

static void move_now(struct fs *fs, fuse_req_t req, const struct rename *r, uint32_t uid)
{
	struct fs_op *op = op_create(fs, req, "rename", inode_of_message(r->from, uid), r->from);

	op->uid = uid;
	op->to = mailbox_hold(r->to);
	op_lock(op, inode_of_directory(fs, r->from));
	op_lock(op, inode_of_directory(fs, r->to));
	if (pool_is_down(fs->account->pool)) {
		op_reply_errno(op, EROFS);
		return;
	}
	int err = op_overdue(op);
	if (err < 0) {
		op_fail(op, err);
		return;
	}
	remember(fs, r, uid);
	op_wait_move(op, move_done);
}

/* A message cannot have a name of its choice, and nothing is put in the place of another. */
void move_rename(struct fs *fs, fuse_req_t req, const struct rename *r, uint32_t uid)
{
	if (r->from == r->to || !mailbox_selectable(r->to)) {
		fuse_reply_err(req, r->from == r->to ? EPERM : ENOTSUP);
		return;
	}
	hold_take_back(fs, req, r->to, r->newname);
	if (file_is_barred(r->from))
		fuse_reply_err(req, ESTALE);
	else if (fs->options.sync || intents_are_doubtful(r->from, &change_move))
		move_now(fs, req, r, uid);
	else
		move_soon(fs, req, r, uid);
}
