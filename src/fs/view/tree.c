/* SPDX-License-Identifier: MIT */
#include "fs/view/tree.h"

#include <errno.h>
#include <string.h>

#include "base/error.h"
#include "fs/dir.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/find_size.h"
#include "fs/fresh.h"
#include "fs/inode.h"
#include "fs/listing.h"
#include "fs/notify.h"
#include "fs/view/private.h"
#include "mail/size/sizes.h"
#include "mail/sync/sync.h"
#include "mail/sync/walk.h"
#include "mail/sync/watch.h"

static const struct view_tree *tree_of(const struct fs_op *op)
{
	return op->at.node->view->tree;
}

/* Seconds that the kernel may keep the name of a message. */
static double message_timeout(const struct fs_op *op)
{
	return tree_of(op)->loose ? NAME_TIMEOUT : ATTR_TIMEOUT;
}

/* --- attributes --- */

void tree_attributes(struct fs_op *op)
{
	struct stat st;

	view_stat_directory(op->fs, op->at, op->mb, &st);
	view_answer_attributes(op, &st, dir_name_timeout(op->fs), ATTR_TIMEOUT);
}

/* --- lookup --- */

static struct cache_message *tree_find_message(const struct fs_op *op)
{
	/* One that is on its way to another mailbox is hidden where it is. */
	return op->passing ? mailbox_find(op->mb, op->uid) : mailbox_shown(op->mb, op->uid);
}

static void tree_message_sized(struct fs_op *op, int err)
{
	struct cache_message *m = tree_find_message(op);
	bool passing = op->passing || op->given;
	struct stat st;

	if (err < 0 || !m) {
		op_fail(op, err < 0 && err != ERR_STALE ? err : ERR_GONE);
		return;
	}
	entry_stat_message(op->fs, op->mb, m, &st);
	sizes_note_shown(op->mb, m);
	view_answer_attributes(
		op, &st, passing ? 0 : message_timeout(op), entry_size_timeout(op->mb, m));
}

void view_found_message(struct fs_op *op)
{
	const struct cache_message *m = tree_find_message(op);

	op->lookup = true;
	if (m && !sizes_can_show(op->mb, m))
		find_size_start(op, tree_message_sized);
	else
		tree_message_sized(op, 0);
}

static void tree_lookup_known(struct fs_op *op, int err)
{
	if (tree_of(op)->raw)
		view_found_message(op);
	else
		view_found(op, (struct view_at){op->at.node, op->uid});
}

static bool tree_find_uid(struct fs_op *op, const char *name, uint32_t *uid)
{
	if (!mailbox_selectable(op->mb))
		return false;
	if (tree_of(op)->find)
		return tree_of(op)->find(op, name, uid);
	return entry_parse_number(op->fs, op->mb, name, uid);
}

void tree_lookup(struct fs_op *op)
{
	struct mailbox *child = mailbox_child(op->mb, span_of(op->octets));

	if (op->at.number != 0) {
		op_reply_errno(op, ENOTDIR);
	} else if (child) {
		op_set_mailbox(op, child);
		view_found(op, (struct view_at){view_node(op->fs, op->at.node->view, child, 0), 0});
	} else if (tree_find_uid(op, op->octets, &op->uid) && !mailbox_hidden(op->mb, op->uid)) {
		fresh_message(op, tree_lookup_known);
	} else {
		op_fail(op, ERR_GONE);
	}
}

/* --- opendir --- */

static void tree_opendir_reply(struct fs_op *op, int err)
{
	struct mailbox *mb = op->mb;
	struct view_node *node = op->at.node;
	bool whole = !mailbox_selectable(mb) ||
		     (mb->messages.complete && !sync_is_awaited(mb) && !op->without);

	if (whole) {
		op->fi.cache_readdir = 1;
		op->fi.keep_cache = mb->names.version + 1 == node->listed;
		node->listed = mb->names.version + 1;
	}
	op->fi.fh = mb->messages.late;
	fuse_reply_open(op->req, &op->fi);
	watch_verify(op->fs->account->watch, mb);
	op_end(op);
}

static void tree_opendir_expired(struct fs_op *op, int err)
{
	op->known = tree_opendir_reply;
	fresh_expire_listing(op, err);
}

static void tree_opendir_named(struct fs_op *op, int err)
{
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else
		fresh_listing(op, tree_opendir_reply);
}

void tree_opendir(struct fs_op *op)
{
	struct mailbox *mb = op->mb;
	bool tree = mb == op->fs->account->tree.top || mb->place.child_count > 0;

	op->expire = tree_opendir_expired;
	walk_note(op->fs->account->walk, mb);
	if (!tree || op_wait_names(op, tree_opendir_named))
		fresh_listing(op, tree_opendir_reply);
}

/* --- list --- */

