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
/* Milliseconds after a failure in which the kernel sends what it held back, also on a busy machine.
 */
#define LATE_TIME 1000
/* Milliseconds that who inherits a deadline gets beyond it: the line may be back, and with the time
 * between two looks at the deadlines this stays below a second. */
#define LATE_GRACE 500
/* Milliseconds that are no wait. */
#define LATE_MIN 100

/* A request for this inode has failed after it had waited. */
struct late {
	struct list link; /* fs.lates */
	fuse_ino_t ino;
	uint64_t deadline; /* what it had to its end, and who comes behind it inherits; uv_now */
	uint64_t failed;   /* the last one that had waited; uv_now */
};

static void late_free(struct fs *fs, struct late *l)
{
	map_remove(&fs->late, l->ino);
	list_remove(&l->link);
	free(l);
}

static bool is_over(const struct fs *fs, const struct late *l)
{
	return uv_now(fs->loop) >= l->failed + LATE_TIME ||
	       pool_is_back_since(fs->account->pool, l->failed);
}

static void note_late(struct fs *fs, fuse_ino_t ino, const struct fs_op *op)
{
	while (!list_empty(&fs->lates)) {
		struct late *oldest = list_entry(fs->lates.next, struct late, link);
		if (!is_over(fs, oldest))
			break;
		late_free(fs, oldest);
	}
	struct late *l = map_get(&fs->late, ino);
	if (!l) {
		l = mem_zalloc(sizeof(*l));
		l->ino = ino;
		l->deadline = op->inherited ? op->deadline - LATE_GRACE : op->deadline;
		list_init(&l->link);
		map_put(&fs->late, ino, l);
	}
	if (!op->inherited && op->deadline > l->deadline)
		l->deadline = op->deadline;
	l->failed = uv_now(fs->loop);
	list_remove(&l->link);
	list_append(&fs->lates, &l->link);
}

static void forget_late(struct fs *fs, fuse_ino_t ino)
{
	struct late *l = map_get(&fs->late, ino);

	if (l)
		late_free(fs, l);
}

void op_forget_late(struct fs *fs)
{
	while (!list_empty(&fs->lates))
		late_free(fs, list_entry(fs->lates.next, struct late, link));
	map_finish(&fs->late);
}

void op_inherit(struct fs_op *op, fuse_ino_t ino)
{
	const struct late *l = map_get(&op->fs->late, ino);

	if (!l || is_over(op->fs, l) || l->deadline + LATE_GRACE >= op->deadline)
		return;
	op->deadline = l->deadline + LATE_GRACE;
	op->inherited = true;
}

bool op_is_over(const struct fs_op *op)
{
	return op->inherited && uv_now(op->fs->loop) >= op->deadline;
}

void op_note_wait(struct fs_op *op, int err)
{
	op->vain = err == ERR_TIMEOUT || err == ERR_NET;
}

static void on_interrupt(fuse_req_t req, void *data)
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
	mailbox_release(op->mb);
	free(op->filename);
	free(op->octets);
	free(op);
}

/* What its end tells about those that the kernel held back meanwhile. */
static void note_end(struct fs_op *op, int error)
{
	uint64_t waited = uv_now(op->fs->loop) - op->created;
	bool in_vain = op->vain || error == ETIMEDOUT || error == ENETDOWN || error == EINTR;

	if (in_vain && waited >= LATE_MIN) {
		note_late(op->fs, op->ino, op);
		if (op->locked)
			note_late(op->fs, op->locked, op);
	} else if (!in_vain && waited > 0) {
		forget_late(op->fs, op->ino);
		if (op->locked)
			forget_late(op->fs, op->locked);
	}
}

/* After this no interrupt can find the op: libfuse forgets the request with its answer. */
void op_end(struct fs_op *op)
{
	note_end(op, 0);
	op_free(op, 0);
}

void op_fail_errno(struct fs_op *op, int error)
{
	note_end(op, error);
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
	op_note_wait(op, err);
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
	op_note_wait(op, err);
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
	op->vain = true;
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
