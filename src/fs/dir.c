/* Directories: opendir, readdir, lookup. Answered from memory once the mailbox is known. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/private.h"
#include "mail/sizes.h"
#include "mail/sync.h"
#include "mail/watch.h"

/*
 * A position in a listing is that of the entry before it, so listings stay right when entries come
 * and go: 1 after ".", 2 after "..", then KIND_CHILD | id of a child mailbox, then KIND_MESSAGE |
 * UID.
 */
#define KIND_CHILD ((uint64_t)1 << 32)
#define KIND_MESSAGE ((uint64_t)2 << 32)
#define KIND(off) ((uint64_t)(off) & ~(uint64_t)UINT32_MAX)

#define REPLY_MAX (256u << 10)

/* The server could not be asked: what is remembered is better than an error. */
static bool remembered(const struct mailbox *mb, int err)
{
	return !mb->dead && mb->complete && mb->loaded &&
	       (err == ERR_NET || err == ERR_TIMEOUT || err == ERR_THROTTLED || err == ERR_AUTH ||
		       err == ERR_TOKEN || err == ERR_TLS || err == ERR_PROTOCOL);
}

/* --- opendir --- */

static void opendir_reply(struct fs_op *op)
{
	struct mailbox *mb = op->mb;
	bool whole = !mailbox_selectable(mb) || (mb->complete && (!mb->sync || mb->verifying));

	if (whole) {
		op->fi.cache_readdir = 1;
		op->fi.keep_cache = mb->version == mb->listed_version;
		mb->listed_version = mb->version;
	}
	mb->unseen = false;
	/* What the reader's handle tells readdir: see readdir_go. */
	op->fi.fh = mb->late;
	fuse_reply_open(op->req, &op->fi);
	watch_verify(op->fs->account->watch, mb);
	op_end(op);
}

static void opendir_synced(struct fs_op *op, int err)
{
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else if (err < 0 && mailbox_selectable(op->mb) && !remembered(op->mb, err))
		op_fail(op, err);
	else
		opendir_reply(op);
}

static void opendir_sync(struct fs_op *op)
{
	struct mailbox *mb = op->mb;

	if (sync_is_fresh(mb)) {
		opendir_reply(op);
		return;
	}
	sync_start(mb);
	op_wait_mailbox(op, mb, !mb->complete, opendir_synced);
}

/* What is remembered does not need the server, however slow it is. */
static void opendir_expired(struct fs_op *op)
{
	opendir_synced(op, ERR_TIMEOUT);
}

static void opendir_listed(struct fs_op *op, int err)
{
	/* The tree that is known stays. */
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else
		opendir_sync(op);
}

void dir_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);

	if (control_owns(ino)) {
		fuse_reply_open(req, fi);
		return;
	}
	if (!mb || uid) {
		fuse_reply_err(req, mb ? ENOTDIR : ESTALE);
		return;
	}
	struct fs_op *op = op_create(fs, req, "opendir", ino, mb);
	op->fi = *fi;
	op->expire = opendir_expired;
	watch_use(fs->account->watch, mb);
	/* Mailboxes that others made show where they would be looked for first. */
	bool tree = mb == fs->account->top || mb->child_count > 0;
	if (!tree || op_wait_account(op, opendir_listed))
		opendir_sync(op);
}

/* --- readdir --- */

/* How long the kernel may keep the name of a mailbox. */
static double name_timeout(const struct fs *fs)
{
	return watch_has_names(fs->account->watch) ? NAME_TIMEOUT : ATTR_TIMEOUT;
}

struct listing {
	struct fs *fs;
	fuse_req_t req;
	struct mailbox *mb;
	bool plus;
	char *data;
	size_t size, used;
};

/* False when it does not fit any more. */
static bool put(
	struct listing *l, const char *name, const struct stat *st, bool known, uint64_t position)
{
	char *at = l->data + l->used;
	size_t room = l->size - l->used, n;

