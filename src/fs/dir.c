/* SPDX-License-Identifier: MIT */
/* Directories: getattr, opendir, readdir, lookup. Answered from memory once the mailbox is known. */
#include "fs/dir.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/control.h"
#include "fs/draft.h"
#include "fs/entry.h"
#include "fs/file.h"
#include "fs/filesystem.h"
#include "fs/find_size.h"
#include "fs/folder.h"
#include "fs/fresh.h"
#include "fs/hold.h"
#include "fs/inode.h"
#include "fs/listing.h"
#include "fs/moves.h"
#include "fs/op.h"
#include "fs/rename.h"
#include "fs/views.h"
#include "fs/xattr.h"
#include "mail/model/given.h"
#include "mail/size/sizes.h"
#include "mail/sync/sync.h"
#include "mail/sync/walk.h"
#include "mail/sync/watch.h"

/* --- getattr --- */

static void dir_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	uint64_t started = uv_hrtime();
	uint32_t uid;
	const struct mailbox *mb = inode_resolve(fs, ino, &uid);
	struct stat st;

	if (!mb) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	entry_stat_directory(fs, mb, &st);
	fuse_reply_attr(req, &st, ATTR_TIMEOUT);
	op_log("getattr", ino, started, 0);
}

/* Modes, owners and times are the server's or the mount's: nothing comes of it, and programs that
 * copy directories do not complain. */
static void dir_setattr(
	fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set, struct fuse_file_info *fi)
{
	dir_getattr(req, ino, fi);
}

/* --- opendir --- */

static void opendir_reply(struct fs_op *op, int err)
{
	struct mailbox *mb = op->mb;
	bool whole = !mailbox_selectable(mb) ||
		     (mb->messages.complete && !sync_is_awaited(mb) && !op->without);

	if (whole) {
		op->fi.cache_readdir = 1;
		op->fi.keep_cache = mb->names.version == mb->names.cached_version;
		mb->names.cached_version = mb->names.version;
	}
	mb->removal.barred = false;
	moves_on_listed(op->fs, mb, entry_is_listed);
	given_drop_passing(mb);
	views_on_listed(op->fs, mb);
	/* The handle tells readdir, later, whether names came late meanwhile: see readdir_go. */
	op->fi.fh = mb->messages.late;
	fuse_reply_open(op->req, &op->fi);
	watch_verify(op->fs->account->watch, mb);
	op_end(op);
}

static void opendir_expired(struct fs_op *op, int err)
{
	op->known = opendir_reply;
	fresh_expire_listing(op, err);
}

static void opendir_rows(struct fs_op *op, int err)
{
	fresh_summaries(op, opendir_reply);
}

/* With layout=named until the names are known, by one question for all. */
static void opendir_fresh(struct fs_op *op)
{
	if (op->fs->options.named)
		fresh_whole_summed(op, opendir_rows);
	else
		fresh_listing(op, opendir_reply);
}

static void opendir_listed(struct fs_op *op, int err)
{
	/* Where LIST failed, the tree that is known stays. */
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else
		opendir_fresh(op);
}

static void dir_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);

	if (!mb) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	struct fs_op *op = op_create(fs, req, "opendir", ino, mb);
	op->fi = *fi;
	op->expire = opendir_expired;
	watch_use(fs->account->watch, mb);
	walk_note(fs->account->walk, mb);
	/* A mailbox that somebody else has made must show here, where it is looked for first. */
	bool tree = mb == fs->account->tree.top || mb->place.child_count > 0;
	if (!tree || op_wait_names(op, opendir_listed))
		opendir_fresh(op);
}

/* --- fsync --- */

static void fsyncdir_done(struct fs_op *op, int err)
{
	op_reply_errno(op, err < 0 ? error_errno(err) : 0);
}

static void dir_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);
	int err;

	if (!mb || uid) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	struct fs_op *op = op_create(fs, req, "fsyncdir", ino, mb);
	if (op_wait_drain(op, DRAIN_REST, fsyncdir_done, &err))
		fsyncdir_done(op, err);
}

/* --- readdir --- */

/* NAME_TIMEOUT where watch_use_names is to hear of its use. */
double dir_name_timeout(const struct fs *fs)
{
	return watch_has_names(fs->account->watch) ? NAME_TIMEOUT : ATTR_TIMEOUT;
}

/* Under names for people a message is found by many names, and nobody knows which of these the kernel
 * knows when it goes: see fs_on_message_gone. */
static double message_timeout(const struct fs *fs)
{
	return fs->options.named ? NAME_TIMEOUT : ATTR_TIMEOUT;
}

static bool put_children(struct listing *l, uint32_t after)
{
	struct mailbox *child = mailbox_child_after(l->op->mb, after);
	struct stat st;

	for (; child; child = mailbox_child_beside(l->op->mb, child, MAILBOX_LISTED)) {
		entry_stat_directory(l->op->fs, child, &st);
		if (!listing_put(l, child->component, &st, true, dir_name_timeout(l->op->fs),
			    LISTING_CHILD | child->id))
			return false;
	}
	return true;
}

