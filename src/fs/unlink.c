/* SPDX-License-Identifier: MIT */
/* How a message is removed: promised, or done before it is answered. */
#include "fs/file.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/draft.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/hold.h"
#include "fs/inode.h"
#include "fs/moves.h"
#include "fs/op.h"
#include "fs/views.h"
#include "mail/change/intents.h"
#include "mail/change/trash.h"
#include "mail/model/given.h"

static void unlink_removed(struct fs_op *op, int err)
{
	op_reply_errno(op, err < 0 ? error_errno(err) : 0);
}

/* The kernel tries again by name after ESTALE, and is refused again. */
bool file_is_barred(struct mailbox *mb)
{
	if (mb->removal.barred && !mb->removal.barred_logged)
		log_warning("nothing is removed from %s before it is listed again: it was made or "
			    "numbered anew, and the same names may be other messages",
			mailbox_path(mb));
	mb->removal.barred_logged = mb->removal.barred;
	return mb->removal.barred;
}

/* With -o sync, and where the server refused to remove something: the answer is the server's. */
static void unlink_now(
	fuse_req_t req, fuse_ino_t parent, struct mailbox *mb, uint32_t uid, struct mailbox *trash)
{
	struct fs *fs = fuse_req_userdata(req);

	/* Without the server nobody can confirm it. */
	if (pool_is_down(fs->account->pool)) {
		fuse_reply_err(req, EROFS);
		return;
	}
	struct fs_op *op = op_create(fs, req, "unlink", inode_of_message(mb, uid), mb);
	op->uid = uid;
	op_lock(op, parent);
	int err = op_overdue(op);
	if (err < 0) {
		op_fail(op, err);
		return;
	}
	op->to = mailbox_hold(trash);
	if (trash)
		op_wait_move(op, unlink_removed);
	else
		op_wait_removal(op, unlink_removed);
}

/* Else the journal has it, and it is done with others in a moment: change/intents.h. */
static void unlink_soon(fuse_req_t req, struct mailbox *mb, uint32_t uid, struct mailbox *trash)
{
	struct intent_ask ask = {
		.verb = trash ? INTENT_MOVE : INTENT_REMOVE, .to = trash, .by = hold_process(req)};
	uint64_t started = uv_hrtime();
	int err = intents_put(mb, uid, &ask);
	int error = err < 0 ? error_errno(err) : 0;

	if (!error)
		draft_message_gone(fuse_req_userdata(req), mb, uid);
	fuse_reply_err(req, error);
	op_log("unlink", inode_of_message(mb, uid), started, error);
}

/* It is no message here. By the name that it came in under, one may be on its way. */
static void refuse_unlink(fuse_req_t req, struct mailbox *mb, const char *name)
{
	struct mailbox *at;
	uint32_t uid;

	if (mailbox_child(mb, span_of(name)))
		fuse_reply_err(req, EISDIR);
	else
		fuse_reply_err(req,
			moves_find(fuse_req_userdata(req), mb, name, &at, &uid) ? EBUSY : ENOENT);
}

static void unlink_known(struct fs_op *op, int err)
{
	fuse_req_t req = op->req;
	fuse_ino_t parent = op->ino;
	uint32_t uid = op->uid;
	struct mailbox *mb;

	if (err < 0) {
		op_fail(op, err);
		return;
	}
	mb = mailbox_hold(op->mb);
	fuse_req_interrupt_func(req, NULL, NULL);
	op_end(op);
	if (mailbox_shown(mb, uid))
		file_remove(req, parent, mb, uid);
	else
		fuse_reply_err(req, ENOENT);
	mailbox_release(mb);
}

/* Its row has not come yet: who wrote it may remove it at once. */
static void unlink_unknown(fuse_req_t req, fuse_ino_t parent, struct mailbox *mb, uint32_t uid)
{
	struct fs_op *op = op_create(fuse_req_userdata(req), req, "unlink", parent, mb);

	op->uid = uid;
	op->given = true;
	op_lock(op, parent);
	fresh_message(op, unlink_known);
}

