/* SPDX-License-Identifier: MIT */
/*
 * Mailboxes that are kept: their messages and facts, as far as they are here, stay, beside what cache_size bounds.
 * That a mailbox is kept goes with its id; the octets of its messages are in segments of their own, but
 * for those that were there before (evict.c). That there are any is known beside the database, too: one
 * that is damaged is replaced, and then it can be said what is lost.
 */
#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"
#include "cache/private.h"

bool cache_kept_is(const struct cache_writer *w, uint32_t mailbox, uint32_t chunk)
{
	return chunk < CACHE_SECTION_CHUNKS && w->kept.count > 0 && map_get(&w->kept, mailbox);
}

/* What the segments hold of the mailbox's messages is kept, or is no more. */
static int weigh_mailbox(struct cache_writer *w, uint32_t mailbox, bool keep)
{
	sqlite3_stmt *q = cache_db_bind(&w->db, STMT_KEPT_SEGMENTS, mailbox);
	int rc;

	while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
		struct cache_segment *s = cache_bodies_segment(
			w, (uint32_t)sqlite3_column_int64(q, 0));
		uint64_t n = (uint64_t)sqlite3_column_int64(q, 1);
		if (s && keep)
			s->kept += n;
		else if (s)
			s->kept -= n < s->kept ? n : s->kept;
	}
	sqlite3_reset(q);
	return rc == SQLITE_DONE ? 0 : rc;
}

struct loading {
	struct cache_writer *w;
	int rc;
};

static void weigh_each(void *ctx, uint64_t key, void *value)
{
	struct loading *l = ctx;

	if (l->rc == 0)
		l->rc = weigh_mailbox(l->w, (uint32_t)key, true);
}

int cache_kept_load(struct cache_writer *w)
{
	sqlite3_stmt *q = w->db.stmts[STMT_KEPT_ALL];
	struct loading l = {w, 0};

	map_finish(&w->kept);
	map_init(&w->kept);
	while ((l.rc = sqlite3_step(q)) == SQLITE_ROW)
		map_put(&w->kept, (uint64_t)sqlite3_column_int64(q, 0), w);
	sqlite3_reset(q);
	l.rc = l.rc == SQLITE_DONE ? 0 : l.rc;
	map_each(&w->kept, weigh_each, &l);
	return l.rc;
}

/* As well as it can be: what is said of a database that is damaged later hangs on it, nothing else. */
static void note_keeps(struct cache_writer *w)
{
	cache_dir_put_keeps(w->dir, w->kept.count > 0 || w->kept_lost);
}

void cache_kept_open(struct cache_writer *w)
{
	w->kept_lost = w->kept.count == 0 && cache_dir_keeps(w->dir);
	note_keeps(w);
}

void cache_kept_rolled_back(struct cache_writer *w)
{
	note_keeps(w);
}

int cache_kept_set(struct cache_writer *w, uint32_t mailbox, enum cache_keep keep)
{
	bool is = map_get(&w->kept, mailbox);
	int rc = 0;

	if (keep != CACHE_KEEP_NOT && !cache_dir_put_keeps(w->dir, true))
		return SQLITE_IOERR_WRITE;
	if (keep != CACHE_KEEP_NOT)
		rc = cache_db_run(
			cache_db_bind(&w->db, STMT_KEPT_PUT, mailbox, keep == CACHE_KEEP_WHOLE));
	else if (is)
		rc = cache_db_run(cache_db_bind(&w->db, STMT_KEPT_DROP, mailbox));
	if (rc != 0 || is == (keep != CACHE_KEEP_NOT))
		return rc;
	rc = weigh_mailbox(w, mailbox, !is);
	if (rc == 0 && !is)
		map_put(&w->kept, mailbox, w);
	else if (rc == 0)
		map_remove(&w->kept, mailbox);
	note_keeps(w);
	return rc == 0 ? cache_facts_count(w) : rc;
}

uint64_t cache_kept_octets(const struct cache_writer *w)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->n_segments; i++)
		sum += w->segments[i].kept;
	return sum;
}

/* What is not written yet costs the time of the disk, the rest nothing. */
static int sync_kept(struct cache_writer *w)
{
	for (size_t i = 0; i < w->n_segments; i++)
		if (w->segments[i].kept > 0 &&
			cache_segments_sync(w->files, w->segments[i].id) != 0)
			return SQLITE_IOERR_FSYNC;
	return 0;
}

/* found: the mailbox was not dropped. */
static int apply_keep(struct cache_writer *w, struct cache_job *job)
{
	int rc = 0;

	if (job->found && job->n == CACHE_KEEP_WHOLE)
		rc = sync_kept(w);
	/* Whoever says anew what is to be kept knows what is not. */
	w->kept_lost = false;
	if (rc == 0 && job->found)
		rc = cache_kept_set(w, job->mailbox, (enum cache_keep)job->n);
	note_keeps(w);
	return rc;
}

static void finish_keep(struct cache_job *job)
{
	if (job->on_done.keep)
		job->on_done.keep(job->ctx, job->found ? job->err : ERR_STALE);
}

static const struct cache_job_kind keep_mailbox = {
	.apply = apply_keep, .finish = finish_keep, .durable = true};

void cache_keep_mailbox(struct cache *c, uint32_t mailbox, enum cache_keep keep,
	cache_keep_done *on_done, void *ctx)
{
	struct cache_job *job = cache_jobs_new(&keep_mailbox, mailbox);

	job->found = !map_get(&c->dropped, mailbox);
	job->n = keep;
	job->on_done.keep = on_done;
	job->ctx = ctx;
	cache_jobs_add(c, job);
}

void cache_each_kept(struct cache *c, cache_kept_fn *f, void *ctx)
{
	sqlite3_stmt *s = c->ceased ? NULL : c->reader_db.stmts[STMT_KEPT_ALL];

	while (s && sqlite3_step(s) == SQLITE_ROW)
		f(ctx, (uint32_t)sqlite3_column_int64(s, 0),
			sqlite3_column_int(s, 1) ? CACHE_KEEP_WHOLE : CACHE_KEEP);
	if (s)
		sqlite3_reset(s);
}

/* --- what is here of them --- */

static int apply_load_held(struct cache_writer *w, struct cache_job *job)
{
	sqlite3_stmt *q = cache_db_bind(&w->db, STMT_BODY_HELD, job->mailbox, job->uid);
	int rc;

	while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
		job->data = array_grow(
			job->data, &job->room, job->n + 1, sizeof(struct cache_held));
		((struct cache_held *)job->data)[job->n++] = (struct cache_held){
			(uint32_t)sqlite3_column_int64(q, 0), (uint64_t)sqlite3_column_int64(q, 1)};
	}
	sqlite3_reset(q);
	return rc == SQLITE_DONE ? 0 : rc;
}

static void finish_load_held(struct cache_job *job)
{
	job->on_done.held(job->ctx, job->err, job->data, job->err ? 0 : job->n);
}

static const struct cache_job_kind load_held = {
	.apply = apply_load_held, .finish = finish_load_held, .load = true};

void cache_load_held(
	struct cache *c, uint32_t mailbox, uint32_t from, cache_held_done *on_done, void *ctx)
{
	struct cache_job *job = cache_jobs_new(&load_held, mailbox);

	job->uid = from;
	job->on_done.held = on_done;
	job->ctx = ctx;
	cache_jobs_add(c, job);
}
