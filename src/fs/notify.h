/* SPDX-License-Identifier: MIT */
/* Telling the kernel that what it has cached is not so any more. */
#ifndef FS_NOTIFY_H
#define FS_NOTIFY_H

#include <stdbool.h>

#include "base/list.h"
#include "fs/fuse.h"
#include "fs/worker.h"

struct fs;
struct notifier;

struct notifier *notify_create(struct fs *fs);
void notify_destroy(struct notifier *n);

/* Each is done some time. */
void notify_directory(struct notifier *n, fuse_ino_t ino);
void notify_attributes(struct notifier *n, fuse_ino_t ino);
void notify_name_gone(
	struct notifier *n, fuse_ino_t parent, fuse_ino_t child, const char *name, size_t length);
/* An op that kept directories locked (op_lock) has ended: names may be told of there. */
void notify_unlocked(struct notifier *n);
/* True when the kernel has not yet been told of something about this inode. */
bool notify_is_due(const struct notifier *n, fuse_ino_t ino);

/* For notify_wait. */
struct notify_wait {
	struct list link;
	fuse_ino_t ino;
	void (*on_told)(struct notify_wait *w);
};

/* Calls on_told once, from the loop, when nothing of this inode is to be told any more; now there
 * is something (notify_is_due). */
void notify_wait(struct notifier *n, struct notify_wait *w);
/* No call any more. */
void notify_unwait(struct notify_wait *w);

/* Forgets what is queued; on_idle(ctx) is called from the loop when nothing runs any more, perhaps
 * at once. */
void notify_drain(struct notifier *n, worker_on_idle *on_idle, void *ctx);

#endif