/* Programs that replace a file make it anew then, and some do not if it was not there. */
static void unlink_loose(fuse_req_t req, struct mailbox *mb, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	bool replaces = hold_may_replace(fs, req);

	hold_free_name(fs, req, mb, name);
	if (!fs->loose_logged)
		log_notice("%s/%s: nothing is removed: no message is listed under this name",
			mailbox_path(mb), name);
	fs->loose_logged = true;
	fuse_reply_err(req, replaces ? 0 : ENOENT);
}

static void unlink_found(
	fuse_req_t req, fuse_ino_t parent, struct mailbox *mb, const char *name, uint32_t uid)
{
	struct fs *fs = fuse_req_userdata(req);

	if (!entry_removes(fs, mb, name, uid)) {
		unlink_loose(req, mb, name);
		return;
	}
	entry_forget_own(fs, mb, name, uid);
	file_remove(req, parent, mb, uid);
}

static void unlink_named(struct fs_op *op, int err)
{
	fuse_req_t req = op->req;
	fuse_ino_t parent = op->ino;
	struct mailbox *mb = mailbox_hold(op->mb);
	char *name = op->octets;
	uint32_t uid = op->uid;

	op->octets = NULL;
	fuse_req_interrupt_func(req, NULL, NULL);
	op_end(op);
	if (mailbox_shown(mb, uid))
		unlink_found(req, parent, mb, name, uid);
	else
		fuse_reply_err(req, ENOENT);
	mailbox_release(mb);
	free(name);
}

/* What it is called shows when its fields are there; if they cannot be had it is listed without. */
static void unlink_unnamed(
	fuse_req_t req, fuse_ino_t parent, struct mailbox *mb, const char *name, uint32_t uid)
{
	struct fs_op *op = op_create(fuse_req_userdata(req), req, "unlink", parent, mb);

	op->uid = uid;
	op->octets = mem_strdup(name);
	op_lock(op, parent);
	int err = op_overdue(op);

	if (err < 0)
		op_fail(op, err);
	else
		op_wait_facts(op, FACT_SUMMARY, unlink_named);
}

void file_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fuse_req_userdata(req);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, parent, &uid);

	if (fs->options.readonly) {
		fuse_reply_err(req, EROFS);
		return;
	}
	/* Not ESTALE: the kernel would try again by the name, and remove what is called so now. */
	if (!mb) {
		fuse_reply_err(req, ENOENT);
		return;
	}
	struct draft *d = draft_named(fs, mb, name, fuse_req_ctx(req)->pid);
	if (d && d->state != DRAFT_STORED) {
		draft_unlink(req, d);
		return;
	}
	if (views_unlink(fs, req, mb, name))
		return;
	/* What it is really called shows when the directory is listed. */
	if (given_is_passing(mb, name) || moves_is_passing(fs, mb, name)) {
		fuse_reply_err(req, EBUSY);
		return;
	}
	uint32_t coming = entry_coming(mb, name);
	if (entry_find(fs, mb, name, &uid) && entry_lacks_name(fs, mb, uid) &&
		!entry_removes(fs, mb, name, uid))
		unlink_unnamed(req, parent, mb, name, uid);
	else if (uid)
		unlink_found(req, parent, mb, name, uid);
	else if (coming)
		unlink_unknown(req, parent, mb, coming);
	else
		refuse_unlink(req, mb, name);
}

void file_remove(fuse_req_t req, fuse_ino_t parent, struct mailbox *mb, uint32_t uid)
{
	struct fs *fs = fuse_req_userdata(req);
	struct mailbox *trash;

	if (file_is_barred(mb)) {
		fuse_reply_err(req, ESTALE);
		return;
	}
	if (!trash_find(fs->account, mb, &trash)) {
		fuse_reply_err(req, EPERM);
		return;
	}
	bool doubtful = intents_are_doubtful(mb, trash ? &change_move : &change_remove);
	/* What the server has confirmed nobody can take back. */
	if ((fs->options.sync || doubtful) && !hold_may_replace(fs, req))
		unlink_now(req, parent, mb, uid, trash);
	else
		unlink_soon(req, mb, uid, trash);
}
