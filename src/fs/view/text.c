/* SPDX-License-Identifier: MIT */
/*
 * .text/MAILBOX/UID: a message as people read it, for grep and less (mime/readable.h). It is made of the
 * structure, the header and the parts that are shown, so of a large message with attachments only those
 * are fetched. Small ones are read whole, as they are read ahead for who reads one after the other.
 *
 * Whoever looks at a second one will want more: then the structures of the whole mailbox are asked for.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/filesystem.h"
#include "fs/view/content.h"
#include "fs/view/private.h"
#include "fs/view/sections.h"
#include "fs/view/tree.h"
#include "mime/readable.h"

/* Octets of a header that are looked at. */
#define HEADER_MAX ((uint64_t)1 << 20)
/* With more parts that are shown the whole message is fetched: one by one they would take long. After so
 * many others get their turn. */
#define SHOWN_MAX 16u

#define TO_TEXT(number) #number
#define KEY_OF(version) "text/" TO_TEXT(version)

struct text {
	struct sections sections;
	struct mime_structure structure;
	struct mime_names names;
	struct mime_readable readable;
	bool structured, begun;
	struct buf header, out;
	uint64_t fetched; /* of the whole message */
	unsigned shown;   /* parts that were read */
};

/* Of a mailbox. */
struct text_node {
	struct facts_wait all;
	bool asking;
	uint32_t last;  /* that was made */
	uint32_t asked; /* UID up to which they were asked for */
};

static void text_free(void *making)
{
	struct text *t = making;

	if (t->begun)
		mime_readable_finish(&t->readable);
	if (t->structured)
		mime_structure_finish(&t->structure);
	buf_finish(&t->header);
	buf_finish(&t->out);
	free(t);
}

/* --- the text --- */

static int text_feed(struct fs_op *op, struct span octets)
{
	struct text *t = op->making;

	content_make_room(op->fs->contents, t->out.len);
	return mime_readable_feed(&t->readable, octets, &t->out);
}

static void next_part(struct fs_op *op, int err);

static void part_done(struct fs_op *op, int err)
{
	struct text *t = op->making;

	err = mime_readable_end_part(&t->readable, &t->out);
	if (err < 0)
		sections_fail(op, err);
	else if (++t->shown % SHOWN_MAX == 0)
		op_wait_turn(op, next_part);
	else
		next_part(op, 0);
}

static void next_part(struct fs_op *op, int err)
{
	struct text *t = op->making;
	uint32_t part = mime_readable_wants(&t->readable);

	if (part == MIME_NO_PART)
		content_made(op, &t->out);
	else
		sections_read(op, part, SECTION_BODY, 0, text_feed, part_done);
}

/* --- the header --- */

static int begin_readable(struct text *t)
{
	int err = mime_names_init(&t->names, &t->structure);

	if (err == 0) {
		t->begun = true;
		err = mime_readable_begin(
			&t->readable, &t->structure, &t->names, buf_span(&t->header), &t->out);
	}
	mime_names_finish(&t->names);
	buf_finish(&t->header);
	return err;
}

static int header_take(struct fs_op *op, struct span octets)
{
	struct text *t = op->making;

	return buf_append_span(&t->header, octets);
}

static void header_done(struct fs_op *op, int err)
{
	err = begin_readable(op->making);
	if (err < 0)
		sections_fail(op, err);
	else
		next_part(op, 0);
}

/* --- the whole message --- */

static bool has_many_parts(const struct mime_structure *s)
{
	struct mime_shown shown;
	uint32_t cursor = 0, n = 0;

	while (n <= SHOWN_MAX && mime_structure_next_shown(s, &cursor, &shown))
		n++;
	return n > SHOWN_MAX;
}

static void read_header(struct fs_op *op)
{
	sections_read(op, MIME_NO_PART, SECTION_HEADER, HEADER_MAX, header_take, header_done);
}

static void fetch_whole(struct fs_op *op, int err)
{
	struct text *t = op->making;
	struct body_read read = {.mb = op->mb,
		.uid = op->uid,
		.offset = t->fetched,
		.size = CACHE_CHUNK,
		.aside = true};
	struct body_parts parts;

	while (err == 0 && (err = body_read_try(&read, &parts)) == 0) {
		read.offset = t->fetched += parts.total;
		if (parts.total < read.size) {
			read_header(op);
			return;
		}
	}
	if (err == ERR_NOT_CACHED)
		op_wait_read(op, &read, fetch_whole);
	else
		sections_fail(op, err);
}

/* What is small is read whole, as it is read ahead. */
static bool is_small(const struct fs_op *op)
{
	const struct cache_message *m = mailbox_find(op->mb, op->uid);

	return m && !(m->flags & CACHE_SIZE_UNKNOWN) && m->size < SECTION_WHOLE;
}

/* --- the structure --- */

static void text_structured(struct fs_op *op, int err)
{
	struct text *t = op->making;

	if (err == 0)
		err = facts_structure(op->mb, op->uid, &t->structure);
	if (err == ERR_NOT_CACHED && op->asked++ < 2) {
		op_wait_facts(op, FACT_STRUCTURE, text_structured);
		return;
	}
	if (err < 0) {
		sections_fail(op, err);
		return;
	}
	t->structured = true;
	t->sections.structure = &t->structure;
	if (is_small(op) || has_many_parts(&t->structure))
		fetch_whole(op, 0);
	else
		read_header(op);
}

/* What failed is asked again for who goes on. */
static void text_on_all(struct facts_wait *w, int err)
{
	struct text_node *n = list_entry(w, struct text_node, all);

	n->asking = false;
	if (err < 0)
		n->asked = 0;
}

/* Asks ahead for who goes on. */
static void note_made(struct fs_op *op)
{
	struct text_node *n = op->at.node->data;

	if (!n)
		n = op->at.node->data = mem_zalloc(sizeof(*n));
	bool goes_on = n->last != 0 && n->last != op->uid;
	n->last = op->uid;
	if (!goes_on || n->asking || op->uid <= n->asked)
		return;
	n->asked = mailbox_last(op->mb);
	if (facts_try_all(op->mb, FACT_STRUCTURE) != ERR_NOT_CACHED)
		return;
	n->asking = true;
	n->all = (struct facts_wait){.mb = op->mb, .kind = FACT_STRUCTURE, .on_wake = text_on_all};
	list_init(&n->all.link);
	facts_wait(&n->all);
}

static void text_make(struct fs_op *op)
{
	struct text *t = mem_zalloc(sizeof(*t));

	buf_init(&t->header, HEADER_MAX);
	buf_init(&t->out, CONTENT_MAX);
	op->making = t;
	op->unmake = text_free;
	note_made(op);
	text_structured(op, 0);
}

/* --- the view --- */

static void text_forget(struct view_node *node)
{
	struct text_node *n = node->data;

	if (n && n->asking)
		facts_unwait(&n->all);
	free(n);
}

static void text_attributes(struct fs_op *op)
{
	if (op->at.number == 0)
		tree_attributes(op);
	else
		content_attributes(op, text_make);
}

static void text_read(struct fs_op *op)
{
	content_read(op, text_make);
}

static const struct view_tree text_tree = {0};

const struct view view_text = {
	.name = ".text",
	.key = KEY_OF(MIME_READABLE_VERSION),
	.place = VIEW_TREE,
	.tree = &text_tree,
	.lookup = tree_lookup,
	.list = tree_list,
	.opendir = tree_opendir,
	.attributes = text_attributes,
	.read = text_read,
	.on_directory_changed = tree_on_directory_changed,
	.on_message_gone = content_on_message_gone,
	.forget = text_forget,
};
