/* SPDX-License-Identifier: MIT */
/* See xattr.h. The kernel keeps no attributes: each GETXATTR reaches us, most of them twice, first to
 * learn the length. */
#include "fs/xattr.h"

#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/error.h"
#include "base/mem.h"
#include "fs/filesystem.h"
#include "fs/fresh.h"
#include "fs/inode.h"
#include "fs/op.h"
#include "imap/date.h"
#include "mail/change/intents.h"
#include "mail/model/flagdiff.h"
#include "mail/sync/sync.h"
#include "mail/sync/watch.h"

#define PREFIX "user.imap."

/* An attribute. */
struct xattr {
	const char *name;
	/* Appends the value; 0 or errno. m: NULL: of a directory. */
	int (*put)(struct buf *out, struct mailbox *mb, const struct cache_message *m);
	bool needs_flags, needs_emailid;
	bool of_directories;
};

static int put_flags(struct buf *out, struct mailbox *mb, const struct cache_message *m)
{
	struct flags_value value;

	if (!flags_get(mb, m, &value))
		return EIO;
	return imap_flags_print(out, value.system, value.keywords) < 0 ? E2BIG : 0;
}

static int put_uid(struct buf *out, struct mailbox *mb, const struct cache_message *m)
{
	return buf_printf(out, "%u", m->uid) < 0 ? ENOMEM : 0;
}

static int put_internaldate(struct buf *out, struct mailbox *mb, const struct cache_message *m)
{
	char text[IMAP_DATE_LENGTH + 1];

	if ((m->flags & CACHE_DATE_UNKNOWN) || !imap_date_format(m->date, text))
		return ENODATA;
	return buf_append_span(out, span_of(text)) < 0 ? ENOMEM : 0;
}

static int put_mailbox(struct buf *out, struct mailbox *mb, const struct cache_message *m)
{
	return buf_append_span(out, mb->name) < 0 ? E2BIG : 0;
}

static int put_emailid(struct buf *out, struct mailbox *mb, const struct cache_message *m)
{
	const char *id = flags_emailid(mb, m->uid);

	if (!id)
		return ENODATA;
	return buf_append_span(out, span_of(id)) < 0 ? E2BIG : 0;
}

static const struct xattr xattrs[] = {
	{.name = PREFIX "flags", .put = put_flags, .needs_flags = true},
	{.name = PREFIX "uid", .put = put_uid},
	{.name = PREFIX "internaldate", .put = put_internaldate},
	{.name = PREFIX "emailid", .put = put_emailid, .needs_emailid = true},
	{.name = PREFIX "mailbox", .put = put_mailbox, .of_directories = true},
};

static const struct xattr *find_xattr(const char *name)
{
	for (size_t i = 0; i < sizeof(xattrs) / sizeof(xattrs[0]); i++)
		if (strcmp(name, xattrs[i].name) == 0)
			return &xattrs[i];
	return NULL;
}

/* --- get --- */

static int reply_value(fuse_req_t req, const struct xattr *x, struct mailbox *mb,
	const struct cache_message *m, size_t size)
{
	struct buf value;

	buf_init(&value, XATTR_SIZE_MAX);
	int error = x->put(&value, mb, m);
	if (error == 0 && size > 0 && value.len > size)
		error = ERANGE;
	if (error)
		fuse_reply_err(req, error);
	else if (size == 0)
		fuse_reply_xattr(req, value.len);
	else
		fuse_reply_buf(req, value.len ? value.data : "", value.len);
	buf_finish(&value);
	return error;
}

static void get_flagged(struct fs_op *op, int err)
{
	const struct cache_message *m = mailbox_find(op->mb, op->uid);
	struct flags_value value;
	bool known = m && flags_get(op->mb, m, &value);

	/* What is remembered, where the server cannot be asked. */
	if (op->mb->dead || (err < 0 && !(known && error_is_outage(err)))) {
		op_fail(op, op->mb->dead ? ERR_STALE : err);
	} else if (m && !known && op->asked++ == 0) {
		op_wait_flags(op, get_flagged);
	} else if (!m) {
		op_fail(op, ERR_STALE);
	} else {
		reply_value(op->req, op->xattr, op->mb, m, op->size);
		op_end(op);
	}
}

