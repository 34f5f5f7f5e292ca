/* SPDX-License-Identifier: MIT */
/* The table of views, and their nodes. */
#include "fs/views.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "base/map.h"
#include "base/mem.h"
#include "fs/dir.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/hold.h"
#include "fs/inode.h"
#include "fs/listing.h"
#include "fs/notify.h"
#include "fs/op.h"
#include "fs/view/maildir.h"
#include "fs/view/private.h"

/* A row for each view. */
static const struct view *const all_views[] = {
	&view_mh,
	&view_index,
	&view_index_jsonl,
	&view_search,
	&view_maildir,
	&view_named,
	&view_text,
	&view_headers,
	&view_parts,
};
#define VIEWS (sizeof(all_views) / sizeof(all_views[0]))

/* The level of a symlink to a mailbox's directory in a tree. */
#define LEVEL_LINK (VIEW_LEVELS - 1)

struct views {
	struct list nodes;
	struct list handles;
	struct map by_id;
	struct map by_place; /* see place_key */
};

struct views *views_create(void)
{
	struct views *v = mem_zalloc(sizeof(*v));

	list_init(&v->nodes);
	list_init(&v->handles);
	map_init(&v->by_id);
	map_init(&v->by_place);
	return v;
}

/* --- nodes --- */

static uint32_t index_of(const struct view *view)
{
	uint32_t i = 0;

	while (all_views[i] != view)
		i++;
	return i;
}

static uint64_t place_key(const struct view *view, uint32_t mailbox, uint32_t level)
{
	return (uint64_t)mailbox << 32 | index_of(view) << 24 | level;
}

static void node_free(struct views *v, struct view_node *node)
{
	if (node->view->forget)
		node->view->forget(node);
	list_remove(&node->link);
	map_remove(&v->by_id, node->id);
	map_remove(&v->by_place, place_key(node->view, node->mailbox, node->level));
	free(node);
}

uint64_t view_handle(struct fs *fs, fuse_req_t req, bool writes, struct span octets)
{
	struct view_handle *h = mem_zalloc(sizeof(*h));

	h->writes = writes;
	if (writes)
		h->by = process_of(fuse_req_ctx(req)->pid);
	h->octets = (struct span){mem_copy(octets.p, octets.n), octets.n};
	list_append(&fs->views->handles, &h->link);
	return (uintptr_t)h;
}

const struct view_handle *view_handle_of(const struct fuse_file_info *fi)
{
	return (const struct view_handle *)(uintptr_t)fi->fh;
}

void views_drop_handle(uint64_t handle)
{
	struct view_handle *h = (struct view_handle *)(uintptr_t)handle;

	if (!h)
		return;
	list_remove(&h->link);
	free((char *)(uintptr_t)h->octets.p);
	free(h);
}

void views_destroy(struct views *v)
{
	if (!v)
		return;
	while (!list_empty(&v->nodes))
		node_free(v, list_entry(v->nodes.next, struct view_node, link));
	while (!list_empty(&v->handles))
		views_drop_handle((uintptr_t)list_entry(v->handles.next, struct view_handle, link));
	map_finish(&v->by_id);
	map_finish(&v->by_place);
	free(v);
}

static struct view_node *add_node(
	struct views *v, const struct view *view, uint32_t id, uint32_t mailbox, uint32_t level)
{
	struct view_node *node = mem_zalloc(sizeof(*node));

	node->id = id;
	node->mailbox = mailbox;
	node->level = level;
	node->view = view;
	list_append(&v->nodes, &node->link);
	map_put(&v->by_id, id, node);
	map_put(&v->by_place, place_key(view, mailbox, level), node);
	return node;
}

struct view_node *view_find_node(
	struct fs *fs, const struct view *view, const struct mailbox *mb, uint32_t level)
{
	return map_get(&fs->views->by_place, place_key(view, mb->id, level));
}

void view_save(struct fs *fs, const struct view_node *node)
{
	const struct cache_view row = {.id = node->id,
		.mailbox = node->mailbox,
		.level = node->level,
		.key = span_of(node->view->key),
		.state = {(const char *)node->state, sizeof(node->state)}};

	cache_put_view(fs->account->cache, &row);
}

struct view_node *view_node(
	struct fs *fs, const struct view *view, const struct mailbox *mb, uint32_t level)
{
	struct views *v = fs->views;
	struct view_node *node = view_find_node(fs, view, mb, level);

	if (!node) {
		node = add_node(v, view, cache_new_id(fs->account->cache), mb->id, level);
		node->fresh = true;
		view_save(fs, node);
	}
	node->used = true;
	return node;
}

fuse_ino_t view_inode(const struct view_node *node, uint32_t number)
{
	return (fuse_ino_t)node->id << 32 | number;
}

