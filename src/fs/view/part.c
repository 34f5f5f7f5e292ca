/* SPDX-License-Identifier: MIT */
/*
 * The file of a part: its octets without their transfer encoding.
 *
 *   - Up to SMALL octets encoded: decoded whole at LOOKUP (content.h).
 *   - As they are (no encoding): the size is what the server states, and octets are read where they are.
 *   - base64 in lines of one length: the size follows from the first and the last octets and their
 *     number, and what is read from the lines that it is in. Each line that is read is looked at: where
 *     one is not as it must be the file is not what was thought, which is EIO, and the next is taken.
 *   - Any other: decoded once to the end, to know the size; what the decoder was at each STEP octets is
 *     kept, so that any octets are decoded from there on.
 *
 * A size of the second and third kind is provisional, as RFC822.SIZE is.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "base/log.h"
#include "base/map.h"
#include "base/mem.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/view/base64_lines.h"
#include "fs/view/content.h"
#include "fs/view/parts.h"
#include "fs/view/private.h"

#define SMALL ((uint64_t)CACHE_CHUNK)
#define STEP ((uint64_t)CACHE_CHUNK)
/* Files of a mailbox of which the way to read them is remembered. */
#define KNOWN_MAX 64
/* Seconds that a size may be believed that is not proved. */
#define PROVISIONAL_TIMEOUT 1.0

struct part_step {
	uint64_t decoded; /* octets before it */
	struct mime_transfer transfer;
};

/* What is known of a file. */
struct part_index {
	struct base64_lines lines; /* its size is that of the file in any case */
	/* Where it is not in lines: where the decoder was. */
	struct part_step *steps;
	size_t count, room;
};

/* Of a mailbox: the data of its node on level 0. */
struct part_known {
	struct map files; /* part << 32 | UID -> struct part_index */
	struct map
		irregular; /* the same -> UNTOLD or TOLD, of those that are not in lines as they seemed */
	struct parts_shape *last_shape;
};

/* Whether somebody was told the true size. Before, nobody reads: the kernel tries again what failed. */
#define UNTOLD ((void *)1)
#define TOLD ((void *)2)

void part_index_free(struct part_index *index)
{
	if (index)
		free(index->steps);
	free(index);
}

static void free_index(void *ctx, uint64_t key, void *value)
{
	part_index_free(value);
}

void part_forget(struct view_node *node)
{
	struct part_known *k = node->data;

	if (!k)
		return;
	map_each(&k->files, free_index, NULL);
	map_finish(&k->files);
	map_finish(&k->irregular);
	parts_shape_release(k->last_shape);
	free(k);
}

static struct part_known *known_of(struct fs_op *op)
{
	struct view_node *node = view_node(op->fs, &view_parts, op->mb, 0);
	struct part_known *k = node->data;

	if (k)
		return k;
	k = node->data = mem_zalloc(sizeof(*k));
	map_init(&k->files);
	map_init(&k->irregular);
	return k;
}

struct parts_shape **part_last_shape(struct fs_op *op)
{
	return &known_of(op)->last_shape;
}

void part_forget_shape(struct view_node *node, uint32_t uid)
{
	struct part_known *k = node->data;

	if (!k || !k->last_shape || k->last_shape->uid != uid)
		return;
	parts_shape_release(k->last_shape);
	k->last_shape = NULL;
}

static uint32_t part_of(const struct fs_op *op)
{
	return PARTS_PART(op->at.node->level);
}

static uint64_t key_of_part(const struct fs_op *op)
{
	return (uint64_t)part_of(op) << 32 | op->at.number;
}

static const struct mime_part *described(const struct fs_op *op)
{
	const struct parts_work *w = op->making;

	return &w->shape->structure.parts[part_of(op)];
}

/* index becomes the mailbox's. */
static void note_index(struct fs_op *op, struct part_index *index)
{
	struct part_known *k = known_of(op);

	if (k->files.count >= KNOWN_MAX) {
		map_each(&k->files, free_index, NULL);
		map_finish(&k->files);
		map_init(&k->files);
	}
	part_index_free(map_remove(&k->files, key_of_part(op)));
	map_put(&k->files, key_of_part(op), index);
}