/* Another question, for flags alone, may have been under way. */
static void get_emailid(struct fs_op *op, int err)
{
	const struct cache_message *m = mailbox_find(op->mb, op->uid);
	bool known = flags_emailid(op->mb, op->uid);
	bool offered = pool_capabilities(op->fs->account->pool) & IMAP_CAP_OBJECTID;

	if (op->mb->dead || !m) {
		op_fail(op, ERR_STALE);
	} else if (err < 0) {
		op_fail(op, err);
	} else if (!known && offered && op->asked < 2) {
		op->asked++;
		op_wait_flags(op, get_emailid);
	} else {
		reply_value(op->req, op->xattr, op->mb, m, op->size);
		op_end(op);
	}
}

static void get_message(struct fs_op *op, int err)
{
	const struct cache_message *m = mailbox_find(op->mb, op->uid);

	if (op->xattr->needs_flags)
		watch_read(op->fs->account->watch, op->mb);
	if (!m || op->mb->dead) {
		op_fail(op, err < 0 && !op->mb->dead ? err : ERR_STALE);
	} else if (op->xattr->needs_emailid) {
		get_emailid(op, 0);
	} else if (op->xattr->needs_flags && !flags_are_true(op->mb, m)) {
		op_wait_flags(op, get_flagged);
	} else {
		reply_value(op->req, op->xattr, op->mb, m, op->size);
		op_end(op);
	}
}

/* The error for a name that is none of ours. */
static int no_xattr(const char *name)
{
	return strncmp(name, PREFIX, sizeof(PREFIX) - 1) == 0 ? ENODATA : EOPNOTSUPP;
}

void xattr_get(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct xattr *x = find_xattr(name);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);

	if (!x || !mb) {
		fuse_reply_err(req, x ? ESTALE : no_xattr(name));
		return;
	}
	struct fs_op *op = op_create(fs, req, "getxattr", ino, mb);
	op->uid = uid;
	op->size = size;
	op->xattr = x;
	op->emailid = x->needs_emailid;
	if (mb->messages.loaded) {
		get_message(op, 0);
		return;
	}
	sync_start(mb);
	op_wait_mailbox(op, false, get_message);
}

void xattr_get_of_directory(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	const struct xattr *x = find_xattr(name);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fuse_req_userdata(req), ino, &uid);

	if (!mb)
		fuse_reply_err(req, ESTALE);
	else if (!x)
		fuse_reply_err(req, no_xattr(name));
	else if (!x->of_directories || mb->name.n == 0)
		fuse_reply_err(req, ENODATA);
	else
		reply_value(req, x, mb, NULL, size);
}

/* --- list --- */

/* Needs no flags, so that who only looks whether there are attributes (ls -l, since coreutils 9.6)
 * asks no server. */
void xattr_list(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	static const char names[] = PREFIX "flags";
	uint32_t uid;
	const struct mailbox *mb = inode_resolve(fuse_req_userdata(req), ino, &uid);
	size_t n = mb ? sizeof(names) : 0;

	if (size == 0)
		fuse_reply_xattr(req, n);
	else if (n > size)
		fuse_reply_err(req, ERANGE);
	else
		fuse_reply_buf(req, names, n);
}

/* --- set --- */

/* The flags of a text. 0 or errno: EPERM for what only the server sets, EINVAL for what is no flag,
 * but what the message has already. */
static int parse_flags(struct span text, const struct flags_value *now, struct flags_value *wanted,
	struct buf *keywords)
{
	struct buf words;
	int error = 0;

	*wanted = (struct flags_value){0};
	buf_init(&words, FLAGS_TEXT_MAX);
	for (size_t i = 0; i < text.n && error == 0; i++) {
		char c = text.p[i];
		bool is_space = c == '\0' || c == '\t' || c == '\n' || c == '\r';
		error = buf_append_char(&words, is_space ? ' ' : c) < 0 ? E2BIG : 0;
	}
	struct span rest = buf_span(&words), word;
	while (error == 0 && imap_word_next(&rest, &word)) {
		unsigned flag = imap_flag_of(word);
		wanted->system |= flag;
		if (flag & ~(unsigned)IMAP_FLAGS_KEPT)
			error = flag == IMAP_FLAG_RECENT ? EPERM : EINVAL;
		else if (word.n > 0 && !flag && !imap_is_keyword(word) &&
			 !imap_has_word(now->keywords, word))
			error = EINVAL;
	}
	if (error == 0 && !flags_sort_keywords(buf_span(&words), keywords))
		error = E2BIG;
	wanted->keywords = buf_span(keywords);
	buf_finish(&words);
	return error;
}

/* What is to be changed; 0 or errno. */
static int make_diff(const struct fs_op *op, const struct cache_message *m, struct buf *diff)
{
	struct flags_value now, wanted;
	struct buf keywords;

	if (!flags_get(op->mb, m, &now))
		return EIO;
	buf_init(&keywords, FLAGS_KEYWORDS_MAX);
	int error = parse_flags((struct span){op->octets, op->n_octets}, &now, &wanted, &keywords);
	if (error == 0 && flagdiff_between(&now, &wanted, diff) < 0)
		error = ENOMEM;
	buf_finish(&keywords);
	return error;
}

