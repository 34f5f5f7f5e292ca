/* SPDX-License-Identifier: MIT */
/*
 * .maildir/MAILBOX/{cur,new,tmp}: each mailbox as a Maildir, for mutt, notmuch, mu and others. Messages
 * are the raw ones, with the same inodes; their names have their flags (maildir_name.h). What has no
 * flag is in new/, until somebody renames it into cur/; where a program has put a message it stays as
 * long as the mount.
 *
 * A name is good as long as the flags are those: what has changed since does not resolve, and the kernel
 * is told to forget it. The time of cur/ and new/ changes with each entry that changes there, and with
 * nothing else, also across mounts: the cache keeps a hash of the names, and the time of the last
 * change, so that an indexer looks at each directory once.
 *
 *   maildir.c         names, attributes, listings
 *   maildir_change.c  what programs change: flags by renaming, removal, delivery through tmp/
 */
#include "fs/view/maildir.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/dir.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/inode.h"
#include "fs/listing.h"
#include "fs/moves.h"
#include "fs/notify.h"
#include "fs/view/private.h"
#include "fs/view/tree.h"
#include "mail/model/given.h"
#include "mail/size/sizes.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/watch.h"

/* Seconds that the kernel may keep the time of a directory. */
#define TIME_TIMEOUT 1.0

/* Where the directory above it is. */
static fuse_ino_t above(struct fs_op *op)
{
	if (op->fs->options.maildir)
		return inode_of_directory(op->fs, op->mb);
	return view_inode(view_node(op->fs, &view_maildir, op->mb, 0), 0);
}

static const char *const side_names[] = {
	[MAILDIR_CUR] = "cur", [MAILDIR_NEWS] = "new", [MAILDIR_TMP] = "tmp"};

/* --- the state of a mailbox --- */

struct maildir *maildir_of(struct fs *fs, const struct mailbox *mb)
{
	struct view_node *node = view_node(fs, &view_maildir, mb, 0);
	struct maildir *m = node->data;

	if (m)
		return m;
	m = node->data = mem_zalloc(sizeof(*m));
	map_init(&m->shown);
	map_init(&m->moved);
	m->dirty = true;
	return m;
}

static void maildir_forget(struct view_node *node)
{
	struct maildir *m = node->data;

	if (!m)
		return;
	map_finish(&m->shown);
	map_finish(&m->moved);
	free(m);
}

unsigned maildir_now(
	struct maildir *m, const struct mailbox *mb, const struct cache_message *message)
{
	struct flags_value value;
	unsigned flags = flags_get(mb, message, &value) ? maildir_flags_of(&value) : 0;

	unsigned side = (unsigned)map_number(&m->moved, message->uid);

	if (!side)
		side = flags == 0 ? MAILDIR_NEWS : MAILDIR_CUR;
	return flags | (side == MAILDIR_NEWS ? MAILDIR_NEW : 0);
}

static unsigned side_of(unsigned flags)
{
	return flags & MAILDIR_NEW ? MAILDIR_NEWS : MAILDIR_CUR;
}

static int64_t date_of(const struct cache_message *message)
{
	return message->flags & CACHE_DATE_UNKNOWN ? 0 : message->date;
}

static size_t maildir_name_of(const struct fs *fs, const struct mailbox *mb, uint32_t uid,
	int64_t date, unsigned flags, char out[NAME_MAX + 1])
{
	const struct maildir_name name = {
		.date = date,
		.uidvalidity = mb->uidvalidity,
		.uid = uid,
		.host = fs->account->options.pool.host,
		.flags = flags,
	};

	return maildir_name_format(&name, out);
}

/* The kernel may know its name from now on: what it is made of is kept, with a bit that is always
 * set. */
#define SHOWN_BITS 16
#define SHOWN ((uint64_t)1 << 8)

static void note_shown(struct maildir *m, const struct cache_message *message, unsigned flags)
{
	uint64_t value = (uint64_t)date_of(message) << SHOWN_BITS | SHOWN | flags;

	map_put_number(&m->shown, message->uid, value);
}

/* --- times --- */

static uint64_t mix_hash(uint64_t hash, uint64_t value)
{
	hash = (hash ^ value) * 0x9e3779b97f4a7c15;
	return hash ^ hash >> 29;
}

/* The hash before, and the time, as the cache has them. */
static void load_time(struct maildir_time *t, const struct view_node *node)
{
	if (t->known)
		return;
	memcpy(&t->hash, node->state, sizeof(t->hash));
	memcpy(&t->changed, node->state + sizeof(t->hash), sizeof(t->changed));
	t->known = true;
}

