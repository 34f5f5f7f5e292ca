/*
 * Octets that come before their reader go into the kernel's page cache, so that his read() does not
 * reach us. A store waits for the page's lock, which the kernel holds while a READ of that page is
 * not answered: so it is made by a worker that is not the notifier's, since answers may stand in
 * the notifier's line, and no answer ever waits for a store. What is read already is not stored.
 *
 * Whether the kernel knows the inode is not counted: if it does not, a store costs one system call
 * that does nothing (ENOENT). Several stores in one call there are not; several for one wake-up of
 * the worker are what helps.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "fs/private.h"

/* Octets that wait; above, the kernel is slower than what comes, and reads may as well ask. */
#define QUEUE_MAX (16u << 20)
/* Octets of one run: while it lasts its stores cannot be taken back. */
#define RUN_MAX (1u << 20)

struct store {
	struct list link;
	fuse_ino_t ino;
	uint64_t offset;
	char *data;
	size_t n;
};

struct pusher {
	struct fs *fs;
	struct list queue;   /* the loop's */
	struct list running; /* the worker's, until it is done */
	uv_work_t work;
	bool busy;
	size_t queued;      /* octets */
	uint64_t stored;    /* stores made */
	struct map waiting; /* ino -> the last struct store in the queue */
	void (*on_idle)(struct fs *fs);
};

struct pusher *pusher_create(struct fs *fs)
{
	struct pusher *p = mem_zalloc(sizeof(*p));

	p->fs = fs;
	p->work.data = p;
	list_init(&p->queue);
	list_init(&p->running);
	map_init(&p->waiting);
	return p;
}

static void store_free(struct store *s)
{
	list_remove(&s->link);
	free(s->data);
	free(s);
}

/* Of those in the queue. */
static void drop(struct pusher *p, struct store *s)
{
	p->queued -= s->n;
	if (map_get(&p->waiting, s->ino) == s)
		map_remove(&p->waiting, s->ino);
	store_free(s);
}

static void drop_all(struct pusher *p)
{
	while (!list_empty(&p->queue))
		drop(p, list_entry(p->queue.next, struct store, link));
}

void pusher_destroy(struct pusher *p)
{
	if (!p)
		return;
	drop_all(p);
	map_finish(&p->waiting);
	free(p);
}

static void on_work(uv_work_t *work)
{
	struct pusher *p = work->data;

	LIST_FOREACH (pos, &p->running) {
		struct store *s = list_entry(pos, struct store, link);
		struct fuse_bufvec octets = FUSE_BUFVEC_INIT(s->n);

		octets.buf[0].mem = s->data;
		int rc = fuse_lowlevel_notify_store(
			p->fs->session, s->ino, (off_t)s->offset, &octets, FUSE_BUF_NO_SPLICE);
		if (rc < 0 && rc != -ENOENT && rc != -ENODEV && rc != -EBADF)
			log_debug("store of %llx: %s", (unsigned long long)s->ino,
				strerrorname_np(-rc));
	}
}

static void run(struct pusher *p);

static void on_worked(uv_work_t *work, int status)
{
	struct pusher *p = work->data;

	for (; !list_empty(&p->running); p->stored++)
		store_free(list_entry(p->running.next, struct store, link));
	p->busy = false;
	if (!list_empty(&p->queue))
		run(p);
	else if (p->on_idle)
		p->on_idle(p->fs);
}

static void run(struct pusher *p)
{
	size_t octets = 0;

	if (p->busy || list_empty(&p->queue))
		return;
	p->busy = true;
	while (octets < RUN_MAX && !list_empty(&p->queue)) {
		struct store *s = list_entry(p->queue.next, struct store, link);
		list_remove(&s->link);
		list_append(&p->running, &s->link);
		if (map_get(&p->waiting, s->ino) == s)
			map_remove(&p->waiting, s->ino);
		p->queued -= s->n;
		octets += s->n;
	}
	uv_queue_work(p->fs->loop, &p->work, on_work, on_worked);
}

void push_octets(struct pusher *p, fuse_ino_t ino, uint64_t offset, char *data, size_t n)
{
	if (p->on_idle || n == 0 || p->queued + n > QUEUE_MAX) {
		free(data);
		return;
	}
	struct store *s = mem_alloc(sizeof(*s));
	*s = (struct store){.ino = ino, .offset = offset, .data = data, .n = n};
	list_append(&p->queue, &s->link);
	map_put(&p->waiting, ino, s);
	p->queued += n;
	run(p);
}

uint64_t pusher_stored(const struct pusher *p)
{
	return p->stored;
}

void push_overtaken(struct pusher *p, fuse_ino_t ino)
{
	struct store *s = map_get(&p->waiting, ino);

	if (s)
		drop(p, s);
}

void pusher_drain(struct pusher *p, void (*on_idle)(struct fs *fs))
{
	p->on_idle = on_idle;
	drop_all(p);
	if (!p->busy)
		on_idle(p->fs);
}
