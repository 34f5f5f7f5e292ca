/* SPDX-License-Identifier: MIT */
/*
 * The hidden directory .imapfs at the root, reachable by name and never listed there, so that grep
 * -r and rsync do not walk into it. Its inodes have the mailbox id 0, which no mailbox has:
 *
 *   2          the directory
 *   16 and up  its files, `status`, `sync` and those of keep.h: each lookup makes an inode of its own with
 *              the text of that moment, since what is under one inode never changes; the last few are kept
 */
#include "fs/control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "fs/draft.h"
#include "fs/file.h"
#include "fs/filesystem.h"
#include "fs/keep.h"
#include "fs/op.h"
#include "fs/push.h"
#include "mail/report.h"

#define FIRST_SNAPSHOT 16
#define SNAPSHOTS 8
#define STATUS_MAX (1u << 20)

struct control {
	struct snapshot {
		fuse_ino_t ino; /* 0: unused */
		struct buf text;
		int64_t taken;
		unsigned told; /* of `sync`: for intents_note_told */
	} snapshots[SNAPSHOTS];
	uint32_t next;
};

struct control *control_create(void)
{
	struct control *c = mem_zalloc(sizeof(*c));

	for (unsigned i = 0; i < SNAPSHOTS; i++)
		buf_init(&c->snapshots[i].text, STATUS_MAX);
	return c;
}

void control_destroy(struct control *c)
{
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		buf_finish(&c->snapshots[i].text);
	free(c);
}

static struct snapshot *new_snapshot(struct fs *fs)
{
	struct control *c = fs->control;
	struct snapshot *s = &c->snapshots[c->next % SNAPSHOTS];

	s->ino = FIRST_SNAPSHOT + c->next++ % (DRAFT_INODES - FIRST_SNAPSHOT);
	s->taken = time(NULL);
	s->told = 0;
	buf_clear(&s->text);
	return s;
}

static struct snapshot *take_status(struct fs *fs)
{
	struct snapshot *s = new_snapshot(fs);
	int err = report_print(fs->account, &s->text);
	err |= draft_report(fs, &s->text);
	err |= buf_printf(&s->text, "kernel: %llu reads, %llu stores ahead of them\n",
		(unsigned long long)fs->reads, (unsigned long long)push_count(fs->pusher));
	return err < 0 ? NULL : s;
}

static struct snapshot *find_snapshot(struct fs *fs, fuse_ino_t ino)
{
	for (unsigned i = 0; i < SNAPSHOTS; i++)
		if (fs->control->snapshots[i].ino == ino)
			return &fs->control->snapshots[i];
	return NULL;
}

static void stat_control(
	const struct fs *fs, fuse_ino_t ino, const struct snapshot *s, struct stat *st)
{
	*st = (struct stat){
		.st_ino = ino,
		.st_mode = s ? S_IFREG | (0400 & ~fs->options.fmask)
			     : S_IFDIR | (0500 & ~fs->options.dmask),
		.st_nlink = s ? 1 : 2,
		.st_uid = fs->options.uid,
		.st_gid = fs->options.gid,
		.st_size = s ? (off_t)s->text.len : 0,
	};
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = s ? s->taken : fs->mounted;
}

static void control_reply_entry(
	const struct fs *fs, fuse_req_t req, fuse_ino_t ino, const struct snapshot *s)
{
	struct fuse_entry_param e = {.ino = ino, .generation = 1};

	stat_control(fs, ino, s, &e.attr);
	fuse_reply_entry(req, &e);
}

bool control_find(struct fs *fs, fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (parent != FUSE_ROOT_ID || strcmp(name, ".imapfs") != 0)
		return false;
	control_reply_entry(fs, req, CONTROL_DIRECTORY, NULL);
	return true;
}

struct buf *control_new_text(struct fs *fs, fuse_ino_t *ino)
{
	struct snapshot *s = new_snapshot(fs);

	*ino = s->ino;
	return &s->text;
}

void control_reply_text(struct fs *fs, fuse_req_t req, fuse_ino_t ino)
{
	control_reply_entry(fs, req, ino, find_snapshot(fs, ino));
}

/* --- sync: its name is found when all that was promised is done or refused; its text says what was
 * not done --- */

static void sync_drained(struct fs_op *op, int err)
{
	struct snapshot *s = new_snapshot(op->fs);

	if (intents_print_news(op->fs->account, &s->text, &s->told) < 0) {
		op_reply_errno(op, ENOMEM);
		return;
	}
	control_reply_entry(op->fs, op->req, s->ino, s);
	op_end(op);
}

static void look_up_sync(struct fs *fs, fuse_req_t req, fuse_ino_t parent)
{
	struct fs_op *op = op_create(fs, req, "sync", parent, NULL);
	int err;

	op->expire = sync_drained;
	op->told = true;
	if (op_wait_drain(op, DRAIN_ALL, sync_drained, &err))
		sync_drained(op, err);
}

static void control_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);

	/* Behind a dot may stand what tells two who ask apart. */
	if (strcmp(name, "sync") == 0 || strncmp(name, "sync.", 5) == 0) {
		look_up_sync(fs, req, parent);
		return;
	}
	if (keep_find(fs, req, parent, name))
		return;
	if (strcmp(name, "status") != 0) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct snapshot *s = take_status(fs);
	if (s)
		control_reply_entry(fs, req, s->ino, s);
	else
		fuse_reply_err(req, ENOMEM);
}

static void control_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	struct snapshot *s = find_snapshot(fs, ino);
	struct stat st;

	if (!s && ino != CONTROL_DIRECTORY) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	stat_control(fs, ino, s, &st);
	fuse_reply_attr(req, &st, 0);
}

/* A lookup alone tells nobody: where the name was looked up before, the kernel does it twice. */
static void control_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct snapshot *s = find_snapshot(fs, ino);

	if (s)
		intents_note_told(fs->account, s->told);
	file_open(req, ino, fi);
}

static void control_read(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	const struct snapshot *s = find_snapshot(fuse_req_userdata(req), ino);

	if (!s) {
		fuse_reply_err(req, ino == CONTROL_DIRECTORY ? EISDIR : ESTALE);
		return;
	}
	size_t from = (uint64_t)off < s->text.len ? (size_t)off : s->text.len;
	size_t n = s->text.len - from < size ? s->text.len - from : size;
	fuse_reply_buf(req, n ? s->text.data + from : NULL, n);
}

static void control_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fuse_reply_open(req, fi);
}

static void put_names(fuse_req_t req, size_t size, off_t off, bool plus)
{
	static const char *const names[] = {".", "..", "status"};
	char data[1024];
	size_t used = 0;

	for (off_t i = off; i < 3; i++) {
		struct fuse_entry_param e = {.attr = {.st_mode = i < 2 ? S_IFDIR : S_IFREG,
						     .st_ino = CONTROL_DIRECTORY}};
		size_t room = sizeof(data) - used;
		size_t n =
			plus ? fuse_add_direntry_plus(req, data + used, room, names[i], &e, i + 1)
			     : fuse_add_direntry(req, data + used, room, names[i], &e.attr, i + 1);
		if (used + n > size || n > room)
			break;
		used += n;
	}
	fuse_reply_buf(req, data, used);
}

static void control_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	put_names(req, size, off, false);
}

static void control_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	put_names(req, size, off, true);
}

const struct fuse_lowlevel_ops control_operations = {
	.lookup = control_lookup,
	.getattr = control_getattr,
	.open = control_open,
	.read = control_read,
	.opendir = control_opendir,
	.readdir = control_readdir,
	.readdirplus = control_readdirplus,
};