/* While rows arrive, in whatever order, only as far as none is missing: the position of a reader
 * is a UID, and what came below it later would never be handed out. */
static bool put_messages(struct listing *l, uint32_t after)
{
	struct mailbox *mb = l->op->mb;
	uint32_t last = mailbox_listable(mb);
	struct cache_message *m;
	char name[NAME_MAX + 1];
	struct stat st;

	while ((m = mailbox_after(mb, after)) && m->uid <= last) {
		after = m->uid;
		if (mailbox_hidden(mb, m->uid))
			continue;
		if (!l->op->without && entry_lacks_name(l->op->fs, mb, m->uid)) {
			l->lacks_name = true;
			return false;
		}
		bool known = sizes_can_show(mb, m);
		entry_stat_message(l->op->fs, mb, m, &st);
		entry_name(l->op->fs, mb, m->uid, name);
		if (!listing_put(l, name, &st, known, message_timeout(l->op->fs),
			    LISTING_MESSAGE | m->uid))
			return false;
		if (known && l->op->plus)
			sizes_note_shown(mb, m);
	}
	return mb->messages.complete;
}

static bool put_drafts(struct listing *l, fuse_ino_t after)
{
	struct fs *fs = l->op->fs;
	const struct draft *d = draft_after(fs, l->op->mb, after);
	struct stat st;

	for (; d; d = draft_after(fs, l->op->mb, d->ino)) {
		draft_stat(d, &st);
		if (!listing_put(l, d->name, &st, false, 0, LISTING_DRAFT | d->ino))
			return false;
	}
	return true;
}

/* What is behind the offset of a kind, 0: all of that kind. */
static uint32_t behind(uint64_t off, uint64_t kind)
{
	return LISTING_KIND(off) == kind ? (uint32_t)off : 0;
}

static void fill(struct listing *l, uint64_t off)
{
	struct mailbox *mb = l->op->mb;
	const struct fs *fs = l->op->fs;
	bool is_top = mb == fs->account->tree.top || !mb->place.parent;
	fuse_ino_t ino = inode_of_directory(fs, mb);

	if (LISTING_KIND(off) == 0 &&
		!listing_put_dots(l, ino, is_top ? ino : inode_of_directory(fs, mb->place.parent)))
		return;
	if (LISTING_KIND(off) <= LISTING_CHILD && !put_children(l, behind(off, LISTING_CHILD)))
		return;
	if (fs->options.maildir && mailbox_selectable(mb)) {
		views_list_maildir(l, behind(off, LISTING_VIEW));
		return;
	}
	if (mailbox_selectable(mb) && LISTING_KIND(off) <= LISTING_MESSAGE &&
		!put_messages(l, behind(off, LISTING_MESSAGE)))
		return;
	if (mailbox_selectable(mb) && LISTING_KIND(off) <= LISTING_DRAFT &&
		!put_drafts(l, behind(off, LISTING_DRAFT)))
		return;
	if (is_top)
		views_list(l, behind(off, LISTING_VIEW));
}

static void readdir_go(struct fs_op *op, int err)
{
	struct mailbox *mb = op->mb;
	struct listing l;

	/* A name has come where this reader was already: the listing has a hole. */
	if (LISTING_KIND(op->offset) == LISTING_MESSAGE && op->fi.fh != mb->messages.late) {
		op_reply_errno(op, EIO);
		return;
	}
	listing_begin(&l, op);
	fill(&l, op->offset);
	if (l.used == 0 && l.lacks_name) {
		listing_drop(&l);
		fresh_summaries(op, readdir_go);
		return;
	}
	/* An empty answer says that the listing is over, and as long as rows arrive it is not. */
	if (l.used == 0 && mailbox_selectable(mb) && !mb->messages.complete &&
		!op->fs->options.maildir) {
		listing_drop(&l);
		fresh_rows(op, readdir_go);
		return;
	}
	listing_end(&l);
}

static void start_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	const struct fuse_file_info *fi, bool plus)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);

	if (!mb) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	struct fs_op *op = op_create(fs, req, plus ? "readdirplus" : "readdir", ino, mb);
	op->size = size;
	op->offset = (uint64_t)off;
	op->plus = plus;
	op->fi = *fi;
	readdir_go(op, 0);
}

static void dir_readdir(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	start_readdir(req, ino, size, off, fi, false);
}

static void dir_readdirplus(
	fuse_req_t req, fuse_ino_t ino, size_t size, off_t off, struct fuse_file_info *fi)
{
	start_readdir(req, ino, size, off, fi, true);
}

/* --- lookup --- */

static void lookup_reply(
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
		found = mb == fs->account->tree.top ? mb : mb->place.parent;
	if (!found)
		return false;
	entry_stat_directory(fs, found, &st);
	lookup_reply(req, &st, dir_name_timeout(fs), ATTR_TIMEOUT);
	return true;
}