static void settle_time(
	struct fs *fs, struct mailbox *mb, struct maildir *m, unsigned side, uint64_t hash)
{
	struct view_node *node = view_node(fs, &view_maildir, mb, side);
	struct maildir_time *t = &m->times[side];
	int64_t now = time(NULL);

	load_time(t, node);
	if (t->changed && t->hash == hash)
		return;
	t->hash = hash;
	t->changed = now > t->changed ? now : t->changed + 1;
	memcpy(node->state, &t->hash, sizeof(t->hash));
	memcpy(node->state + sizeof(t->hash), &t->changed, sizeof(t->changed));
	view_save(fs, node);
}

static void settle_times(struct fs *fs, struct mailbox *mb, struct maildir *m)
{
	uint64_t hashes[] = {[MAILDIR_CUR] = 1, [MAILDIR_NEWS] = 1};
	const struct cache_message *message = mailbox_after(mb, 0);

	for (; message; message = mailbox_after(mb, message->uid)) {
		if (mailbox_hidden(mb, message->uid))
			continue;
		unsigned flags = maildir_now(m, mb, message);
		uint64_t *hash = &hashes[side_of(flags)];
		*hash = mix_hash(*hash, (uint64_t)message->uid << 8 | flags);
	}
	settle_time(fs, mb, m, MAILDIR_CUR, hashes[MAILDIR_CUR]);
	settle_time(fs, mb, m, MAILDIR_NEWS, hashes[MAILDIR_NEWS]);
	m->dirty = false;
	m->version = mb->names.version;
}

/* --- until rows and flags are known --- */

static void maildir_flags_known(struct fs_op *op, int err)
{
	struct maildir *m = maildir_of(op->fs, op->mb);

	if (m->dirty || m->version != op->mb->names.version)
		settle_times(op->fs, op->mb, m);
	op->sized(op, 0);
}

static void maildir_rows_known(struct fs_op *op, int err)
{
	fresh_flags(op, maildir_flags_known);
}

void maildir_know(struct fs_op *op, op_resume *then)
{
	op->sized = then;
	flags_want(op->fs->account);
	watch_read(op->fs->account->watch, op->mb);
	fresh_whole(op, maildir_rows_known);
}

/* --- attributes --- */

static void stat_writable(const struct fs_op *op, struct stat *st)
{
	view_stat_directory(op->fs, op->at, op->mb, st);
	if (!op->fs->options.readonly)
		st->st_mode |= 0200 & ~op->fs->options.dmask;
}

static void side_attributes(struct fs_op *op, int err)
{
	const struct maildir *m = maildir_of(op->fs, op->mb);
	struct stat st;

	stat_writable(op, &st);
	st.st_mtim.tv_sec = st.st_ctim.tv_sec = m->times[op->at.node->level].changed;
	view_answer_attributes(op, &st, dir_name_timeout(op->fs), TIME_TIMEOUT);
}

static void tmp_attributes(struct fs_op *op)
{
	struct stat st;

	stat_writable(op, &st);
	st.st_mtim.tv_sec = st.st_ctim.tv_sec = op->fs->mounted;
	view_answer_attributes(op, &st, dir_name_timeout(op->fs), 0);
}

static void maildir_attributes(struct fs_op *op)
{
	unsigned level = op->at.node->level;

	if (level == MAILDIR_TMP)
		tmp_attributes(op);
	else if (level != 0)
		maildir_know(op, side_attributes);
	else
		tree_attributes(op);
}

/* --- lookup --- */

/* What was delivered under a name of its own, with letters behind it or not. */
static uint32_t find_given(struct maildir *m, struct mailbox *mb, unsigned side, const char *name)
{
	char base[NAME_MAX + 1];
	size_t n = maildir_name_base(name);
	unsigned letters;

	if (n > NAME_MAX)
		return 0;
	memcpy(base, name, n);
	base[n] = '\0';
	uint32_t uid = given_find(mb, name) ? given_find(mb, name) : given_find(mb, base);
	const struct cache_message *message = uid ? mailbox_shown(mb, uid) : NULL;
	if (!message)
		return 0;
	unsigned flags = maildir_now(m, mb, message);
	bool lettered = maildir_name_flags(name, &letters);
	return side_of(flags) == side && (!lettered || letters == flags) ? uid : 0;
}

