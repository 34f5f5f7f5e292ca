/*
 * Requests that wait. Each has a deadline; one that the kernel interrupts is answered EINTR after a
 * grace, since a process that waits in LOOKUP cannot even be killed before its answer, but Go
 * programs interrupt themselves all the time and would see errors that nobody made.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/private.h"

#define INTERRUPT_GRACE 1000
/* Milliseconds in which the kernel sends what it held back, also on a busy machine. */
#define LATE_TIME 1000

static void on_interrupt(fuse_req_t req, void *data)
{
	struct fs_op *op = data;

	if (!op->interrupted_at)
		op->interrupted_at = uv_now(op->fs->loop);
}

struct fs_op *op_create(struct fs *fs, fuse_req_t req, const char *name, fuse_ino_t ino)
{
	struct fs_op *op = mem_zalloc(sizeof(*op));

	op->fs = fs;
	op->req = req;
	op->name = name;
	op->ino = ino;
	op->started = uv_hrtime();
	op->deadline = uv_now(fs->loop) + fs->options.timeout;
	list_append(&fs->ops, &op->link);
	fs->doing = name;
	if (!uv_is_active((uv_handle_t *)&fs->timer))
		uv_timer_start(&fs->timer, fs->timer.timer_cb, OP_TICK, OP_TICK);
	fuse_req_interrupt_func(req, on_interrupt, op);
	return op;
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
	free(op->filename);
	free(op);
}

/* After this no interrupt can find the op: libfuse forgets the request with its answer. */
void op_end(struct fs_op *op)
{
	op_free(op, 0);
}

static void note_late(struct fs *fs, fuse_ino_t ino)
{
	unsigned i = fs->late_next++ % LATE_COUNT;

	fs->late[i].ino = ino;
	fs->late[i].at = uv_now(fs->loop);
}

bool op_is_late(const struct fs *fs, fuse_ino_t ino)
{
	for (unsigned i = 0; i < LATE_COUNT; i++)
		if (fs->late[i].ino == ino && uv_now(fs->loop) < fs->late[i].at + LATE_TIME)
			return true;
	return false;
}

void op_fail_errno(struct fs_op *op, int error)
{
	if (error == ETIMEDOUT) {
		note_late(op->fs, op->ino);
		if (op->locked)
			note_late(op->fs, op->locked);
	}
	fuse_reply_err(op->req, error);
	op_free(op, error);
}

void op_fail(struct fs_op *op, int err)
{
	op_fail_errno(op, error_errno(err));
}

static void on_mailbox_wake(struct mailbox_wait *w, int err)
{
	struct fs_op *op = list_entry(w, struct fs_op, mailbox_wait);

	op->abandon = NULL;
	op->resume(op, err);
}

static void abandon_mailbox(struct fs_op *op)
{
	mailbox_unwait(&op->mailbox_wait);
}

void op_wait_mailbox(struct fs_op *op, struct mailbox *mb, bool progress,
	void (*resume)(struct fs_op *op, int err))
{
	op->resume = resume;
	op->abandon = abandon_mailbox;
	op->mailbox_wait.progress = progress;
	op->mailbox_wait.on_wake = on_mailbox_wake;
	mailbox_wait(mb, &op->mailbox_wait);
}

static void on_account_wake(struct account_wait *w, int err)
{
	struct fs_op *op = list_entry(w, struct fs_op, account_wait);

	op->abandon = NULL;
	op->resume(op, err);
}

static void abandon_account(struct fs_op *op)
{
	account_unwait(&op->account_wait);
}

bool op_wait_account(struct fs_op *op, void (*resume)(struct fs_op *op, int err))
{
	op->account_wait.on_wake = on_account_wake;
	if (account_fresh_try(op->fs->account, &op->account_wait))
		return true;
	op->resume = resume;
	op->abandon = abandon_account;
	return false;
}

static void op_give_up(struct fs_op *op, int error)
{
	if (op->abandon)
		op->abandon(op);
	op->abandon = NULL;
	if (error == ETIMEDOUT && op->expire)
		op->expire(op);
	else
		op_fail_errno(op, error);
}

void op_tick(struct fs *fs)
{
	uint64_t now = uv_now(fs->loop);

	LIST_FOREACH_SAFE (pos, &fs->ops) {
		struct fs_op *op = list_entry(pos, struct fs_op, link);
		if (now >= op->deadline) {
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
