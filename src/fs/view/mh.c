/* SPDX-License-Identifier: MIT */
/*
 * MAILBOX/.mh_sequences, which makes a mailbox an MH folder: who is unseen, flagged and replied to.
 *
 * Its text is made of the flags whenever somebody looks at it or opens it, and each who has it open
 * keeps the text of then: nothing is in the page cache (direct_io). What is written is the difference
 * to the text that somebody read last: flags that others have changed since stay, and a message is left
 * alone that nobody had listed yet, since programs leave out what they do not know. Programs write the
 * file anew in three ways:
 *
 *   - they rename another file onto it (neomutt);
 *   - they remove it before they do so (mutt). A removal changes nothing, but for that process the
 *     name is not there for a while, or link(2) would find it there;
 *   - they write to it, after they have cut it to nothing (nmh, Python). Closing it then means what
 *     it holds; nothing at all only if no other descriptor is open that might still write.
 *
 * Sequences that are no flags ("cur:") are kept as long as the mount.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/notify.h"
#include "fs/view/private.h"
#include "fs/view/sequences.h"
#include "mail/change/changes.h"
#include "mail/change/intents.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/watch.h"

/* Seconds that the kernel may keep what it is told of. */
#define MH_TIMEOUT 1.0
/* Milliseconds for which a name that was removed is not there for who removed it. */
#define MH_UNLINKED 5000

static const unsigned mh_flag_of[SEQUENCES] = {
	[SEQUENCE_UNSEEN] = IMAP_FLAG_SEEN,
	[SEQUENCE_FLAGGED] = IMAP_FLAG_FLAGGED,
	[SEQUENCE_REPLIED] = IMAP_FLAG_ANSWERED,
};
static const char *const flag_names[SEQUENCES] = {"\\Seen", "\\Flagged", "\\Answered"};

struct mh {
	struct sequences shown;
	uint32_t last;   /* UID of the last message when they were made */
	struct buf text; /* of them */
	/* What somebody read last: what is written is the difference to that. */
	struct uidset base[SEQUENCES];
	uint32_t base_last;
	bool based;
	bool made;
	struct timespec changed; /* when the text last did */
	uint32_t listed; /* UID of the last message when the mailbox was last listed; 0: not yet */

	/* While it is written. */
	unsigned writers; /* descriptors */
	bool edited;      /* since it was last carried out */
	struct buf edit;

	pid_t unlinked_by; /* 0: nobody */
	uint64_t unlinked; /* uv_now */
};

static struct mh *mh_of(struct view_node *node)
{
	struct mh *m = node->data;

	if (m)
		return m;
	m = node->data = mem_zalloc(sizeof(*m));
	sequences_init(&m->shown);
	buf_init(&m->text, VIEW_TEXT_MAX);
	buf_init(&m->edit, VIEW_TEXT_MAX);
	return m;
}

static void mh_forget(struct view_node *node)
{
	struct mh *m = node->data;

	if (!m)
		return;
	sequences_finish(&m->shown);
	for (unsigned s = 0; s < SEQUENCES; s++)
		uidset_finish(&m->base[s]);
	buf_finish(&m->text);
	buf_finish(&m->edit);
	free(m);
}

/* --- making the text --- */

/* unseen is what the flag is not. */
static bool is_in(enum sequence s, unsigned flags)
{
	return ((flags & mh_flag_of[s]) != 0) != (s == SEQUENCE_UNSEEN);
}

/* Ranges go over numbers that no message has. */
static void mh_gather(struct mh *m, struct mailbox *mb)
{
	uint32_t last = 0, run[SEQUENCES] = {0};
	const struct cache_message *message = mailbox_after(mb, 0);
	struct flags_value value;

	for (unsigned s = 0; s < SEQUENCES; s++)
		uidset_clear(&m->shown.sets[s]);
	for (; message; message = mailbox_after(mb, message->uid)) {
		if (mailbox_hidden(mb, message->uid) || !flags_get(mb, message, &value))
			continue;
		for (unsigned s = 0; s < SEQUENCES; s++) {
			bool in = is_in(s, value.system);
			if (in && !run[s])
				run[s] = message->uid;
			else if (!in && run[s])
				uidset_add(&m->shown.sets[s], run[s], last);
			if (!in)
				run[s] = 0;
		}
		last = message->uid;
	}
	for (unsigned s = 0; s < SEQUENCES; s++)
		if (run[s])
			uidset_add(&m->shown.sets[s], run[s], last);
	m->last = last;
}

/* A program goes on from what is shown now. */
static void note_base(struct mh *m)
{
	for (unsigned s = 0; s < SEQUENCES; s++)
		uidset_copy(&m->base[s], &m->shown.sets[s]);
	m->base_last = m->last;
	m->based = true;
}

