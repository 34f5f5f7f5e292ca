/* SPDX-License-Identifier: MIT */
/*
 * What is kept of messages beside their octets: see mail/parts/facts.h. A job's data is, for each fact,
 * a struct head and the octets; job->used counts them.
 *
 * The mailboxes' facts have a quarter of the bound on the cache, and what they take bodies have less.
 * Those of the mailbox and kind that was loaded least recently go first, all of them. Those of kept mailboxes
 * (kept.c) stay, and are not counted.
 */
#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"
#include "base/mem.h"
#include "cache/private.h"

_Static_assert(CACHE_FACT_COST == 24, "as STMT_FACTS_LENGTH has it");

struct head {
	uint32_t uid, n;
};

/* Takes the next one off data. */
static struct cache_fact take_fact(const char **data)
{
	struct head head;

	memcpy(&head, *data, sizeof(head));
	const struct cache_fact fact = {head.uid, {*data + sizeof(head), head.n}};
	*data += sizeof(head) + head.n;
	return fact;
}

static void add_fact(struct cache_job *job, struct cache_fact fact)
{
	const struct head head = {fact.uid, (uint32_t)fact.packed.n};
	size_t n = job->used + sizeof(head) + fact.packed.n;

	job->data = array_grow(job->data, &job->room, n, 1);
	char *to = (char *)job->data + job->used;
	memcpy(to, &head, sizeof(head));
	if (fact.packed.n > 0)
		memcpy(to + sizeof(head), fact.packed.p, fact.packed.n);
	job->used = n;
	job->n++;
}

static uint64_t fact_check(uint32_t mailbox, uint32_t kind, const struct cache_fact *fact)
{
	return cache_db_check(
		((uint64_t)mailbox << 32 | fact->uid) + kind, fact->packed.p, fact->packed.n);
}

/* --- how much there is --- */

static int read_total(struct cache_writer *w)
{
	int64_t total;
	int rc = cache_db_number(w->db.stmts[STMT_FACTS_SUM], &total);

	w->facts = rc == 0 ? (uint64_t)total : w->facts;
	return rc;
}

int cache_facts_count(struct cache_writer *w)
{
	return read_total(w);
}

static int drop_all(struct cache_writer *w, int64_t mailbox, int64_t kind)
{
	int rc = cache_db_run(cache_db_bind(&w->db, STMT_FACTS_DROP_KIND, mailbox, kind));

	if (rc == 0)
		rc = cache_db_run(cache_db_bind(&w->db, STMT_FACTS_TOTAL_DROP, mailbox, kind));
	w->untidy = true;
	return rc;
}

/* Drops one mailbox's, but for those that were put just now. SQLITE_DONE: there are no others. */
static int evict_one(struct cache_writer *w, const struct cache_job *put)
{
	sqlite3_stmt *s = cache_db_bind(&w->db, STMT_FACTS_OLDEST, put->mailbox, put->chunk);
	int rc = sqlite3_step(s);
	int64_t mailbox = sqlite3_column_int64(s, 0), kind = sqlite3_column_int64(s, 1);

	sqlite3_reset(s);
	if (rc != SQLITE_ROW)
		return rc;
	rc = drop_all(w, mailbox, kind);
	return rc == 0 ? read_total(w) : rc;
}

static int keep_within(struct cache_writer *w, const struct cache_job *put)
{
	int rc = read_total(w);

	while (rc == 0 && w->facts > w->max_bytes / 4)
		rc = evict_one(w, put);
	/* One mailbox that has more than that is not kept at all. */
	if (rc == SQLITE_DONE)
		rc = map_get(&w->kept, put->mailbox) ? 0 : drop_all(w, put->mailbox, put->chunk);
	return rc == 0 ? read_total(w) : rc;
}

/* --- putting --- */

/* Drops the one that there was. */
static int drop_fact(
	struct cache_writer *w, uint32_t mailbox, uint32_t kind, uint32_t uid, int64_t *octets)
{
	int64_t was;
	int rc = cache_db_number(
		cache_db_bind(&w->db, STMT_FACTS_LENGTH, mailbox, kind, uid), &was);

	*octets -= was;
	if (rc != 0 || was == 0)
		return rc;
	return cache_db_run(cache_db_bind(&w->db, STMT_FACTS_DROP, mailbox, kind, uid));
}

