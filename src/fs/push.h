/* SPDX-License-Identifier: MIT */
/* Octets for the kernel's page cache, before somebody reads them. */
#ifndef FS_PUSH_H
#define FS_PUSH_H

#include <stdint.h>

#include "fs/fuse.h"
#include "fs/worker.h"

struct fs;
struct pusher;

struct pusher *push_create(struct fs *fs);
void push_destroy(struct pusher *p);
/* Puts octets into the kernel's page cache, some time or never. They are the file's, and end where
 * it ends or a page does. data (malloc'ed) becomes the pusher's. */
void push_octets(struct pusher *p, fuse_ino_t ino, uint64_t offset, char *data, size_t n);
/* The reader is there already. */
void push_overtaken(struct pusher *p, fuse_ino_t ino);
/* How many pushes were made. */
uint64_t push_count(const struct pusher *p);
/* Forgets what is queued; on_idle(ctx) is called when nothing runs any more, perhaps at once. Then
 * nothing must be pushed any more. */
void push_drain(struct pusher *p, worker_on_idle *on_idle, void *ctx);

#endif
