/* SPDX-License-Identifier: MIT */
/* Drafts: how one becomes a message. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/draft.h"
#include "fs/entry.h"
#include "fs/filesystem.h"
#include "fs/hold.h"
#include "fs/inode.h"
#include "fs/notify.h"
#include "fs/op.h"
#include "fs/scratch.h"
#include "fs/title.h"
#include "mail/change/changes.h"
#include "mail/model/given.h"
#include "mail/sync/sync.h"

/* Octets that a line worth waiting for brings in a millisecond: close(2) of a large message waits
 * longer. */
#define SLOWEST_LINE 8
/* Milliseconds after it was stored in which a draft's time may still be set: there are programs that
 * do it when they have closed the file. */
#define LATE_TIME 1000

/* --- the end --- */

/* Not each name that begins with a number: those of Maildir begin with a time, and are renamed. */
static bool looks_like_uid(const struct fs *fs, const char *name)
{
	const char *rest = name + strspn(name, "0123456789");
	uint32_t uid;

	if (fs->options.named && title_uid(name, &uid))
		return true;
	return rest > name && (*rest == '\0' || strncmp(rest, ".eml", 4) == 0 ||
				      strcmp(rest, fs->options.suffix) == 0);
}

static void take_name(struct draft *d)
{
	mailbox_release(d->mb);
	free(d->name);
	d->mb = d->to;
	d->name = d->to_name;
	d->to = NULL;
	d->to_name = NULL;
	d->apart = false;
}

/* Its name stands for it again, or for what it became. */
static void name_again(struct draft *d)
{
	d->named |= d->outrun;
	d->outrun = false;
}

static void tell_listing(const struct draft *d)
{
	if (!d->fs->stopping)
		notify_directory(d->fs->notifier, inode_of_directory(d->fs, d->mb));
}

/* What the server was given, as far as it is known; NULL: nothing was, or it is not known. */
static const struct cache_message *stored_as(struct draft *d)
{
	if (d->source)
		return mailbox_find(d->source, d->source_uid);
	return d->found ? NULL : &d->append.is;
}

static void become(struct draft *d, uint32_t uid)
{
	uint32_t before = d->mb == d->to && !d->found ? d->uid : 0;

	tell_listing(d);
	take_name(d);
	name_again(d);
	draft_drop_namesakes(d);
	hold_keep(d->fs, d->mb, d->name);
	d->uid = uid;
	d->found = uid && uid == d->same.read.uid;
	if (d->found)
		draft_share_found(d);
	d->found |= d->taken_over;
	d->taken_over = false;
	d->state = DRAFT_STORED;
	d->stored_at = uv_now(d->fs->loop);
	spool_mark(draft_spool(d->fs), &d->place, true);
	if (uid)
		given_put(d->mb, d->name, uid, looks_like_uid(d->fs, d->name), stored_as(d));
	tell_listing(d);
	if (before && uid && before != uid)
		draft_remove_before(d, before);
}

static void refuse_draft(struct draft *d, int err, const char *reason)
{
	snprintf(d->reason, sizeof(d->reason), "%s", reason && *reason ? reason : error_text(err));
	d->state = DRAFT_REFUSED;
	name_again(d);
	log_warning("%s/%s was not stored: %s", mailbox_path(d->to), d->to_name, d->reason);
	mailbox_release(d->to);
	free(d->to_name);
	d->to = NULL;
	d->to_name = NULL;
}

static void wake(struct list *waits, int err)
{
	while (!list_empty(waits)) {
		struct draft_wait *w = list_entry(waits->next, struct draft_wait, link);

		list_remove(&w->link);
		w->on_wake(w, err);
	}
}

void draft_wake(struct draft *d, int err)
{
	struct list waits = LIST_INIT(waits);

	list_splice(&waits, &d->waits);
	wake(&waits, err);
}

static void end_store(struct draft *d, int err, uint32_t uid, const char *reason)
{
	struct drafts *all = d->fs->drafts;
	struct list waits = LIST_INIT(waits);

	if (err < 0)
		refuse_draft(d, err, reason);
	else
		become(d, uid);
	list_splice(&waits, &d->waits);
	draft_settle(d);
	drafts_keep(all);
	wake(&waits, err);
}

