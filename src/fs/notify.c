/*
 * Telling the kernel. fuse_lowlevel_notify_* called from the loop can deadlock the mount: the
 * kernel may hold a directory's or a page's lock for a request that we have not answered yet. So
 * workers do it; the loop only queues.
 *
 * That a name is gone waits for its directory's lock, for as long as somebody's lookup or unlink
 * there waits for the server. It must not keep up anything else: so there is a lane for what never
 * waits, which answers to reads depend on, and a few others for names, each of which is in one
 * directory at a time.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "fs/private.h"

enum notice_kind { NOTICE_DIRECTORY, NOTICE_ATTRIBUTES, NOTICE_NAME_GONE };

/* The first is that of what never waits. */
#define LANES 4

struct notice {
	struct list link;
	enum notice_kind kind;
	fuse_ino_t ino; /* of the directory, for NAME_GONE its child's too */
	fuse_ino_t child;
	char *name;
	size_t length;
};

struct lane {
	struct notifier *n;
	struct list running; /* the worker's, until it is done */
	uv_work_t work;
	bool busy;
	fuse_ino_t directory; /* that its names are in; 0: none */
};

struct notifier {
	struct fs *fs;
	struct list queue; /* the loop's: what never waits, */
	struct list names; /* and what may */
	struct lane lanes[LANES];
	struct list waits;      /* struct notice_wait */
	struct map inodes;      /* ino -> number of notices queued or running */
	struct map directories; /* inodes of queued NOTICE_DIRECTORY */
	void (*on_idle)(struct fs *fs);
};

struct notifier *notifier_create(struct fs *fs)
{
	struct notifier *n = mem_zalloc(sizeof(*n));

	n->fs = fs;
	list_init(&n->queue);
	list_init(&n->names);
	list_init(&n->waits);
	map_init(&n->inodes);
	map_init(&n->directories);
	for (unsigned i = 0; i < LANES; i++) {
		n->lanes[i].n = n;
		n->lanes[i].work.data = &n->lanes[i];
		list_init(&n->lanes[i].running);
	}
	return n;
}

static void notice_free(struct notice *notice)
{
	list_remove(&notice->link);
	free(notice->name);
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
			se, notice->ino, notice->name, notice->length);
	return fuse_lowlevel_notify_delete(
		se, notice->ino, notice->child, notice->name, notice->length);
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
	}
	/* ENOENT: the kernel does not know it, so there is nothing to forget. */
	if (rc < 0 && rc != -ENOENT && rc != -ENODEV && rc != -EBADF && rc != -ENOTDIR)
		log_debug("kernel notification of %llx: %s", (unsigned long long)notice->ino,
			strerrorname_np(-rc));
}

static void on_work(uv_work_t *work)
{
	struct lane *lane = work->data;

	LIST_FOREACH (pos, &lane->running)
		carry_out(lane->n->fs->session, list_entry(pos, struct notice, link));
}

static void count(struct notifier *n, fuse_ino_t ino, int by)
{
	intptr_t old = (intptr_t)map_get(&n->inodes, ino);

	if (old + by > 0)
		map_put(&n->inodes, ino, (void *)(old + by));
	else
		map_remove(&n->inodes, ino);
}

static bool is_idle(const struct notifier *n)
{
	for (unsigned i = 0; i < LANES; i++)
		if (n->lanes[i].busy)
			return false;
	return list_empty(&n->queue) && list_empty(&n->names);
}

/* Those whose inode the kernel was told everything about. */
static void wake(struct notifier *n)
{
	struct list told = LIST_INIT(told);

	LIST_FOREACH_SAFE (pos, &n->waits) {
		struct notice_wait *w = list_entry(pos, struct notice_wait, link);
		if (notifier_has(n, w->ino))
			continue;
		list_remove(&w->link);
		list_append(&told, &w->link);
	}
	while (!list_empty(&told)) {
		struct notice_wait *w = list_entry(told.next, struct notice_wait, link);
		list_remove(&w->link);
		w->on_told(w);
	}
}

static void run(struct notifier *n);

static void on_worked(uv_work_t *work, int status)
{
	struct lane *lane = work->data;
	struct notifier *n = lane->n;

	while (!list_empty(&lane->running)) {
		struct notice *notice = list_entry(lane->running.next, struct notice, link);
		count(n, notice->ino, -1);
		notice_free(notice);
	}
	lane->busy = false;
	lane->directory = 0;
	run(n);
	wake(n);
	if (n->on_idle && is_idle(n))
		n->on_idle(n->fs);
}

static bool is_served(const struct notifier *n, fuse_ino_t directory)
{
	for (unsigned i = 1; i < LANES; i++)
		if (n->lanes[i].directory == directory)
			return true;
	return false;
}

/* The names of one directory in which no other lane is. */
static void take_names(struct notifier *n, struct lane *lane)
{
	LIST_FOREACH_SAFE (pos, &n->names) {
		struct notice *notice = list_entry(pos, struct notice, link);
		if (!lane->directory && !is_served(n, notice->ino))
			lane->directory = notice->ino;
		if (notice->ino != lane->directory)
			continue;
		list_remove(&notice->link);
		list_append(&lane->running, &notice->link);
	}
}

static void start(struct lane *lane)
{
	if (list_empty(&lane->running))
		return;
	lane->busy = true;
	uv_queue_work(lane->n->fs->loop, &lane->work, on_work, on_worked);
}

static void run(struct notifier *n)
{
	if (!n->lanes[0].busy && !list_empty(&n->queue)) {
		list_splice(&n->lanes[0].running, &n->queue);
		map_finish(&n->directories);
		start(&n->lanes[0]);
	}
	for (unsigned i = 1; i < LANES && !list_empty(&n->names); i++) {
		if (n->lanes[i].busy)
			continue;
		take_names(n, &n->lanes[i]);
		start(&n->lanes[i]);
	}
}

static struct notice *add(struct notifier *n, enum notice_kind kind, fuse_ino_t ino)
{
	struct notice *notice = mem_zalloc(sizeof(*notice));

	notice->kind = kind;
	notice->ino = ino;
	list_append(kind == NOTICE_NAME_GONE ? &n->names : &n->queue, &notice->link);
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
	notice->name = mem_copy(name, length);
	notice->length = length;
	run(n);
}

bool notifier_has(const struct notifier *n, fuse_ino_t ino)
{
	return map_get(&n->inodes, ino) != NULL;
}

void notifier_wait(struct notifier *n, struct notice_wait *w)
{
	list_append(&n->waits, &w->link);
}

void notifier_unwait(struct notice_wait *w)
{
	list_remove(&w->link);
}

static void drop_all(struct notifier *n, struct list *queue)
{
	LIST_FOREACH_SAFE (pos, queue) {
		struct notice *notice = list_entry(pos, struct notice, link);
		count(n, notice->ino, -1);
		notice_free(notice);
	}
}

void notifier_drain(struct notifier *n, void (*on_idle)(struct fs *fs))
{
	n->on_idle = on_idle;
	drop_all(n, &n->queue);
	drop_all(n, &n->names);
	map_finish(&n->directories);
	wake(n);
	if (is_idle(n))
		on_idle(n->fs);
}
