/* SPDX-License-Identifier: MIT */
/*
 * Telling the kernel. fuse_lowlevel_notify_* called from the loop can deadlock the mount: the
 * kernel may hold a directory's or a page's lock for a request that we have not answered yet. So a
 * worker does it; the loop only queues.
 *
 * That a name is gone waits for its directory's lock, for as long as somebody's lookup or unlink
 * there waits for the server. It must not keep up anything else: so there is a lane for what never
 * waits, which answers to reads depend on, and a few others for names, each of which is in one
 * directory at a time. Where a request that changes the directory is under way (op_lock) no lane
 * even begins: a rename holds up to four directories, and would take all lanes. Only lookups and
 * listings may hold a lane up; those are let by, since they overlap and might never leave a gap.
 *
 * A million names may go at once. They wait packed, in a row of notifications for each directory,
 * and no more than a few thousand are a lane's at a time.
 */
#include "fs/notify.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/libc.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/filesystem.h"

/* One is that of what never waits. */
#define LANES 4
#define LANE_UNWAITING 0

/* Octets of names that a lane tells in one run, about. */
#define NAMES_MAX ((size_t)64 << 10)

enum notify_kind { NOTIFY_DIRECTORY, NOTIFY_ATTRIBUTES, NOTIFY_NAMES_GONE };

/* Before each name: whose it is. */
struct name_head {
	fuse_ino_t child;
	size_t length;
};

struct notification {
	struct list link;
	enum notify_kind kind;
	fuse_ino_t ino; /* for names that of their directory */
	char *names;    /* each a struct name_head, the octets, and 0 */
	size_t used, room;
};

/* Names that are gone from one directory. */
struct names {
	struct list link; /* notifier.waiting, while it has notifications and no lane serves it */
	fuse_ino_t directory;
	struct list notifications;
	bool served;
};

struct notifier {
	struct fs *fs;
	struct worker *worker;
	struct list unwaiting;       /* notifications of the first lane */
	struct list waiting;         /* struct names */
	struct map names;            /* inode of a directory -> struct names */
	struct names *served[LANES]; /* NULL: none */
	struct list waits;           /* struct notify_wait */
	struct map due;              /* inode -> number of notifications, queued or running */
	struct map directories;      /* inodes of queued NOTIFY_DIRECTORY */
};

static void take_run(void *owner, unsigned lane, struct list *items);
static void carry_out_notification(void *owner, struct list *item);
static void end_run(void *owner, unsigned lane, struct list *items);

static const struct worker_kind notify_work = {
	.take = take_run, .carry_out = carry_out_notification, .done = end_run};

struct notifier *notify_create(struct fs *fs)
{
	struct notifier *n = mem_zalloc(sizeof(*n));

	n->fs = fs;
	n->worker = worker_create(fs->loop, &notify_work, LANES, n);
	list_init(&n->unwaiting);
	list_init(&n->waiting);
	list_init(&n->waits);
	map_init(&n->names);
	map_init(&n->due);
	map_init(&n->directories);
	return n;
}

void notify_destroy(struct notifier *n)
{
	if (!n)
		return;
	worker_destroy(n->worker);
	map_finish(&n->names);
	map_finish(&n->due);
	map_finish(&n->directories);
	free(n);
}

/* --- in a thread --- */

/* A directory that goes may have open files below it: the kernel calls that not empty and keeps it.
 */
static int tell_name(struct fuse_session *se, fuse_ino_t directory, const struct name_head *head,
	const char *name)
{
	if ((uint32_t)head->child == 0)
		return fuse_lowlevel_notify_inval_entry(se, directory, name, head->length);
	return fuse_lowlevel_notify_delete(se, directory, head->child, name, head->length);
}

/* ENOENT: the kernel does not know it, so there is nothing to forget. */
static void log_refusal(fuse_ino_t ino, int rc)
{
	if (rc < 0 && rc != -ENOENT && rc != -ENODEV && rc != -EBADF && rc != -ENOTDIR)
		log_debug("kernel notification of %llx: %s", (unsigned long long)ino,
			strerrorname_np(-rc));
}

static void tell_names(struct fuse_session *se, const struct notification *what)
{
	struct name_head head;

	for (size_t at = 0; at < what->used; at += head.length + 1) {
		memcpy(&head, what->names + at, sizeof(head));
		at += sizeof(head);
		log_refusal(what->ino, tell_name(se, what->ino, &head, what->names + at));
	}
}

static void carry_out_notification(void *owner, struct list *item)
{
	const struct notifier *n = owner;
	const struct notification *what = list_entry(item, struct notification, link);
	struct fuse_session *se = n->fs->session;

	switch (what->kind) {
	case NOTIFY_DIRECTORY:
		log_refusal(what->ino, fuse_lowlevel_notify_inval_inode(se, what->ino, 0, 0));
		break;
	case NOTIFY_ATTRIBUTES:
		/* An offset below 0 leaves pages alone, so this never waits for a read. */
		log_refusal(what->ino, fuse_lowlevel_notify_inval_inode(se, what->ino, -1, 0));
		break;
	case NOTIFY_NAMES_GONE:
		tell_names(se, what);
		break;
	}
}

/* --- runs --- */

static void count_due(struct notifier *n, fuse_ino_t ino, int by)
{
	int64_t count = (int64_t)map_number(&n->due, ino) + by;

	map_put_number(&n->due, ino, count > 0 ? (uint64_t)count : 0);
}

/* The first that wait, but where the directory is locked. */
static struct names *next_names(struct notifier *n)
{
	LIST_FOREACH (pos, &n->waiting) {
		struct names *names = list_entry(pos, struct names, link);

		if (map_number(&n->fs->locked, names->directory) == 0)
			return names;
	}
	return NULL;
}

