/* SPDX-License-Identifier: MIT */
/* Names that messages came in under: see mail/model/given.h. One that is lost costs little: somebody
 * puts the message in again. */
#include "base/mem.h"
#include "cache/private.h"

static uint64_t given_check(uint32_t mailbox, uint32_t uid, struct span name)
{
	return cache_db_check((uint64_t)mailbox << 32 | uid, name.p, name.n);
}

static int apply_put_given(struct cache_writer *w, struct cache_job *job)
{
	struct span name = {job->data, job->n};

	if (cache_jobs_frozen(w, job->mailbox))
		return 0;
	if (name.n == 0)
		return cache_db_run(cache_db_bind(&w->db, STMT_GIVEN_DROP, job->mailbox, job->uid));
	sqlite3_stmt *s = cache_db_bind(&w->db, STMT_GIVEN_PUT, job->mailbox, job->uid,
		(int64_t)given_check(job->mailbox, job->uid, name));
	sqlite3_bind_blob64(s, 4, name.p, name.n, SQLITE_STATIC);
	return cache_db_run(s);
}

static const struct cache_job_kind put_given = {.apply = apply_put_given};

void cache_put_given(struct cache *c, uint32_t mailbox, uint32_t uid, struct span name)
{
	if (map_get(&c->dropped, mailbox))
		return;
	struct cache_job *job = cache_jobs_new(&put_given, mailbox);
	job->uid = uid;
	job->octets = job->n = name.n;
	job->data = mem_copy(name.p, name.n);
	cache_jobs_add(c, job);
}

void cache_each_given(struct cache *c, cache_given_fn *f, void *ctx)
{
	sqlite3_stmt *s = c->ceased ? NULL : c->reader_db.stmts[STMT_GIVEN_ALL];

	while (s && sqlite3_step(s) == SQLITE_ROW) {
		uint32_t mailbox = (uint32_t)sqlite3_column_int64(s, 0);
		uint32_t uid = (uint32_t)sqlite3_column_int64(s, 1);
		struct span name = {sqlite3_column_blob(s, 2), (size_t)sqlite3_column_bytes(s, 2)};

		if ((uint64_t)sqlite3_column_int64(s, 3) == given_check(mailbox, uid, name))
			f(ctx, mailbox, uid, name);
	}
	if (s)
		sqlite3_reset(s);
}
