/* Messages: getattr, open, read, unlink; and statfs. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/private.h"
#include "mail/quota.h"
#include "mail/sizes.h"
#include "mail/sync.h"
#include "mail/watch.h"

/* --- getattr --- */

static void getattr_sized(struct fs_op *op, int err)
{
	struct cache_message *m = mailbox_find(op->mb, op->uid);
	struct stat st;

	if (err < 0 || !m) {
		op_fail(op, err < 0 && err != ERR_GONE ? err : ERR_STALE);
		return;
	}
	entry_stat_message(op->fs, op->mb, m, &st);
	size_note_shown(op->mb, m);
	fuse_reply_attr(op->req, &st, size_timeout(op->mb, m));
	op_end(op);
}

static void getattr_message(struct fs_op *op)
{
	const struct cache_message *m = mailbox_find(op->mb, op->uid);

	if (m && !size_can_be_shown(op->mb, m))
		op_find_size(op, op->mb, op->uid, getattr_sized);
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

void file_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	uint64_t started = uv_hrtime();
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);
	struct stat st;

	if (control_owns(ino)) {
		control_getattr(fs, req, ino);
		return;
	}
	if (!mb) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (uid == 0) {
		entry_stat_directory(fs, mb, &st);
		fuse_reply_attr(req, &st, ATTR_TIMEOUT);
		op_log("getattr", ino, started, 0);
		return;
	}
	struct fs_op *op = op_create(fs, req, "getattr", ino, mb);
	op->uid = uid;
	/* An inode of an earlier mount (NFS) in a mailbox that was not looked at yet. */
	if (!mb->loaded) {
		sync_start(mb);
		op_wait_mailbox(op, mb, false, getattr_synced);
		return;
	}
	getattr_message(op);
}

/* --- open and read --- */

/* Nothing is written to a message, by root neither: without a descriptor for writing no page of it
 * can be mapped so that it gets dirty, and what is in the page cache is what everybody reads. So
 * the kernel asks each time, also on a read-only mount, which root can remount for writing. */
void file_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);

	if ((fi->flags & O_ACCMODE) != O_RDONLY || (fi->flags & O_TRUNC)) {
		fuse_reply_err(req, fs->options.readonly ? EROFS : EACCES);
		return;
	}
	fi->keep_cache = 1;
	fi->noflush = 1;
	fuse_reply_open(req, fi);
}

static void abandon_read(struct fs_op *op)
{
	body_read_cancel(&op->read);
}

static void on_told(struct notice_wait *w)
{
	struct fs_op *op = list_entry(w, struct fs_op, notice_wait);

	op->abandon = NULL;
	if (op->error) {
		op_fail_errno(op, op->error);
		return;
	}
	fuse_reply_buf(op->req, op->octets, op->size);
	op_end(op);
}

static void abandon_notice(struct fs_op *op)
{
	notifier_unwait(&op->notice_wait);
}

/* Answers when the kernel has been told what it is to know before. */
static void answer_later(struct fs_op *op)
{
	op->abandon = abandon_notice;
	op->notice_wait = (struct notice_wait){.ino = op->ino, .on_told = on_told};
	list_init(&op->notice_wait.link);
	notifier_wait(op->fs->notifier, &op->notice_wait);
}

static char *gather(const struct body_parts *parts)
{
	char *data = mem_alloc(parts->total);
	size_t used = 0;

	for (int i = 0; i < parts->count; i++) {
		memcpy(data + used, parts->iov[i].iov_base, parts->iov[i].iov_len);
		used += parts->iov[i].iov_len;
	}
	return data;
}

/* Where the size was just found to be larger the kernel must know before it sees octets that it did
 * not expect. Whoever reads after the size was found wrong, and before it was asked for again, may
 * take the old one for the end of the file, or map more than there is: an error is better than a
 * copy that is cut short or padded. */
static bool must_tell(struct fs *fs, fuse_ino_t ino, const struct body_read *read)
{
	return size_misled(read->mb, read->uid) || notifier_has(fs->notifier, ino);
}

static void answer_told(
	struct fs_op *op, const struct body_read *read, const struct body_parts *parts)
{
	if (size_misled(read->mb, read->uid)) {
		notify_attributes(op->fs->notifier, op->ino);
		op->error = EIO;
	} else {
		op->octets = gather(parts);
		op->size = parts->total;
	}
	answer_later(op);
}

/* Where the size was found to be smaller the kernel is told after it has seen the end. */
static void answer_now(struct fs *fs, fuse_req_t req, fuse_ino_t ino, const struct body_read *read,
	const struct body_parts *parts)
{
	bool end = parts->total < read->size && (parts->total > 0 || read->offset == 0);

	fuse_reply_iov(req, parts->iov, parts->count);
	if (end && map_remove(&fs->shrunk, ino))
		notify_attributes(fs->notifier, ino);
}

/* What is open and gone is stale, whatever the reason. */
static int read_error(int err)
{
	return err == ERR_GONE ? ERR_STALE : err;
}