static int put_fact(struct cache_writer *w, const struct cache_job *job, struct cache_fact fact,
	int64_t *octets)
{
	int rc = drop_fact(w, job->mailbox, job->chunk, fact.uid, octets);

	/* Chunks of its sections may be of others by this structure. */
	if (rc == 0 && job->found)
		rc = cache_bodies_drop_sections(w, job->mailbox, fact.uid);
	if (rc != 0)
		return rc;
	sqlite3_stmt *s = cache_db_bind(&w->db, STMT_FACTS_PUT, job->mailbox, job->chunk, fact.uid,
		(int64_t)fact_check(job->mailbox, job->chunk, &fact));
	sqlite3_bind_blob64(s, 5, fact.packed.p, fact.packed.n, SQLITE_STATIC);
	*octets += (int64_t)(fact.packed.n + CACHE_FACT_COST);
	return cache_db_run(s);
}

static int apply_put_facts(struct cache_writer *w, struct cache_job *job)
{
	const char *data = job->data;
	int64_t octets = 0;
	int rc = 0;

	if (cache_jobs_frozen(w, job->mailbox))
		return 0;
	for (size_t i = 0; i < job->n && rc == 0; i++)
		rc = put_fact(w, job, take_fact(&data), &octets);
	if (rc == 0)
		rc = cache_db_run(cache_db_bind(
			&w->db, STMT_FACTS_TOTAL_ADD, job->mailbox, job->chunk, octets));
	return rc == 0 ? keep_within(w, job) : rc;
}

static const struct cache_job_kind put_facts = {.apply = apply_put_facts};

void cache_put_facts(struct cache *c, uint32_t mailbox, uint32_t kind,
	const struct cache_fact *facts, size_t n, bool sections)
{
	if (n == 0 || map_get(&c->dropped, mailbox))
		return;
	struct cache_job *job = cache_jobs_new(&put_facts, mailbox);
	job->chunk = kind;
	job->found = sections;
	for (size_t i = 0; i < n; i++)
		add_fact(job, facts[i]);
	job->octets = job->cost = job->used;
	cache_jobs_add(c, job);
}

int cache_facts_drop_message(struct cache_writer *w, uint32_t mailbox, uint32_t uid)
{
	int rc = 0;

	for (uint32_t kind = 0; kind < CACHE_FACT_KINDS && rc == 0; kind++) {
		int64_t octets = 0;
		rc = drop_fact(w, mailbox, kind, uid, &octets);
		if (rc == 0 && octets != 0)
			rc = cache_db_run(
				cache_db_bind(&w->db, STMT_FACTS_TOTAL_ADD, mailbox, kind, octets));
	}
	return rc;
}

int cache_facts_drop_mailbox(struct cache_writer *w, uint32_t mailbox)
{
	int rc = 0;

	for (uint32_t kind = 0; kind < CACHE_FACT_KINDS && rc == 0; kind++)
		rc = drop_all(w, mailbox, kind);
	return rc == 0 ? read_total(w) : rc;
}

/* --- loading --- */

static int load_row(struct cache_job *job, sqlite3_stmt *s)
{
	const struct cache_fact fact = {(uint32_t)sqlite3_column_int64(s, 0),
		{sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1)}};

	if ((uint64_t)sqlite3_column_int64(s, 2) != fact_check(job->mailbox, job->chunk, &fact))
		return SQLITE_CORRUPT;
	add_fact(job, fact);
	return 0;
}

static int apply_load_facts(struct cache_writer *w, struct cache_job *job)
{
	int rc = SQLITE_DONE;

	if (cache_jobs_frozen(w, job->mailbox)) {
		job->err = ERR_IO;
		return 0;
	}
	sqlite3_stmt *s = cache_db_bind(&w->db, STMT_FACTS_LOAD, job->mailbox, job->chunk);
	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		if ((rc = load_row(job, s)) != 0)
			break;
	sqlite3_reset(s);
	if (rc != SQLITE_DONE)
		return rc;
	return job->n == 0 ? 0
			   : cache_db_run(cache_db_bind(
				     &w->db, STMT_FACTS_TOTAL_USE, job->mailbox, job->chunk));
}

static void finish_load_facts(struct cache_job *job)
{
	struct cache_fact *facts = mem_alloc(job->n * sizeof(*facts));
	const char *data = job->data;

	for (size_t i = 0; i < job->n; i++)
		facts[i] = take_fact(&data);
	job->on_done.facts(job->ctx, job->err, facts, job->err ? 0 : job->n);
	free(facts);
}

static const struct cache_job_kind load_facts = {
	.apply = apply_load_facts, .finish = finish_load_facts, .load = true};

void cache_load_facts(
	struct cache *c, uint32_t mailbox, uint32_t kind, cache_facts_done *on_done, void *ctx)
{
	struct cache_job *job = cache_jobs_new(&load_facts, mailbox);

	job->chunk = kind;
	job->on_done.facts = on_done;
	job->ctx = ctx;
	cache_jobs_add(c, job);
}
