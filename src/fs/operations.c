/* SPDX-License-Identifier: MIT */
/*
 * The table of operations that libfuse calls: those that the kinds of inodes answer (node.h), and
 * those that are refused, since a mail account has no such thing.
 */
#include "fs/operations.h"

#include <errno.h>
#include <unistd.h>

#include "fs/file.h"
#include "fs/filesystem.h"
#include "fs/inode.h"
#include "fs/node.h"

/* Reads that the kernel may have sent us beside each other. It keeps more back, and they would wait
 * there without a deadline; each is of 128 KiB at most. */
#define READS_MAX 4096

static void refuse(fuse_req_t req)
{
	struct fs *fs = fuse_req_userdata(req);

	fuse_reply_err(req, fs->options.readonly ? EROFS : EPERM);
}

static void refuse_mknod(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	refuse(req);
}

static void refuse_symlink(fuse_req_t req, const char *link, fuse_ino_t parent, const char *name)
{
	refuse(req);
}

static void refuse_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t newparent, const char *newname)
{
	refuse(req);
}

static void refuse_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t length,
	struct fuse_file_info *fi)
{
	fuse_reply_err(req, EOPNOTSUPP);
}

/* --- what depends on the kind of inode --- */

static const struct fuse_lowlevel_ops *operations_of(fuse_req_t req, fuse_ino_t ino)
{
	return node_operations(fuse_req_userdata(req), ino);
}

static void node_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, parent);

	if (of->lookup)
		of->lookup(req, parent, name);
	else
		fuse_reply_err(req, ENOTDIR);
}

static void node_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	operations_of(req, ino)->getattr(req, ino, fi);
}

static void node_readlink(fuse_req_t req, fuse_ino_t ino)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->readlink)
		of->readlink(req, ino);
	else
		fuse_reply_err(req, EINVAL);
}

/* Root is refused here what the mode refuses to others. */
static void node_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	const struct fs *fs = fuse_req_userdata(req);
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->setattr && !fs->options.readonly)
		of->setattr(req, ino, attr, to_set, fi);
	else if ((to_set & FUSE_SET_ATTR_SIZE) && !fs->options.readonly)
		fuse_reply_err(req, EACCES);
	else
		refuse(req);
}

static void node_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, parent);

	if (of->create)
		of->create(req, parent, name, mode, fi);
	else
		refuse(req);
}

static void node_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, parent);

	if (of->unlink)
		of->unlink(req, parent, name);
	else
		refuse(req);
}

static void node_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, parent);

	if (of->mkdir)
		of->mkdir(req, parent, name, mode);
	else
		refuse(req);
}

static void node_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, parent);

	if (of->rmdir)
		of->rmdir(req, parent, name);
	else
		refuse(req);
}

static void node_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->fsyncdir)
		of->fsyncdir(req, ino, datasync, fi);
	else
		fuse_reply_err(req, 0);
}

static void node_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	const char *newname, unsigned flags)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, parent);

	if (of->rename)
		of->rename(req, parent, name, newparent, newname, flags);
	else
		refuse(req);
}

static void node_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->open)
		of->open(req, ino, fi);
	else
		fuse_reply_err(req, EISDIR);
}

static void node_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->read)
		of->read(req, ino, size, off, fi);
	else
		fuse_reply_err(req, EISDIR);
}

static void node_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->write)
		of->write(req, ino, data, size, off, fi);
	else
		refuse(req);
}

static void node_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->flush)
		of->flush(req, ino, fi);
	else
		fuse_reply_err(req, 0);
}

static void node_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->release)
		of->release(req, ino, fi);
	else
		fuse_reply_err(req, 0);
}

static void node_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->fsync)
		of->fsync(req, ino, datasync, fi);
	else
		fuse_reply_err(req, 0);
}

