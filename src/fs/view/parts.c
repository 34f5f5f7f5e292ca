/* SPDX-License-Identifier: MIT */
/*
 * MAILBOX/.parts/UID/NAME: the parts of messages under their names (mime/names.h), with the transfer
 * encoding taken off and nothing else; an attached message is a file, and a directory of its parts
 * under its section. A bare section is found, too. The directory of a mailbox lists the messages that
 * have a part that is not text, for which the structures of all are asked for, once.
 *
 *   parts.c  directories and names
 *   part.c   the files
 */
#include "fs/view/parts.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/dir.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/inode.h"
#include "fs/listing.h"
#include "fs/notify.h"
#include "fs/view/content.h"
#include "fs/view/private.h"

void parts_shape_release(struct parts_shape *shape)
{
	if (!shape || --shape->refs > 0)
		return;
	mime_names_finish(&shape->names);
	mime_structure_finish(&shape->structure);
	free(shape);
}

static void parts_free(void *making)
{
	struct parts_work *w = making;

	parts_shape_release(w->shape);
	part_index_free(w->index);
	buf_finish(&w->out);
	free(w);
}

/* --- until the structure is known --- */

static int make_shape(struct fs_op *op, struct parts_shape **made)
{
	struct parts_shape *shape;
	struct mime_structure structure;
	int err = facts_structure(op->mb, op->uid, &structure);

	if (err < 0)
		return err;
	shape = mem_zalloc(sizeof(*shape));
	*shape = (struct parts_shape){.refs = 1, .uid = op->uid, .structure = structure};
	err = mime_names_init(&shape->names, &shape->structure);
	if (err < 0)
		parts_shape_release(shape);
	else
		*made = shape;
	return err;
}

/* That which was looked at last, or what is kept of the message. */
static int find_shape(struct fs_op *op)
{
	struct parts_work *w = op->making;
	struct parts_shape *shape, **last = part_last_shape(op);

	if (!mailbox_find(op->mb, op->uid))
		return ERR_GONE;
	if (!*last || (*last)->uid != op->uid) {
		int err = make_shape(op, &shape);
		if (err < 0)
			return err;
		parts_shape_release(*last);
		*last = shape;
	}
	(*last)->refs++;
	w->shape = *last;
	w->sections.structure = &w->shape->structure;
	return 0;
}

static void parts_structured(struct fs_op *op, int err)
{
	if (err == 0)
		err = op->mb->dead ? ERR_STALE : find_shape(op);
	if (err == ERR_NOT_CACHED && op->asked++ < 2) {
		op_wait_facts(op, FACT_STRUCTURE, parts_structured);
		return;
	}
	if (err < 0)
		sections_fail(op, err == ERR_GONE && !op->lookup ? ERR_STALE : err);
	else
		op->made_ready(op, 0);
}

static void parts_rows_known(struct fs_op *op, int err)
{
	struct parts_work *w = op->making;

	if (w && w->shape)
		op->made_ready(op, 0);
	else
		parts_structured(op, 0);
}

/* Goes on with `then` when the structure and the names of the message `uid` are there. */
static void parts_know(struct fs_op *op, uint32_t uid, op_resume *then)
{
	if (!op->making) {
		struct parts_work *w = mem_zalloc(sizeof(*w));
		buf_init(&w->out, CONTENT_MAX);
		op->making = w;
		op->unmake = parts_free;
	}
	op->uid = uid;
	op->made_ready = then;
	if (op->mb->messages.loaded)
		parts_rows_known(op, 0);
	else
		fresh_message(op, parts_rows_known);
}

/* --- attributes --- */

static void stat_directory(const struct fs_op *op, struct view_at at, struct stat *st)
{
	const struct cache_message *m = at.number ? mailbox_find(op->mb, at.number) : NULL;

	view_stat_directory(op->fs, at, op->mb, st);
	if (m)
		st->st_mtim.tv_sec = st->st_ctim.tv_sec = st->st_atim.tv_sec = m->date;
}

static void file_known(struct fs_op *op, int err)
{
	const struct parts_work *w = op->making;

	if (PARTS_PART(op->at.node->level) >= w->shape->structure.count ||
		!mailbox_find(op->mb, op->at.number))
		op_fail(op, op->lookup ? ERR_GONE : ERR_STALE);
	else
		part_attributes(op);
}

static void parts_attributes(struct fs_op *op)
{
	struct stat st;

	if (!PARTS_IS_DIRECTORY(op->at.node->level)) {
		parts_know(op, op->at.number, file_known);
		return;
	}
	stat_directory(op, op->at, &st);
	view_answer_attributes(
		op, &st, op->at.number ? ATTR_TIMEOUT : dir_name_timeout(op->fs), ATTR_TIMEOUT);
}