static void on_read(struct body_read *r, int err, const struct body_parts *parts)
{
	struct fs_op *op = list_entry(r, struct fs_op, read);

	op->abandon = NULL;
	if (err < 0) {
		op_fail(op, read_error(err));
		return;
	}
	if (must_tell(op->fs, op->ino, r)) {
		answer_told(op, r, parts);
		return;
	}
	answer_now(op->fs, op->req, op->ino, r, parts);
	op_end(op);
}

static void read_start(struct fs *fs, fuse_req_t req, fuse_ino_t ino, const struct body_read *read)
{
	struct fs_op *op = op_create(fs, req, "read", ino, read->mb);

	if (op_is_over(op)) {
		op_fail(op, ERR_TIMEOUT);
		return;
	}
	op->read = *read;
	op->read.on_done = on_read;
	list_init(&op->read.link);
	op->abandon = abandon_read;
	body_read_start(&op->read);
}

static void read_synced(struct fs_op *op, int err)
{
	struct body_parts parts;

	if (op->mb->dead) {
		op_fail(op, ERR_STALE);
		return;
	}
	op->read.on_done = on_read;
	list_init(&op->read.link);
	int rc = body_read_try(&op->read, &parts);
	if (rc == 0) {
		on_read(&op->read, 0, &parts);
	} else if (rc == ERR_NOT_CACHED && err == 0) {
		op->abandon = abandon_read;
		body_read_start(&op->read);
	} else {
		op_fail(op, err < 0 ? err : read_error(rc));
	}
}

void file_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	uint64_t started = uv_hrtime();
	struct body_parts parts;
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);

	if (control_owns(ino)) {
		control_read(fs, req, ino, size, off);
		return;
	}
	if (!mb || uid == 0) {
		fuse_reply_err(req, mb ? EISDIR : ESTALE);
		return;
	}
	struct body_read read = {.mb = mb, .uid = uid, .offset = (uint64_t)off, .size = size};
	if (read.size > BODY_READ_MAX)
		read.size = BODY_READ_MAX;
	if (!mb->loaded) {
		struct fs_op *op = op_create(fs, req, "read", ino, mb);
		op->read = read;
		sync_start(mb);
		op_wait_mailbox(op, mb, false, read_synced);
		return;
	}
	fs->reads++;
	watch_read(fs->account->watch, mb);
	push_overtaken(fs->pusher, ino);
	int err = body_read_try(&read, &parts);
	if (err == ERR_NOT_CACHED) {
		read_start(fs, req, ino, &read);
		return;
	}
	if (err == 0 && must_tell(fs, ino, &read)) {
		answer_told(op_create(fs, req, "read", ino, mb), &read, &parts);
		return;
	}
	int error = err < 0 ? error_errno(read_error(err)) : 0;
	if (error)
		fuse_reply_err(req, error);
	else
		answer_now(fs, req, ino, &read, &parts);
	op_log("read", ino, started, error);
}

/* --- unlink --- */

static void on_removed(struct removal *r, int err)
{
	struct fs_op *op = list_entry(r, struct fs_op, removal);

	op->abandon = NULL;
	map_remove(&op->fs->unlinking, inode_of_message(r->mb, r->uid));
	if (err < 0)
		op_fail(op, err);
	else
		op_fail_errno(op, 0);
}

static void abandon_removal(struct fs_op *op)
{
	map_remove(&op->fs->unlinking, inode_of_message(op->removal.mb, op->removal.uid));
	expunge_cancel(&op->removal);
}

/* The kernel tries again by name after ESTALE, and is refused again. */
static bool is_unseen(struct mailbox *mb)
{
	if (mb->unseen && !mb->unseen_told)
		log_warning("nothing is removed from %s before it is listed again: it was made or "
			    "numbered anew, and the same names may be other messages",
			mailbox_path(mb));
	mb->unseen_told = mb->unseen;
	return mb->unseen;
}

void file_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, parent, &uid);

	/* Without the server the account is what the cache remembers, and that cannot be changed.
	 */
	if (fs->options.readonly || pool_is_down(fs->account->pool)) {
		fuse_reply_err(req, EROFS);
		return;
	}
	if (control_owns(parent)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	/* Not ESTALE: the kernel would try again by name, and remove what has that name now. */
	if (!mb || uid) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	if (!entry_parse_name(fs, mb, name, &uid) || !mailbox_find(mb, uid)) {
		fuse_reply_err(req, mailbox_child(mb, span_of(name)) ? EISDIR : ENOENT);
		return;
	}
	if (is_unseen(mb)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	struct fs_op *op = op_create(fs, req, "unlink", inode_of_message(mb, uid), mb);
	op->locked = parent;
	op_inherit(op, parent);
	if (op_is_over(op)) {
		op_fail(op, ERR_TIMEOUT);
		return;
	}
	op->removal = (struct removal){.mb = mb, .uid = uid, .on_done = on_removed};
	list_init(&op->removal.link);
	op->abandon = abandon_removal;
	map_put(&fs->unlinking, op->ino, op);
	expunge_start(&op->removal);
}

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