/* Not ENOSYS, for then the kernel would not ask again. */
static void node_copy_file_range(fuse_req_t req, fuse_ino_t from, off_t off_in,
	struct fuse_file_info *fi_in, fuse_ino_t to, off_t off_out, struct fuse_file_info *fi_out,
	size_t size, int flags)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, to);

	if (of->copy_file_range)
		of->copy_file_range(req, from, off_in, fi_in, to, off_out, fi_out, size, flags);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

static void node_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->opendir)
		of->opendir(req, ino, fi);
	else
		fuse_reply_err(req, ENOTDIR);
}

static void node_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->readdir)
		of->readdir(req, ino, size, off, fi);
	else
		fuse_reply_err(req, ENOTDIR);
}

static void node_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->readdirplus)
		of->readdirplus(req, ino, size, off, fi);
	else
		fuse_reply_err(req, ENOTDIR);
}

/* EOPNOTSUPP, never ENODATA: see src/README.md, "What the kernel wants". */
static void node_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->getxattr)
		of->getxattr(req, ino, name, size);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

static void node_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->listxattr)
		of->listxattr(req, ino, size);
	else if (size == 0)
		fuse_reply_xattr(req, 0);
	else
		fuse_reply_buf(req, NULL, 0);
}

static void node_setxattr(
	fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->setxattr)
		of->setxattr(req, ino, name, value, size, flags);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

static void node_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	const struct fuse_lowlevel_ops *of = operations_of(req, ino);

	if (of->removexattr)
		of->removexattr(req, ino, name);
	else
		fuse_reply_err(req, EOPNOTSUPP);
}

/* Where the kernel looks at no permissions itself nobody is let in but who mounts, to whom all belongs. */
static void answer_access(fuse_req_t req, fuse_ino_t ino, int mask)
{
	unsigned may = R_OK | node_permissions(fuse_req_userdata(req), ino);

	if (fuse_req_ctx(req)->uid == 0)
		may |= W_OK;
	fuse_reply_err(req, (unsigned)mask & ~may ? EACCES : 0);
}

static void answer_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_err(req, 0);
}

/* Measured: see src/README.md, "What the kernel wants". */
static void settle_connection(void *userdata, struct fuse_conn_info *conn)
{
	conn->want |= conn->capable & (FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS |
					      FUSE_CAP_EXPORT_SUPPORT | FUSE_CAP_ASYNC_READ);
	conn->want &= ~(unsigned)(FUSE_CAP_READDIRPLUS_AUTO | FUSE_CAP_SPLICE_READ |
				  FUSE_CAP_SPLICE_WRITE | FUSE_CAP_SPLICE_MOVE |
				  FUSE_CAP_ATOMIC_O_TRUNC | FUSE_CAP_AUTO_INVAL_DATA |
				  FUSE_CAP_WRITEBACK_CACHE);
	conn->max_write = 1u << 20;
	conn->max_background = READS_MAX;
	conn->time_gran = 1000000000;
}

const struct fuse_lowlevel_ops fs_operations = {
	.init = settle_connection,
	.lookup = node_lookup,
	.getattr = node_getattr,
	.access = answer_access,
	.setattr = node_setattr,
	.readlink = node_readlink,
	.mknod = refuse_mknod,
	.mkdir = node_mkdir,
	.unlink = node_unlink,
	.rmdir = node_rmdir,
	.fsyncdir = node_fsyncdir,
	.symlink = refuse_symlink,
	.rename = node_rename,
	.link = refuse_link,
	.open = node_open,
	.read = node_read,
	.write = node_write,
	.flush = node_flush,
	.release = node_release,
	.fsync = node_fsync,
	.opendir = node_opendir,
	.readdir = node_readdir,
	.readdirplus = node_readdirplus,
	.releasedir = answer_releasedir,
	.statfs = file_statfs,
	.getxattr = node_getxattr,
	.listxattr = node_listxattr,
	.setxattr = node_setxattr,
	.removexattr = node_removexattr,
	.create = node_create,
	.copy_file_range = node_copy_file_range,
	.fallocate = refuse_fallocate,
};