static int mh_make_text(struct mh *m, struct mailbox *mb)
{
	struct buf text;

	mh_gather(m, mb);
	buf_init(&text, VIEW_TEXT_MAX);
	int err = sequences_print(&m->shown, &text);
	if (err == 0 && m->made && span_equal(buf_span(&text), buf_span(&m->text))) {
		buf_finish(&text);
		return 0;
	}
	buf_finish(&m->text);
	m->text = text;
	m->made = err == 0;
	clock_gettime(CLOCK_REALTIME, &m->changed);
	return err;
}

/* --- when the flags are known --- */

static void mh_flagged(struct fs_op *op, int err)
{
	if (mh_make_text(mh_of(op->at.node), op->mb) < 0)
		op_fail(op, ERR_IO);
	else
		op->sized(op, 0);
}

static void mh_known(struct fs_op *op, int err)
{
	fresh_flags(op, mh_flagged);
}

/* Goes on with op->sized when the text is that of now. */
static void mh_when_made(struct fs_op *op, op_resume *then)
{
	op->sized = then;
	flags_want(op->fs->account);
	watch_read(op->fs->account->watch, op->mb);
	fresh_whole(op, mh_known);
}

/* --- looking at it --- */

static void mh_reply_attributes(struct fs_op *op, int err)
{
	const struct mh *m = mh_of(op->at.node);
	struct stat st;

	view_stat_file(
		op->fs, op->at, m->writers ? m->edit.len : m->text.len, m->changed.tv_sec, &st);
	st.st_mtim = st.st_ctim = m->changed;
	view_answer_attributes(op, &st, MH_TIMEOUT, m->writers ? 0 : MH_TIMEOUT);
}

static void mh_attributes(struct fs_op *op)
{
	if (mh_of(op->at.node)->writers)
		mh_reply_attributes(op, 0);
	else
		mh_when_made(op, mh_reply_attributes);
}

static void begin_edit(struct mh *m)
{
	if (m->writers++ == 0) {
		buf_clear(&m->edit);
		buf_append_span(&m->edit, buf_span(&m->text));
		m->edited = false;
	}
}

static void mh_open_made(struct fs_op *op, int err)
{
	struct mh *m = mh_of(op->at.node);
	bool writes = op->writes;

	if (!writes || !m->based)
		note_base(m);
	op->fi.direct_io = 1;
	op->fi.noflush = !writes;
	op->fi.fh = view_handle(op->fs, op->req, writes, buf_span(&m->text));
	if (writes)
		begin_edit(m);
	fuse_reply_open(op->req, &op->fi);
	op_end(op);
}

static void mh_open(struct fs_op *op)
{
	mh_when_made(op, mh_open_made);
}

static void mh_read(struct fs_op *op)
{
	const struct view_handle *h = view_handle_of(&op->fi);
	const struct mh *m = mh_of(op->at.node);

	view_answer_octets(op, h->writes && m->edited ? buf_span(&m->edit) : h->octets);
}

/* --- carrying out --- */

/* What is to be changed of a message; empty: nothing. */
static int mh_make_diff(
	const struct mh *m, const struct sequences *wanted, uint32_t uid, struct buf *diff)
{
	int err = 0;

	for (unsigned s = 0; s < SEQUENCES && err == 0; s++) {
		bool is = uidset_has(&m->base[s], uid);
		bool to_be = uidset_has(&wanted->sets[s], uid);
		if (is != to_be)
			err = buf_printf(diff, "%s%c%s", diff->len ? " " : "",
				to_be != (s == SEQUENCE_UNSEEN) ? '+' : '-', flag_names[s]);
	}
	return err;
}

static int mh_promise_all(struct fs_op *op, const struct sequences *wanted)
{
	const struct mh *m = mh_of(op->at.node);
	uint32_t last = m->listed && m->listed < m->base_last ? m->listed : m->base_last;
	const struct cache_message *message = mailbox_after(op->mb, 0);
	struct buf diff;
	int err = 0;

	buf_init(&diff, 256);
	for (; err == 0 && message && message->uid <= last;
		message = mailbox_after(op->mb, message->uid)) {
		uint32_t uid = message->uid;
		buf_clear(&diff);
		err = mh_make_diff(m, wanted, uid, &diff);
		if (err < 0 || diff.len == 0 || mailbox_hidden(op->mb, uid))
			continue;
		const struct intent_ask ask = {.verb = INTENT_FLAGS,
			.diff = buf_cstr(&diff),
			.by = fuse_req_ctx(op->req)->pid};
		err = intents_put(op->mb, uid, &ask);
	}
	buf_finish(&diff);
	return err;
}

static void mh_carry_out_drained(struct fs_op *op, int err)
{
	op_reply_errno(op, err < 0 ? error_errno(err) : 0);
}