static void draft_on_appended(struct append *a, int err)
{
	end_store(list_entry(a, struct draft, append), err, a->uid, a->reason);
}

static void draft_on_copied(struct copy *c, int err)
{
	end_store(list_entry(c, struct draft, copy), err, c->new_uid, NULL);
}

/* --- the beginning --- */

static void start_append(struct draft *d)
{
	d->append = (struct append){
		.mb = d->to,
		.fd = d->fd,
		.has_date = d->dated,
		.date = d->mtime.tv_sec,
		.written = d->mtime.tv_sec,
		.flags = d->flags,
		.on_done = draft_on_appended,
	};
	append_start(&d->append);
}

static void start_copy(struct draft *d)
{
	d->copy = (struct copy){
		.from = d->source, .uid = d->source_uid, .to = d->to, .on_done = draft_on_copied};
	list_init(&d->copy.link);
	copy_start(&d->copy);
}

static void start_check(struct draft *d, mailbox_on_wake *on_checked)
{
	d->check = (struct mailbox_wait){.on_wake = on_checked};
	sync_start(d->to);
	mailbox_wait(d->to, &d->check);
}

/* What is about to go is not there for who puts in the same. */
static bool stays(struct mailbox *mb, uint32_t uid)
{
	return mailbox_shown(mb, uid) && !changes_may_remove(mb, uid);
}

/* The octets may be remembered of a message that others have removed. */
static void store_on_checked(struct mailbox_wait *w, int err)
{
	struct draft *d = list_entry(w, struct draft, check);

	if (err < 0)
		end_store(d, err, 0, NULL);
	else if (stays(d->to, d->same.read.uid))
		end_store(d, 0, d->same.read.uid, NULL);
	else
		start_append(d);
}

/* A check that is under way already may have asked before that message was removed. */
static void check_again(struct mailbox_wait *w, int err)
{
	struct draft *d = list_entry(w, struct draft, check);

	if (err < 0)
		end_store(d, err, 0, NULL);
	else
		start_check(d, store_on_checked);
}

static void compare_next(struct draft *d);

static void store_on_compared(struct draft *d, int err)
{
	if (err == 0) {
		start_check(d, sync_is_under_way(d->to) ? check_again : store_on_checked);
	} else if (error_is_connection(err)) {
		end_store(d, err, 0, NULL);
	} else {
		compare_next(d);
	}
}

/* With the message that came in under this name, where the name finds another one, or none. */
static void compare_next(struct draft *d)
{
	uint32_t uid = d->former;

	d->former = 0;
	if (uid && stays(d->to, uid))
		draft_same_start(d, uid, store_on_compared);
	else
		start_append(d);
}

static void store_on_row(struct mailbox_wait *w, int err)
{
	struct draft *d = list_entry(w, struct draft, check);

	if (err < 0)
		end_store(d, err, 0, NULL);
	else
		draft_same_start(d, d->same.read.uid, store_on_compared);
}

/* With the message that its name stands for. Of one that came in a moment ago the row may not have come
 * yet, without which it cannot be read. */
static void compare_with(struct draft *d, uint32_t uid)
{
	if (mailbox_find(d->to, uid)) {
		draft_same_start(d, uid, store_on_compared);
		return;
	}
	d->same.read.uid = uid;
	start_check(d, store_on_row);
}

void draft_store(struct draft *d, struct mailbox *mb, const char *name, uint32_t namesake)
{
	d->to = mailbox_hold(mb);
	d->to_name = mem_strdup(name);
	d->tried = d->changes;
	d->state = DRAFT_STORING;
	d->reason[0] = '\0';
	d->same.read.uid = 0;
	d->redated = false;
	d->former = given_last(mb, name);
	if (d->former == d->uid || d->former == namesake)
		d->former = 0;
	if (d->source)
		start_copy(d);
	else if (namesake)
		compare_with(d, namesake);
	else
		compare_next(d);
}

void draft_wait(struct draft *d, struct draft_wait *w)
{
	list_append(&d->waits, &w->link);
}

