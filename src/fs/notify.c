/*
 * Telling the kernel. fuse_lowlevel_notify_* called from the loop can deadlock the mount: the
 * kernel may hold a directory's or a page's lock for a request that we have not answered yet. So
 * workers do it; the loop only queues.
 *
 * That a name is gone waits for its directory's lock, for as long as somebody's lookup or unlink
 * there waits for the server. It must not keep up anything else: so there is a lane for what never
 * waits, which answers to reads depend on, and a few others for names, each of which is in one
 * directory at a time.
 *
 * A million names may go at once. They wait packed, a line of them for each directory, and no more
 * than a few thousand are a worker's at a time.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/private.h"

enum notice_kind { NOTICE_DIRECTORY, NOTICE_ATTRIBUTES, NOTICE_NAME_GONE };

/* The first is that of what never waits. */
#define LANES 4

/* Octets of names that a worker tells in one run, about. */
#define NAMES_MAX ((size_t)64 << 10)

/* Before each name: whose it is. */
struct name_head {
	fuse_ino_t child;
	size_t length;
};

struct notice {
	struct list link;
	enum notice_kind kind;
	fuse_ino_t ino; /* for NAME_GONE of the directory */
	char *names;    /* each a struct name_head, the octets, and 0 */
	size_t used, room;
};

/* Names of one directory. */
struct line {
	struct list link; /* notifier.lines, while it has notices and no lane serves it */
	fuse_ino_t directory;
	struct list notices;
	bool served;
};

struct lane {
	struct notifier *n;
	struct list running; /* the worker's, until it is done */
	uv_work_t work;
	bool busy;
	struct line *line; /* that its names are of; NULL: none */
};

struct notifier {
	struct fs *fs;
	struct list queue; /* the loop's: what never waits, */
	struct list lines; /* and what may */
	struct map names;  /* inode of a directory -> struct line */
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
	list_init(&n->lines);
	list_init(&n->waits);
	map_init(&n->names);
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
	free(notice->names);
	free(notice);
}

void notifier_destroy(struct notifier *n)
{
	if (!n)
		return;
	map_finish(&n->names);
	map_finish(&n->inodes);
	map_finish(&n->directories);
	free(n);
}

/* A directory that goes may have open files below it: the kernel calls that not empty and keeps it.
 */
static int name_gone(struct fuse_session *se, fuse_ino_t directory, const struct name_head *head,
	const char *name)
{
	if ((uint32_t)head->child == 0)
		return fuse_lowlevel_notify_inval_entry(se, directory, name, head->length);
	return fuse_lowlevel_notify_delete(se, directory, head->child, name, head->length);
}

/* ENOENT: the kernel does not know it, so there is nothing to forget. */
static void check(fuse_ino_t ino, int rc)
{
	if (rc < 0 && rc != -ENOENT && rc != -ENODEV && rc != -EBADF && rc != -ENOTDIR)
		log_debug("kernel notification of %llx: %s", (unsigned long long)ino,
			strerrorname_np(-rc));
}

static void names_gone(struct fuse_session *se, const struct notice *notice)
{
	struct name_head head;

	for (size_t at = 0; at < notice->used; at += head.length + 1) {
		memcpy(&head, notice->names + at, sizeof(head));
		at += sizeof(head);
		check(notice->ino, name_gone(se, notice->ino, &head, notice->names + at));
	}
}

