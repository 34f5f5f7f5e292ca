/* SPDX-License-Identifier: MIT */
/*
 * Requests that wait. Each has a deadline; one that the kernel interrupts is answered EINTR after a
 * grace, since a process that waits in LOOKUP cannot even be killed before its answer, but Go
 * programs interrupt themselves all the time and would see errors that nobody made.
 */
#include "fs/op.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/libc.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/filesystem.h"
#include "fs/hold.h"
#include "fs/moves.h"
#include "mail/model/flags.h"

/* Milliseconds. */
#define INTERRUPT_GRACE 1000
/* Milliseconds that are no wait. */
#define WAIT_MIN 100

/* --- deadlines that are inherited --- */

/* Once the server is there again its failures before say nothing any more. */
static const struct failure *find_failure(struct fs *fs, fuse_ino_t ino)
{
	const struct failure *f = inherit_find(&fs->inherit, ino, uv_now(fs->loop));

	if (!f || !pool_is_back_since(fs->account->pool, f->at))
		return f;
	inherit_forget(&fs->inherit, ino);
	return NULL;
}

void op_inherit(struct fs_op *op, fuse_ino_t ino)
{
	const struct failure *f = find_failure(op->fs, ino);

	if (!f || f->deadline + INHERIT_GRACE >= op->deadline)
		return;
	op->deadline = f->deadline + INHERIT_GRACE;
	op->inherited = true;
}

static void note_failed_wait(const struct fs_op *op, fuse_ino_t ino)
{
	find_failure(op->fs, ino);
	inherit_note(&op->fs->inherit, ino, op->deadline, op->inherited, uv_now(op->fs->loop));
}

/* What an op's end tells about those that the kernel held back meanwhile. */
static void note_outcome(const struct fs_op *op, int error)
{
	uint64_t waited = uv_now(op->fs->loop) - op->created;
	bool in_vain = op->vain || error == ETIMEDOUT || error == ENETDOWN || error == EINTR;

	if (in_vain && waited >= WAIT_MIN) {
		note_failed_wait(op, op->ino);
		for (unsigned i = 0; i < OP_LOCKS && op->locked[i]; i++)
			note_failed_wait(op, op->locked[i]);
	} else if (!in_vain && waited > 0) {
		inherit_forget(&op->fs->inherit, op->ino);
		for (unsigned i = 0; i < OP_LOCKS && op->locked[i]; i++)
			inherit_forget(&op->fs->inherit, op->locked[i]);
	}
}

int op_overdue(const struct fs_op *op)
{
	if (!op->inherited || uv_now(op->fs->loop) < op->deadline)
		return 0;
	return pool_is_down(op->fs->account->pool) ? ERR_NET : ERR_TIMEOUT;
}

void op_note_wait(struct fs_op *op, int err)
{
	op->vain = error_is_outage(err);
}

/* --- directories that the kernel keeps locked --- */

static void count_lock(struct fs *fs, fuse_ino_t directory, int by)
{
	int64_t count = (int64_t)map_number(&fs->locked, directory) + by;

	map_put_number(&fs->locked, directory, count > 0 ? (uint64_t)count : 0);
}

void op_lock(struct fs_op *op, fuse_ino_t directory)
{
	for (unsigned i = 0; directory && i < OP_LOCKS && op->locked[i] != directory; i++) {
		if (op->locked[i])
			continue;
		op->locked[i] = directory;
		count_lock(op->fs, directory, 1);
		op_inherit(op, directory);
		return;
	}
}

static void unlock_all(struct fs_op *op)
{
	if (!op->locked[0])
		return;
	for (unsigned i = 0; i < OP_LOCKS && op->locked[i]; i++)
		count_lock(op->fs, op->locked[i], -1);
	notify_unlocked(op->fs->notifier);
}

/* --- the beginning and the end --- */

static void op_on_interrupt(fuse_req_t req, void *data)
{
	struct fs_op *op = data;

	if (!op->interrupted_at)
		op->interrupted_at = uv_now(op->fs->loop);
}

struct fs_op *op_create(
	struct fs *fs, fuse_req_t req, const char *name, fuse_ino_t ino, struct mailbox *mb)
{
	struct fs_op *op = mem_zalloc(sizeof(*op));