static void read_known(struct fs_op *op, int err)
{
	if (mailbox_find(op->mb, op->at.number))
		part_read(op);
	else
		op_fail(op, ERR_STALE);
}

static void parts_read(struct fs_op *op)
{
	parts_know(op, op->at.number, read_known);
}

/* --- lookup --- */

static struct view_at place_of_part(struct fs_op *op, uint32_t part, bool is_directory)
{
	return (struct view_at){
		view_node(op->fs, &view_parts, op->mb, PARTS_LEVEL(part, is_directory)), op->uid};
}

/* The attached message whose directory a node is, or MIME_NO_PART. */
static uint32_t directory_of(const struct fs_op *op)
{
	return op->at.node->level ? PARTS_PART(op->at.node->level) : MIME_NO_PART;
}

static void part_lookup_known(struct fs_op *op, int err)
{
	const struct parts_work *w = op->making;
	struct span name = span_of(op->octets);
	uint32_t directory = directory_of(op);
	uint32_t part = mime_names_find(&w->shape->names, directory, name);

	if (part != MIME_NO_PART) {
		view_found(op, place_of_part(op, part, false));
		return;
	}
	part = mime_structure_find(&w->shape->structure, name);
	if (part == MIME_NO_PART || w->shape->names.of[part].directory != directory)
		op_fail(op, ERR_GONE);
	else
		view_found(op, place_of_part(op, part,
				       w->shape->structure.parts[part].kind == MIME_MESSAGE));
}

static void message_lookup_known(struct fs_op *op, int err)
{
	view_found(op, (struct view_at){op->at.node, op->uid});
}

static void parts_lookup(struct fs_op *op)
{
	if (!PARTS_IS_DIRECTORY(op->at.node->level))
		op_reply_errno(op, ENOTDIR);
	else if (op->at.number != 0)
		parts_know(op, op->at.number, part_lookup_known);
	else if (entry_parse_number(op->fs, op->mb, op->octets, &op->uid) &&
		 !mailbox_hidden(op->mb, op->uid))
		fresh_message(op, message_lookup_known);
	else
		op_fail(op, ERR_GONE);
}

/* --- lists --- */

static bool has_attachment(struct mailbox *mb, uint32_t uid)
{
	struct mime_structure s;
	bool found = false;

	/* Of one that makes no sense the directory shows the error. */
	if (facts_structure(mb, uid, &s) < 0)
		return true;
	for (uint32_t i = 0; i < s.count && !found; i++)
		found = s.parts[i].kind == MIME_MESSAGE ||
			(s.parts[i].kind == MIME_LEAF &&
				!mime_part_is(&s.parts[i], SPAN("text"), SPAN("")));
	mime_structure_finish(&s);
	return found;
}

static void put_attached(struct listing *l, uint32_t after)
{
	struct fs_op *op = l->op;
	struct cache_message *m = mailbox_after(op->mb, after);
	char name[NAME_MAX + 1];

	for (; m; m = mailbox_after(op->mb, m->uid)) {
		struct view_at at = {op->at.node, m->uid};
		struct stat st;
		if (mailbox_hidden(op->mb, m->uid) || !has_attachment(op->mb, m->uid))
			continue;
		stat_directory(op, at, &st);
		entry_number(op->fs, op->mb, m->uid, name);
		if (!listing_put(l, name, &st, true, ATTR_TIMEOUT, LISTING_MESSAGE | m->uid))
			return;
	}
}

/* A part is a file; an attached message also a directory, right behind it. */
static bool put_part(struct listing *l, uint32_t part, bool is_directory)
{
	struct fs_op *op = l->op;
	const struct parts_work *w = op->making;
	struct stat st = {.st_mode = is_directory ? S_IFDIR : S_IFREG};
	struct view_at at = place_of_part(op, part, is_directory);
	struct buf name;

	buf_init(&name, NAME_MAX);
	st.st_ino = view_inode(at.node, at.number);
	int err = is_directory ? mime_structure_section(&w->shape->structure, part, &name)
			       : buf_append_span(&name, w->shape->names.of[part].text);
	bool fits = err < 0 || listing_put(l, buf_cstr(&name), &st, false, 0,
				       LISTING_VIEW | PARTS_LEVEL(part, is_directory));
	buf_finish(&name);
	return fits;
}