static bool tree_put_children(struct listing *l, uint32_t after)
{
	struct fs_op *op = l->op;
	struct mailbox *child = mailbox_child_after(op->mb, after);
	struct stat st;

	for (; child; child = mailbox_child_beside(op->mb, child, MAILBOX_LISTED)) {
		struct view_at at = {view_node(op->fs, op->at.node->view, child, 0), 0};
		view_stat_directory(op->fs, at, child, &st);
		if (!listing_put(l, child->component, &st, true, dir_name_timeout(op->fs),
			    LISTING_CHILD | child->id))
			return false;
	}
	return true;
}

static size_t name_message(struct fs_op *op, const struct cache_message *m, char out[NAME_MAX + 1])
{
	if (tree_of(op)->name)
		return tree_of(op)->name(op, m, out);
	return entry_number(op->fs, op->mb, m->uid, out);
}

/* A size that would have to be asked for, or made, is not shown: who wants it looks the name up. */
static bool tree_put_message(struct listing *l, struct cache_message *m, const char *name)
{
	struct fs_op *op = l->op;
	struct stat st = {.st_mode = S_IFREG, .st_ino = view_inode(op->at.node, m->uid)};
	bool known = tree_of(op)->raw && sizes_can_show(op->mb, m);

	if (tree_of(op)->raw)
		entry_stat_message(op->fs, op->mb, m, &st);
	if (!listing_put(l, name, &st, known, message_timeout(op), LISTING_MESSAGE | m->uid))
		return false;
	if (known && op->plus)
		sizes_note_shown(op->mb, m);
	return true;
}

static bool tree_put_messages(struct listing *l, uint32_t after)
{
	struct mailbox *mb = l->op->mb;
	uint32_t last = mailbox_listable(mb);
	struct cache_message *m;
	char name[NAME_MAX + 1];

	while ((m = mailbox_after(mb, after)) && m->uid <= last) {
		after = m->uid;
		if (mailbox_hidden(mb, after) || name_message(l->op, m, name) == 0)
			continue;
		if (!tree_put_message(l, m, name))
			return false;
	}
	return mb->messages.complete;
}

/* The directory above: at the root of the tree, what is mounted. */
static fuse_ino_t tree_parent_of(struct fs_op *op)
{
	if (op->mb == op->fs->account->tree.top || !op->mb->place.parent)
		return FUSE_ROOT_ID;
	return view_inode(view_node(op->fs, op->at.node->view, op->mb->place.parent, 0), 0);
}

static void tree_fill(struct listing *l, uint64_t off)
{
	struct fs_op *op = l->op;
	bool is_message = LISTING_KIND(off) == LISTING_MESSAGE;

	if (LISTING_KIND(off) == 0 &&
		!listing_put_dots(l, view_inode(op->at.node, 0), tree_parent_of(op)))
		return;
	if (LISTING_KIND(off) <= LISTING_CHILD &&
		!tree_put_children(l, LISTING_KIND(off) == LISTING_CHILD ? (uint32_t)off : 0))
		return;
	if (!mailbox_selectable(op->mb))
		return;
	if (LISTING_KIND(off) <= LISTING_MESSAGE &&
		!tree_put_messages(l, is_message ? (uint32_t)off : 0))
		return;
	if (tree_of(op)->put_more)
		tree_of(op)->put_more(
			l, op->mb, LISTING_KIND(off) == LISTING_VIEW ? (uint32_t)off : 0);
}

static void tree_list_go(struct fs_op *op, int err)
{
	struct mailbox *mb = op->mb;
	struct listing l;

	/* A name has come where this reader was already: the listing has a hole. */
	if (LISTING_KIND(op->offset) == LISTING_MESSAGE && op->fi.fh != mb->messages.late) {
		op_reply_errno(op, EIO);
		return;
	}
	listing_begin(&l, op);
	tree_fill(&l, op->offset);
	/* An empty answer says that the listing is over, and as long as rows arrive it is not. */
	if (l.used == 0 && mailbox_selectable(mb) && !mb->messages.complete) {
		listing_drop(&l);
		fresh_rows(op, tree_list_go);
		return;
	}
	listing_end(&l);
}

void tree_list(struct fs_op *op)
{
	tree_list_go(op, 0);
}

/* --- what the kernel is told --- */

void tree_on_directory_changed(struct fs *fs, struct view_node *node)
{
	notify_directory(fs->notifier, view_inode(node, 0));
}

void tree_on_message_gone(struct fs *fs, struct view_node *node, uint32_t uid)
{
	struct mailbox *mb = tree_mailbox(&fs->account->tree, node->mailbox);
	char name[NAME_MAX + 1];

	if (!node->used || !mb)
		return;
	if (node->view->tree->loose) {
		notify_attributes(fs->notifier, inode_of_message(mb, uid));
	} else {
		size_t n = entry_number(fs, mb, uid, name);
		notify_name_gone(fs->notifier, view_inode(node, 0), view_inode(node, uid), name, n);
	}
	notify_directory(fs->notifier, view_inode(node, 0));
}