	op->fs = fs;
	op->req = req;
	op->name = name;
	op->ino = ino;
	op->mb = mailbox_hold(mb);
	op->started = uv_hrtime();
	op->created = uv_now(fs->loop);
	op->deadline = op->created + fs->options.timeout;
	op_inherit(op, ino);
	list_append(&fs->ops, &op->link);
	fs->doing = name;
	if (!uv_is_active((uv_handle_t *)&fs->timer)) {
		fs->held = pool_held(fs->account->pool);
		uv_timer_start(&fs->timer, fs->timer.timer_cb, OP_TICK, OP_TICK);
	}
	fuse_req_interrupt_func(req, op_on_interrupt, op);
	return op;
}

void op_set_mailbox(struct fs_op *op, struct mailbox *mb)
{
	mailbox_hold(mb);
	mailbox_release(op->mb);
	op->mb = mb;
}

void op_log(const char *name, fuse_ino_t ino, uint64_t started, int error)
{
	log_debug("fs: %s %llx: %s (%.3f ms)", name, (unsigned long long)ino,
		error ? strerrorname_np(error) : "ok", (double)(uv_hrtime() - started) / 1e6);
}

static void op_free(struct fs_op *op, int error)
{
	op_log(op->name, op->ino, op->started, error);
	list_remove(&op->link);
	unlock_all(op);
	mailbox_release(op->mb);
	mailbox_release(op->to);
	if (op->making)
		op->unmake(op->making);
	free(op->octets);
	free(op);
}

/* After this no interrupt can find the op: libfuse forgets the request with its answer. */
void op_end(struct fs_op *op)
{
	note_outcome(op, 0);
	op_free(op, 0);
}

void op_reply_errno(struct fs_op *op, int error)
{
	note_outcome(op, error);
	fuse_reply_err(op->req, error);
	op_free(op, error);
}

void op_fail(struct fs_op *op, int err)
{
	op_reply_errno(op, error_errno(err));
}

/* --- waits --- */

static void op_go_on(struct fs_op *op, int err)
{
	op->waits_for = OP_WAITS_FOR_NOTHING;
	op->resume(op, err);
}

/* A wait for what the server has to say. */
static void op_server_said(struct fs_op *op, int err)
{
	op_note_wait(op, err);
	op_go_on(op, err);
}

static void op_on_mailbox(struct mailbox_wait *w, int err)
{
	op_server_said(list_entry(w, struct fs_op, wait.mailbox), err);
}

void op_wait_mailbox(struct fs_op *op, bool progress, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_MAILBOX;
	op->wait.mailbox = (struct mailbox_wait){.progress = progress, .on_wake = op_on_mailbox};
	mailbox_wait(op->mb, &op->wait.mailbox);
}

static void op_on_names(struct lister_wait *w, int err)
{
	op_server_said(list_entry(w, struct fs_op, wait.names), err);
}

bool op_wait_names(struct fs_op *op, op_resume *resume)
{
	op->wait.names = (struct lister_wait){.on_wake = op_on_names};
	if (lister_fresh_try(op->fs->account, &op->wait.names))
		return true;
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_NAMES;
	return false;
}

static void op_on_read(struct body_read *r, int err, const struct body_parts *parts)
{
	struct fs_op *op = list_entry(r, struct fs_op, wait.read);

	op->parts = parts;
	op_server_said(op, err);
}

void op_wait_read(struct fs_op *op, const struct body_read *read, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_READ;
	op->wait.read = *read;
	op->wait.read.on_done = op_on_read;
	list_init(&op->wait.read.link);
	body_read_start(&op->wait.read);
}

static void op_on_proof(struct proof *p, int err)
{
	op_server_said(list_entry(p, struct fs_op, wait.proof), err);
}

void op_wait_proof(struct fs_op *op, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_PROOF;
	op->wait.proof = (struct proof){.mb = op->mb, .uid = op->uid, .on_done = op_on_proof};
	list_init(&op->wait.proof.link);
	prove_start(&op->wait.proof);
}

static void op_on_flags(struct flags_wait *w, int err)
{
	op_server_said(list_entry(w, struct fs_op, wait.flags), err);
}

void op_wait_flags(struct fs_op *op, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_FLAGS;
	op->wait.flags = (struct flags_wait){
		.mb = op->mb, .uid = op->uid, .emailid = op->emailid, .on_wake = op_on_flags};
	flags_wait(&op->wait.flags);
}

static void op_on_facts(struct facts_wait *w, int err)
{
	op_server_said(list_entry(w, struct fs_op, wait.facts), err);
}

void op_wait_facts(struct fs_op *op, enum fact kind, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_FACTS;
	op->wait.facts = (struct facts_wait){
		.mb = op->mb, .kind = kind, .uid = op->uid, .on_wake = op_on_facts};
	facts_wait(&op->wait.facts);
}

