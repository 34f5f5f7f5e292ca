/* SPDX-License-Identifier: MIT */
/* Drafts: creating, opening, reading, writing. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/draft.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/filesystem.h"
#include "fs/hold.h"
#include "fs/inode.h"
#include "fs/op.h"
#include "fs/views.h"
#include "mail/size/sizes.h"

/* --- create and open --- */

/* The draft of a request's inode; else the request is answered. */
static struct draft *draft_of_request(fuse_req_t req, fuse_ino_t ino)
{
	struct draft *d = draft_of(fuse_req_userdata(req), ino);

	if (!d)
		fuse_reply_err(req, ESTALE);
	return d;
}

static int make_draft(
	struct fs *fs, struct mailbox *mb, const char *name, pid_t thread, struct draft **made)
{
	struct spool_place place = {.mailbox = spool_key(mb->name)};

	place.name = mem_strdup(name);
	int error = spool_make(draft_spool(fs), &place);
	if (error) {
		free(place.name);
		return error;
	}
	struct draft *d = *made = draft_add(fs, mb, &place);
	d->writer = process_of(thread);
	return draft_need_file(d);
}

static int may_create(struct fs *fs, struct mailbox *mb, const char *name, pid_t thread)
{
	uint32_t uid;

	if (fs->options.readonly)
		return EROFS;
	if (!mb)
		return ENOENT;
	if (!mailbox_selectable(mb))
		return ENOTSUP;
	if (entry_find(fs, mb, name, &uid) && !hold_is_free(fs, thread, mb, name))
		return EEXIST;
	return draft_named(fs, mb, name, thread) ? EEXIST : 0;
}

static void reply_created(fuse_req_t req, struct draft *d, int error, struct fuse_file_info *fi)
{
	struct fuse_entry_param e = {.generation = 1};

	if (error) {
		if (d)
			draft_unname(d);
		fuse_reply_err(req, error);
		return;
	}
	d->opens++;
	fi->fh = DRAFT_WRITER;
	e.ino = d->ino;
	draft_stat(d, &e.attr);
	fuse_reply_create(req, &e, fi);
}

void draft_create(
	fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	pid_t thread = fuse_req_ctx(req)->pid;
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, parent, &uid);
	struct draft *d = NULL;

	if (mb && views_make(fs, req, mb, name, fi))
		return;
	int error = may_create(fs, mb, name, thread);

	if (!error)
		error = make_draft(fs, mb, name, thread, &d);
	/* Also where it cannot be made: then nothing is replaced. */
	uint32_t namesake = mb ? hold_take_back(fs, req, mb, name) : 0;
	if (mb && !namesake)
		entry_find(fs, mb, name, &namesake);
	if (d)
		d->namesake = namesake;
	reply_created(req, d, error, fi);
}

void draft_create_apart(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name,
	struct fuse_file_info *fi)
{
	struct draft *d = NULL;
	int error = mailbox_selectable(mb) ? 0 : ENOTSUP;

	if (!error && draft_named_apart(fs, mb, name))
		error = EEXIST;
	if (!error)
		error = make_draft(fs, mb, name, fuse_req_ctx(req)->pid, &d);
	if (d)
		d->apart = true;
	reply_created(req, d, error, fi);
}

/* What it was before, if it is being written again, only its own writer can mean to replace. */
static void take_over(struct draft *d, pid_t thread)
{
	if (!process_has(&d->writer, thread)) {
		d->uid = 0;
		d->taken_over = d->state == DRAFT_STORING;
	}
	d->writer = process_of(thread);
}

/* Who opens it for writing last is whose close stores it. */
static void draft_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct draft *d = draft_of_request(req, ino);
	int error = d ? draft_need_file(d) : 0;

	if (!d)
		return;
	if (error) {
		draft_settle(d);
		fuse_reply_err(req, error);
		return;
	}
	if ((fi->flags & O_ACCMODE) != O_RDONLY) {
		take_over(d, fuse_req_ctx(req)->pid);
		fi->fh = DRAFT_WRITER;
	}
	d->opens++;
	fi->keep_cache = 1;
	fuse_reply_open(req, fi);
}

/* --- the disk --- */

static void draft_on_job(struct spool_job *job)
{
	struct draft *d = job->ctx;

	if (job->what == SPOOL_WRITE)
		d->writing--;
	/* Who waited may have it freed, which is put off until here. */
	op_job_is_done(job);
	if (d->writing == 0 && d->state != DRAFT_STORING)
		draft_wake(d, 0);
	d->jobs--;
	draft_settle(d);
}

static void start_job(struct fs_op *op, struct draft *d, enum spool_what what, char *data,
	size_t size, uint64_t offset, op_resume *resume)
{
	d->jobs++;
	d->writing += what == SPOOL_WRITE;
	op_wait_job(op,
		spool_start(draft_spool(op->fs), what, d->fd, data, size, offset, draft_on_job, d),
		resume);
}

