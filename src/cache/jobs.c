/* SPDX-License-Identifier: MIT */
/*
 * The queue of writes. One run at a time is in libuv's thread pool; what is queued meanwhile is
 * taken together by the next run, in one transaction, so the busier it gets the less a write costs.
 * A transaction writes whole pages, some 64 KiB for a single row of each table: so jobs that nobody
 * waits for are gathered for a moment first. Behind 50 ms the rows of 200 mailboxes (0.3 MB) took
 * 5.4 MB of log without that, and 1.0 with it; with their bodies 8.0 and 2.4.
 * A run is bounded to stay short. When nothing is queued, runs without jobs do the house-keeping
 * that can wait, a little each.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/private.h"

/* What one run writes, in octets and in jobs, about. */
#define RUN_COST ((size_t)8 << 20)
#define RUN_JOBS 1024
/* Jobs that hold so many octets are not gathered any more. */
#define GATHER_OCTETS ((size_t)1 << 20)
/* The log is brought into the database when it has so many pages, or a quarter of what bodies may
 * take if that is between the two. */
#define WAL_MIN_PAGES 64   /* 1 MiB */
#define WAL_MAX_PAGES 1024 /* 16 MiB */

struct cache_run {
	uv_work_t req;
	uv_sem_t done;   /* posted when the worker is through */
	struct cache *c; /* NULL: the cache was closed */
	struct cache_writer *w;
	bool skip; /* the database is not used any more */
	bool closing;
	bool durable;
	bool idle; /* no jobs: time for house-keeping */
	int rc;    /* SQLite's, of the transaction */
	struct list jobs;
	struct cache_use *uses; /* CACHE_USES_MAX */
	size_t n_uses;
};

/* --- in the worker --- */

static void report(struct cache_writer *w, int code)
{
	uint32_t bit = (uint32_t)1 << (code & 31);

	if ((w->logged & bit) || cache_db_is_damage(code))
		return;
	w->logged |= bit;
	log_error("cache: %s: %s; going on without keeping mail", w->name, sqlite3_errstr(code));
}

bool cache_jobs_frozen(const struct cache_writer *w, uint32_t mailbox)
{
	return map_get(&w->frozen, mailbox) != NULL;
}

static int apply_jobs(struct cache_run *run, uint64_t *put)
{
	LIST_FOREACH (node, &run->jobs) {
		struct cache_job *job = list_entry(node, struct cache_job, node);

		if (run->closing && job->kind->load)
			continue;
		int rc = job->kind->apply(run->w, job);
		if (rc != 0)
			return rc;
		*put += job->cost;
	}
	return 0;
}

static int apply_all(struct cache_writer *w, void *ctx)
{
	struct cache_run *run = ctx;
	uint64_t put = 0;
	int rc;

	cache_bodies_use(w, run->uses, run->n_uses);
	if ((rc = apply_jobs(run, &put)) != 0 || (rc = cache_evict(w, put)) != 0)
		return rc;
	return run->idle && !w->evicting ? cache_tidy(w) : 0;
}

int cache_jobs_transact(struct cache_writer *w, cache_step *step, void *ctx)
{
	int rc = cache_db_run(w->db.stmts[STMT_BEGIN]);

	if (rc == 0)
		rc = step(w, ctx);
	if (rc == 0)
		rc = cache_bodies_save(w);
	if (rc == 0)
		rc = cache_db_run(w->db.stmts[STMT_COMMIT]);
	if (rc == 0) {
		cache_bodies_committed(w);
		return 0;
	}
	/* Some failures have rolled back already. */
	if (!sqlite3_get_autocommit(w->db.handle))
		cache_db_run(w->db.stmts[STMT_ROLLBACK]);
	cache_bodies_rolled_back(w);
	return rc;
}

/* A small cache must not have a large log. */
static bool checkpoint_is_due(const struct cache_writer *w)
{
	uint64_t pages = w->max_bytes / 4 / CACHE_PAGE_SIZE;

	if (pages < WAL_MIN_PAGES)
		pages = WAL_MIN_PAGES;
	if (pages > WAL_MAX_PAGES)
		pages = WAL_MAX_PAGES;
	return (uint64_t)w->wal_pages > pages;
}