static void op_on_seek(void *ctx, int err, struct uidset *found)
{
	struct fs_op *op = ctx;

	op->sought = found;
	op_server_said(op, err);
}

void op_wait_seek(struct fs_op *op, enum seek_as as, struct span text, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_SEEK;
	op->wait.seek = seek_start(op->mb, as, text, op_on_seek, op);
}

static void op_on_change(struct change *r, int err)
{
	struct fs_op *op = list_entry(r, struct fs_op, wait.change);

	map_remove(&op->fs->unlinking, op->ino);
	if (op->to)
		moves_on_moved(op->fs, op->mb, op->uid, op->to, r->new_uid, err);
	op_server_said(op, err);
}

static void wait_change(struct fs_op *op, const struct verb *verb, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_CHANGE;
	op->wait.change = (struct change){
		.verb = verb, .mb = op->mb, .uid = op->uid, .to = op->to, .on_done = op_on_change};
	list_init(&op->wait.change.link);
	map_put(&op->fs->unlinking, op->ino, op);
	changes_start(&op->wait.change);
}

void op_wait_removal(struct fs_op *op, op_resume *resume)
{
	wait_change(op, &change_remove, resume);
}

static void op_on_folder(struct mailboxes_wait *w, int err, struct mailbox *mb)
{
	struct fs_op *op = list_entry(w, struct fs_op, wait.folder);

	map_remove(&op->fs->unlinking, op->moving);
	op->made = mb;
	op_server_said(op, err);
}

void op_wait_folder(struct fs_op *op, fuse_ino_t moving, op_folder_start *start, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_FOLDER;
	op->wait.folder = (struct mailboxes_wait){.on_done = op_on_folder};
	op->moving = moving;
	int err = start(op, &op->wait.folder);
	if (err < 0) {
		op->waits_for = OP_WAITS_FOR_NOTHING;
		op_fail(op, err);
	} else if (moving) {
		map_put(&op->fs->unlinking, moving, op);
	}
}

void op_wait_store(struct fs_op *op, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_CHANGE;
	op->wait.change = (struct change){.verb = &change_flags,
		.mb = op->mb,
		.uid = op->uid,
		.diff = op->octets,
		.on_done = op_on_change};
	list_init(&op->wait.change.link);
	changes_start(&op->wait.change);
}

static void op_on_section(struct section_read *r, int err, const struct body_parts *parts)
{
	struct fs_op *op = list_entry(r, struct fs_op, wait.section);

	op->parts = parts;
	op_server_said(op, err);
}

void op_wait_section(struct fs_op *op, const struct section_read *read, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_SECTION;
	op->wait.section = *read;
	op->wait.section.on_done = op_on_section;
	section_read_start(&op->wait.section);
}

/* --- turns of the loop --- */

static void take_turns(struct fs *fs)
{
	struct list turns = LIST_INIT(turns);

	list_splice(&turns, &fs->turns);
	while (!list_empty(&turns)) {
		struct list *first = turns.next;
		list_remove(first);
		op_go_on(list_entry(first, struct fs_op, wait.turn), 0);
	}
	if (list_empty(&fs->turns))
		uv_idle_stop(&fs->idle);
}

static void op_on_idle(uv_idle_t *idle)
{
	take_turns(idle->data);
}

void op_wait_turn(struct fs_op *op, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_TURN;
	list_append(&op->fs->turns, &op->wait.turn);
	uv_idle_start(&op->fs->idle, op_on_idle);
}

static void op_on_drained(struct drain *d, int err)
{
	op_go_on(list_entry(d, struct fs_op, wait.drain), err);
}

bool op_wait_drain(struct fs_op *op, enum drain_kind kind, op_resume *resume, int *err)
{
	op->wait.drain = (struct drain){
		.mb = op->mb, .kind = kind, .by = hold_process(op->req), .on_done = op_on_drained};
	list_init(&op->wait.drain.link);
	if (intents_drain_try(op->fs->account, &op->wait.drain, err))
		return true;
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_DRAIN;
	return false;
}

static void op_on_told(struct notify_wait *w)
{
	op_go_on(list_entry(w, struct fs_op, wait.kernel), 0);
}

/* Whether they could be set is told elsewhere. */
static void move_flags_done(struct fs_op *op, int err)
{
	wait_change(op, &change_move, op->moved);
}

void op_wait_move(struct fs_op *op, op_resume *resume)
{
	int err;

	op->moved = resume;
	if (!flags_promised(op->mb, op->uid) ||
		op_wait_drain(op, DRAIN_REST, move_flags_done, &err))
		wait_change(op, &change_move, resume);
}

