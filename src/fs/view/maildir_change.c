/* SPDX-License-Identifier: MIT */
/*
 * What programs change in a Maildir. Renaming a message within cur/ and new/ is a STORE of the letters
 * that differ; into another mailbox's it is a move. What is written to tmp/ is a draft that is apart
 * (fs/draft.h): renamed into new/ or cur/ it is stored, and its name finds the message from then on.
 */
#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "fs/draft.h"
#include "fs/file.h"
#include "fs/filesystem.h"
#include "fs/inode.h"
#include "fs/listing.h"
#include "fs/move.h"
#include "fs/op.h"
#include "fs/view/maildir.h"
#include "fs/view/private.h"
#include "mail/change/changes.h"
#include "mail/change/intents.h"

/* --- tmp --- */

void maildir_lookup_tmp(struct fs_op *op)
{
	const struct draft *d = draft_named_apart(op->fs, op->mb, op->octets);
	struct stat st;

	if (!d) {
		op_fail(op, ERR_GONE);
		return;
	}
	draft_stat(d, &st);
	view_answer_attributes(op, &st, 0, 0);
}

void maildir_put_tmp(struct listing *l)
{
	struct fs_op *op = l->op;
	bool behind = LISTING_KIND(op->offset) == LISTING_DRAFT;
	const struct draft *d = draft_after_apart(
		op->fs, op->mb, behind ? (uint32_t)op->offset : 0);
	struct stat st;

	for (; d; d = draft_after_apart(op->fs, op->mb, d->ino)) {
		draft_stat(d, &st);
		if (!listing_put(l, d->name, &st, false, 0, LISTING_DRAFT | d->ino))
			return;
	}
}

static void maildir_create(fuse_req_t req, struct view_at at, struct mailbox *mb, const char *name,
	struct fuse_file_info *fi)
{
	if (at.node->level == MAILDIR_TMP)
		draft_create_apart(fuse_req_userdata(req), req, mb, name, fi);
	else
		fuse_reply_err(req, EPERM);
}

/* --- unlink --- */

static void maildir_unlink(fuse_req_t req, struct view_at at, struct mailbox *mb, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	unsigned side = at.node->level;
	struct draft *d = side == MAILDIR_TMP ? draft_named_apart(fs, mb, name) : NULL;
	uint32_t uid = side && side != MAILDIR_TMP ? maildir_find(fs, mb, side, name) : 0;

	if (d)
		draft_unlink(req, d);
	else if (uid)
		file_remove(req, view_inode(at.node, 0), mb, uid);
	else
		fuse_reply_err(req, side ? ENOENT : EISDIR);
}

/* --- rename --- */

/* The flags that the new name says; false: it is no name for a message. Without letters at all it has
 * none; mutt gives names with letters in new/, too. */
static bool wanted_flags(const struct view_rename *r, unsigned *flags)
{
	return r->to.node->level != MAILDIR_TMP &&
	       (maildir_name_flags(r->newname, flags) ||
		       r->newname[maildir_name_base(r->newname)] == '\0');
}

static bool has_same_base(const struct view_rename *r)
{
	size_t n = maildir_name_base(r->name);

	return n == maildir_name_base(r->newname) && memcmp(r->name, r->newname, n) == 0;
}

/* 0 or an errno. */
static int promise_flags(fuse_req_t req, const struct view_rename *r, uint32_t uid, unsigned flags)
{
	struct fs *fs = fuse_req_userdata(req);
	struct maildir *m = maildir_of(fs, r->from_mailbox);
	unsigned now = maildir_now(m, r->from_mailbox, mailbox_find(r->from_mailbox, uid));
	struct buf diff;
	int err;

	buf_init(&diff, 256);
	err = maildir_diff(now & (MAILDIR_NEW - 1), flags, &diff);
	if (err == 0 && diff.len > 0) {
		const struct intent_ask ask = {.verb = INTENT_FLAGS,
			.diff = buf_cstr(&diff),
			.by = fuse_req_ctx(req)->pid};
		err = intents_put(r->from_mailbox, uid, &ask);
	}
	buf_finish(&diff);
	return err < 0 ? error_errno(err) : 0;
}

static void maildir_rename_drained(struct fs_op *op, int err)
{
	op_reply_errno(op, err < 0 ? error_errno(err) : 0);
}

/* With -o sync, and where the server refused something, the answer is the server's. */
static void maildir_reply_promised(fuse_req_t req, const struct view_rename *r)
{
	struct fs *fs = fuse_req_userdata(req);
	int err = 0;

	if (!fs->options.sync && !intents_are_doubtful(r->from_mailbox, &change_flags)) {
		fuse_reply_err(req, 0);
		return;
	}
	struct fs_op *op = op_create(
		fs, req, "rename", view_inode(r->from.node, 0), r->from_mailbox);
	op_lock(op, view_inode(r->from.node, 0));
	op_lock(op, view_inode(r->to.node, 0));
	if (op_wait_drain(op, DRAIN_REST, maildir_rename_drained, &err))
		maildir_rename_drained(op, err);
}

static struct rename as_rename(const struct view_rename *r)
{
	return (struct rename){.parent = view_inode(r->from.node, 0),
		.newparent = view_inode(r->to.node, 0),
		.from = r->from_mailbox,
		.to = r->to_mailbox,
		.name = r->name,
		.newname = r->newname,
		.flags = r->flags};
}

static void maildir_rename_message(fuse_req_t req, const struct view_rename *r)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid = maildir_find(fs, r->from_mailbox, r->from.node->level, r->name);
	bool moves = r->from_mailbox != r->to_mailbox;
	unsigned flags;
	int error = 0;

	if (!uid)
		error = ENOENT;
	else if (!wanted_flags(r, &flags) || (!moves && !has_same_base(r)))
		error = EPERM;
	else if (file_is_barred(r->from_mailbox))
		error = ESTALE;
	else
		error = promise_flags(req, r, uid, flags);
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	if (!moves) {
		maildir_note_moved(fs, r->from_mailbox, uid, r->to.node->level);
		maildir_reply_promised(req, r);
		return;
	}
	const struct rename move = as_rename(r);
	move_rename(fs, req, &move, uid);
}

/* The draft's own name, with letters or not, is what the message is found by. */
static void maildir_rename_draft(fuse_req_t req, const struct view_rename *r)
{
	struct fs *fs = fuse_req_userdata(req);
	struct draft *d = draft_named_apart(fs, r->from_mailbox, r->name);
	struct buf text;
	unsigned flags;
	int error = 0;

	if (!d)
		error = ENOENT;
	else if (!wanted_flags(r, &flags))
		error = EPERM;
	else if (d->place.size == 0)
		error = EINVAL;
	else if (maildir_find(fs, r->to_mailbox, r->to.node->level, r->newname))
		error = EEXIST;
	if (error) {
		fuse_reply_err(req, error);
		return;
	}
	buf_init(&text, 256);
	if (flags && maildir_print(flags, &text) == 0)
		draft_set_flags(d, buf_cstr(&text));
	buf_finish(&text);
	const struct rename store = as_rename(r);
	draft_rename(fs, req, d, &store);
}

static void maildir_rename(fuse_req_t req, const struct view_rename *r)
{
	if (r->from.node->level == 0 || r->to.node->level == 0)
		fuse_reply_err(req, EPERM);
	else if (r->from.node->level == MAILDIR_TMP)
		maildir_rename_draft(req, r);
	else
		maildir_rename_message(req, r);
}

const struct view_changing maildir_changing = {
	.create = maildir_create,
	.unlink = maildir_unlink,
	.rename = maildir_rename,
};