/* The long part goes on beside the reader; then, if it got everything, the log is cut. */
static int checkpoint(struct cache_writer *w)
{
	int frames = 0, done = 0;
	int rc = sqlite3_wal_checkpoint_v2(
		w->db.handle, NULL, SQLITE_CHECKPOINT_PASSIVE, &frames, &done);

	if (rc == 0 && frames == done)
		rc = sqlite3_wal_checkpoint_v2(
			w->db.handle, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
	w->wal_pages = 0;
	return rc;
}

static void fail_jobs(struct cache_run *run)
{
	LIST_FOREACH (node, &run->jobs) {
		struct cache_job *job = list_entry(node, struct cache_job, node);

		job->err = ERR_IO;
		if (job->kind->metadata)
			map_put(&run->w->frozen, job->mailbox, run->w);
	}
}

static void set_synchronous(struct cache_writer *w, bool full)
{
	sqlite3_exec(w->db.handle, full ? "PRAGMA synchronous=FULL" : "PRAGMA synchronous=NORMAL",
		NULL, NULL, NULL);
}

static void execute_run(struct cache_run *run)
{
	struct cache_writer *w = run->w;

	if (run->skip) {
		fail_jobs(run);
		return;
	}
	if (run->durable)
		set_synchronous(w, true);
	run->rc = cache_jobs_transact(w, apply_all, run);
	if (run->durable)
		set_synchronous(w, false);
	w->no_room = (run->rc & 0xff) == SQLITE_FULL || (w->no_room && run->idle);
	w->more = w->evicting || w->untidy;
	if (run->rc != 0) {
		/* Without jobs it was about the order of eviction only. */
		if (!run->idle)
			report(w, run->rc);
		fail_jobs(run);
		/* Without jobs there may be room for what makes room. */
		w->more = !run->idle && cache_is_over(w);
	}
	if (checkpoint_is_due(w) || (run->rc & 0xff) == SQLITE_FULL) {
		int rc = checkpoint(w);

		if (rc != 0 && (rc & 0xff) != SQLITE_BUSY && !run->idle)
			report(w, rc);
	}
}

static void jobs_on_work(uv_work_t *req)
{
	struct cache_run *run = req->data;

	execute_run(run);
	uv_sem_post(&run->done);
}

static int jobs_on_wal(void *ctx, sqlite3 *handle, const char *name, int pages)
{
	struct cache_writer *w = ctx;

	w->wal_pages = pages;
	return SQLITE_OK;
}

/* --- in the loop --- */

static struct cache_run *run_new(struct cache *c)
{
	struct cache_run *run = mem_zalloc(sizeof(*run));

	run->c = c;
	run->w = &c->writer;
	run->req.data = run;
	run->uses = mem_alloc(CACHE_USES_MAX * sizeof(*run->uses));
	list_init(&run->jobs);
	uv_sem_init(&run->done, 0);
	return run;
}

static void run_free(struct cache_run *run)
{
	uv_sem_destroy(&run->done);
	free(run->uses);
	free(run);
}

static void jobs_on_timer_closed(uv_handle_t *handle)
{
	free(handle);
}

void cache_jobs_init(struct cache *c)
{
	list_init(&c->queue);
	if (c->gather_time > 0) {
		c->gather = mem_zalloc(sizeof(*c->gather));
		c->gather->data = c;
		uv_timer_init(c->loop, c->gather);
	}
	map_init(&c->writer.frozen);
	c->uses = mem_alloc(CACHE_USES_MAX * sizeof(*c->uses));
	c->run = run_new(c);
	sqlite3_wal_hook(c->writer.db.handle, jobs_on_wal, &c->writer);
}

static void take_uses(struct cache *c, struct cache_run *run)
{
	struct cache_use *empty = run->uses;

	run->uses = c->uses;
	run->n_uses = c->n_uses;
	c->uses = empty;
	c->n_uses = 0;
}

/* Moves as many jobs to the run as one transaction should hold, at least one if there are any. */
static void take_jobs(struct cache *c, struct cache_run *run)
{
	size_t cost = 0;

	run->durable = false;
	for (int n = 0; n < RUN_JOBS && cost < RUN_COST && !list_empty(&c->queue); n++) {
		struct cache_job *job = list_entry(c->queue.next, struct cache_job, node);

		if (job->kind->durable && n > 0)
			break;
		list_remove(&job->node);
		list_append(&run->jobs, &job->node);
		cost += job->cost;
		run->durable = job->kind->durable;
		if (job->kind->durable || job->kind->load)
			break;
	}
}

static void prepare_run(struct cache *c)
{
	struct cache_run *run = c->run;

	run->skip = c->ceased;
	run->closing = c->closing;
	run->rc = 0;
	take_uses(c, run);
	take_jobs(c, run);
	run->idle = list_empty(&run->jobs);
}

/* Calls back, then frees the job. */
static void finish_job(struct cache *c, struct cache_job *job)
{
	list_remove(&job->node);
	c->queued -= job->octets;
	c->awaited -= job->kind->load || job->kind->durable;
	if (c->closing && job->kind->load)
		job->err = ERR_CANCELED;
	if (job->kind->finish)
		job->kind->finish(job);
	free(job->data);
	free(job);
}

/* What the worker has done becomes visible. The callbacks may queue more. */
static void deliver_run(struct cache *c, struct cache_run *run)
{
	struct list jobs;

	list_init(&jobs);
	list_splice(&jobs, &run->jobs);
	c->running = false;
	c->bytes = c->writer.bytes;
	c->kept = cache_kept_octets(&c->writer);
	c->kept_lost = c->writer.kept_lost;
	c->no_room = c->writer.no_room;
	if (cache_db_is_damage(run->rc))
		cache_cease(c, run->rc);
	while (!list_empty(&jobs))
		finish_job(c, list_entry(jobs.next, struct cache_job, node));
}

/* Somebody waits for a job, or they are many. */
static bool are_urgent(const struct cache *c)
{
	return c->awaited > 0 || c->queued >= GATHER_OCTETS;
}

static void jobs_on_gathered(uv_timer_t *timer)
{
	cache_jobs_start(timer->data);
}

static void gather(struct cache *c)
{
	if (list_empty(&c->queue) || c->running || c->closing)
		return;
	if (!c->gather || are_urgent(c))
		cache_jobs_start(c);
	else if (!uv_is_active((uv_handle_t *)c->gather))
		uv_timer_start(c->gather, jobs_on_gathered, c->gather_time, 0);
}

static void jobs_on_worked(uv_work_t *req, int status)
{
	struct cache_run *run = req->data;
	struct cache *c = run->c;

	if (!c) {
		run_free(run);
		return;
	}
	uv_sem_wait(&run->done);
	bool more = c->writer.more && !c->ceased && !c->ending;
	deliver_run(c, run);
	if (more)
		cache_jobs_start(c);
	else
		gather(c);
}

void cache_jobs_start(struct cache *c)
{
	if (c->running || c->closing)
		return;
	if (c->gather)
		uv_timer_stop(c->gather);
	prepare_run(c);
	c->running = true;
	uv_queue_work(c->loop, &c->run->req, jobs_on_work, jobs_on_worked);
}

struct cache_job *cache_jobs_new(const struct cache_job_kind *kind, uint32_t mailbox)
{
	struct cache_job *job = mem_zalloc(sizeof(*job));

	list_init(&job->node);
	job->kind = kind;
	job->mailbox = mailbox;
	return job;
}

void cache_jobs_add(struct cache *c, struct cache_job *job)
{
	list_append(&c->queue, &job->node);
	c->queued += job->octets;
	c->awaited += job->kind->load || job->kind->durable;
	gather(c);
}

/* Takes the run back from libuv, which goes on to hold its request and frees it in its time. */
static void recall(struct cache *c)
{
	struct cache_run *run = c->run;

	if (!c->running)
		return;
	if (uv_cancel((uv_req_t *)&run->req) == 0)
		execute_run(run);
	else
		uv_sem_wait(&run->done);
	c->run = run_new(c);
	deliver_run(c, run);
	run->c = NULL;
}

void cache_jobs_finish(struct cache *c)
{
	c->closing = true;
	if (c->gather)
		uv_close((uv_handle_t *)c->gather, jobs_on_timer_closed);
	recall(c);
	while (!list_empty(&c->queue) || c->n_uses > 0) {
		prepare_run(c);
		execute_run(c->run);
		deliver_run(c, c->run);
	}
	if (!c->ceased)
		checkpoint(&c->writer);
	run_free(c->run);
	free(c->uses);
	map_finish(&c->writer.frozen);
}