/* Answers the request. */
static void mh_carry_out(struct fs_op *op, struct span text)
{
	struct mh *m = mh_of(op->at.node);
	struct sequences wanted;
	int err;

	if (!m->based)
		note_base(m);
	sequences_init(&wanted);
	err = m->made ? sequences_parse(&wanted, text) : ERR_INVALID;
	if (err == 0)
		err = mh_promise_all(op, &wanted);
	if (err == 0) {
		buf_finish(&m->shown.others);
		m->shown.others = wanted.others;
		buf_init(&wanted.others, 0);
		mh_make_text(m, op->mb);
		note_base(m);
	}
	sequences_finish(&wanted);
	bool now = op->fs->options.sync || intents_are_doubtful(op->mb, &change_flags);
	if (err < 0)
		op_reply_errno(op, err == ERR_LIMIT ? EFBIG : error_errno(err));
	else if (!now || op_wait_drain(op, DRAIN_REST, mh_carry_out_drained, &err))
		mh_carry_out_drained(op, err);
}

/* --- writing to it --- */

static void mh_write(struct fs_op *op)
{
	struct mh *m = mh_of(op->at.node);
	size_t end = (size_t)op->offset + op->n_octets;

	if (op->offset > VIEW_TEXT_MAX || end > VIEW_TEXT_MAX) {
		op_reply_errno(op, EFBIG);
		return;
	}
	while (m->edit.len < end)
		if (buf_append_char(&m->edit, '\0') < 0) {
			op_reply_errno(op, ENOMEM);
			return;
		}
	memcpy(m->edit.data + op->offset, op->octets, op->n_octets);
	m->edited = true;
	fuse_reply_write(op->req, op->n_octets);
	op_end(op);
}

static void mh_resize(struct fs_op *op)
{
	struct mh *m = mh_of(op->at.node);

	if (op->offset > m->edit.len || m->writers == 0) {
		op_reply_errno(op, m->writers ? EINVAL : EACCES);
		return;
	}
	buf_truncate(&m->edit, (size_t)op->offset);
	m->edited = true;
	mh_reply_attributes(op, 0);
}

static void mh_flush(struct fs_op *op)
{
	struct mh *m = mh_of(op->at.node);

	if (!m->edited || (m->edit.len == 0 && m->writers > 1)) {
		op_reply_errno(op, 0);
		return;
	}
	if (process_is_killed(fuse_req_ctx(op->req)->pid)) {
		log_warning("%s/.mh_sequences: the process that wrote it was killed; no flags are "
			    "changed",
			mailbox_path(op->mb));
		op_reply_errno(op, 0);
		return;
	}
	m->edited = false;
	mh_carry_out(op, buf_span(&m->edit));
}

static void mh_release(struct fs *fs, struct view_node *node)
{
	struct mh *m = mh_of(node);

	if (m->writers > 0)
		m->writers--;
}

static void mh_create(struct fs *fs, struct view_node *node)
{
	struct mh *m = mh_of(node);

	m->unlinked_by = 0;
	begin_edit(m);
	buf_clear(&m->edit);
	m->edited = true;
}

/* --- another file is renamed onto it --- */

static void replace_made(struct fs_op *op, int err)
{
	mh_carry_out(op, (struct span){op->octets, op->n_octets});
}

static void mh_replace(struct fs_op *op)
{
	struct mh *m = mh_of(op->at.node);

	m->unlinked_by = 0;
	if (m->made)
		replace_made(op, 0);
	else
		mh_when_made(op, replace_made);
}

static int mh_unlink(struct fs *fs, struct view_node *node, pid_t process)
{
	struct mh *m = mh_of(node);

	m->unlinked_by = process;
	m->unlinked = uv_now(fs->loop);
	return 0;
}

static bool mh_is_unlinked(const struct fs *fs, const struct view_node *node, pid_t process)
{
	const struct mh *m = node->data;

	return m && m->unlinked_by == process && uv_now(fs->loop) < m->unlinked + MH_UNLINKED;
}

/* --- what is told --- */

static void mh_tell(struct fs *fs, struct view_node *node)
{
	if (!notify_is_due(fs->notifier, view_inode(node, 1)))
		notify_attributes(fs->notifier, view_inode(node, 1));
}

static void mh_on_flags_changed(struct fs *fs, struct view_node *node, uint32_t uid)
{
	mh_tell(fs, node);
}

static void mh_on_listed(struct fs *fs, struct view_node *node, struct mailbox *mb)
{
	mh_of(node)->listed = mailbox_last(mb);
}

static const struct view_writing mh_writing = {
	.write = mh_write,
	.resize = mh_resize,
	.flush = mh_flush,
	.release = mh_release,
	.replace = mh_replace,
	.unlink = mh_unlink,
	.is_unlinked = mh_is_unlinked,
	.create = mh_create,
};

const struct view view_mh = {
	.name = ".mh_sequences",
	.key = "mh",
	.place = VIEW_FILE,
	.selectable = true,
	.attributes = mh_attributes,
	.open = mh_open,
	.read = mh_read,
	.writing = &mh_writing,
	.on_flags_changed = mh_on_flags_changed,
	.on_directory_changed = mh_tell,
	.on_listed = mh_on_listed,
	.forget = mh_forget,
};
