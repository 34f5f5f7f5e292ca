/* SPDX-License-Identifier: MIT */
/*
 * MAILBOX/.index and MAILBOX/.index.jsonl: a line for each message. They are made when somebody looks
 * at one or opens it, of what is known of the messages: the first time the server is asked for that,
 * by one command for each kind of thing, later only for what is new.
 *
 * Who has the file open reads what it was then, so that no line is torn, and behind its end what was
 * added since (`tail -f`). Nothing is in the page cache (direct_io); so all that the kernel is told
 * of a change is that it is to ask for the attributes again.
 */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/notify.h"
#include "fs/view/lines.h"
#include "fs/view/private.h"
#include "mail/parts/facts.h"
#include "mail/sync/watch.h"

/* Seconds that the kernel may keep what it is told of. */
#define INDEX_TIMEOUT 1.0

struct index {
	struct lines lines;
	struct lines_making making;
	bool changed;         /* since the lines were made */
	struct timespec when; /* they became others */
};

static struct index *index_of(struct view_node *node)
{
	struct index *x = node->data;

	if (x)
		return x;
	x = node->data = mem_zalloc(sizeof(*x));
	lines_init(&x->lines);
	return x;
}

static void index_forget(struct view_node *node)
{
	struct index *x = node->data;

	if (x) {
		lines_making_finish(&x->making);
		lines_finish(&x->lines);
	}
	free(x);
}

/* --- formats --- */

/* Whether that is an answer: it is there, or the server has none, or none that makes sense. */
static bool is_told(int err)
{
	return err == 0 || err == ERR_UNREADABLE || err == ERR_LIMIT;
}

static int columns_tail(struct mailbox *mb, uint32_t uid, struct buf *out)
{
	struct mime_summary summary;
	int lacks = facts_summary(mb, uid, &summary);

	if (!is_told(lacks))
		return lacks;
	int err = row_columns_tail(lacks ? NULL : &summary, out);
	return err < 0 ? err : lacks != 0;
}

static int json_tail(struct mailbox *mb, uint32_t uid, struct buf *out)
{
	struct mime_summary summary;
	struct mime_structure structure;
	int no_summary = facts_summary(mb, uid, &summary);

	if (!is_told(no_summary))
		return no_summary;
	int no_structure = facts_structure(mb, uid, &structure);
	if (!is_told(no_structure))
		return no_structure;
	int err = row_json_tail(
		no_summary ? NULL : &summary, no_structure ? NULL : &structure, out);
	if (no_structure == 0)
		mime_structure_finish(&structure);
	return err < 0 ? err : no_summary || no_structure;
}

static const struct lines_format columns = {row_columns_head, columns_tail};
static const struct lines_format json = {row_json_head, json_tail};

static bool is_json(const struct view_node *node)
{
	return node->view == &view_index_jsonl;
}

/* --- when all is known --- */

static void make_lines(struct fs_op *op);
static void ask_facts(struct fs_op *op);

static void index_turned(struct fs_op *op, int err)
{
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else
		make_lines(op);
}

/* Several may wait for the same lines, and each goes on with them in its turn. What changes meanwhile
 * makes them anew for the next who looks. */
static void make_lines(struct fs_op *op)
{
	struct index *x = index_of(op->at.node);
	bool same = true;
	int made = 1;

	if (x->making.begun || !x->lines.made || x->changed) {
		x->changed &= x->making.begun;
		made = lines_make(&x->lines, &x->making, op->mb,
			is_json(op->at.node) ? &json : &columns, &same);
	}
	if (made == 0) {
		op->expire = NULL;
		op_wait_turn(op, index_turned);
		return;
	}
	if (made < 0)
		x->changed = true;
	/* A message came in meanwhile. */
	if (made == ERR_NOT_CACHED)
		ask_facts(op);
	else if (made < 0)
		op_fail(op, made == ERR_GONE ? ERR_IO : made);
	if (made < 0)
		return;
	if (!same)
		clock_gettime(CLOCK_REALTIME, &x->when);
	op->sized(op, 0);
}

