/* SPDX-License-Identifier: MIT */
/* Messages: getattr, open, read; and statfs. unlink.c has their removal. */
#include "fs/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/error.h"
#include "base/log.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/find_size.h"
#include "fs/inode.h"
#include "fs/moves.h"
#include "fs/notify.h"
#include "fs/op.h"
#include "fs/opened.h"
#include "fs/push.h"
#include "fs/seen.h"
#include "fs/xattr.h"
#include "mail/quota.h"
#include "mail/size/sizes.h"
#include "mail/sync/sync.h"
#include "mail/sync/watch.h"

/* --- getattr --- */

/* For who has it open, when it was removed. */
static bool reply_removed(struct fs_op *op)
{
	const struct stat *was = opened_find(op->fs, op->ino);
	struct stat st;

	if (!was)
		return false;
	st = *was;
	st.st_nlink = 0;
	fuse_reply_attr(op->req, &st, ATTR_TIMEOUT);
	op_end(op);
	return true;
}

static void getattr_sized(struct fs_op *op, int err)
{
	struct cache_message *m = mailbox_find(op->mb, op->uid);
	struct stat st;

	if (!m && !op->mb->dead && reply_removed(op))
		return;
	if (err < 0 || !m) {
		op_fail(op, err < 0 && err != ERR_GONE ? err : ERR_STALE);
		return;
	}
	entry_stat_message(op->fs, op->mb, m, &st);
	st.st_ino = op->ino;
	sizes_note_shown(op->mb, m);
	opened_note(op->fs, op->ino, &st);
	fuse_reply_attr(op->req, &st, entry_size_timeout(op->mb, m));
	op_end(op);
}

static void getattr_message(struct fs_op *op)
{
	const struct cache_message *m = mailbox_find(op->mb, op->uid);

	if (m && !sizes_can_show(op->mb, m))
		find_size_start(op, getattr_sized);
	else
		getattr_sized(op, 0);
}

static void getattr_synced(struct fs_op *op, int err)
{
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else if (err < 0 && !mailbox_find(op->mb, op->uid))
		op_fail(op, err);
	else
		getattr_message(op);
}

static void file_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);

	if (!mb) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	moves_follow(fs, &mb, &uid);
	struct fs_op *op = op_create(fs, req, "getattr", ino, mb);
	op->uid = uid;
	/* The inode is known from an earlier mount (NFS), and its mailbox was not looked at yet. */
	if (!mb->messages.loaded) {
		sync_start(mb);
		op_wait_mailbox(op, false, getattr_synced);
		return;
	}
	getattr_message(op);
}

static void refuse_writing(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	const struct mailbox *mb = inode_resolve(fs, ino, &uid);

	if (mb && !fs->options.readonly && !fs->edit_logged) {
		log_notice("%s/%u: messages cannot be edited: write another file, and remove this "
			   "one",
			mailbox_path(mb), uid);
		fs->edit_logged = true;
	}
	fuse_reply_err(req, fs->options.readonly ? EROFS : EACCES);
}

/* Modes, owners and times cannot be changed, and programs that copy them need not fail for it. The
 * octets neither, but that is an error, for root too, whom the mode does not stop. */
static void file_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	if (to_set & FUSE_SET_ATTR_SIZE)
		refuse_writing(req, ino);
	else
		file_getattr(req, ino, fi);
}

/* --- open and read --- */

/* Nothing is written to a message, by root neither: without a descriptor for writing no page of it
 * can be mapped so that it gets dirty, and what is in the page cache is what everybody reads. So
 * the kernel asks each time, also on a read-only mount, which root can remount for writing. */
bool file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct fs *fs = fuse_req_userdata(req);

	if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC)) {
		refuse_writing(req, ino);
		return false;
	}
	fi->keep_cache = !fs->options.seen;
	fi->noflush = 1;
	return fuse_reply_open(req, fi) == 0;
}

static void open_message(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);
	const struct cache_message *m = mb ? mailbox_find(mb, uid) : NULL;
	struct stat st;

	if (!file_open(req, ino, fi))
		return;
	if (m)
		entry_stat_message(fs, mb, m, &st);
	opened_add(fs, ino, m ? &st : NULL);
}

static void release_message(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	opened_drop(fuse_req_userdata(req), ino);
	fuse_reply_err(req, 0);
}

/* What lies behind a size that nothing has told, and that is shown all the same (find_size.h), the
 * kernel would drop. */
static bool is_cut(const struct body_read *read, const struct body_parts *parts)
{
	const struct cache_message *m = mailbox_find(read->mb, read->uid);

	return m && !sizes_can_show(read->mb, m) &&
	       read->offset + parts->total > entry_shown_size(m);
}

/* Whether a program was shown a size that turned out to be wrong, and has not asked again: it may take
 * the old size for the end of the file, or map more than there is. It gets an error then, which is
 * better than a copy that is cut short or padded. */
static bool is_misled(const struct body_read *read, const struct body_parts *parts)
{
	return sizes_misled(read->mb, read->uid) || is_cut(read, parts);
}

/* Whether the kernel must be told something before this read is answered. It must where a program is
 * misled, and when the size was just found to be larger, or it would drop the octets behind the old
 * end. */
static bool must_tell(
	struct fs *fs, fuse_ino_t ino, const struct body_read *read, const struct body_parts *parts)
{
	return is_misled(read, parts) || notify_is_due(fs->notifier, ino);
}

static void read_told(struct fs_op *op, int err)
{
	if (op->error) {
		op_reply_errno(op, op->error);
		return;
	}
	fuse_reply_buf(op->req, op->octets, op->n_octets);
	op_end(op);
}

