/* SPDX-License-Identifier: MIT */
#include "fs/rename.h"

#include <errno.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/span.h"
#include "fs/dir.h"
#include "fs/draft.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/folder.h"
#include "fs/inode.h"
#include "fs/move.h"
#include "fs/moves.h"
#include "fs/node.h"
#include "fs/op.h"
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

static void rename_message(struct fs *fs, fuse_req_t req, const struct rename *r, uint32_t uid)
{
	entry_forget_own(fs, r->from, r->name, uid);
	move_rename(fs, req, r, uid);
	draft_message_gone(fs, r->from, uid);
}

/* --- what has to be known first --- */

typedef void rename_go(struct fs *fs, fuse_req_t req, const struct rename *r, uint32_t uid);

static struct fs_op *create_op(struct fs *fs, fuse_req_t req, const struct rename *r, uint32_t uid)
{
	struct fs_op *op = op_create(fs, req, "rename", r->parent, r->from);
	size_t n = strlen(r->name) + 1, m = strlen(r->newname) + 1;

	op->uid = uid;
	op->to = mailbox_hold(r->to);
	op->octets = mem_alloc(n + m);
	memcpy(op->octets, r->name, n);
	memcpy(op->octets + n, r->newname, m);
	op_lock(op, r->parent);
	op_lock(op, r->newparent);
	return op;
}

/* Ends the op, and goes on with its request. */
static void go_on(struct fs_op *op, rename_go *go)
{
	struct fs *fs = op->fs;
	fuse_req_t req = op->req;
	uint32_t uid = op->uid;
	char *names = op->octets;
	struct rename r = {.from = mailbox_hold(op->mb),
		.to = mailbox_hold(op->to),
		.name = names,
		.newname = names + strlen(names) + 1};

	op->octets = NULL;
	fuse_req_interrupt_func(req, NULL, NULL);
	op_end(op);
	if (mailbox_shown(r.from, uid))
		go(fs, req, &r, uid);
	else
		fuse_reply_err(req, ENOENT);
	mailbox_release(r.from);
	mailbox_release(r.to);
	free(names);
}

/* --- names for people --- */

/* What only ends in the message's UID may be the name of another one, elsewhere. */
static void rename_loose(struct fs *fs, fuse_req_t req, const struct rename *r)
{
	if (!fs->loose_logged)
		log_notice("%s/%s: nothing is moved: no message is listed under this name",
			mailbox_path(r->from), r->name);
	fs->loose_logged = true;
	fuse_reply_err(req, ENOENT);
}

static void rename_found(struct fs *fs, fuse_req_t req, const struct rename *r, uint32_t uid)
{
	if (entry_removes(fs, r->from, r->name, uid))
		rename_message(fs, req, r, uid);
	else
		rename_loose(fs, req, r);
}

static void rename_named(struct fs_op *op, int err)
{
	go_on(op, rename_found);
}

/* What it is called shows when its fields are there; if they cannot be had it is listed without. */
static void rename_unnamed(struct fs *fs, fuse_req_t req, const struct rename *r, uint32_t uid)
{
	struct fs_op *op = create_op(fs, req, r, uid);
	int err = op_overdue(op);

	if (err < 0)
		op_fail(op, err);
	else
		op_wait_facts(op, FACT_SUMMARY, rename_named);
}

/* --- names that were given --- */

static void rename_known(struct fs_op *op, int err)
{
	if (err < 0)
		op_fail(op, err);
	else
		go_on(op, rename_message);
}

/* Its row has not come yet: who wrote it may move it at once. */
static void rename_unknown(struct fs *fs, fuse_req_t req, const struct rename *r, uint32_t uid)
{
	struct fs_op *op = create_op(fs, req, r, uid);

	op->given = true;
	fresh_message(op, rename_known);
}

/* By a name that it came in under it may be on its way. */
static void rename_coming(struct fs *fs, fuse_req_t req, const struct rename *r)
{
	uint32_t uid = entry_coming(r->from, r->name);
	struct mailbox *at;

	if (uid)
		rename_unknown(fs, req, r, uid);
	else
		fuse_reply_err(req, moves_find(fs, r->from, r->name, &at, &uid) ? EBUSY : ENOENT);
}

/* --- */

void rename_request(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	struct fs *fs = fuse_req_userdata(req);
	struct rename r = {.parent = parent,
		.newparent = newparent,
		.name = name,
		.newname = newname,
		.flags = flags};
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
		if (entry_lacks_name(fs, r.from, uid) && !entry_removes(fs, r.from, name, uid))
			rename_unnamed(fs, req, &r, uid);
		else
			rename_found(fs, req, &r, uid);
		break;
	case RENAME_NOTHING:
		rename_coming(fs, req, &r);
		break;
	}
}