static const struct view *view_of_key(struct span key)
{
	for (size_t i = 0; i < VIEWS; i++)
		if (span_equal(key, span_of(all_views[i]->key)))
			return all_views[i];
	return NULL;
}

static void views_on_row(void *ctx, const struct cache_view *row)
{
	struct views *v = ((struct fs *)ctx)->views;
	const struct view *view = view_of_key(row->key);

	if (!view || row->level >= VIEW_LEVELS || map_get(&v->by_id, row->id) ||
		map_get(&v->by_place, place_key(view, row->mailbox, row->level)))
		return;
	struct view_node *node = add_node(v, view, row->id, row->mailbox, row->level);
	if (row->state.n == sizeof(node->state))
		memcpy(node->state, row->state.p, sizeof(node->state));
}

static struct mailbox *mailbox_of_node(const struct fs *fs, const struct view_node *node)
{
	if (node->mailbox == fs->account->tree.root->id)
		return fs->account->tree.root;
	return tree_mailbox(&fs->account->tree, node->mailbox);
}

/* What the cache has of a view's octets is kept under the node's id. */
static void drop_contents(struct fs *fs, const struct view_node *node)
{
	cache_drop_mailbox(fs->account->cache, node->id);
	cache_forget_mailbox(fs->account->cache, node->id);
}

/* An op that goes on later may look at it. */
static bool is_in_use(const struct fs *fs, const struct view_node *node)
{
	LIST_FOREACH (pos, &fs->ops)
		if (list_entry(pos, struct fs_op, link)->at.node == node)
			return true;
	return false;
}

/* Frees the nodes of mailboxes that are no more. */
static void views_sweep(struct fs *fs)
{
	LIST_FOREACH_SAFE (pos, &fs->views->nodes) {
		struct view_node *node = list_entry(pos, struct view_node, link);
		const struct mailbox *mb = mailbox_of_node(fs, node);
		if ((mb && !mb->dead) || is_in_use(fs, node))
			continue;
		drop_contents(fs, node);
		node_free(fs->views, node);
	}
}

void views_begin(struct fs *fs)
{
	cache_each_view(fs->account->cache, views_on_row, fs);
	views_sweep(fs);
}

bool views_have(const struct fs *fs, fuse_ino_t ino)
{
	return map_get(&fs->views->by_id, ino >> 32) != NULL;
}

unsigned views_permissions(const struct fs *fs, fuse_ino_t ino)
{
	const struct view_at at = {map_get(&fs->views->by_id, ino >> 32), (uint32_t)ino};
	const struct view *view = at.node ? at.node->view : NULL;

	if (!view)
		return 0;
	if (view->permissions)
		return view->permissions(&at);
	if (at.number == 0)
		return view->changing ? X_OK | W_OK : X_OK;
	return view->writing ? W_OK : 0;
}

bool views_resolve(const struct fs *fs, fuse_ino_t ino, struct view_at *at, struct mailbox **mb)
{
	*at = (struct view_at){map_get(&fs->views->by_id, ino >> 32), (uint32_t)ino};
	if (!at->node)
		return false;
	*mb = mailbox_of_node(fs, at->node);
	return *mb && !(*mb)->dead;
}

/* --- attributes --- */

static void view_stat_common(
	const struct fs *fs, struct view_at at, int64_t seconds, struct stat *st)
{
	*st = (struct stat){
		.st_ino = view_inode(at.node, at.number),
		.st_nlink = 1,
		.st_uid = fs->options.uid,
		.st_gid = fs->options.gid,
		.st_blksize = CACHE_CHUNK,
	};
	st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = seconds;
}

void view_stat_file(
	const struct fs *fs, struct view_at at, uint64_t size, int64_t seconds, struct stat *st)
{
	mode_t mode = at.node->view->writing && !fs->options.readonly ? 0600 : 0400;

	view_stat_common(fs, at, seconds, st);
	st->st_mode = S_IFREG | (mode & ~fs->options.fmask);
	st->st_size = (off_t)size;
	st->st_blocks = (blkcnt_t)(size / 512 + (size % 512 != 0));
}

void view_stat_directory(
	const struct fs *fs, struct view_at at, const struct mailbox *mb, struct stat *st)
{
	view_stat_common(fs, at, mb->names.changed, st);
	st->st_mode = S_IFDIR | (0500 & ~fs->options.dmask);
	st->st_nlink = 2;
}

void view_answer_attributes(
	struct fs_op *op, const struct stat *st, double name_timeout, double attr_timeout)
{
	struct fuse_entry_param e = {
		.ino = st->st_ino,
		.generation = 1,
		.attr = *st,
		.attr_timeout = attr_timeout,
		.entry_timeout = name_timeout,
	};

	if (op->lookup)
		fuse_reply_entry(op->req, &e);
	else
		fuse_reply_attr(op->req, st, attr_timeout);
	op_end(op);
}