/* --- octets of a message in the place of its own --- */

static void fill(struct fs_op *op);

static void fill_written(struct fs_op *op, int err)
{
	if (op->wait.job->error) {
		op_reply_errno(op, op->wait.job->error);
		return;
	}
	op->done += op->wait.job->n;
	fill(op);
}

static void fill_read(struct fs_op *op, struct draft *d, const struct body_parts *parts)
{
	if (parts->total == 0) {
		spool_resize(draft_spool(op->fs), &d->place, op->done);
		draft_forget_source(d);
		op->filled(op, 0);
		return;
	}
	start_job(op, d, SPOOL_WRITE, body_copy(parts), parts->total, op->done, fill_written);
}

static void fill_fetched(struct fs_op *op, int err)
{
	struct draft *d = draft_of(op->fs, op->ino);

	if (err < 0 || !d)
		op_fail(op, err < 0 ? err : ERR_STALE);
	else
		fill_read(op, d, op->parts);
}

static void fill(struct fs_op *op)
{
	struct draft *d = draft_of(op->fs, op->ino);
	struct body_parts parts;
	int err = ERR_STALE;

	if (d && !d->source) {
		op->filled(op, 0);
		return;
	}
	struct body_read read = {.offset = op->done, .size = BODY_READ_MAX};
	if (d) {
		read.mb = d->source;
		read.uid = d->source_uid;
		err = body_read_try(&read, &parts);
	}
	if (err == 0)
		fill_read(op, d, &parts);
	else if (err == ERR_NOT_CACHED)
		op_wait_read(op, &read, fill_fetched);
	else
		op_fail(op, err);
}

void draft_fill(struct fs_op *op, op_resume *filled)
{
	op->filled = filled;
	op->done = 0;
	fill(op);
}

void draft_forget_source(struct draft *d)
{
	mailbox_release(d->source);
	d->source = NULL;
}

/* --- write --- */

/* When it is not being stored, and its octets are in the spool, so that they may be changed. */
static void when_changeable(struct fs_op *op, int err, op_resume *self, op_resume *go)
{
	struct draft *d = draft_of(op->fs, op->ino);

	if (!d)
		op_fail(op, ERR_STALE);
	else if (d->state == DRAFT_STORING)
		op_wait_draft(op, d, self);
	else
		draft_fill(op, go);
}

static void write_done(struct fs_op *op, int err)
{
	struct draft *d = draft_of(op->fs, op->ino);
	int error = op->wait.job->error;

	if (d && error)
		d->error = error;
	else if (d)
		d->unwritten--;
	if (error) {
		op_reply_errno(op, error);
		return;
	}
	fuse_reply_write(op->req, op->size);
	op_end(op);
}

static void write_go(struct fs_op *op, int err)
{
	struct draft *d = draft_of(op->fs, op->ino);
	uint64_t end = op->offset + op->size;
	int error = end > append_limit(d->mb) ? EFBIG : 0;

	if (!error && end > d->place.size)
		error = spool_resize(draft_spool(op->fs), &d->place, end);
	if (error) {
		d->error = error;
		draft_touch(d);
		op_reply_errno(op, error);
		return;
	}
	draft_touch(d);
	char *data = op->octets;
	op->octets = NULL;
	start_job(op, d, SPOOL_WRITE, data, op->size, op->offset, write_done);
}

static void write_when_changeable(struct fs_op *op, int err)
{
	when_changeable(op, err, write_when_changeable, write_go);
}

static void draft_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	struct fuse_file_info *fi)
{
	struct draft *d = draft_of_request(req, ino);

	if (!d)
		return;
	struct fs_op *op = op_create(d->fs, req, "write", ino, d->mb);
	d->unwritten++;
	op->octets = mem_copy(data, size);
	op->size = size;
	op->offset = (uint64_t)off;
	write_when_changeable(op, 0);
}

/* --- read --- */

static void read_done(struct fs_op *op, int err)
{
	const struct spool_job *job = op->wait.job;

	if (job->error) {
		op_reply_errno(op, job->error);
		return;
	}
	fuse_reply_buf(op->req, job->data, job->n);
	op_end(op);
}

static void draft_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	struct draft *d = draft_of_request(req, ino);

	if (!d)
		return;
	if (d->source) {
		file_operations.read(
			req, inode_of_message(d->source, d->source_uid), size, off, fi);
		return;
	}
	start_job(op_create(d->fs, req, "read", ino, d->mb), d, SPOOL_READ, NULL, size,
		(uint64_t)off, read_done);
}

static void whole_read(struct fs_op *op, int err)
{
	struct spool_job *job = op->wait.job;

	if (job->error) {
		op_reply_errno(op, job->error);
		return;
	}
	op->octets = mem_copy(job->data, job->n);
	op->n_octets = job->n;
	op->filled(op, 0);
}

