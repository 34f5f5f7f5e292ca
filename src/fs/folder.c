/* SPDX-License-Identifier: MIT */
#include "fs/folder.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/dir.h"
#include "fs/draft.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/inode.h"
#include "fs/op.h"
#include "fs/rename.h"

/* 0, or the errno for who wants to change something in that directory. Not ESTALE: the kernel would
 * try again by the name, in what is called so now. */
static int may_change(const struct fs *fs, const struct mailbox *mb, uint32_t uid)
{
	/* Without the server the account is what the cache remembers, and that cannot be changed.
	 */
	if (fs->options.readonly || pool_is_down(fs->account->pool))
		return EROFS;
	return !mb || uid ? ENOENT : 0;
}

/* Programs keep things of their own under such names (.git, .Trash-1000): they would become
 * mailboxes, and what is in them mail. */
static bool is_hidden(const char *name)
{
	return name[0] == '.';
}

static void folder_start(
	struct fs_op *op, fuse_ino_t moving, op_folder_start *start, op_resume *resume)
{
	int err = op_overdue(op);

	if (err < 0)
		op_fail(op, err);
	else
		op_wait_folder(op, moving, start, resume);
}

static void folder_done(struct fs_op *op, int err)
{
	op_reply_errno(op, err < 0 ? error_errno(err) : 0);
}

/* --- mkdir --- */

static int start_making(struct fs_op *op, struct mailboxes_wait *w)
{
	return mailboxes_make(op->mb, span_of(op->octets), w);
}

static void mkdir_made(struct fs_op *op, int err)
{
	struct fuse_entry_param e = {.generation = 1, .attr_timeout = ATTR_TIMEOUT};

	if (err < 0) {
		op_fail(op, err);
		return;
	}
	entry_stat_directory(op->fs, op->made, &e.attr);
	e.ino = e.attr.st_ino;
	e.entry_timeout = dir_name_timeout(op->fs);
	fuse_reply_entry(op->req, &e);
	op_end(op);
}

void folder_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, parent, &uid);
	int error = may_change(fs, mb, uid);

	if (error || is_hidden(name)) {
		fuse_reply_err(req, error ? error : EPERM);
		return;
	}
	struct fs_op *op = op_create(fs, req, "mkdir", parent, mb);
	op_lock(op, parent);
	op->octets = mem_strdup(name);
	folder_start(op, 0, start_making, mkdir_made);
}

/* --- rmdir --- */

/* What is not stored yet, or could not be, is listed: it may be all that there is of it. */
static int start_removing(struct fs_op *op, struct mailboxes_wait *w)
{
	return draft_after(op->fs, op->mb, 0) ? ERR_NOT_EMPTY : mailboxes_remove(op->mb, w);
}

/* What was promised of its messages is done, or what is left is seen when it is looked at. */
static void rmdir_drained(struct fs_op *op, int err)
{
	folder_start(op, op->ino, start_removing, folder_done);
}

void folder_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, parent, &uid);
	int error = may_change(fs, mb, uid);
	struct mailbox *child = error ? NULL : mailbox_child(mb, span_of(name));

	/* What is no mailbox is a view's, or ours: the kernel has looked it up. Not ENOENT, over which rm -rf says
	 * nothing. */
	if (!child) {
		fuse_reply_err(req, error ? error : is_hidden(name) ? EPERM : ENOENT);
		return;
	}
	fuse_ino_t ino = inode_of_directory(fs, child);
	struct fs_op *op = op_create(fs, req, "rmdir", ino, child);
	op_lock(op, parent);
	op_lock(op, ino);
	int err;
	if (op_wait_drain(op, DRAIN_OWN, rmdir_drained, &err))
		rmdir_drained(op, err);
}

/* --- rename --- */

static int start_renaming(struct fs_op *op, struct mailboxes_wait *w)
{
	return mailboxes_rename(op->mb, op->to, span_of(op->octets), w);
}

void folder_rename(struct fs *fs, fuse_req_t req, const struct rename *r)
{
	struct mailbox *child = mailbox_child(r->from, span_of(r->name));
	int error = may_change(fs, child, 0);

	if (error || is_hidden(r->newname)) {
		fuse_reply_err(req, error ? error : EPERM);
		return;
	}
	fuse_ino_t ino = inode_of_directory(fs, child);
	const struct mailbox *replaced = mailbox_child(r->to, span_of(r->newname));
	struct fs_op *op = op_create(fs, req, "rename", ino, child);
	op_lock(op, r->parent);
	op_lock(op, r->newparent);
	op_lock(op, ino);
	if (replaced)
		op_lock(op, inode_of_directory(fs, replaced));
	op->to = mailbox_hold(r->to);
	op->octets = mem_strdup(r->newname);
	folder_start(op, ino, start_renaming, folder_done);
}
