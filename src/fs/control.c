/*
 * The hidden directory .imapfs at the root, reachable by name and never listed there, so that grep
 * -r and rsync do not walk into it. Its inodes have the mailbox id 0, which no mailbox has:
 *
 *   2          the directory
 *   16 and up  its file `status`: each lookup is an inode of its own with the text of that moment,
 * since what is under one inode never changes. The last few are kept.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/mem.h"
#include "fs/private.h"
#include "mail/status.h"

#define DIRECTORY 2
#define FIRST_SNAPSHOT 16
#define SNAPSHOTS 8
#define STATUS_MAX (1u << 20)

struct control {
	struct snapshot {
		fuse_ino_t ino; /* 0: unused */
		struct buf text;
		int64_t taken;
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

bool control_owns(fuse_ino_t ino)
{
	return ino >> 32 == 0 && ino != FUSE_ROOT_ID;
}

static struct snapshot *take_snapshot(struct fs *fs)
{
	struct control *c = fs->control;
	struct snapshot *s = &c->snapshots[c->next % SNAPSHOTS];

	s->ino = FIRST_SNAPSHOT + c->next++ % (UINT32_MAX - FIRST_SNAPSHOT);
	s->taken = time(NULL);
	buf_clear(&s->text);
	int err = account_status(fs->account, &s->text);
	err |= buf_printf(&s->text, "kernel: %llu reads, %llu stores ahead of them\n",
		(unsigned long long)fs->reads, (unsigned long long)pusher_stored(fs->pusher));
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

static void reply_entry(
	const struct fs *fs, fuse_req_t req, fuse_ino_t ino, const struct snapshot *s)
{
	struct fuse_entry_param e = {.ino = ino, .generation = 1};

	stat_control(fs, ino, s, &e.attr);
	fuse_reply_entry(req, &e);
}

bool control_lookup(struct fs *fs, fuse_req_t req, fuse_ino_t parent, const char *name)
{
	if (parent == FUSE_ROOT_ID && strcmp(name, ".imapfs") == 0) {
		reply_entry(fs, req, DIRECTORY, NULL);
		return true;
	}
	if (!control_owns(parent))
		return false;
	if (strcmp(name, "status") != 0) {
		fuse_reply_err(req, ENOENT);
		return true;
	}
	struct snapshot *s = take_snapshot(fs);
	if (s)
		reply_entry(fs, req, s->ino, s);
	else
		fuse_reply_err(req, ENOMEM);
	return true;
}

void control_getattr(struct fs *fs, fuse_req_t req, fuse_ino_t ino)
{
	struct snapshot *s = find_snapshot(fs, ino);
	struct stat st;

	if (!s && ino != DIRECTORY) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	stat_control(fs, ino, s, &st);
	fuse_reply_attr(req, &st, 0);
}

void control_read(struct fs *fs, fuse_req_t req, fuse_ino_t ino, size_t size, off_t off)
{
	const struct snapshot *s = find_snapshot(fs, ino);

	if (!s) {
		fuse_reply_err(req, ino == DIRECTORY ? EISDIR : ESTALE);
		return;
	}
	size_t from = (uint64_t)off < s->text.len ? (size_t)off : s->text.len;
	size_t n = s->text.len - from < size ? s->text.len - from : size;
	fuse_reply_buf(req, n ? s->text.data + from : NULL, n);
}

void control_readdir(struct fs *fs, fuse_req_t req, size_t size, off_t off, bool plus)
{
	static const char *const names[] = {".", "..", "status"};
	char data[1024];
	size_t used = 0;

	for (off_t i = off; i < 3; i++) {
		struct fuse_entry_param e = {
			.attr = {.st_mode = i < 2 ? S_IFDIR : S_IFREG, .st_ino = DIRECTORY}};
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