static void put_parts(struct listing *l, uint32_t after)
{
	const struct parts_work *w = l->op->making;
	uint32_t directory = directory_of(l->op);

	for (uint32_t i = 0; i < w->shape->structure.count; i++) {
		if (w->shape->names.of[i].text.n == 0 ||
			w->shape->names.of[i].directory != directory)
			continue;
		if (PARTS_LEVEL(i, false) > after && !put_part(l, i, false))
			return;
		if (w->shape->structure.parts[i].kind == MIME_MESSAGE &&
			PARTS_LEVEL(i, true) > after && !put_part(l, i, true))
			return;
	}
}

static fuse_ino_t above(struct fs_op *op)
{
	const struct parts_work *w = op->making;
	uint32_t part = directory_of(op);

	if (op->at.number == 0)
		return inode_of_directory(op->fs, op->mb);
	if (part == MIME_NO_PART)
		return view_inode(op->at.node, 0);
	uint32_t outer = w->shape->names.of[part].directory;
	uint32_t level = outer == MIME_NO_PART ? 0 : PARTS_LEVEL(outer, true);
	return view_inode(view_node(op->fs, &view_parts, op->mb, level), op->at.number);
}

static void list_known(struct fs_op *op, int err)
{
	const struct parts_work *w = op->making;
	uint32_t after = LISTING_KIND(op->offset) ? (uint32_t)op->offset : 0;
	struct listing l;

	if (op->at.number && directory_of(op) != MIME_NO_PART &&
		directory_of(op) >= w->shape->structure.count) {
		op_fail(op, ERR_STALE);
		return;
	}
	listing_begin(&l, op);
	if (LISTING_KIND(op->offset) ||
		listing_put_dots(&l, view_inode(op->at.node, op->at.number), above(op))) {
		if (op->at.number)
			put_parts(&l, after);
		else
			put_attached(&l, after);
	}
	listing_end(&l);
}

static void parts_list(struct fs_op *op)
{
	if (op->at.number)
		parts_know(op, op->at.number, list_known);
	else
		list_known(op, 0);
}

static void parts_opendir_reply(struct fs_op *op, int err)
{
	if (op->mb->dead || err < 0) {
		op_fail(op, op->mb->dead ? ERR_STALE : err);
		return;
	}
	fuse_reply_open(op->req, &op->fi);
	op_end(op);
}

static void parts_rows_whole(struct fs_op *op, int err)
{
	op->uid = 0;
	if (facts_try_all(op->mb, FACT_STRUCTURE) == ERR_NOT_CACHED)
		op_wait_facts(op, FACT_STRUCTURE, parts_opendir_reply);
	else
		parts_opendir_reply(op, 0);
}

/* The kernel may not have been told yet that the message is gone: ESTALE makes it look the name up
 * again. */
static void parts_opendir(struct fs_op *op)
{
	uint32_t uid = op->at.number;

	if (uid)
		parts_opendir_reply(
			op, op->mb->messages.loaded && !mailbox_find(op->mb, uid) ? ERR_STALE : 0);
	else
		fresh_whole(op, parts_rows_whole);
}

/* --- what the kernel is told --- */

static void parts_on_directory_changed(struct fs *fs, struct view_node *node)
{
	notify_directory(fs->notifier, view_inode(node, 0));
}

static void parts_on_message_gone(struct fs *fs, struct view_node *node, uint32_t uid)
{
	struct mailbox *mb = tree_mailbox(&fs->account->tree, node->mailbox);
	char name[NAME_MAX + 1];

	for (uint32_t level = 1; mb && level < PARTS_LEVEL(64u, false); level += 2) {
		const struct view_node *part = view_find_node(fs, &view_parts, mb, level);
		if (part)
			content_forget(fs, part, uid);
	}
	part_forget_shape(node, uid);
	if (!mb || !node->used)
		return;
	size_t n = entry_number(fs, mb, uid, name);
	notify_name_gone(fs->notifier, view_inode(node, 0), 0, name, n);
	notify_directory(fs->notifier, view_inode(node, 0));
}

static unsigned parts_permissions(const struct view_at *at)
{
	return PARTS_IS_DIRECTORY(at->node->level) ? X_OK : 0;
}

const struct view view_parts = {
	.name = ".parts",
	.key = "parts",
	.place = VIEW_DIRECTORY,
	.selectable = true,
	.lookup = parts_lookup,
	.list = parts_list,
	.permissions = parts_permissions,
	.opendir = parts_opendir,
	.attributes = parts_attributes,
	.read = parts_read,
	.on_directory_changed = parts_on_directory_changed,
	.on_message_gone = parts_on_message_gone,
	.forget = part_forget,
};
