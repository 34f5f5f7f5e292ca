/* SPDX-License-Identifier: MIT */
/*
 * .headers/MAILBOX/UID: the header of a message, octet for octet.
 *
 * For whoever goes through a mailbox upwards those of the next messages are asked for beside.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/view/content.h"
#include "fs/view/private.h"
#include "fs/view/sections.h"
#include "fs/view/tree.h"

struct headers {
	struct sections sections;
	struct buf out;
};

/* How many are asked for beside, and octets of each. */
#define AHEAD 64u
#define AHEAD_OCTETS ((size_t)CACHE_CHUNK)

struct headers_node {
	uint32_t last;    /* UID that was looked at */
	uint32_t reached; /* and up to which they are asked for */
	unsigned under_way;
	struct headers_ahead {
		struct section_read read;
		struct headers_node *of; /* NULL: unused */
	} ahead[AHEAD];
};

static void headers_on_ahead(struct section_read *r, int err, const struct body_parts *parts)
{
	struct headers_ahead *a = list_entry(r, struct headers_ahead, read);

	a->of->under_way--;
	a->of = NULL;
}

static void ask_ahead(struct headers_node *n, struct mailbox *mb, uint32_t uid)
{
	struct headers_ahead *a = n->ahead;
	struct body_parts parts;

	while (a->of)
		a++;
	a->read = (struct section_read){
		.of = {.mb = mb, .uid = uid, .part = MIME_NO_PART, .what = SECTION_HEADER},
		.size = AHEAD_OCTETS,
		.on_done = headers_on_ahead};
	if (section_read_try(&a->read, &parts) != ERR_NOT_CACHED)
		return;
	a->of = n;
	n->under_way++;
	section_read_start(&a->read);
}

static void read_ahead(struct fs_op *op)
{
	struct headers_node *n = op->at.node->data;
	struct cache_message *m;

	if (!n)
		n = op->at.node->data = mem_zalloc(sizeof(*n));
	bool goes_on = n->last != 0 && op->uid > n->last;
	n->last = op->uid;
	if (!goes_on || n->under_way > AHEAD / 2)
		return;
	if (n->reached < op->uid)
		n->reached = op->uid;
	for (unsigned looked = 0;
		looked < AHEAD && n->under_way < AHEAD && (m = mailbox_after(op->mb, n->reached));
		looked++) {
		n->reached = m->uid;
		ask_ahead(n, op->mb, m->uid);
	}
}

static void headers_forget(struct view_node *node)
{
	struct headers_node *n = node->data;

	for (unsigned i = 0; n && i < AHEAD; i++)
		if (n->ahead[i].of)
			section_read_cancel(&n->ahead[i].read);
	free(n);
}

static void headers_free(void *making)
{
	struct headers *h = making;

	buf_finish(&h->out);
	free(h);
}

static int headers_take(struct fs_op *op, struct span octets)
{
	struct headers *h = op->making;

	return buf_append_span(&h->out, octets);
}

static void headers_done(struct fs_op *op, int err)
{
	struct headers *h = op->making;

	content_made(op, &h->out);
}

static void headers_make(struct fs_op *op)
{
	struct headers *h = mem_zalloc(sizeof(*h));

	buf_init(&h->out, CONTENT_MAX);
	op->making = h;
	op->unmake = headers_free;
	read_ahead(op);
	sections_read(op, MIME_NO_PART, SECTION_HEADER, 0, headers_take, headers_done);
}

static void headers_attributes(struct fs_op *op)
{
	if (op->at.number == 0)
		tree_attributes(op);
	else
		content_attributes(op, headers_make);
}

static void headers_read(struct fs_op *op)
{
	content_read(op, headers_make);
}

static const struct view_tree headers_tree = {0};

const struct view view_headers = {
	.name = ".headers",
	.key = "headers",
	.place = VIEW_TREE,
	.tree = &headers_tree,
	.lookup = tree_lookup,
	.list = tree_list,
	.opendir = tree_opendir,
	.attributes = headers_attributes,
	.read = headers_read,
	.on_directory_changed = tree_on_directory_changed,
	.on_message_gone = content_on_message_gone,
	.forget = headers_forget,
};
