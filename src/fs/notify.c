/*
 * Telling the kernel. fuse_lowlevel_notify_* called from the loop can deadlock the mount: the
 * kernel may hold a directory's or a page's lock for a request that we have not answered yet. So
 * they go through one worker, one after the other; the loop only queues.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "fs/private.h"

enum notice_kind { NOTICE_DIRECTORY, NOTICE_ATTRIBUTES, NOTICE_NAME_GONE, NOTICE_REPLY };

struct notice {
	struct list link;
	enum notice_kind kind;
	fuse_ino_t ino; /* of the directory, for NAME_GONE its child's too */
	fuse_ino_t child;
	char *text; /* a name or a reply's octets */
	size_t length;
	fuse_req_t req;
	int error; /* of a reply: instead of octets */
};

struct notifier {
	struct fs *fs;
	struct list queue;   /* the loop's */
	struct list running; /* the worker's, until it is done */
	uv_work_t work;
	bool busy;
	struct map inodes;      /* ino -> number of notices queued or running */
	struct map directories; /* inodes of queued NOTICE_DIRECTORY */
	void (*on_idle)(struct fs *fs);
};

struct notifier *notifier_create(struct fs *fs)
{
	struct notifier *n = mem_zalloc(sizeof(*n));

	n->fs = fs;
	list_init(&n->queue);
	list_init(&n->running);
	map_init(&n->inodes);
	map_init(&n->directories);
	n->work.data = n;
	return n;
}

static void notice_free(struct notice *notice)
{
	list_remove(&notice->link);
	free(notice->text);
	free(notice);
}

void notifier_destroy(struct notifier *n)
{
	if (!n)
		return;
	map_finish(&n->inodes);
	map_finish(&n->directories);
	free(n);
}

/* A directory that goes may have open files below it: the kernel calls that not empty and keeps it.
 */
static int name_gone(struct fuse_session *se, const struct notice *notice)
{
	if ((uint32_t)notice->child == 0)
		return fuse_lowlevel_notify_inval_entry(
			se, notice->ino, notice->text, notice->length);
	return fuse_lowlevel_notify_delete(
		se, notice->ino, notice->child, notice->text, notice->length);
}

static void carry_out(struct fuse_session *se, const struct notice *notice)
{
	int rc = 0;

	switch (notice->kind) {
	case NOTICE_DIRECTORY:
		rc = fuse_lowlevel_notify_inval_inode(se, notice->ino, 0, 0);
		break;
	case NOTICE_ATTRIBUTES:
		/* An offset below 0 leaves pages alone, so this never waits for a read. */
		rc = fuse_lowlevel_notify_inval_inode(se, notice->ino, -1, 0);
		break;
	case NOTICE_NAME_GONE:
		rc = name_gone(se, notice);
		break;
	case NOTICE_REPLY:
		if (notice->error)
			fuse_reply_err(notice->req, notice->error);
		else
			fuse_reply_buf(notice->req, notice->text, notice->length);
		break;
	}
	/* ENOENT: the kernel does not know it, so there is nothing to forget. */
	if (rc < 0 && rc != -ENOENT && rc != -ENODEV && rc != -EBADF && rc != -ENOTDIR)
		log_debug("kernel notification of %llx: %s", (unsigned long long)notice->ino,
			strerrorname_np(-rc));
}

static void on_work(uv_work_t *work)
{
	struct notifier *n = work->data;

	LIST_FOREACH (pos, &n->running)
		carry_out(n->fs->session, list_entry(pos, struct notice, link));
}

static void count(struct notifier *n, fuse_ino_t ino, int by)
{
	intptr_t old = (intptr_t)map_get(&n->inodes, ino);

	if (old + by > 0)
		map_put(&n->inodes, ino, (void *)(old + by));
	else
		map_remove(&n->inodes, ino);
}

static void run(struct notifier *n);

static void on_worked(uv_work_t *work, int status)
{
	struct notifier *n = work->data;

	while (!list_empty(&n->running)) {
		struct notice *notice = list_entry(n->running.next, struct notice, link);
		count(n, notice->ino, -1);
		notice_free(notice);
	}
	n->busy = false;
	if (!list_empty(&n->queue))
		run(n);
	else if (n->on_idle)
		n->on_idle(n->fs);
}

static void run(struct notifier *n)
{
	if (n->busy || list_empty(&n->queue))
		return;
	n->busy = true;
	list_splice(&n->running, &n->queue);
	map_finish(&n->directories);
	uv_queue_work(n->fs->loop, &n->work, on_work, on_worked);
}

static struct notice *add(struct notifier *n, enum notice_kind kind, fuse_ino_t ino)
{
	struct notice *notice = mem_zalloc(sizeof(*notice));

	notice->kind = kind;
	notice->ino = ino;
	list_append(&n->queue, &notice->link);
	count(n, ino, 1);
	return notice;
}

void notify_directory(struct notifier *n, fuse_ino_t ino)
{
	/* One that is queued comes after all that happened until now. */
	if (map_get(&n->directories, ino))
		return;
	map_put(&n->directories, ino, n);
	add(n, NOTICE_DIRECTORY, ino);
	run(n);
}

void notify_attributes(struct notifier *n, fuse_ino_t ino)
{
	add(n, NOTICE_ATTRIBUTES, ino);
	run(n);
}

void notify_name_gone(
	struct notifier *n, fuse_ino_t parent, fuse_ino_t child, const char *name, size_t length)
{
	struct notice *notice = add(n, NOTICE_NAME_GONE, parent);

	notice->child = child;
	notice->text = mem_copy(name, length);
	notice->length = length;
	run(n);
}

bool notifier_has(const struct notifier *n, fuse_ino_t ino)
{
	return map_get(&n->inodes, ino) != NULL;
}

void notify_then_reply(struct notifier *n, fuse_req_t req, char *data, size_t size)
{
	struct notice *notice = add(n, NOTICE_REPLY, 0);

	notice->req = req;
	notice->text = data;
	notice->length = size;
	run(n);
}

void notify_then_fail(struct notifier *n, fuse_req_t req, int error)
{
	struct notice *notice = add(n, NOTICE_REPLY, 0);

	notice->req = req;
	notice->error = error;
	run(n);
}

void notifier_drain(struct notifier *n, void (*on_idle)(struct fs *fs))
{
	n->on_idle = on_idle;
	LIST_FOREACH_SAFE (pos, &n->queue) {
		struct notice *notice = list_entry(pos, struct notice, link);
		if (notice->kind == NOTICE_REPLY)
			continue;
		count(n, notice->ino, -1);
		notice_free(notice);
	}
	if (!n->busy && list_empty(&n->queue))
		on_idle(n->fs);
}