	if (!l->plus) {
		n = fuse_add_direntry(l->req, at, room, name, st, (off_t)position);
	} else {
		/* An entry with inode 0 tells the name alone: the kernel looks it up when it needs
		 * more. */
		struct fuse_entry_param e = {
			.ino = known ? st->st_ino : 0,
			.generation = 1,
			.attr = *st,
			.attr_timeout = ATTR_TIMEOUT,
			.entry_timeout = S_ISDIR(st->st_mode) ? name_timeout(l->fs) : ATTR_TIMEOUT,
		};
		n = fuse_add_direntry_plus(l->req, at, room, name, &e, (off_t)position);
	}
	if (n > room)
		return false;
	l->used += n;
	return true;
}

static bool put_dots(struct listing *l, uint64_t off)
{
	struct stat st = {.st_mode = S_IFDIR, .st_ino = inode_of_directory(l->fs, l->mb)};

	if (off == 0 && !put(l, ".", &st, false, 1))
		return false;
	if (l->mb != l->fs->account->top && l->mb->parent)
		st.st_ino = inode_of_directory(l->fs, l->mb->parent);
	return off > 1 || put(l, "..", &st, false, 2);
}

static bool put_children(struct listing *l, uint32_t after)
{
	struct mailbox *child = mailbox_child_after(l->mb, after);
	struct stat st;

	while (child) {
		entry_stat_directory(l->fs, child, &st);
		if (!put(l, child->component, &st, true, KIND_CHILD | child->id))
			return false;
		struct list *next = child->sibling.next;
		child = next == &l->mb->children ? NULL : list_entry(next, struct mailbox, sibling);
	}
	return true;
}

/* While rows arrive, in whatever order, only as far as none is missing: the position of a reader
 * is a UID, and what came below it later would never be handed out. */
static void put_messages(struct listing *l, uint32_t after)
{
	uint32_t last = mailbox_listable(l->mb);
	struct cache_message *m;
	char name[NAME_MAX + 1];
	struct stat st;

	while ((m = mailbox_after(l->mb, after)) && m->uid <= last) {
		bool known = size_can_be_shown(l->mb, m);
		entry_stat_message(l->fs, l->mb, m, &st);
		entry_name(l->fs, l->mb, m->uid, name);
		if (!put(l, name, &st, known, KIND_MESSAGE | m->uid))
			return;
		if (known && l->plus)
			size_note_shown(l->mb, m);
		after = m->uid;
	}
}

static void fill(struct listing *l, uint64_t off)
{
	if (KIND(off) == 0 && !put_dots(l, off))
		return;
	if (KIND(off) <= KIND_CHILD &&
		!put_children(l, KIND(off) == KIND_CHILD ? (uint32_t)off : 0))
		return;
	if (mailbox_selectable(l->mb))
		put_messages(l, KIND(off) == KIND_MESSAGE ? (uint32_t)off : 0);
}

static void readdir_go(struct fs_op *op);

static void readdir_progress(struct fs_op *op, int err)
{
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else if (err < 0 && !remembered(op->mb, err))
		op_fail(op, err);
	else
		readdir_go(op);
}

static void readdir_go(struct fs_op *op)
{
	struct mailbox *mb = op->mb;
	struct listing l = {
		.fs = op->fs,
		.req = op->req,
		.mb = mb,
		.plus = op->plus,
		.size = op->size < REPLY_MAX ? op->size : REPLY_MAX,
	};

	/* A name has come where this reader was already: the listing has a hole. */
	if (KIND((uint64_t)op->offset) == KIND_MESSAGE && op->fi.fh != mb->late) {
		op_fail_errno(op, EIO);
		return;
	}
	l.data = mem_alloc(l.size);
	fill(&l, (uint64_t)op->offset);
	/* An empty answer says that the listing is over, and as long as rows arrive it is not. */
	if (l.used == 0 && mailbox_selectable(mb) && !mb->complete) {
		free(l.data);
		if (op_is_over(op)) {
			op_fail(op, ERR_TIMEOUT);
			return;
		}
		sync_start(mb);
		op_wait_mailbox(op, mb, true, readdir_progress);
		return;
	}
	fuse_reply_buf(op->req, l.data, l.used);
	free(l.data);
	op_end(op);
}

