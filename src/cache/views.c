/* SPDX-License-Identifier: MIT */
/* Inodes of views. One that is lost costs a new one, since ids are never used again. */
#include <string.h>

#include "base/mem.h"
#include "cache/private.h"

static uint64_t view_check(const struct cache_view *v)
{
	const uint32_t numbers[] = {v->id, v->mailbox, v->level};
	uint64_t check = cache_db_check(0, numbers, sizeof(numbers));

	check = cache_db_check(check, v->key.p, v->key.n);
	return cache_db_check(check, v->state.p, v->state.n);
}

/* uid: the view's id; chunk: its level; data: the key, and behind it the state of n octets. */
static int apply_put_view(struct cache_writer *w, struct cache_job *job)
{
	const struct cache_view v = {.id = job->uid,
		.mailbox = job->mailbox,
		.level = job->chunk,
		.key = {job->data, job->octets - job->n},
		.state = {(const char *)job->data + job->octets - job->n, job->n}};
	sqlite3_stmt *s = cache_db_bind(
		&w->db, STMT_VIEW_PUT, v.id, v.mailbox, v.level, (int64_t)view_check(&v));

	sqlite3_bind_blob64(s, 5, v.key.p, v.key.n, SQLITE_STATIC);
	sqlite3_bind_blob64(s, 6, v.state.p, v.state.n, SQLITE_STATIC);
	return cache_db_run(s);
}

static const struct cache_job_kind put_view = {.apply = apply_put_view};

void cache_put_view(struct cache *c, const struct cache_view *v)
{
	if (map_get(&c->dropped, v->mailbox))
		return;
	struct cache_job *job = cache_jobs_new(&put_view, v->mailbox);
	job->uid = v->id;
	job->chunk = v->level;
	job->octets = v->key.n + v->state.n;
	job->n = v->state.n;
	job->data = mem_alloc(job->octets + 1);
	memcpy(job->data, v->key.p, v->key.n);
	if (v->state.n)
		memcpy((char *)job->data + v->key.n, v->state.p, v->state.n);
	cache_jobs_add(c, job);
}

void cache_each_view(struct cache *c, cache_view_fn *f, void *ctx)
{
	sqlite3_stmt *s = c->ceased ? NULL : c->reader_db.stmts[STMT_VIEW_ALL];

	while (s && sqlite3_step(s) == SQLITE_ROW) {
		const struct cache_view v = {
			.id = (uint32_t)sqlite3_column_int64(s, 0),
			.mailbox = (uint32_t)sqlite3_column_int64(s, 1),
			.level = (uint32_t)sqlite3_column_int64(s, 2),
			.key = {sqlite3_column_blob(s, 3), (size_t)sqlite3_column_bytes(s, 3)},
			.state = {sqlite3_column_blob(s, 4), (size_t)sqlite3_column_bytes(s, 4)},
		};

		if ((uint64_t)sqlite3_column_int64(s, 5) == view_check(&v))
			f(ctx, &v);
	}
	if (s)
		sqlite3_reset(s);
}
