/* SPDX-License-Identifier: MIT */
/*
 * .headers/MAILBOX/UID: the header of a message, octet for octet.
 *
 * Whoever goes through a mailbox upwards gets those of the next messages ahead, ever more of them, by one
 * command for many, as far as memory bears it. Several may go through it at the same time.
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

/* Messages whose headers are asked for ahead of a reader: at first, and at most; and octets at once,
 * about. */
#define LEAD_MIN 16u
#define LEAD_MAX 1024u
#define LEAD_OCTETS ((uint64_t)8 << 20)
/* Who has passed over fewer messages goes on. */
#define SKIP_MAX 16u
/* Readers of a mailbox of which the place is remembered: the names in the order of their octets are ten
 * runs upwards that take turns. */
#define READERS_MAX 8u

struct headers_reader {
	uint32_t last;    /* UID that was looked at; 0: nobody */
	uint32_t reached; /* and up to which they are asked for */
	unsigned ahead;   /* messages from there to here, about */
	unsigned lead;    /* that may be */
	uint64_t used;    /* a count that grows */
};

struct headers_node {
	struct headers_reader readers[READERS_MAX];
	uint64_t uses;
	uint64_t octets; /* of a large header here, about; 0: none was seen yet */
};

static struct headers_node *node_of(struct fs_op *op)
{
	if (!op->at.node->data)
		op->at.node->data = mem_zalloc(sizeof(struct headers_node));
	return op->at.node->data;
}

/* What a header is expected to take: no more than the message, nor than a chunk, as which it comes. */
static uint64_t expected(const struct headers_node *n, const struct cache_message *m)
{
	uint64_t most = CACHE_CHUNK;

	if (!(m->flags & CACHE_SIZE_UNKNOWN) && m->size < most)
		most = m->size;
	return n->octets > 0 && 2 * n->octets < most ? 2 * n->octets : most;
}

/* The largest of late. */
static void note_octets(struct headers_node *n, uint64_t octets)
{
	n->octets -= n->octets / 16;
	if (n->octets < octets)
		n->octets = octets;
}

static void ask_ahead(struct headers_node *n, struct headers_reader *r, struct mailbox *mb)
{
	uint32_t uids[LEAD_MAX];
	size_t count = 0;
	uint64_t octets = 0;
	const struct cache_message *m = NULL;

	while (r->ahead < r->lead && octets < LEAD_OCTETS && (m = mailbox_after(mb, r->reached))) {
		uids[count++] = r->reached = m->uid;
		octets += expected(n, m);
		r->ahead++;
	}
	if (count > 0)
		section_headers_ahead(mb, uids, count);
	if (octets >= LEAD_OCTETS)
		r->lead = r->ahead;
	else
		r->lead = r->lead < LEAD_MAX / 2 ? r->lead * 2 : LEAD_MAX;
}

static bool is_near(struct mailbox *mb, uint32_t from, uint32_t to)
{
	const struct cache_message *m = mailbox_after(mb, from);

	for (unsigned n = 0; n < SKIP_MAX && m && m->uid < to; n++)
		m = mailbox_after(mb, m->uid);
	return m && m->uid >= to;
}

static bool goes_on(const struct headers_reader *r, struct mailbox *mb, uint32_t uid)
{
	return r->last != 0 && r->last <= uid && (uid <= r->reached || is_near(mb, r->last, uid));
}

/* Who comes from the nearest message below, or NULL. */
static struct headers_reader *find_reader(struct headers_node *n, struct mailbox *mb, uint32_t uid)
{
	struct headers_reader *best = NULL;

	for (unsigned i = 0; i < READERS_MAX; i++) {
		struct headers_reader *r = &n->readers[i];
		if (goes_on(r, mb, uid) && (!best || r->last > best->last))
			best = r;
	}
	return best;
}

/* In the place of the one that was not heard of for longest. */
static struct headers_reader *new_reader(struct headers_node *n, uint32_t uid)
{
	struct headers_reader *oldest = &n->readers[0];

	for (unsigned i = 1; i < READERS_MAX; i++)
		if (n->readers[i].used < oldest->used)
			oldest = &n->readers[i];
	*oldest = (struct headers_reader){.last = uid, .reached = uid, .lead = LEAD_MIN};
	return oldest;
}

static void move_on(struct headers_node *n, struct headers_reader *r, struct fs_op *op)
{
	if (op->uid >= r->reached) {
		r->reached = op->uid;
		r->ahead = 0;
	} else if (op->uid > r->last && r->ahead > 0) {
		r->ahead--;
	}
	r->last = op->uid;
	if (r->ahead <= r->lead / 4)
		ask_ahead(n, r, op->mb);
}

static void read_ahead(struct fs_op *op)
{
	struct headers_node *n = node_of(op);
	struct headers_reader *r = find_reader(n, op->mb, op->uid);

	if (r)
		move_on(n, r, op);
	else
		r = new_reader(n, op->uid);
	r->used = ++n->uses;
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

	note_octets(node_of(op), h->out.len);
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