static void start_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	const struct fuse_file_info *fi, bool plus)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);

	if (control_owns(ino)) {
		control_readdir(fs, req, size, off, plus);
		return;
	}
	if (!mb || uid) {
		fuse_reply_err(req, mb ? ENOTDIR : ESTALE);
		return;
	}
	struct fs_op *op = op_create(fs, req, plus ? "readdirplus" : "readdir", ino, mb);
	op->size = size;
	op->offset = off;
	op->plus = plus;
	op->fi = *fi;
	readdir_go(op);
}

void dir_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	start_readdir(req, ino, size, off, fi, false);
}

void dir_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	start_readdir(req, ino, size, off, fi, true);
}

/* --- lookup --- */

static void reply_entry(
	fuse_req_t req, const struct stat *st, double entry_timeout, double attr_timeout)
{
	struct fuse_entry_param e = {
		.ino = st->st_ino,
		.generation = 1,
		.attr = *st,
		.attr_timeout = attr_timeout,
		.entry_timeout = entry_timeout,
	};

	fuse_reply_entry(req, &e);
}

static bool lookup_directory(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name)
{
	struct mailbox *found = mailbox_child(mb, span_of(name));
	struct stat st;

	/* The two come from NFS only. */
	if (strcmp(name, ".") == 0)
		found = mb;
	else if (strcmp(name, "..") == 0)
		found = mb == fs->account->top ? mb : mb->parent;
	if (!found)
		return false;
	entry_stat_directory(fs, found, &st);
	reply_entry(req, &st, name_timeout(fs), ATTR_TIMEOUT);
	return true;
}

static void lookup_sized(struct fs_op *op, int err)
{
	struct cache_message *m = mailbox_find(op->mb, op->uid);
	struct stat st;

	if (err < 0 || !m) {
		op_fail(op, err < 0 && err != ERR_STALE ? err : ERR_GONE);
		return;
	}
	entry_stat_message(op->fs, op->mb, m, &st);
	size_note_shown(op->mb, m);
	reply_entry(op->req, &st, ATTR_TIMEOUT, size_timeout(op->mb, m));
	op_end(op);
}

/* True when the op was answered, or goes on by itself. */
static bool lookup_message(struct fs_op *op)
{
	const struct cache_message *m = mailbox_find(op->mb, op->uid);

	if (!m)
		return false;
	if (size_can_be_shown(op->mb, m))
		lookup_sized(op, 0);
	else
		op_find_size(op, op->mb, op->uid, lookup_sized);
	return true;
}

static void lookup_synced(struct fs_op *op, int err)
{
	struct mailbox *mb = op->mb;

	if (mb->dead)
		op_fail(op, ERR_GONE);
	else if (lookup_message(op))
		return;
	else if (err < 0 && !remembered(mb, err))
		op_fail(op, err);
	else if (mb->sync)
		op_wait_mailbox(op, mb, true, lookup_synced);
	else
		op_fail(op, ERR_GONE);
}

void dir_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	uint64_t started = uv_hrtime();
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, parent, &uid);

	if (control_owns(parent)) {
		control_lookup(fs, req, parent, name);
		return;
	}
	if (!mb || uid) {
		fuse_reply_err(req, mb ? ENOTDIR : ESTALE);
		return;
	}
	if (mb->child_count > 0 || mb == fs->account->top)
		watch_use_names(fs->account->watch, mailbox_child(mb, span_of(name)) != NULL);
	if (lookup_directory(fs, req, mb, name) || control_lookup(fs, req, parent, name)) {
		op_log("lookup", parent, started, 0);
		return;
	}
	if (!mailbox_selectable(mb) || !entry_parse_name(fs, mb, name, &uid)) {
		fuse_reply_err(req, ENOENT);
		op_log("lookup", parent, started, ENOENT);
		return;
	}
	struct fs_op *op = op_create(fs, req, "lookup", parent, mb);
	op->uid = uid;
	if (lookup_message(op))
		return;
	if (sync_knows(mb, uid)) {
		op_fail(op, ERR_GONE);
		return;
	}
	if (op_is_over(op)) {
		op_fail(op, remembered(mb, ERR_TIMEOUT) ? ERR_GONE : ERR_TIMEOUT);
		return;
	}
	sync_start(mb);
	op_wait_mailbox(op, mb, true, lookup_synced);
}