/* Answers when the kernel has been told what it is to know before. */
static void answer_later(
	struct fs_op *op, const struct body_read *read, const struct body_parts *parts)
{
	if (is_misled(read, parts)) {
		notify_attributes(op->fs->notifier, op->ino);
		op->error = EIO;
	} else {
		op->octets = body_copy(parts);
		op->n_octets = parts->total;
	}
	op_wait_kernel(op, read_told);
}

/* Where the size was found to be smaller the kernel is told after it has seen the end: see
 * fs_on_size_changed in fs.c. */
static void answer_now(struct fs *fs, fuse_req_t req, fuse_ino_t ino, const struct body_read *read,
	const struct body_parts *parts)
{
	bool end = parts->total < read->size && (parts->total > 0 || read->offset == 0);

	fuse_reply_iov(req, parts->iov, parts->count);
	seen_note(fs, ino, read, parts->total);
	if (end && map_remove(&fs->shrunk, ino))
		notify_attributes(fs->notifier, ino);
}

/* A message that is open and was expunged is stale, whatever the reason. */
static int read_error(int err)
{
	return err == ERR_GONE ? ERR_STALE : err;
}

static struct body_read read_of(const struct fs_op *op)
{
	return (struct body_read){
		.mb = op->mb, .uid = op->uid, .offset = op->offset, .size = op->size};
}

static void read_reply(struct fs_op *op, const struct body_parts *parts)
{
	struct body_read read = read_of(op);

	if (must_tell(op->fs, op->ino, &read, parts)) {
		answer_later(op, &read, parts);
		return;
	}
	answer_now(op->fs, op->req, op->ino, &read, parts);
	op_end(op);
}

static void read_fetched(struct fs_op *op, int err)
{
	if (err < 0)
		op_fail(op, read_error(err));
	else
		read_reply(op, op->parts);
}

static void read_synced(struct fs_op *op, int err)
{
	struct body_read read = read_of(op);
	struct body_parts parts;

	if (op->mb->dead) {
		op_fail(op, ERR_STALE);
		return;
	}
	int rc = body_read_try(&read, &parts);
	if (rc == 0)
		read_reply(op, &parts);
	else if (rc == ERR_NOT_CACHED && err == 0)
		op_wait_read(op, &read, read_fetched);
	else
		op_fail(op, err < 0 ? err : read_error(rc));
}

static struct fs_op *create_read(
	struct fs *fs, fuse_req_t req, fuse_ino_t ino, const struct body_read *read)
{
	struct fs_op *op = op_create(fs, req, "read", ino, read->mb);

	op->uid = read->uid;
	op->offset = read->offset;
	op->size = read->size;
	return op;
}

static void read_missing(struct fs_op *op, const struct body_read *read)
{
	int err = op_overdue(op);

	if (err < 0)
		op_fail(op, err);
	else
		op_wait_read(op, read, read_fetched);
}

static void file_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	uint64_t started = uv_hrtime();
	struct body_parts parts;
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);

	if (!mb) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	moves_follow(fs, &mb, &uid);
	struct body_read read = {.mb = mb, .uid = uid, .offset = (uint64_t)off, .size = size};
	if (read.size > BODY_READ_MAX)
		read.size = BODY_READ_MAX;
	if (!mb->messages.loaded) {
		struct fs_op *op = create_read(fs, req, ino, &read);
		sync_start(mb);
		op_wait_mailbox(op, false, read_synced);
		return;
	}
	fs->reads++;
	watch_read(fs->account->watch, mb);
	push_overtaken(fs->pusher, ino);
	int err = body_read_try(&read, &parts);
	if (err == ERR_NOT_CACHED) {
		read_missing(create_read(fs, req, ino, &read), &read);
		return;
	}
	if (err == 0 && must_tell(fs, ino, &read, &parts)) {
		answer_later(create_read(fs, req, ino, &read), &read, &parts);
		return;
	}
	int error = err < 0 ? error_errno(read_error(err)) : 0;
	if (error)
		fuse_reply_err(req, error);
	else
		answer_now(fs, req, ino, &read, &parts);
	op_log("read", ino, started, error);
}

const struct fuse_lowlevel_ops file_operations = {
	.getattr = file_getattr,
	.setattr = file_setattr,
	.open = open_message,
	.release = release_message,
	.read = file_read,
	.getxattr = xattr_get,
	.listxattr = xattr_list,
	.setxattr = xattr_set,
	.removexattr = xattr_remove,
};

/* --- statfs --- */

/* Without a quota: a petabyte, as cloud mounts say it, so that no program thinks that it is full.
 */
#define ASSUMED_OCTETS ((uint64_t)1 << 50)
#define BLOCK 4096u
/* UIDs are numbers of 32 bits. */
#define ASSUMED_FILES ((uint64_t)UINT32_MAX)

void file_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct quota *quota = fs->account->quota;
	uint64_t total = quota->limit ? quota->limit : ASSUMED_OCTETS;
	uint64_t used = quota->limit ? quota->used : 0;
	uint64_t files = quota->message_limit ? quota->message_limit : ASSUMED_FILES;
	uint64_t messages = quota->message_limit ? quota->messages : 0;
	struct statvfs st = {
		.f_bsize = BLOCK,
		.f_frsize = BLOCK,
		.f_blocks = total / BLOCK,
		.f_bfree = used < total ? (total - used) / BLOCK : 0,
		.f_files = files,
		.f_ffree = messages < files ? files - messages : 0,
		.f_namemax = NAME_MAX,
	};

	st.f_bavail = st.f_bfree;
	st.f_favail = st.f_ffree;
	fuse_reply_statfs(req, &st);
	quota_start(fs->account);
}