/* Octets of the section as they come, decoded. */
static int decode_take(struct fs_op *op, struct span octets)
{
	struct parts_work *w = op->making;

	return mime_transfer_feed(&w->transfer, octets, &w->out);
}

/* --- small ones --- */

static void small_done(struct fs_op *op, int err)
{
	struct parts_work *w = op->making;

	err = mime_transfer_end(&w->transfer, &w->out);
	if (err < 0)
		sections_fail(op, err);
	else
		content_made(op, &w->out);
}

static void small_make(struct fs_op *op)
{
	struct parts_work *w = op->making;

	mime_transfer_init(&w->transfer, described(op));
	sections_read(op, part_of(op), SECTION_BODY, 0, decode_take, small_done);
}

/* --- reading a range of the section --- */

static int range_take(struct fs_op *op, struct span octets)
{
	struct parts_work *w = op->making;

	return buf_append_span(&w->out, octets);
}

static void range_read(struct fs_op *op, uint64_t from, uint64_t to, op_resume *done)
{
	struct parts_work *w = op->making;

	buf_clear(&w->out);
	sections_start(op, part_of(op), from, to, range_take, done);
}

/* --- the index of others --- */

static void index_step(struct parts_work *w)
{
	struct part_index *x = w->index;

	x->steps = array_grow(x->steps, &x->room, x->count + 1, sizeof(*x->steps));
	x->steps[x->count++] = (struct part_step){x->lines.size, w->transfer};
}

static int index_take(struct fs_op *op, struct span octets)
{
	struct parts_work *w = op->making;
	uint64_t at = w->skip;
	int err = 0;

	while (err == 0 && octets.n > 0) {
		size_t n = (size_t)(STEP - at % STEP);
		if (n > octets.n)
			n = octets.n;
		if (at % STEP == 0)
			index_step(w);
		buf_clear(&w->out);
		err = mime_transfer_feed(&w->transfer, (struct span){octets.p, n}, &w->out);
		w->index->lines.size += w->out.len;
		at += n;
		octets = (struct span){octets.p + n, octets.n - n};
	}
	w->skip = at;
	return err;
}

static void answer_size(struct fs_op *op, uint64_t size, double timeout)
{
	const struct cache_message *m = mailbox_find(op->mb, op->at.number);
	struct stat st;

	view_stat_file(op->fs, op->at, size, m ? m->date : 0, &st);
	view_answer_attributes(op, &st, ATTR_TIMEOUT, timeout);
}

static void with_index(struct fs_op *op);

static void index_done(struct fs_op *op, int err)
{
	struct parts_work *w = op->making;

	buf_clear(&w->out);
	err = mime_transfer_end(&w->transfer, &w->out);
	w->index->lines.size += w->out.len;
	if (err < 0) {
		sections_fail(op, err);
		return;
	}
	note_index(op, w->index);
	w->index = NULL;
	with_index(op);
}

static void make_index(struct fs_op *op)
{
	struct parts_work *w = op->making;

	w->skip = 0;
	part_index_free(w->index);
	w->index = mem_zalloc(sizeof(*w->index));
	mime_transfer_init(&w->transfer, described(op));
	sections_read(op, part_of(op), SECTION_BODY, 0, index_take, index_done);
}

static void tail_came(struct fs_op *op, int err)
{
	struct parts_work *w = op->making;

	bool irregular = map_get(&known_of(op)->irregular, key_of_part(op)) != NULL;

	if (!irregular &&
		base64_lines_end(&w->index->lines, buf_span(&w->out), described(op)->octets)) {
		note_index(op, w->index);
		w->index = NULL;
		with_index(op);
	} else {
		make_index(op);
	}
}