void draft_read_whole(struct fs_op *op, struct draft *d, op_resume *read)
{
	op->filled = read;
	start_job(op, d, SPOOL_READ, NULL, d->place.size, 0, whole_read);
}

static void sync_done(struct fs_op *op, int err)
{
	op_reply_errno(op, op->wait.job->error);
}

/* What is written is on the disk: it is never stored before it is closed, since nobody can tell
 * whether it is whole. */
static void draft_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct draft *d = draft_of_request(req, ino);

	if (d)
		start_job(op_create(d->fs, req, "fsync", ino, d->mb), d, SPOOL_SYNC, NULL, 0, 0,
			sync_done);
}

/* --- attributes --- */

static void reply_attributes(fuse_req_t req, const struct draft *d)
{
	struct stat st;

	draft_stat(d, &st);
	fuse_reply_attr(req, &st, 0);
}

static void draft_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	const struct draft *d = draft_of_request(req, ino);

	if (d)
		reply_attributes(req, d);
}

static void setattr_done(struct fs_op *op, int err)
{
	const struct draft *d = draft_of(op->fs, op->ino);

	if (!d) {
		op_fail(op, ERR_STALE);
		return;
	}
	reply_attributes(op->req, d);
	op_end(op);
}

static void resize_when_changeable(struct fs_op *op, int err);

static void resize_go(struct fs_op *op, int err)
{
	struct draft *d = draft_of(op->fs, op->ino);

	/* What the disk was too slow with has failed for the program, but is written all the same: into what it
	 * begins anew. */
	if (d->writing > 0) {
		op_wait_draft(op, d, resize_when_changeable);
		return;
	}
	int error = op->offset > append_limit(d->mb) ? EFBIG : draft_need_file(d);

	if (!error)
		error = spool_resize(draft_spool(op->fs), &d->place, op->offset);
	if (!error && ftruncate(d->fd, (off_t)op->offset) < 0)
		error = errno;
	if (error) {
		op_reply_errno(op, error);
		return;
	}
	draft_touch(d);
	if (op->offset == 0)
		d->unwritten = 0;
	setattr_done(op, 0);
	draft_settle(d);
}

static void resize_when_changeable(struct fs_op *op, int err)
{
	when_changeable(op, err, resize_when_changeable, resize_go);
}

static void set_time(struct draft *d, const struct stat *attr, int to_set)
{
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		clock_gettime(CLOCK_REALTIME, &d->mtime);
	else
		d->mtime = attr->st_mtim;
	d->dated = true;
}

/* Owners and modes are not kept: nobody loses anything, and cp -p and tar do not complain. */
static void draft_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	struct draft *d = draft_of_request(req, ino);

	if (!d)
		return;
	struct fs_op *op = op_create(d->fs, req, "setattr", ino, d->mb);
	bool late = false;
	if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW)) {
		late = !d->dated;
		set_time(d, attr, to_set);
	}
	if (to_set & FUSE_SET_ATTR_SIZE) {
		op->offset = (uint64_t)attr->st_size;
		resize_when_changeable(op, 0);
	} else if (late && draft_store_again(d)) {
		op_wait_draft(op, d, setattr_done);
	} else {
		setattr_done(op, 0);
	}
}

/* --- a whole message --- */

/* The program asks for as much as it was shown. Is that too little, the copy is whole all the same. */
static bool takes_whole(
	const struct draft *d, const struct cache_message *m, off_t from, off_t to, size_t size)
{
	return m && sizes_said(m) && from == 0 && to == 0 && size >= m->size && m->size > 0 &&
	       d->place.size == 0 && d->state == DRAFT_WRITTEN;
}

/* Whatever else is refused, and then the program reads and writes. */
static void draft_copy_range(fuse_req_t req, fuse_ino_t from, off_t off_in,
	struct fuse_file_info *fi_in, fuse_ino_t ino, off_t off_out, struct fuse_file_info *fi_out,
	size_t size, int flags)
{
	struct draft *d = draft_of_request(req, ino);
	uint32_t uid;

	if (!d)
		return;
	struct mailbox *mb = inode_resolve(d->fs, from, &uid);
	const struct cache_message *m = mb && uid ? mailbox_find(mb, uid) : NULL;
	if (!takes_whole(d, m, off_in, off_out, size) || m->size > append_limit(d->mb) ||
		spool_resize(draft_spool(d->fs), &d->place, m->size) != 0) {
		fuse_reply_err(req, EOPNOTSUPP);
		return;
	}
	d->source = mailbox_hold(mb);
	d->source_uid = uid;
	draft_touch(d);
	fuse_reply_write(req, m->size);
}

const struct fuse_lowlevel_ops draft_operations = {
	.getattr = draft_getattr,
	.setattr = draft_setattr,
	.open = draft_open,
	.read = draft_read,
	.write = draft_write,
	.flush = draft_flush,
	.release = draft_release,
	.fsync = draft_fsync,
	.copy_file_range = draft_copy_range,
	.setxattr = draft_setxattr,
};