void view_answer_octets(struct fs_op *op, struct span octets)
{
	size_t from = op->offset < octets.n ? (size_t)op->offset : octets.n;
	size_t n = octets.n - from < op->size ? octets.n - from : op->size;

	fuse_reply_buf(op->req, n ? octets.p + from : NULL, n);
	op_end(op);
}

/* --- symlinks --- */

/* From a mailbox's directory up to what is mounted, and down again in the tree: "../../.text/a/b".
 * NULL: it is too long, or the mailbox is elsewhere. */
static const char *link_text(
	const struct fs *fs, const struct view *view, const struct mailbox *mb, char out[PATH_MAX])
{
	const struct mailbox *top = fs->account->tree.top;
	size_t at = PATH_MAX - 1, ups = 0, n = strlen(view->name);

	out[at] = 0;
	for (; mb && mb != top; mb = mb->place.parent, ups++) {
		size_t length = strlen(mb->component);
		if (at < length + 1)
			return NULL;
		at -= length;
		memcpy(out + at, mb->component, length);
		out[--at] = '/';
	}
	if (!mb || at < n + 3 * ups)
		return NULL;
	at -= n;
	memcpy(out + at, view->name, n);
	for (; ups > 0; ups--)
		memcpy(out + (at -= 3), "../", 3);
	return out + at;
}

bool views_is_link(struct view_at at)
{
	return at.node->level == LEVEL_LINK;
}

void views_answer_link(struct fs_op *op)
{
	char out[PATH_MAX];
	const char *text = link_text(op->fs, op->at.node->view, op->mb, out);

	if (!text) {
		op_reply_errno(op, ENAMETOOLONG);
		return;
	}
	fuse_reply_readlink(op->req, text);
	op_end(op);
}

void views_stat_link(struct fs_op *op)
{
	char out[PATH_MAX];
	const char *text = link_text(op->fs, op->at.node->view, op->mb, out);
	struct stat st;

	view_stat_common(op->fs, op->at, op->fs->mounted, &st);
	st.st_mode = S_IFLNK | 0777;
	st.st_size = text ? (off_t)strlen(text) : 0;
	view_answer_attributes(op, &st, dir_name_timeout(op->fs), 0);
}

/* --- names --- */

/* In a directory of mailboxes. NULL: it is no view's there. */
static const struct view *view_of_name(const struct mailbox *mb, const char *name)
{
	for (size_t i = 0; i < VIEWS && name[0] == '.'; i++)
		if (strcmp(all_views[i]->name, name) == 0)
			return all_views[i]->selectable && !mailbox_selectable(mb) ? NULL
										   : all_views[i];
	return NULL;
}

/* What the name of the view is in that directory. */
static struct view_at place_of(struct fs *fs, const struct view *view, const struct mailbox *mb)
{
	bool is_linked = view->place == VIEW_TREE && mb != fs->account->tree.top;
	bool is_directory = view->place != VIEW_FILE && !is_linked;

	return (struct view_at){
		view_node(fs, view, mb, is_linked ? LEVEL_LINK : 0), is_directory ? 0 : 1};
}

static struct fs_op *view_op(struct fs *fs, fuse_req_t req, const char *name, fuse_ino_t ino,
	struct view_at at, struct mailbox *mb)
{
	struct fs_op *op = op_create(fs, req, name, ino, mb);

	op->at = at;
	return op;
}

bool views_find(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name)
{
	const struct view *view = view_of_name(mb, name);
	unsigned side;

	if (!view && !(fs->options.maildir && maildir_find_side(mb, name, &side)))
		return false;
	struct view_at at = view ? place_of(fs, view, mb)
				 : (struct view_at){view_node(fs, &view_maildir, mb, side), 0};
	const struct view_writing *w = at.node->view->writing;
	struct fs_op *op = view_op(fs, req, "lookup", inode_of_directory(fs, mb), at, mb);
	if (w && w->is_unlinked(fs, at.node, hold_process(req)))
		op_fail(op, ERR_GONE);
	else
		view_found(op, at);
	return true;
}

void views_list_maildir(struct listing *l, uint32_t after)
{
	maildir_put_sides(l, l->op->mb, after);
}

void views_list(struct listing *l, uint32_t after)
{
	struct fs *fs = l->op->fs;

	for (uint32_t i = after; fs->options.list_views && i < VIEWS; i++) {
		struct stat st;
		if (all_views[i]->place != VIEW_TREE)
			continue;
		struct view_at at = place_of(fs, all_views[i], l->op->mb);
		view_stat_directory(fs, at, l->op->mb, &st);
		if (!listing_put(l, all_views[i]->name, &st, true, dir_name_timeout(fs),
			    LISTING_VIEW | (i + 1)))
			return;
	}
}