static bool lookup_draft(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name)
{
	const struct draft *d = draft_named(fs, mb, name, fuse_req_ctx(req)->pid);
	struct stat st;

	if (!d)
		return false;
	draft_stat(d, &st);
	lookup_reply(req, &st, 0, 0);
	return true;
}

/* The UID that the name is, or that of the message of that given name. False: there can be none. */
static bool find_uid(
	const struct fs *fs, struct mailbox *mb, const char *name, uint32_t *uid, bool *given)
{
	*given = false;
	if (!mailbox_selectable(mb))
		return false;
	bool real = entry_parse_name(fs, mb, name, uid) && !mailbox_hidden(mb, *uid);
	if (real && mailbox_find(mb, *uid) && entry_is_own(fs, mb, name, *uid))
		return true;
	uint32_t other = given_find(mb, name);
	*given = other && !mailbox_hidden(mb, other);
	if (*given)
		*uid = other;
	return real || *given;
}

/* What has come only now, the row or its proved size, tells whether the name can be its: one that is only found
 * by its end, or one for which the server said a wrong UID. */
static bool is_misnamed(const struct fs_op *op)
{
	struct mailbox *at, *mb = inode_resolve(op->fs, op->ino, &(uint32_t){0});
	uint32_t uid;

	if (op->passing)
		return mb && moves_is_passing(op->fs, mb, op->octets) &&
		       !moves_find(op->fs, mb, op->octets, &at, &uid);
	if (op->given)
		return given_last(op->mb, op->octets) != op->uid;
	return op->loose && !entry_parse_name(op->fs, op->mb, op->octets, &uid);
}

static void lookup_sized(struct fs_op *op, int err)
{
	/* One that is on its way to another mailbox is hidden where it is. */
	struct cache_message *m = op->passing ? mailbox_find(op->mb, op->uid)
					      : mailbox_shown(op->mb, op->uid);
	struct stat st;

	if (err < 0 || !m || is_misnamed(op)) {
		op_fail(op, err < 0 && err != ERR_STALE ? err : ERR_GONE);
		return;
	}
	entry_stat_message(op->fs, op->mb, m, &st);
	sizes_note_shown(op->mb, m);
	/* A given name may stand for another message later. */
	bool once = op->passing || op->given || op->loose;
	lookup_reply(
		op->req, &st, once ? 0 : message_timeout(op->fs), entry_size_timeout(op->mb, m));
	op_end(op);
}

static void lookup_known(struct fs_op *op, int err)
{
	const struct cache_message *m = op->passing ? mailbox_find(op->mb, op->uid)
						    : mailbox_shown(op->mb, op->uid);

	if (is_misnamed(op))
		op_fail(op, ERR_GONE);
	else if (m && !sizes_can_show(op->mb, m))
		find_size_start(op, lookup_sized);
	else
		lookup_sized(op, 0);
}

static void dir_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	uint64_t started = uv_hrtime();
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, parent, &uid);

	if (!mb) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (mb->place.child_count > 0 || mb == fs->account->tree.top)
		watch_use_names(fs->account->watch, mailbox_child(mb, span_of(name)) != NULL);
	if (lookup_directory(fs, req, mb, name) || control_find(fs, req, parent, name) ||
		lookup_draft(fs, req, mb, name)) {
		op_log("lookup", parent, started, 0);
		return;
	}
	if (views_find(fs, req, mb, name))
		return;
	bool given;
	bool named = find_uid(fs, mb, name, &uid, &given);
	bool loose = named && !given && !entry_is_own(fs, mb, name, uid);
	if (loose && hold_is_free(fs, fuse_req_ctx(req)->pid, mb, name))
		named = loose = false;
	bool passing = !(named && !loose && mailbox_shown(mb, uid)) &&
		       moves_find(fs, mb, name, &mb, &uid);
	if (!passing && !named) {
		fuse_reply_err(req, ENOENT);
		op_log("lookup", parent, started, ENOENT);
		return;
	}
	struct fs_op *op = op_create(fs, req, "lookup", parent, mb);
	op->uid = uid;
	op->passing = passing;
	op->given = given;
	op->loose = loose;
	op->octets = loose || given || passing ? mem_strdup(name) : NULL;
	fresh_message(op, lookup_known);
}

const struct fuse_lowlevel_ops dir_operations = {
	.lookup = dir_lookup,
	.getattr = dir_getattr,
	.mkdir = folder_mkdir,
	.setattr = dir_setattr,
	.create = draft_create,
	.unlink = file_unlink,
	.rmdir = folder_rmdir,
	.fsyncdir = dir_fsyncdir,
	.rename = rename_request,
	.opendir = dir_opendir,
	.readdir = dir_readdir,
	.readdirplus = dir_readdirplus,
	.getxattr = xattr_get_of_directory,
};