uint32_t maildir_find(struct fs *fs, struct mailbox *mb, unsigned side, const char *name)
{
	struct maildir *m = maildir_of(fs, mb);
	uint32_t uid = maildir_name_uid(name);
	const struct cache_message *message = uid ? mailbox_shown(mb, uid) : NULL;
	char right[NAME_MAX + 1];

	if (message) {
		unsigned flags = maildir_now(m, mb, message);
		maildir_name_of(fs, mb, uid, date_of(message), flags, right);
		if (side_of(flags) == side && strcmp(name, right) == 0) {
			note_shown(m, message, flags);
			return uid;
		}
	}
	return find_given(m, mb, side, name);
}

static void maildir_lookup_known(struct fs_op *op, int err)
{
	struct mailbox *at;

	op->uid = maildir_find(op->fs, op->mb, op->at.node->level, op->octets);
	op->given = op->uid && op->uid != maildir_name_uid(op->octets);
	if (!op->uid && moves_find(op->fs, op->mb, op->octets, &at, &op->uid)) {
		op_set_mailbox(op, at);
		op->passing = true;
	}
	if (op->uid)
		view_found_message(op);
	else
		op_fail(op, ERR_GONE);
}

bool maildir_find_side(struct mailbox *mb, const char *name, unsigned *side)
{
	if (!mailbox_selectable(mb) || mailbox_child(mb, span_of(name)))
		return false;
	for (unsigned i = MAILDIR_CUR; i <= MAILDIR_TMP; i++)
		if (strcmp(name, side_names[i]) == 0) {
			*side = i;
			return true;
		}
	return false;
}

static void maildir_lookup(struct fs_op *op)
{
	unsigned side;

	if (op->at.node->level == MAILDIR_TMP)
		maildir_lookup_tmp(op);
	else if (op->at.node->level != 0)
		maildir_know(op, maildir_lookup_known);
	else if (maildir_find_side(op->mb, op->octets, &side))
		view_found(op, (struct view_at){view_node(op->fs, &view_maildir, op->mb, side), 0});
	else
		tree_lookup(op);
}

/* --- lists --- */

static void maildir_put_messages(struct listing *l, uint32_t after)
{
	struct fs_op *op = l->op;
	struct maildir *m = maildir_of(op->fs, op->mb);
	struct cache_message *message = mailbox_after(op->mb, after);
	char name[NAME_MAX + 1];
	struct stat st;

	for (; message; message = mailbox_after(op->mb, message->uid)) {
		unsigned flags = maildir_now(m, op->mb, message);
		if (mailbox_hidden(op->mb, message->uid) || side_of(flags) != op->at.node->level)
			continue;
		bool known = sizes_can_show(op->mb, message);
		entry_stat_message(op->fs, op->mb, message, &st);
		maildir_name_of(op->fs, op->mb, message->uid, date_of(message), flags, name);
		if (!listing_put(l, name, &st, known, ATTR_TIMEOUT, LISTING_MESSAGE | message->uid))
			return;
		note_shown(m, message, flags);
		if (known && op->plus)
			sizes_note_shown(op->mb, message);
	}
}

static void list_side(struct fs_op *op, int err)
{
	bool is_message = LISTING_KIND(op->offset) == LISTING_MESSAGE;
	struct listing l;

	listing_begin(&l, op);
	if (is_message || listing_put_dots(&l, view_inode(op->at.node, 0), above(op))) {
		if (op->at.node->level == MAILDIR_TMP)
			maildir_put_tmp(&l);
		else
			maildir_put_messages(&l, is_message ? (uint32_t)op->offset : 0);
	}
	listing_end(&l);
}

bool maildir_put_sides(struct listing *l, const struct mailbox *mb, uint32_t after)
{
	struct fs_op *op = l->op;

	for (unsigned side = after + 1; side <= MAILDIR_TMP; side++) {
		struct stat st = {.st_mode = S_IFDIR,
			.st_ino = view_inode(view_node(op->fs, &view_maildir, mb, side), 0)};
		if (!mailbox_child(op->mb, span_of(side_names[side])) &&
			!listing_put(l, side_names[side], &st, false, 0, LISTING_VIEW | side))
			return false;
	}
	return true;
}

static void maildir_list(struct fs_op *op)
{
	if (op->at.node->level == 0)
		tree_list(op);
	else if (op->at.node->level == MAILDIR_TMP || op->offset != 0)
		list_side(op, 0);
	else
		maildir_know(op, list_side);
}

