/* SPDX-License-Identifier: MIT */
/*
 * The thread that reads single chunks, so that the loop never waits long for a disk: it asks, and
 * waits for a few milliseconds, in which all that the kernel has in memory is there. What takes
 * longer is abandoned, and loaded by cache_load_chunks. While the thread is busy with what was
 * abandoned everything takes that way.
 */
#include <stdlib.h>

#include "base/mem.h"
#include "cache/private.h"

/* Nanoseconds that the loop waits. */
#define PATIENCE 5000000

enum reader_state { READER_IDLE, READER_ASKED, READER_DONE };

struct cache_reader {
	struct cache_db *db;
	struct cache_segments *files;
	uv_thread_t thread;
	uv_mutex_t lock; /* of all that follows */
	uv_cond_t asked, done;
	enum reader_state state;
	bool abandoned, stopping;
	uint32_t mailbox;
	struct cache_want want;
	int rc; /* SQLite's */
};

/* --- in the thread --- */

static void give_answer(struct cache_reader *r, const struct cache_want *want, int rc)
{
	if (r->abandoned) {
		free(want->data);
		r->abandoned = false;
		r->state = READER_IDLE;
		return;
	}
	r->want = *want;
	r->rc = rc;
	r->state = READER_DONE;
	uv_cond_signal(&r->done);
}

static void serve_reads(void *arg)
{
	struct cache_reader *r = arg;

	uv_mutex_lock(&r->lock);
	for (;;) {
		while (r->state != READER_ASKED && !r->stopping)
			uv_cond_wait(&r->asked, &r->lock);
		if (r->stopping)
			break;
		struct cache_want want = r->want;
		uint32_t mailbox = r->mailbox;
		uv_mutex_unlock(&r->lock);
		int rc = cache_bodies_read(r->db, r->files, mailbox, &want);
		uv_mutex_lock(&r->lock);
		give_answer(r, &want, rc);
	}
	uv_mutex_unlock(&r->lock);
}

/* --- in the loop --- */

struct cache_reader *cache_reader_start(struct cache_db *db, struct cache_segments *files)
{
	struct cache_reader *r = mem_zalloc(sizeof(*r));

	r->db = db;
	r->files = files;
	uv_mutex_init(&r->lock);
	uv_cond_init(&r->asked);
	uv_cond_init(&r->done);
	if (uv_thread_create(&r->thread, serve_reads, r) == 0)
		return r;
	/* Without it all is loaded. */
	r->stopping = true;
	return r;
}

void cache_reader_stop(struct cache_reader *r)
{
	if (!r)
		return;
	uv_mutex_lock(&r->lock);
	bool runs = !r->stopping;
	r->stopping = true;
	uv_cond_signal(&r->asked);
	uv_mutex_unlock(&r->lock);
	if (runs)
		uv_thread_join(&r->thread);
	uv_cond_destroy(&r->done);
	uv_cond_destroy(&r->asked);
	uv_mutex_destroy(&r->lock);
	free(r);
}

/* With the lock. False when the answer did not come in time. */
static bool wait_for_answer(struct cache_reader *r)
{
	uint64_t end = uv_hrtime() + PATIENCE;

	for (uint64_t now = uv_hrtime(); r->state == READER_ASKED && now < end; now = uv_hrtime())
		uv_cond_timedwait(&r->done, &r->lock, end - now);
	return r->state == READER_DONE;
}

bool cache_reader_try(struct cache_reader *r, uint32_t mailbox, struct cache_want *want, int *rc)
{
	bool answered = false;

	uv_mutex_lock(&r->lock);
	if (r->state == READER_IDLE && !r->stopping) {
		r->mailbox = mailbox;
		r->want = *want;
		r->state = READER_ASKED;
		uv_cond_signal(&r->asked);
		answered = wait_for_answer(r);
		r->abandoned = !answered;
	}
	if (answered) {
		*want = r->want;
		*rc = r->rc;
		r->state = READER_IDLE;
	}
	uv_mutex_unlock(&r->lock);
	return answered;
}
