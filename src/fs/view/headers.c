/* SPDX-License-Identifier: MIT */
/*
 * .headers/MAILBOX/UID: the header of a message, octet for octet.
 *
 * Whoever goes through a mailbox upwards gets those of the next messages ahead, ever more of them, by one
 * command for many.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "fs/view/content.h"
#include "fs/view/private.h"
#include "fs/view/sections.h"
#include "fs/view/tree.h"

struct headers {
	struct sections sections;
	struct buf out;
};

/* Messages whose headers are asked for ahead of a reader: at first, and at most. */
#define LEAD_MIN 16u
#define LEAD_MAX 1024u

struct headers_node {
	uint32_t last;    /* UID that was looked at */
	uint32_t reached; /* and up to which they are asked for */
	unsigned ahead;   /* messages from there to here, about */
	unsigned lead;    /* that may be */
};

static void ask_ahead(struct headers_node *n, struct mailbox *mb)
{
	uint32_t uids[LEAD_MAX];
	size_t count = 0;
	const struct cache_message *m;

	while (n->ahead < n->lead && (m = mailbox_after(mb, n->reached))) {
		uids[count++] = n->reached = m->uid;
		n->ahead++;
	}
	section_headers_ahead(mb, uids, count);
	n->lead = n->lead < LEAD_MAX / 2 ? n->lead * 2 : LEAD_MAX;
}

static void read_ahead(struct fs_op *op)
{
	struct headers_node *n = op->at.node->data;

	if (!n)
		n = op->at.node->data = mem_zalloc(sizeof(*n));
	bool goes_on = n->last != 0 && op->uid > n->last;
	if (!goes_on)
		n->lead = LEAD_MIN;
	if (!goes_on || op->uid >= n->reached) {
		n->reached = op->uid;
		n->ahead = 0;
	} else if (n->ahead > 0) {
		n->ahead--;
	}
	n->last = op->uid;
	if (goes_on && n->ahead <= n->lead / 4)
		ask_ahead(n, op->mb);
}

static void headers_forget(struct view_node *node)
{
	free(node->data);
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
	.derived = true,
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