static int promise(const struct fs_op *op, struct buf *diff)
{
	const struct intent_ask ask = {
		.verb = INTENT_FLAGS, .diff = buf_cstr(diff), .by = fuse_req_ctx(op->req)->pid};
	int err = intents_put(op->mb, op->uid, &ask);

	return err < 0 ? error_errno(err) : 0;
}

static void set_done(struct fs_op *op, int err)
{
	op_reply_errno(op, err < 0 ? error_errno(err == ERR_GONE ? ERR_STALE : err) : 0);
}

/* With -o sync, and where the server refused something, the answer is the server's. */
static void set_flags(struct fs_op *op, const struct cache_message *m)
{
	struct fs *fs = op->fs;
	bool now = fs->options.sync || intents_are_doubtful(op->mb, &change_flags);
	struct buf diff;

	buf_init(&diff, 2 * FLAGS_TEXT_MAX);
	int error = make_diff(op, m, &diff);
	if (error || diff.len == 0) {
		op_reply_errno(op, error);
	} else if (!now) {
		op_reply_errno(op, promise(op, &diff));
	} else if (pool_is_down(fs->account->pool)) {
		op_reply_errno(op, EROFS);
	} else {
		free(op->octets);
		op->octets = mem_copy(diff.data, diff.len);
		op_wait_store(op, set_done);
	}
	buf_finish(&diff);
}

static void set_flagged(struct fs_op *op, int err)
{
	const struct cache_message *m = mailbox_shown(op->mb, op->uid);
	struct flags_value value;

	if (op->mb->dead || !m)
		op_fail(op, err < 0 && !op->mb->dead ? err : ERR_STALE);
	else if (flags_get(op->mb, m, &value))
		set_flags(op, m);
	else if (err == 0 && op->asked++ == 0)
		/* The question was under way already, where the server has not told of this message yet. */
		op_wait_flags(op, set_flagged);
	else
		op_fail(op, err < 0 ? err : ERR_IO);
}

static void set_message(struct fs_op *op, int err)
{
	const struct cache_message *m = mailbox_shown(op->mb, op->uid);

	if (!m || op->mb->dead || flags_are_true(op->mb, m))
		set_flagged(op, err);
	else
		op_wait_flags(op, set_flagged);
}

/* When the mailbox was looked at. */
static void start_setting(struct fs_op *op, uint32_t uid, struct span value, op_resume *loaded)
{
	op->uid = uid;
	op->octets = mem_copy(value.p, value.n);
	op->n_octets = value.n;
	if (op->mb->messages.loaded) {
		loaded(op, 0);
		return;
	}
	sync_start(op->mb);
	op_wait_mailbox(op, false, loaded);
}

static void set_loaded(struct fs_op *op, int err)
{
	fresh_message(op, set_message);
}

void xattr_set_flags(
	fuse_req_t req, fuse_ino_t ino, struct mailbox *mb, uint32_t uid, struct span value)
{
	struct fs_op *op = op_create(fuse_req_userdata(req), req, "setxattr", ino, mb);

	op->given = true;
	start_setting(op, uid, value, set_loaded);
}

/* value: NULL: none are left. */
static void set_xattr(fuse_req_t req, fuse_ino_t ino, const char *name, struct span value)
{
	struct fs *fs = fuse_req_userdata(req);
	const struct xattr *x = find_xattr(name);
	uint32_t uid;
	struct mailbox *mb = inode_resolve(fs, ino, &uid);

	if (!x || !mb || !x->needs_flags || fs->options.readonly) {
		int error = no_xattr(name);
		fuse_reply_err(req, error == EOPNOTSUPP    ? error
				    : fs->options.readonly ? EROFS
				    : !mb                  ? ESTALE
							   : EPERM);
		return;
	}
	struct fs_op *op = op_create(fs, req, "setxattr", ino, mb);
	start_setting(op, uid, value, set_message);
}

void xattr_set(
	fuse_req_t req, fuse_ino_t ino, const char *name, const char *value, size_t size, int flags)
{
	/* It is always there. */
	if ((flags & XATTR_CREATE) && find_xattr(name))
		fuse_reply_err(req, EEXIST);
	else
		set_xattr(req, ino, name, (struct span){value, size});
}

void xattr_remove(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	set_xattr(req, ino, name, (struct span){0});
}
