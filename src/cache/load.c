/* SPDX-License-Identifier: MIT */
/*
 * Loading chunks, many at once for read-ahead, or what a slow disk has not given in time: in a
 * thread of libuv's pool, one load at a time because they share a connection, and each in one
 * transaction, which saves a lock for each chunk.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "cache/private.h"

struct cache_load {
	uv_work_t req;
	uv_sem_t done; /* posted when the worker is through */
	struct list node;
	struct cache *c;     /* NULL: the cache was closed */
	struct cache_db *db; /* NULL: nothing is to be read */
	struct cache_segments *files;
	uint32_t mailbox;
	bool urgent;
	struct cache_want *wants;
	size_t n;
	int rc; /* SQLite's */
	cache_chunks_done *on_done;
	void *ctx;
};

/* --- in the worker --- */

static int read_wants(struct cache_load *l)
{
	int rc = sqlite3_exec(l->db->handle, "BEGIN", NULL, NULL, NULL);

	for (size_t i = 0; i < l->n && rc == 0; i++) {
		rc = cache_bodies_read(l->db, l->files, l->mailbox, &l->wants[i]);
		if (rc == SQLITE_DONE)
			rc = 0;
	}
	if (!sqlite3_get_autocommit(l->db->handle))
		sqlite3_exec(l->db->handle, "ROLLBACK", NULL, NULL, NULL);
	return rc;
}

static void load_on_work(uv_work_t *req)
{
	struct cache_load *l = req->data;

	if (l->db)
		l->rc = read_wants(l);
	uv_sem_post(&l->done);
}

/* --- in the loop --- */

static void load_free(struct cache_load *l)
{
	uv_sem_destroy(&l->done);
	free(l);
}

static void deliver_load(struct cache *c, struct cache_load *l, int err)
{
	for (size_t i = 0; i < l->n; i++)
		cache_bodies_note_read(c, l->mailbox, &l->wants[i]);
	cache_bodies_note_failure(c, l->rc ? l->rc : SQLITE_DONE);
	l->on_done(l->ctx, err, l->wants, l->n);
}

static void start_next_load(struct cache *c);

static void load_on_worked(uv_work_t *req, int status)
{
	struct cache_load *l = req->data;
	struct cache *c = l->c;

	if (c) {
		uv_sem_wait(&l->done);
		c->load = NULL;
		start_next_load(c);
		deliver_load(c, l, 0);
	}
	load_free(l);
}

static void start_next_load(struct cache *c)
{
	if (c->load || list_empty(&c->loads))
		return;
	struct cache_load *l = list_entry(c->loads.next, struct cache_load, node);
	list_remove(&l->node);
	c->load = l;
	if (!c->ceased && !map_get(&c->dropped, l->mailbox))
		l->db = &c->loader;
	l->files = c->writer.files;
	uv_queue_work(c->loop, &l->req, load_on_work, load_on_worked);
}

/* What a new load comes right before: urgent ones go before all others, in their order. */
static struct list *last_before(struct cache *c, bool urgent)
{
	LIST_FOREACH (pos, &c->loads)
		if (urgent && !list_entry(pos, struct cache_load, node)->urgent)
			return pos;
	return &c->loads;
}

void cache_load_chunks(struct cache *c, uint32_t mailbox, struct cache_want *wants, size_t n,
	bool urgent, cache_chunks_done *on_done, void *ctx)
{
	struct cache_load *l = mem_zalloc(sizeof(*l));

	l->req.data = l;
	l->c = c;
	l->mailbox = mailbox;
	l->wants = wants;
	l->n = n;
	l->on_done = on_done;
	l->ctx = ctx;
	uv_sem_init(&l->done, 0);
	l->urgent = urgent;
	list_append(last_before(c, urgent), &l->node);
	start_next_load(c);
}

/* The one that runs stays libuv's, which frees it in its time. */
void cache_loads_finish(struct cache *c)
{
	struct cache_load *l = c->load;

	if (l) {
		if (uv_cancel((uv_req_t *)&l->req) != 0)
			uv_sem_wait(&l->done);
		c->load = NULL;
		deliver_load(c, l, ERR_CANCELED);
		l->c = NULL;
	}
	while (!list_empty(&c->loads)) {
		l = list_entry(c->loads.next, struct cache_load, node);
		list_remove(&l->node);
		deliver_load(c, l, ERR_CANCELED);
		load_free(l);
	}
}
