/* SPDX-License-Identifier: MIT */
/*
 * Octets that come before their reader go into the kernel's page cache, so that his read() does not
 * reach us. A push waits for the page's lock, which the kernel holds while a READ of that page is
 * not answered: so a worker makes it that is not the notifier's, since answers may stand in the
 * notifier's line, and no answer ever waits for a push. What is read already is not pushed.
 *
 * Whether the kernel knows the inode is not counted: if it does not, a push costs one system call
 * that does nothing (ENOENT). Several pushes in one call there are not; several for one wake-up of
 * the worker are what helps.
 */
#include "fs/push.h"

#include <errno.h>
#include <stdlib.h>

#include "base/libc.h"
#include "base/log.h"
#include "base/mem.h"
#include "fs/filesystem.h"

/* Octets that wait; above, the kernel is slower than what comes, and reads may as well ask. */
#define QUEUE_MAX (16u << 20)
/* Octets of one run: while it lasts its pushes cannot be taken back. */
#define RUN_MAX (1u << 20)

struct push {
	struct list link;
	fuse_ino_t ino;
	uint64_t offset;
	char *data;
	size_t n;
};

struct pusher {
	struct fs *fs;
	struct worker *worker;
	struct list queue;
	size_t queued;      /* octets */
	struct map waiting; /* ino -> the last struct push in the queue */
	uint64_t made;
};

static void take_some(void *owner, unsigned lane, struct list *items);
static void push_one(void *owner, struct list *item);
static void free_made(void *owner, unsigned lane, struct list *items);

static const struct worker_kind push_work = {
	.take = take_some, .carry_out = push_one, .done = free_made};

struct pusher *push_create(struct fs *fs)
{
	struct pusher *p = mem_zalloc(sizeof(*p));

	p->fs = fs;
	p->worker = worker_create(fs->loop, &push_work, 1, p);
	list_init(&p->queue);
	map_init(&p->waiting);
	return p;
}

static void push_free(struct push *push)
{
	list_remove(&push->link);
	free(push->data);
	free(push);
}

static void dequeue(struct pusher *p, struct push *push)
{
	list_remove(&push->link);
	p->queued -= push->n;
	if (map_get(&p->waiting, push->ino) == push)
		map_remove(&p->waiting, push->ino);
}

static void drop_queue(struct pusher *p)
{
	while (!list_empty(&p->queue)) {
		struct push *push = list_entry(p->queue.next, struct push, link);

		dequeue(p, push);
		push_free(push);
	}
}

void push_destroy(struct pusher *p)
{
	if (!p)
		return;
	drop_queue(p);
	worker_destroy(p->worker);
	map_finish(&p->waiting);
	free(p);
}

static void push_one(void *owner, struct list *item)
{
	const struct pusher *p = owner;
	const struct push *push = list_entry(item, struct push, link);
	struct fuse_bufvec octets = FUSE_BUFVEC_INIT(push->n);

	octets.buf[0].mem = push->data;
	int rc = fuse_lowlevel_notify_store(
		p->fs->session, push->ino, (off_t)push->offset, &octets, FUSE_BUF_NO_SPLICE);
	if (rc < 0 && rc != -ENOENT && rc != -ENODEV && rc != -EBADF)
		log_debug(
			"push into %llx: %s", (unsigned long long)push->ino, strerrorname_np(-rc));
}

static void free_made(void *owner, unsigned lane, struct list *items)
{
	struct pusher *p = owner;

	for (; !list_empty(items); p->made++)
		push_free(list_entry(items->next, struct push, link));
}

static void take_some(void *owner, unsigned lane, struct list *items)
{
	struct pusher *p = owner;
	size_t octets = 0;

	while (octets < RUN_MAX && !list_empty(&p->queue)) {
		struct push *push = list_entry(p->queue.next, struct push, link);

		dequeue(p, push);
		list_append(items, &push->link);
		octets += push->n;
	}
}

void push_octets(struct pusher *p, fuse_ino_t ino, uint64_t offset, char *data, size_t n)
{
	if (n == 0 || p->queued + n > QUEUE_MAX) {
		free(data);
		return;
	}
	struct push *push = mem_alloc(sizeof(*push));
	*push = (struct push){.ino = ino, .offset = offset, .data = data, .n = n};
	list_append(&p->queue, &push->link);
	map_put(&p->waiting, ino, push);
	p->queued += n;
	worker_wake(p->worker);
}

uint64_t push_count(const struct pusher *p)
{
	return p->made;
}

void push_overtaken(struct pusher *p, fuse_ino_t ino)
{
	struct push *push = map_get(&p->waiting, ino);

	if (!push)
		return;
	dequeue(p, push);
	push_free(push);
}

void push_drain(struct pusher *p, worker_on_idle *on_idle, void *ctx)
{
	drop_queue(p);
	worker_when_idle(p->worker, on_idle, ctx);
}