static void carry_out(struct fuse_session *se, const struct notice *notice)
{
	switch (notice->kind) {
	case NOTICE_DIRECTORY:
		check(notice->ino, fuse_lowlevel_notify_inval_inode(se, notice->ino, 0, 0));
		break;
	case NOTICE_ATTRIBUTES:
		/* An offset below 0 leaves pages alone, so this never waits for a read. */
		check(notice->ino, fuse_lowlevel_notify_inval_inode(se, notice->ino, -1, 0));
		break;
	case NOTICE_NAME_GONE:
		names_gone(se, notice);
		break;
	}
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
	return list_empty(&n->queue) && list_empty(&n->lines);
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

/* The line is no lane's now: others have their turn before it, or it is over. */
static void leave(struct notifier *n, struct line *line)
{
	line->served = false;
	if (!list_empty(&line->notices)) {
		list_append(&n->lines, &line->link);
		return;
	}
	map_remove(&n->names, line->directory);
	free(line);
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
	if (lane->line)
		leave(n, lane->line);
	lane->line = NULL;
	run(n);
	wake(n);
	if (n->on_idle && is_idle(n))
		n->on_idle(n->fs);
}

static void take_names(struct notifier *n, struct lane *lane)
{
	struct line *line = list_entry(n->lines.next, struct line, link);
	struct list *first = line->notices.next;

	list_remove(&line->link);
	line->served = true;
	lane->line = line;
	list_remove(first);
	list_append(&lane->running, first);
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
	for (unsigned i = 1; i < LANES && !list_empty(&n->lines); i++) {
		if (n->lanes[i].busy)
			continue;
		take_names(n, &n->lanes[i]);
		start(&n->lanes[i]);
	}
}

static struct notice *add(
	struct notifier *n, struct list *to, enum notice_kind kind, fuse_ino_t ino)
{
	struct notice *notice = mem_zalloc(sizeof(*notice));

	notice->kind = kind;
	notice->ino = ino;
	list_append(to, &notice->link);
	count(n, ino, 1);
	return notice;
}

void notify_directory(struct notifier *n, fuse_ino_t ino)
{
	/* One that is queued comes after all that happened until now. */
	if (map_get(&n->directories, ino))
		return;
	map_put(&n->directories, ino, n);
	add(n, &n->queue, NOTICE_DIRECTORY, ino);
	run(n);
}

void notify_attributes(struct notifier *n, fuse_ino_t ino)
{
	add(n, &n->queue, NOTICE_ATTRIBUTES, ino);
	run(n);
}

static struct line *line_of(struct notifier *n, fuse_ino_t directory)
{
	struct line *line = map_get(&n->names, directory);

	if (line)
		return line;
	line = mem_zalloc(sizeof(*line));
	line->directory = directory;
	list_init(&line->link);
	list_init(&line->notices);
	map_put(&n->names, directory, line);
	return line;
}

/* The last notice of the line, with room for so many octets. */
static struct notice *last_notice(struct notifier *n, struct line *line, size_t octets)
{
	struct notice *notice = list_entry(line->notices.prev, struct notice, link);

	if (list_empty(&line->notices) || notice->used + octets > NAMES_MAX)
		notice = add(n, &line->notices, NOTICE_NAME_GONE, line->directory);
	notice->names = array_grow(notice->names, &notice->room, notice->used + octets, 1);
	return notice;
}

void notify_name_gone(
	struct notifier *n, fuse_ino_t parent, fuse_ino_t child, const char *name, size_t length)
{
	struct line *line = line_of(n, parent);
	struct name_head head = {child, length};
	struct notice *notice = last_notice(n, line, sizeof(head) + length + 1);

	memcpy(notice->names + notice->used, &head, sizeof(head));
	memcpy(notice->names + notice->used + sizeof(head), name, length);
	notice->names[notice->used + sizeof(head) + length] = 0;
	notice->used += sizeof(head) + length + 1;
	if (!line->served && line->link.next == &line->link)
		list_append(&n->lines, &line->link);
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

static void drop_lines(struct notifier *n)
{
	while (!list_empty(&n->lines)) {
		struct line *line = list_entry(n->lines.next, struct line, link);
		list_remove(&line->link);
		drop_all(n, &line->notices);
		leave(n, line);
	}
	for (unsigned i = 1; i < LANES; i++)
		if (n->lanes[i].line)
			drop_all(n, &n->lanes[i].line->notices);
}

void notifier_drain(struct notifier *n, void (*on_idle)(struct fs *fs))
{
	n->on_idle = on_idle;
	drop_all(n, &n->queue);
	drop_lines(n);
	map_finish(&n->directories);
	wake(n);
	if (is_idle(n))
		on_idle(n->fs);
}