bool draft_store_again(struct draft *d)
{
	const struct cache_message *m = d->uid ? mailbox_find(d->mb, d->uid) : NULL;

	/* Two of them are worse than a date. */
	if (d->fs->account->options.delete == DELETE_NEVER)
		return false;
	if (d->state != DRAFT_STORED || !d->uid || d->found || (m && m->date == d->mtime.tv_sec) ||
		d->source || uv_now(d->fs->loop) - d->stored_at > LATE_TIME ||
		draft_need_file(d) != 0)
		return false;
	draft_store(d, d->mb, d->name, 0);
	d->redated = true;
	return true;
}

int draft_is_broken(struct draft *d)
{
	int error = d->error ? d->error : EIO;

	if (d->unwritten == 0)
		return 0;
	if (d->state == DRAFT_REFUSED && d->tried == d->changes)
		return error;
	d->tried = d->changes;
	d->state = DRAFT_REFUSED;
	snprintf(d->reason, sizeof(d->reason), "a write failed: %s", strerror(error));
	log_warning("%s was not stored: %s", draft_path(d), d->reason);
	return error;
}

/* --- close --- */

static void store_expired(struct fs_op *op, int err)
{
	const struct draft *d = draft_of(op->fs, op->ino);

	if (d)
		log_warning("%s: the server does not say whether it is stored; it goes on being "
			    "asked, and .imapfs/status tells",
			draft_path(d));
	op_fail(op, err);
}

static void wait_until_stored(struct fs_op *op, struct draft *d, op_resume *resume)
{
	op->deadline += d->place.size / SLOWEST_LINE;
	op->expire = store_expired;
	op_wait_draft(op, d, resume);
}

static void flush_stored(struct fs_op *op, int err)
{
	op_reply_errno(op, err < 0 ? error_errno(err) : 0);
}

static void flush_go(struct fs_op *op, int err)
{
	struct draft *d = draft_of(op->fs, op->ino);
	int broken = d && d->state != DRAFT_STORING ? draft_is_broken(d) : 0;

	if (broken) {
		op_reply_errno(op, broken);
		return;
	}
	if (!d || !draft_has_news(d)) {
		op_reply_errno(op, 0);
		return;
	}
	if (d->state == DRAFT_STORING) {
		wait_until_stored(op, d, flush_go);
		return;
	}
	draft_store(d, d->mb, d->name, d->namesake);
	wait_until_stored(op, d, flush_stored);
}

/* A whole message that is to have another date is no copy. */
static bool has_other_date(const struct draft *d)
{
	const struct cache_message *m = d->source ? mailbox_find(d->source, d->source_uid) : NULL;

	return m && d->dated && m->date != d->mtime.tv_sec;
}

static bool has_size_of(struct mailbox *mb, uint32_t uid, const struct cache_message *m)
{
	const struct cache_message *there = uid ? mailbox_shown(mb, uid) : NULL;

	return there && there->size == m->size;
}

/* A whole message that is what the name stands for already, or that came in under it before, as it seems, is
 * not copied once more: its octets tell, as of what is put in. */
static bool may_be_there(const struct draft *d)
{
	const struct cache_message *m = d->source ? mailbox_find(d->source, d->source_uid) : NULL;

	return m && (has_size_of(d->mb, d->namesake, m) ||
			    has_size_of(d->mb, given_last(d->mb, d->name), m));
}

/* Of several processes that have the descriptor the one that opened the file means the end of it; and
 * one that is killed does not mean it. */
void draft_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct draft *d = draft_of(fuse_req_userdata(req), ino);
	pid_t thread = fuse_req_ctx(req)->pid;

	if (!d || fi->fh != DRAFT_WRITER || !draft_has_news(d) ||
		!process_has(&d->writer, thread)) {
		fuse_reply_err(req, 0);
		return;
	}
	if (process_is_killed(thread) && d->state != DRAFT_STORING) {
		d->tried = d->changes;
		d->state = DRAFT_KILLED;
		log_warning("%s is not stored: the process that wrote it was killed, and it may "
			    "not be whole",
			draft_path(d));
		fuse_reply_err(req, 0);
		return;
	}
	struct fs_op *op = op_create(d->fs, req, "flush", ino, d->mb);
	if (has_other_date(d) || may_be_there(d))
		draft_fill(op, flush_go);
	else
		flush_go(op, 0);
}

