/* SPDX-License-Identifier: MIT */
/* Requests on inodes of views: each becomes an op, and goes to the view. */
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/listing.h"
#include "fs/view/private.h"
#include "mail/sync/watch.h"

/* NULL: the request is answered. */
static struct fs_op *view_begin(fuse_req_t req, const char *name, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);
	struct view_at at;
	struct mailbox *mb;

	if (!views_resolve(fs, ino, &at, &mb)) {
		fuse_reply_err(req, ESTALE);
		return NULL;
	}
	struct fs_op *op = op_create(fs, req, name, ino, mb);
	op->at = at;
	at.node->used = true;
	return op;
}

/* --- names and attributes --- */

void view_found(struct fs_op *op, struct view_at at)
{
	op->lookup = true;
	op->at = at;
	if (views_is_link(at))
		views_stat_link(op);
	else
		at.node->view->attributes(op);
}

static void view_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs_op *op = view_begin(req, "lookup", parent);

	if (!op)
		return;
	if (op->at.number != 0 && !op->at.node->view->lookup) {
		op_reply_errno(op, ENOTDIR);
		return;
	}
	op->octets = mem_strdup(name);
	op->lookup = true;
	op->at.node->view->lookup(op);
}

static void view_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_op *op = view_begin(req, "getattr", ino);

	if (!op)
		return;
	if (views_is_link(op->at))
		views_stat_link(op);
	else
		op->at.node->view->attributes(op);
}

static void view_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct fs_op *op = view_begin(req, "readlink", ino);

	if (op && views_is_link(op->at))
		views_answer_link(op);
	else if (op)
		op_reply_errno(op, EINVAL);
}

/* Modes, owners and times cannot be changed, and programs that copy them need not fail for it. */
static void view_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct fs_op *op = view_begin(req, "setattr", ino);

	if (!op)
		return;
	const struct view_writing *w = op->at.node->view->writing;
	if (!(to_set & FUSE_SET_ATTR_SIZE)) {
		op->at.node->view->attributes(op);
	} else if (w && attr->st_size >= 0) {
		op->offset = (uint64_t)attr->st_size;
		w->resize(op);
	} else {
		op_reply_errno(op, EACCES);
	}
}

/* --- files --- */

static void view_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fs *fs = fuse_req_userdata(req);
	struct fs_op *op = view_begin(req, "open", ino);
	bool writes = (fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC);

	if (!op)
		return;
	if (writes && (fs->options.readonly || !op->at.node->view->writing)) {
		op_reply_errno(op, fs->options.readonly ? EROFS : EACCES);
		return;
	}
	op->fi = *fi;
	op->fi.fh = 0;
	op->writes = (fi->flags & O_ACCMODE) != O_RDONLY;
	if (op->at.node->view->open) {
		op->at.node->view->open(op);
		return;
	}
	op->fi.keep_cache = 1;
	op->fi.noflush = 1;
	fuse_reply_open(req, &op->fi);
	op_end(op);
}

static void view_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs_op *op = view_begin(req, "read", ino);

	if (!op)
		return;
	op->size = size < BODY_READ_MAX ? size : BODY_READ_MAX;
	op->offset = (uint64_t)off;
	op->fi = *fi;
	op->at.node->view->read(op);
}

static void view_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct fs_op *op = view_begin(req, "write", ino);

	if (!op)
		return;
	if (!op->at.node->view->writing) {
		op_reply_errno(op, EACCES);
		return;
	}
	op->octets = mem_copy(data, size);
	op->n_octets = size;
	op->offset = (uint64_t)off;
	op->at.node->view->writing->write(op);
}

static void view_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct view_handle *h = view_handle_of(fi);
	bool means = h && h->writes &&
		     (!process_is_known(&h->by) || process_has(&h->by, fuse_req_ctx(req)->pid));
	struct fs_op *op = means ? view_begin(req, "flush", ino) : NULL;

	/* A child that inherited the descriptor says nothing by closing it. */
	if (!means)
		fuse_reply_err(req, 0);
	else if (op)
		op->at.node->view->writing->flush(op);
}

static void view_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct view_at at;
	struct mailbox *mb;

	const struct view_handle *h = view_handle_of(fi);

	fuse_reply_err(req, 0);
	if (h && h->writes && views_resolve(fs, ino, &at, &mb))
		at.node->view->writing->release(fs, at.node);
	views_drop_handle(fi->fh);
}

/* --- changes in directories --- */

/* False: the request is answered. */
static bool view_may_change(fuse_req_t req, fuse_ino_t ino, struct view_at *at, struct mailbox **mb)
{
	const struct fs *fs = fuse_req_userdata(req);
	int error = 0;

	if (fs->options.readonly)
		error = EROFS;
	else if (!views_resolve(fs, ino, at, mb))
		error = ENOENT;
	else if (!at->node->view->changing)
		error = EPERM;
	if (error)
		fuse_reply_err(req, error);
	return !error;
}

static void view_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct view_at at;
	struct mailbox *mb;

	if (view_may_change(req, parent, &at, &mb))
		at.node->view->changing->create(req, at, mb, name, fi);
}

static void view_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct view_at at;
	struct mailbox *mb;

	if (view_may_change(req, parent, &at, &mb))
		at.node->view->changing->unlink(req, at, mb, name);
}

static void view_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	struct view_rename r = {.name = name, .newname = newname, .flags = flags};

	if (!view_may_change(req, parent, &r.from, &r.from_mailbox))
		return;
	if (!views_resolve(fuse_req_userdata(req), newparent, &r.to, &r.to_mailbox) ||
		r.to.node->view != r.from.node->view)
		fuse_reply_err(req, EPERM);
	else if (flags & ~(unsigned)RENAME_NOREPLACE)
		fuse_reply_err(req, EINVAL);
	else
		r.from.node->view->changing->rename(req, &r);
}

/* --- directories --- */

static void view_opendir_reply(struct fs_op *op, int err)
{
	fuse_reply_open(op->req, &op->fi);
	op_end(op);
}

static void view_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs_op *op = view_begin(req, "opendir", ino);

	if (!op)
		return;
	op->fi = *fi;
	watch_use(op->fs->account->watch, op->mb);
	if (op->at.node->view->opendir)
		op->at.node->view->opendir(op);
	else
		fresh_listing(op, view_opendir_reply);
}

static void view_start_list(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	struct fuse_file_info *fi, bool plus)
{
	struct fs_op *op = view_begin(req, plus ? "readdirplus" : "readdir", ino);

	if (!op)
		return;
	op->size = size;
	op->offset = (uint64_t)off;
	op->plus = plus;
	op->fi = *fi;
	if (op->at.node->view->list)
		op->at.node->view->list(op);
	else
		op_reply_errno(op, ENOTDIR);
}

static void view_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	view_start_list(req, ino, size, off, fi, false);
}

static void view_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	view_start_list(req, ino, size, off, fi, true);
}

const struct fuse_lowlevel_ops view_operations = {
	.lookup = view_lookup,
	.getattr = view_getattr,
	.setattr = view_setattr,
	.readlink = view_readlink,
	.open = view_open,
	.read = view_read,
	.write = view_write,
	.flush = view_flush,
	.release = view_release,
	.create = view_create,
	.unlink = view_unlink,
	.rename = view_rename,
	.opendir = view_opendir,
	.readdir = view_readdir,
	.readdirplus = view_readdirplus,
};