static void head_came(struct fs_op *op, int err)
{
	struct parts_work *w = op->making;
	uint64_t octets = described(op)->octets;

	w->index = mem_zalloc(sizeof(*w->index));
	if (base64_lines_begin(&w->index->lines, buf_span(&w->out)))
		range_read(op, octets - BASE64_LINES_TAIL, octets, tail_came);
	else
		make_index(op);
}

static void find_index(struct fs_op *op)
{
	const struct parts_work *w = op->making;
	struct part_known *k = known_of(op);
	struct mime_transfer transfer;

	mime_transfer_init(&transfer, described(op));
	if (w->reads && map_get(&k->irregular, key_of_part(op)) == UNTOLD)
		op_reply_errno(op, EIO);
	else if (map_get(&k->files, key_of_part(op)))
		with_index(op);
	else if (transfer.encoding == MIME_BASE64 && !map_get(&k->irregular, key_of_part(op)))
		range_read(op, 0, BASE64_LINES_HEAD, head_came);
	else
		make_index(op);
}

/* --- reading with an index --- */

/* The octets of w->out from w->skip on, w->want of them. */
static void answer_slice(struct fs_op *op)
{
	struct parts_work *w = op->making;
	size_t from = w->skip < w->out.len ? (size_t)w->skip : w->out.len;
	size_t n = w->out.len - from < w->want ? w->out.len - from : w->want;

	fuse_reply_buf(op->req, n ? w->out.data + from : NULL, n);
	op_end(op);
}

/* The file is not as it was thought to be. */
static void answer_wrong(struct fs_op *op)
{
	struct part_known *k = known_of(op);

	log_notice("%s/%u: part %u is not as long as it seemed, and is looked at again",
		mailbox_path(op->mb), op->at.number, part_of(op));
	part_index_free(map_remove(&k->files, key_of_part(op)));
	map_put(&k->irregular, key_of_part(op), UNTOLD);
	/* The kernel is not told: it would ask, and try again before the reader has the error. */
	op_reply_errno(op, EIO);
}

/* Where the end was read it must be where the server has said. */
static bool ends_as_said(const struct fs_op *op)
{
	const struct parts_work *w = op->making;

	return w->sections.limit || w->sections.offset == described(op)->octets;
}

/* What was made of the octets; err: why nothing was. */
static void answer_made(struct fs_op *op, int err)
{
	const struct parts_work *w = op->making;

	if (err < 0)
		sections_fail(op, err);
	else if (w->out.len < w->skip + w->want)
		answer_wrong(op);
	else
		answer_slice(op);
}

static void lines_came(struct fs_op *op, int err)
{
	struct parts_work *w = op->making;
	const struct part_index *x = map_get(&known_of(op)->files, key_of_part(op));
	struct buf decoded;

	if (!x || !x->lines.line || !ends_as_said(op) ||
		!base64_lines_are(&x->lines, buf_span(&w->out), w->sections.from)) {
		answer_wrong(op);
		return;
	}
	mime_transfer_init(&w->transfer, described(op));
	buf_init(&decoded, CONTENT_MAX);
	err = mime_transfer_feed(&w->transfer, buf_span(&w->out), &decoded);
	if (err == 0)
		err = mime_transfer_end(&w->transfer, &decoded);
	buf_finish(&w->out);
	w->out = decoded;
	answer_made(op, err);
}

static void read_lines(struct fs_op *op, const struct part_index *x)
{
	struct parts_work *w = op->making;
	uint64_t octets = x->lines.line / 4 * 3, first = op->offset / octets;
	uint64_t end = (op->offset + w->want + octets - 1) / octets * x->lines.stride;

	w->skip = op->offset - first * octets;
	/* To the end of the section, whatever the server has said where that is. */
	range_read(op, first * x->lines.stride, end < x->lines.encoded ? end : 0, lines_came);
}

static void step_came(struct fs_op *op, int err)
{
	struct parts_work *w = op->making;

	answer_made(op, mime_transfer_end(&w->transfer, &w->out));
}