static void take_names(struct notifier *n, unsigned lane, struct list *items)
{
	struct names *names = next_names(n);

	if (!names)
		return;
	struct list *first = names->notifications.next;

	list_remove(&names->link);
	names->served = true;
	n->served[lane] = names;
	list_remove(first);
	list_append(items, first);
}

static void take_run(void *owner, unsigned lane, struct list *items)
{
	struct notifier *n = owner;

	if (lane == LANE_UNWAITING) {
		list_splice(items, &n->unwaiting);
		map_finish(&n->directories);
	} else {
		take_names(n, lane, items);
	}
}

static void free_all(struct notifier *n, struct list *notifications)
{
	while (!list_empty(notifications)) {
		struct notification *what = list_entry(
			notifications->next, struct notification, link);

		count_due(n, what->ino, -1);
		list_remove(&what->link);
		free(what->names);
		free(what);
	}
}

/* No lane serves these names now: other directories have their turn before them, or nothing is left
 * to tell of this one. */
static void leave_names(struct notifier *n, struct names *names)
{
	names->served = false;
	if (!list_empty(&names->notifications)) {
		list_append(&n->waiting, &names->link);
		return;
	}
	map_remove(&n->names, names->directory);
	free(names);
}

/* Calls those whose inode the kernel was told everything about. */
static void call_waits(struct notifier *n)
{
	struct list told = LIST_INIT(told);

	LIST_FOREACH_SAFE (pos, &n->waits) {
		struct notify_wait *w = list_entry(pos, struct notify_wait, link);

		if (notify_is_due(n, w->ino))
			continue;
		list_remove(&w->link);
		list_append(&told, &w->link);
	}
	while (!list_empty(&told)) {
		struct notify_wait *w = list_entry(told.next, struct notify_wait, link);

		list_remove(&w->link);
		w->on_told(w);
	}
}

static void end_run(void *owner, unsigned lane, struct list *items)
{
	struct notifier *n = owner;

	free_all(n, items);
	if (n->served[lane])
		leave_names(n, n->served[lane]);
	n->served[lane] = NULL;
	call_waits(n);
}

/* --- queueing --- */

static struct notification *add_notification(
	struct notifier *n, struct list *to, enum notify_kind kind, fuse_ino_t ino)
{
	struct notification *what = mem_zalloc(sizeof(*what));

	what->kind = kind;
	what->ino = ino;
	list_append(to, &what->link);
	count_due(n, ino, 1);
	return what;
}

void notify_directory(struct notifier *n, fuse_ino_t ino)
{
	/* One that is queued comes after all that happened until now. */
	if (map_get(&n->directories, ino))
		return;
	map_put(&n->directories, ino, n);
	add_notification(n, &n->unwaiting, NOTIFY_DIRECTORY, ino);
	worker_wake(n->worker);
}

void notify_attributes(struct notifier *n, fuse_ino_t ino)
{
	add_notification(n, &n->unwaiting, NOTIFY_ATTRIBUTES, ino);
	worker_wake(n->worker);
}

static struct names *names_of(struct notifier *n, fuse_ino_t directory)
{
	struct names *names = map_get(&n->names, directory);

	if (names)
		return names;
	names = mem_zalloc(sizeof(*names));
	names->directory = directory;
	list_init(&names->link);
	list_init(&names->notifications);
	map_put(&n->names, directory, names);
	return names;
}

/* The directory's last notification, with room for so many octets. */
static struct notification *with_room(struct notifier *n, struct names *names, size_t octets)
{
	struct notification *what = list_entry(
		names->notifications.prev, struct notification, link);

	if (list_empty(&names->notifications) || what->used + octets > NAMES_MAX)
		what = add_notification(
			n, &names->notifications, NOTIFY_NAMES_GONE, names->directory);
	what->names = array_grow(what->names, &what->room, what->used + octets, 1);
	return what;
}

void notify_name_gone(
	struct notifier *n, fuse_ino_t parent, fuse_ino_t child, const char *name, size_t length)
{
	struct names *names = names_of(n, parent);
	struct name_head head = {child, length};
	struct notification *what = with_room(n, names, sizeof(head) + length + 1);

	memcpy(what->names + what->used, &head, sizeof(head));
	memcpy(what->names + what->used + sizeof(head), name, length);
	what->names[what->used + sizeof(head) + length] = 0;
	what->used += sizeof(head) + length + 1;
	if (!names->served && list_empty(&names->link))
		list_append(&n->waiting, &names->link);
	worker_wake(n->worker);
}

void notify_unlocked(struct notifier *n)
{
	worker_wake(n->worker);
}

/* --- waiting for it --- */

bool notify_is_due(const struct notifier *n, fuse_ino_t ino)
{
	return map_number(&n->due, ino) > 0;
}

void notify_wait(struct notifier *n, struct notify_wait *w)
{
	list_append(&n->waits, &w->link);
}

void notify_unwait(struct notify_wait *w)
{
	list_remove(&w->link);
}

/* --- the end --- */

static void drop_names(struct notifier *n)
{
	while (!list_empty(&n->waiting)) {
		struct names *names = list_entry(n->waiting.next, struct names, link);

		list_remove(&names->link);
		free_all(n, &names->notifications);
		leave_names(n, names);
	}
	for (unsigned i = 0; i < LANES; i++)
		if (n->served[i])
			free_all(n, &n->served[i]->notifications);
}

void notify_drain(struct notifier *n, worker_on_idle *on_idle, void *ctx)
{
	free_all(n, &n->unwaiting);
	drop_names(n);
	map_finish(&n->directories);
	call_waits(n);
	worker_when_idle(n->worker, on_idle, ctx);
}