/* What nobody has closed who could have been told of an error. */
void draft_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct draft *d = draft_of(fuse_req_userdata(req), ino);

	fuse_reply_err(req, 0);
	if (!d)
		return;
	d->opens--;
	if (d->opens == 0 && d->state != DRAFT_STORING && draft_has_news(d) && !draft_is_broken(d))
		draft_store(d, d->mb, d->name, d->namesake);
	draft_settle(d);
}

/* --- names --- */

/* Another process is about to close it, and would be told that it is stored. */
static bool is_written_by_another(const struct draft *d, pid_t thread)
{
	return draft_is_in_the_making(d) && !process_has(&d->writer, thread) &&
	       process_lives(&d->writer);
}

void draft_unlink(fuse_req_t req, struct draft *d)
{
	if (d->state == DRAFT_STORING || is_written_by_another(d, fuse_req_ctx(req)->pid)) {
		fuse_reply_err(req, EBUSY);
		return;
	}
	fuse_reply_err(req, 0);
	draft_unname(d);
}

static void move_name(struct draft *d, const struct rename *r)
{
	struct spool_place to = {
		.mailbox = spool_key(r->to->name), .name = (char *)(uintptr_t)r->newname};

	/* The name of the file in the spool is for people, and for the next mount. */
	spool_rename(draft_spool(d->fs), &d->place, &to);
	d->to = mailbox_hold(r->to);
	d->to_name = mem_strdup(r->newname);
	take_name(d);
}

/* Who wrote a message may call it otherwise: editors do that with what they are about to replace. */
static int rename_stored(struct draft *d, const struct rename *r)
{
	if (r->from != r->to || looks_like_uid(d->fs, r->newname) || !d->uid)
		return EPERM;
	given_put(d->mb, r->newname, d->uid, false, NULL);
	free(d->name);
	d->name = mem_strdup(r->newname);
	draft_drop_namesakes(d);
	return 0;
}

static void rename_done(struct fs_op *op, int err)
{
	op_reply_errno(op, err < 0 ? error_errno(err) : 0);
}

static void rename_store(struct fs *fs, fuse_req_t req, struct draft *d, const struct rename *r)
{
	struct fs_op *op = op_create(fs, req, "rename", d->ino, d->mb);

	op_lock(op, inode_of_directory(fs, r->from));
	op_lock(op, inode_of_directory(fs, r->to));
	int error = draft_need_file(d);
	uint32_t namesake;
	if (error) {
		op_reply_errno(op, error);
		return;
	}
	namesake = hold_take_back(fs, req, r->to, r->newname);
	if (!namesake && !entry_find(fs, r->to, r->newname, &namesake))
		namesake = entry_coming(r->to, r->newname);
	/* Whoever renames it may not be who wrote it, and it may not be whole: what it was before
	 * stays. */
	d->uid = 0;
	draft_store(d, r->to, r->newname, namesake);
	wait_until_stored(op, d, rename_done);
}

static int may_rename(struct fs *fs, const struct draft *d, const struct rename *r, pid_t thread)
{
	const struct draft *target = draft_named(fs, r->to, r->newname, thread);
	uint32_t uid;

	if (d->state == DRAFT_STORING || (target && target->state == DRAFT_STORING))
		return EBUSY;
	if (!mailbox_selectable(r->to))
		return ENOTSUP;
	if (r->flags && (target || entry_find(fs, r->to, r->newname, &uid) ||
				entry_coming(r->to, r->newname)))
		return EEXIST;
	return 0;
}

void draft_rename(struct fs *fs, fuse_req_t req, struct draft *d, const struct rename *r)
{
	int error = may_rename(fs, d, r, fuse_req_ctx(req)->pid);

	if (!error && !scratch_is_name(r->newname))
		error = draft_is_broken(d);
	if (!error && d->state == DRAFT_STORED) {
		error = rename_stored(d, r);
	} else if (!error && d->place.size > 0 && !scratch_is_name(r->newname)) {
		rename_store(fs, req, d, r);
		return;
	} else if (!error) {
		move_name(d, r);
		draft_drop_namesakes(d);
	}
	fuse_reply_err(req, error);
}