static void index_asked(struct fs_op *op, int err);

/* What is missing is asked for, one kind after the other. */
static void ask_facts(struct fs_op *op)
{
	enum fact kind = FACT_SUMMARY;
	int err = facts_try_all(op->mb, kind);

	if (err == 0 && is_json(op->at.node)) {
		kind = FACT_STRUCTURE;
		err = facts_try_all(op->mb, kind);
	}
	if (err == 0) {
		make_lines(op);
	} else if (err != ERR_NOT_CACHED) {
		op_fail(op, err);
	} else {
		op->uid = 0;
		op->expire = NULL;
		op_wait_facts(op, kind, index_asked);
	}
}

static void index_asked(struct fs_op *op, int err)
{
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else if (err < 0)
		op_fail(op, err);
	else
		ask_facts(op);
}

static void index_flagged(struct fs_op *op, int err)
{
	ask_facts(op);
}

static void index_known(struct fs_op *op, int err)
{
	fresh_flags(op, index_flagged);
}

/* Goes on with op->sized when the lines are those of now. */
static void when_made(struct fs_op *op, op_resume *then)
{
	op->sized = then;
	flags_want(op->fs->account);
	watch_read(op->fs->account->watch, op->mb);
	fresh_whole_summed(op, index_known);
}

/* --- looking at it --- */

static void reply_attributes(struct fs_op *op, int err)
{
	const struct index *x = index_of(op->at.node);
	struct stat st;

	view_stat_file(op->fs, op->at, x->lines.text.len, x->when.tv_sec, &st);
	st.st_mtim = st.st_ctim = x->when;
	view_answer_attributes(op, &st, INDEX_TIMEOUT, INDEX_TIMEOUT);
}

static void index_attributes(struct fs_op *op)
{
	when_made(op, reply_attributes);
}

static void open_made(struct fs_op *op, int err)
{
	const struct index *x = index_of(op->at.node);

	op->fi.direct_io = 1;
	op->fi.noflush = 1;
	op->fi.fh = view_handle(op->fs, op->req, false, buf_span(&x->lines.text));
	fuse_reply_open(op->req, &op->fi);
	op_end(op);
}

static void index_open(struct fs_op *op)
{
	when_made(op, open_made);
}

static void read_made(struct fs_op *op, int err)
{
	view_answer_octets(op, buf_span(&index_of(op->at.node)->lines.text));
}

static void index_read(struct fs_op *op)
{
	const struct view_handle *h = view_handle_of(&op->fi);

	if (op->offset < h->octets.n)
		view_answer_octets(op, h->octets);
	else
		when_made(op, read_made);
}

/* --- what is told --- */

static void note_change(struct fs *fs, struct view_node *node)
{
	index_of(node)->changed = true;
	if (!notify_is_due(fs->notifier, view_inode(node, 1)))
		notify_attributes(fs->notifier, view_inode(node, 1));
}

static void index_on_flags_changed(struct fs *fs, struct view_node *node, uint32_t uid)
{
	note_change(fs, node);
}

static void index_on_message_gone(struct fs *fs, struct view_node *node, uint32_t uid)
{
	note_change(fs, node);
}

const struct view view_index = {
	.name = ".index",
	.key = "index",
	.place = VIEW_FILE,
	.selectable = true,
	.attributes = index_attributes,
	.open = index_open,
	.read = index_read,
	.on_flags_changed = index_on_flags_changed,
	.on_directory_changed = note_change,
	.on_message_gone = index_on_message_gone,
	.forget = index_forget,
};

const struct view view_index_jsonl = {
	.name = ".index.jsonl",
	.key = "index.jsonl",
	.place = VIEW_FILE,
	.selectable = true,
	.attributes = index_attributes,
	.open = index_open,
	.read = index_read,
	.on_flags_changed = index_on_flags_changed,
	.on_directory_changed = note_change,
	.on_message_gone = index_on_message_gone,
	.forget = index_forget,
};