static void maildir_opendir_reply(struct fs_op *op, int err)
{
	fuse_reply_open(op->req, &op->fi);
	op_end(op);
}

static void maildir_opendir(struct fs_op *op)
{
	if (op->at.node->level == 0)
		tree_opendir(op);
	else if (op->at.node->level == MAILDIR_TMP)
		maildir_opendir_reply(op, 0);
	else
		maildir_know(op, maildir_opendir_reply);
}

/* --- what the kernel is told --- */

static void tell_side(struct fs *fs, const struct mailbox *mb, unsigned side)
{
	const struct view_node *node = view_find_node(fs, &view_maildir, mb, side);

	if (node && node->used)
		notify_directory(fs->notifier, view_inode(node, 0));
}

/* The name that was shown of the message is not right any more. */
static void forget_name(struct fs *fs, struct mailbox *mb, uint32_t uid, uint64_t shown)
{
	unsigned flags = shown & (SHOWN - 1);
	const struct view_node *node = view_find_node(fs, &view_maildir, mb, side_of(flags));
	char name[NAME_MAX + 1];

	if (!node || !node->used)
		return;
	size_t n = maildir_name_of(fs, mb, uid, (int64_t)shown >> SHOWN_BITS, flags, name);
	notify_name_gone(fs->notifier, view_inode(node, 0), 0, name, n);
}

static void note_change(struct fs *fs, struct view_node *node, uint32_t uid, bool gone)
{
	struct mailbox *mb = tree_mailbox(&fs->account->tree, node->mailbox);
	const struct cache_message *message = mb ? mailbox_find(mb, uid) : NULL;
	struct maildir *m = node->data;

	if (!m || !mb)
		return;
	m->dirty = true;
	uint64_t shown = map_number(&m->shown, uid);
	unsigned before = shown & (SHOWN - 1), now = message ? maildir_now(m, mb, message) : 0;
	if (!shown || (!gone && before == now))
		return;
	forget_name(fs, mb, uid, shown);
	map_remove_number(&m->shown, uid);
	tell_side(fs, mb, side_of(before));
	if (!gone && side_of(now) != side_of(before))
		tell_side(fs, mb, side_of(now));
}

static void maildir_on_flags_changed(struct fs *fs, struct view_node *node, uint32_t uid)
{
	note_change(fs, node, uid, false);
}

static void maildir_on_message_gone(struct fs *fs, struct view_node *node, uint32_t uid)
{
	note_change(fs, node, uid, true);
}

static void maildir_on_directory_changed(struct fs *fs, struct view_node *node)
{
	struct mailbox *mb = tree_mailbox(&fs->account->tree, node->mailbox);

	tree_on_directory_changed(fs, node);
	if (!mb || !node->data)
		return;
	((struct maildir *)node->data)->dirty = true;
	tell_side(fs, mb, MAILDIR_CUR);
	tell_side(fs, mb, MAILDIR_NEWS);
}

void maildir_note_moved(struct fs *fs, const struct mailbox *mb, uint32_t uid, unsigned side)
{
	struct maildir *m = maildir_of(fs, mb);

	map_put_number(&m->moved, uid, side);
	map_remove_number(&m->shown, uid);
	m->dirty = true;
	tell_side(fs, mb, MAILDIR_CUR);
	tell_side(fs, mb, MAILDIR_NEWS);
}

/* Messages are in cur/ and new/. */
static size_t no_name(struct fs_op *op, const struct cache_message *m, char out[NAME_MAX + 1])
{
	return 0;
}

static bool no_message(struct fs_op *op, const char *name, uint32_t *uid)
{
	return false;
}

static const struct view_tree maildir_tree = {
	.name = no_name, .find = no_message, .put_more = maildir_put_sides};

/* Of the directory above cur/, new/ and tmp/ nothing is changed. */
static unsigned maildir_permissions(const struct view_at *at)
{
	return at->node->level == 0 ? X_OK : X_OK | W_OK;
}

const struct view view_maildir = {
	.name = ".maildir",
	.key = "maildir",
	.place = VIEW_TREE,
	.tree = &maildir_tree,
	.lookup = maildir_lookup,
	.list = maildir_list,
	.opendir = maildir_opendir,
	.permissions = maildir_permissions,
	.attributes = maildir_attributes,
	.changing = &maildir_changing,
	.on_flags_changed = maildir_on_flags_changed,
	.on_directory_changed = maildir_on_directory_changed,
	.on_message_gone = maildir_on_message_gone,
	.forget = maildir_forget,
};