/* The last step that begins at or before it; to the first that begins behind what is wanted. */
static void read_steps(struct fs_op *op, const struct part_index *x)
{
	struct parts_work *w = op->making;
	size_t low = 0, high = x->count, end;

	while (low + 1 < high) {
		size_t middle = low + (high - low) / 2;
		if (x->steps[middle].decoded <= op->offset)
			low = middle;
		else
			high = middle;
	}
	for (end = low + 1; end < x->count && x->steps[end].decoded < op->offset + w->want; end++)
		;
	/* An octet of the next step may be held back in the decoder. */
	uint64_t to = end < x->count ? end * STEP + 4 : 0;
	w->skip = op->offset - x->steps[low].decoded;
	w->transfer = x->steps[low].transfer;
	buf_clear(&w->out);
	sections_start(op, part_of(op), low * STEP, to, decode_take, step_came);
}

/* The index is known. */
static void with_index(struct fs_op *op)
{
	struct parts_work *w = op->making;
	const struct part_index *x = map_get(&known_of(op)->files, key_of_part(op));

	if (!w->reads) {
		if (map_get(&known_of(op)->irregular, key_of_part(op)))
			map_put(&known_of(op)->irregular, key_of_part(op), TOLD);
		answer_size(op, x->lines.size, x->lines.line ? PROVISIONAL_TIMEOUT : ATTR_TIMEOUT);
		return;
	}
	uint64_t left = op->offset < x->lines.size ? x->lines.size - op->offset : 0;
	w->want = left < op->size ? (size_t)left : op->size;
	if (w->want == 0)
		answer_slice(op);
	else if (x->lines.line)
		read_lines(op, x);
	else
		read_steps(op, x);
}

/* --- as they are --- */

static void plain_came(struct fs_op *op, int err)
{
	struct parts_work *w = op->making;
	uint64_t end = op->offset + w->want, proved;
	const struct section s = {op->mb, op->uid, part_of(op), SECTION_BODY, &w->shape->structure};

	bool wrong = section_size(&s, &proved) == 0 && proved != described(op)->octets;
	bool longer = end == described(op)->octets && w->out.len > w->want;
	if (wrong || longer || w->out.len < w->want) {
		answer_wrong(op);
		return;
	}
	w->skip = 0;
	answer_slice(op);
}

/* --- --- */

/* One that was found to be of another size is gone through as others are. */
static bool is_plain(struct fs_op *op)
{
	struct mime_transfer transfer;

	mime_transfer_init(&transfer, described(op));
	return transfer.encoding == MIME_IDENTITY &&
	       !map_get(&known_of(op)->irregular, key_of_part(op));
}

static void small_attributes(struct fs_op *op, int err)
{
	answer_size(op, content_of(op).n, ATTR_TIMEOUT);
}

void part_attributes(struct fs_op *op)
{
	struct parts_work *w = op->making;

	w->reads = false;
	if (described(op)->octets <= SMALL)
		content_need(op, small_make, small_attributes);
	else if (is_plain(op))
		answer_size(op, described(op)->octets, PROVISIONAL_TIMEOUT);
	else
		find_index(op);
}

static void small_read(struct fs_op *op, int err)
{
	view_answer_octets(op, content_of(op));
}

static void plain_read(struct fs_op *op)
{
	struct parts_work *w = op->making;
	uint64_t size = described(op)->octets;
	uint64_t left = op->offset < size ? size - op->offset : 0;

	w->want = left < op->size ? (size_t)left : op->size;
	w->skip = 0;
	if (w->want == 0)
		answer_slice(op);
	else
		/* An octet more at the end shows whether it is the end. */
		range_read(op, op->offset, op->offset + w->want + (w->want == left), plain_came);
}

void part_read(struct fs_op *op)
{
	struct parts_work *w = op->making;

	w->reads = true;
	if (part_of(op) >= w->shape->structure.count)
		op_fail(op, ERR_STALE);
	else if (described(op)->octets <= SMALL)
		content_need(op, small_make, small_read);
	else if (is_plain(op))
		plain_read(op);
	else
		find_index(op);
}