bool views_unlink(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name)
{
	const struct view *view = view_of_name(mb, name);

	if (!view)
		return false;
	struct view_at at = place_of(fs, view, mb);
	int error = EPERM;
	if (fs->options.readonly)
		error = EROFS;
	else if (view->writing)
		error = view->writing->unlink(fs, at.node, hold_process(req));
	else if (at.number == 0)
		error = EISDIR;
	fuse_reply_err(req, error);
	return true;
}

bool views_make(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name,
	struct fuse_file_info *fi)
{
	const struct view *view = view_of_name(mb, name);

	if (!view)
		return false;
	if (fs->options.readonly || !view->writing) {
		fuse_reply_err(req, fs->options.readonly ? EROFS : EEXIST);
		return true;
	}
	struct view_at at = place_of(fs, view, mb);
	struct fuse_entry_param e = {.ino = view_inode(at.node, at.number), .generation = 1};
	view->writing->create(fs, at.node);
	view_stat_file(fs, at, 0, time(NULL), &e.attr);
	fi->direct_io = 1;
	fi->fh = view_handle(fs, req, true, SPAN(""));
	fuse_reply_create(req, &e, fi);
	return true;
}

/* --- something is renamed onto it --- */

static void replace_read(struct fs_op *op, int err)
{
	struct draft *d = draft_of(op->fs, op->ino);

	/* What its octets say is carried out, or not; the file itself is of no use any more. */
	if (d)
		draft_unname(d);
	op->at.node->view->writing->replace(op);
}

static int may_replace(const struct draft *d, const struct view *view)
{
	if (!d || !view->writing || d->source)
		return EPERM;
	if (d->state == DRAFT_STORING || d->state == DRAFT_STORED)
		return EBUSY;
	return d->place.size > VIEW_TEXT_MAX ? EFBIG : 0;
}

bool views_rename(struct fs *fs, fuse_req_t req, struct draft *d, const struct rename *r)
{
	const struct view *view = view_of_name(r->to, r->newname);

	if (!view && (d || !view_of_name(r->from, r->name)))
		return false;
	if (!view) {
		fuse_reply_err(req, EPERM);
		return true;
	}
	int error = may_replace(d, view);
	if (!error && r->flags)
		error = EEXIST;
	if (!error)
		error = draft_need_file(d);
	if (error) {
		fuse_reply_err(req, error);
		return true;
	}
	struct fs_op *op = view_op(fs, req, "rename", d->ino, place_of(fs, view, r->to), r->to);
	op_lock(op, inode_of_directory(fs, r->from));
	op_lock(op, inode_of_directory(fs, r->to));
	draft_read_whole(op, d, replace_read);
	return true;
}

/* --- what the account tells --- */

/* The view's node of the mailbox itself, if the kernel may know anything of it. */
static struct view_node *used_node(struct fs *fs, const struct view *view, const struct mailbox *mb)
{
	struct view_node *node = view_find_node(fs, view, mb, 0);

	return node && node->used ? node : NULL;
}

void views_on_flags_changed(struct fs *fs, struct mailbox *mb, uint32_t uid)
{
	for (size_t i = 0; i < VIEWS; i++) {
		struct view_node *node = used_node(fs, all_views[i], mb);
		if (node && all_views[i]->on_flags_changed)
			all_views[i]->on_flags_changed(fs, node, uid);
	}
}

void views_on_directory_changed(struct fs *fs, struct mailbox *mb)
{
	for (size_t i = 0; i < VIEWS; i++) {
		struct view_node *node = used_node(fs, all_views[i], mb);
		if (node && all_views[i]->on_directory_changed)
			all_views[i]->on_directory_changed(fs, node);
	}
}

void views_on_message_gone(struct fs *fs, struct mailbox *mb, uint32_t uid)
{
	for (size_t i = 0; i < VIEWS; i++) {
		struct view_node *node = view_find_node(fs, all_views[i], mb, 0);
		if (node && all_views[i]->on_message_gone)
			all_views[i]->on_message_gone(fs, node, uid);
	}
}

void views_on_listed(struct fs *fs, struct mailbox *mb)
{
	for (size_t i = 0; i < VIEWS; i++) {
		struct view_node *node = used_node(fs, all_views[i], mb);
		if (node && all_views[i]->on_listed)
			all_views[i]->on_listed(fs, node, mb);
	}
}

void views_on_directory_gone(struct fs *fs, struct mailbox *parent, struct mailbox *mb)
{
	for (size_t i = 0; i < VIEWS; i++) {
		const struct view *view = all_views[i];
		struct view_node *above = used_node(fs, view, parent);
		struct view_node *node = used_node(fs, view, mb);
		if (view->place == VIEW_TREE && above && node)
			notify_name_gone(fs->notifier, view_inode(above, 0), view_inode(node, 0),
				mb->component, strlen(mb->component));
	}
	/* This one is not dead yet. */
	views_sweep(fs);
}