void op_wait_kernel(struct fs_op *op, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_KERNEL;
	op->wait.kernel = (struct notify_wait){.ino = op->ino, .on_told = op_on_told};
	list_init(&op->wait.kernel.link);
	notify_wait(op->fs->notifier, &op->wait.kernel);
}

void op_wait_job(struct fs_op *op, struct spool_job *job, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_JOB;
	op->wait.job = job;
	job->waiter = op;
}

void op_job_is_done(struct spool_job *job)
{
	if (job->waiter)
		op_go_on(job->waiter, 0);
}

static void op_on_draft(struct draft_wait *w, int err)
{
	op_server_said(list_entry(w, struct fs_op, wait.draft), err);
}

void op_wait_draft(struct fs_op *op, struct draft *d, op_resume *resume)
{
	op->resume = resume;
	op->waits_for = OP_WAITS_FOR_DRAFT;
	op->wait.draft = (struct draft_wait){.on_wake = op_on_draft};
	draft_wait(d, &op->wait.draft);
}

/* The one place where a wait ends before its time; resume is not called. */
static void op_stop_waiting(struct fs_op *op)
{
	switch (op->waits_for) {
	case OP_WAITS_FOR_NOTHING:
		break;
	case OP_WAITS_FOR_MAILBOX:
		mailbox_unwait(&op->wait.mailbox);
		break;
	case OP_WAITS_FOR_NAMES:
		lister_unwait(&op->wait.names);
		break;
	case OP_WAITS_FOR_READ:
		body_read_cancel(&op->wait.read);
		break;
	case OP_WAITS_FOR_PROOF:
		prove_cancel(&op->wait.proof);
		break;
	case OP_WAITS_FOR_FLAGS:
		flags_unwait(&op->wait.flags);
		break;
	case OP_WAITS_FOR_SEEK:
		seek_cancel(op->wait.seek);
		break;
	case OP_WAITS_FOR_FACTS:
		facts_unwait(&op->wait.facts);
		break;
	case OP_WAITS_FOR_CHANGE:
		map_remove(&op->fs->unlinking, op->ino);
		changes_cancel(&op->wait.change);
		break;
	case OP_WAITS_FOR_FOLDER:
		map_remove(&op->fs->unlinking, op->moving);
		mailboxes_cancel(&op->wait.folder);
		break;
	case OP_WAITS_FOR_DRAIN:
		intents_drain_cancel(&op->wait.drain);
		break;
	case OP_WAITS_FOR_KERNEL:
		notify_unwait(&op->wait.kernel);
		break;
	case OP_WAITS_FOR_JOB:
		op->wait.job->waiter = NULL;
		break;
	case OP_WAITS_FOR_DRAFT:
		list_remove(&op->wait.draft.link);
		break;
	case OP_WAITS_FOR_SECTION:
		section_read_cancel(&op->wait.section);
		break;
	case OP_WAITS_FOR_TURN:
		list_remove(&op->wait.turn);
		break;
	}
	op->waits_for = OP_WAITS_FOR_NOTHING;
}

/* --- the end --- */

static void op_give_up(struct fs_op *op, int error)
{
	op_stop_waiting(op);
	op->vain = true;
	/* Nobody tells any more what becomes of the move. */
	if (op->moved && !op->fs->stopping)
		moves_on_moved(op->fs, op->mb, op->uid, op->to, 0, ERR_TIMEOUT);
	if (error == ETIMEDOUT && op->expire)
		op->expire(op, ERR_TIMEOUT);
	else
		op_reply_errno(op, error);
}

/* What waits while our own throttle holds octets back has the more time for it: whether a server is
 * silent is known by its connection, which ends the wait then. */
void op_tick(struct fs *fs)
{
	uint64_t now = uv_now(fs->loop), held = pool_held(fs->account->pool);
	uint64_t passed = held - fs->held;

	fs->held = held;
	LIST_FOREACH_SAFE (pos, &fs->ops) {
		struct fs_op *op = list_entry(pos, struct fs_op, link);
		op->deadline += passed;
		if (now >= op->deadline) {
			if (!op->told)
				log_warning("%s took longer than %llu seconds", op->name,
					(unsigned long long)(fs->options.timeout / 1000));
			op_give_up(op, ETIMEDOUT);
		} else if (op->interrupted_at && now >= op->interrupted_at + INTERRUPT_GRACE) {
			op_give_up(op, EINTR);
		}
	}
}

void op_fail_all(struct fs *fs, int err)
{
	while (!list_empty(&fs->ops))
		op_give_up(list_entry(fs->ops.next, struct fs_op, link), error_errno(err));
}
