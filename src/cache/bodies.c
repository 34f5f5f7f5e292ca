/*
 * Bodies: chunks put by the worker and read by others, and what keeps them within their bound.
 *
 * Reading goes through a connection of its own and is one short transaction, so it neither waits
 * for the writer nor keeps it from resetting the WAL. It uses no memory map: measured, one is
 * slower for small bodies (88,000 against 228,000 of 4 KiB a second), and a bad block of the disk
 * would be a SIGBUS that takes the mount down instead of a miss.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "cache/internal.h"

/* Of jobs waiting to be written; beyond it chunks are not kept. */
#define QUEUE_MAX ((size_t)64 << 20)
/* What one run evicts, beyond what it puts. */
#define EVICT_STEP ((uint64_t)4 << 20)
#define TIDY_STEP 256
#define VACUUM_MIN_PAGES 256

static uint64_t chunk_check(
	uint32_t mailbox, uint32_t uid, uint32_t chunk, const char *octets, size_t n)
{
	return cache_db_check(((uint64_t)mailbox << 32 | uid) + chunk, octets, n);
}

/* --- reading --- */

/* A use of what is among the newest sixteenth anyway need not be written. */
void cache_bodies_note_use(
	struct cache *c, uint32_t mailbox, uint32_t uid, uint32_t chunk, uint64_t used)
{
	if (c->tape - used <= c->writer.max_bytes / 16)
		return;
	if (c->n_uses == CACHE_USES_MAX) {
		cache_jobs_start(c);
		return;
	}
	c->uses[c->n_uses++] = (struct cache_use){mailbox, uid, chunk, ++c->tape};
}

int cache_bodies_read(
	struct cache_db *db, uint32_t mailbox, struct cache_want *want, uint64_t *used)
{
	sqlite3_stmt *s = cache_db_bind(db, STMT_BODY_GET, mailbox, want->uid, want->chunk);
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW) {
		const char *octets = sqlite3_column_blob(s, 3);
		size_t length = (size_t)sqlite3_column_bytes(s, 3);
		uint64_t sum = (uint64_t)sqlite3_column_int64(s, 2);

		rc = SQLITE_CORRUPT;
		if (length == (uint64_t)sqlite3_column_int64(s, 0) &&
			sum == chunk_check(mailbox, want->uid, want->chunk, octets, length)) {
			want->data = mem_copy(octets, length);
			want->n = length;
			*used = (uint64_t)sqlite3_column_int64(s, 1);
			rc = 0;
		}
	}
	sqlite3_reset(s);
	return rc;
}

void cache_bodies_note_failure(struct cache *c, int rc)
{
	if (cache_db_is_damage(rc)) {
		cache_cease(c, rc);
	} else if (rc != SQLITE_DONE && !c->reader_logged) {
		c->reader_logged = true;
		log_error("cache: %s: %s; reading mail from the server instead", c->writer.name,
			sqlite3_errstr(rc));
	}
}

enum cache_found cache_get_chunk(
	struct cache *c, uint32_t mailbox, uint32_t uid, uint32_t chunk, char **data, size_t *n)
{
	struct cache_want want = {.uid = uid, .chunk = chunk};
	int rc = SQLITE_DONE;

	if (!c->ceased && !map_get(&c->dropped, mailbox) &&
		!cache_reader_try(c->reader, mailbox, &want, &rc))
		return CACHE_LATER;
	if (rc != 0) {
		c->misses++;
		cache_bodies_note_failure(c, rc);
		return CACHE_ABSENT;
	}
	c->hits++;
	cache_bodies_note_use(c, mailbox, uid, chunk, want.used);
	*data = want.data;
	*n = want.n;
	return CACHE_FOUND;
}

/* --- writing --- */

struct body {
	uint32_t mailbox, uid, chunk;
	uint64_t n;
	int64_t data;
};

/* Runs a statement that finds at most one body. SQLITE_DONE: there is none. */
static int find_body(sqlite3_stmt *s, struct body *b)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW) {
		*b = (struct body){
			.mailbox = (uint32_t)sqlite3_column_int64(s, 0),
			.uid = (uint32_t)sqlite3_column_int64(s, 1),
			.chunk = (uint32_t)sqlite3_column_int64(s, 2),
			.n = (uint64_t)sqlite3_column_int64(s, 3),
			.data = sqlite3_column_int64(s, 4),
		};
		rc = 0;
	}
	sqlite3_reset(s);
	return rc;
}

static int remove_body(struct cache_writer *w, const struct body *b)
{
	int rc = cache_db_run(cache_db_bind(&w->db, STMT_DATA_DELETE, b->data));

	if (rc == 0)
		rc = cache_db_run(
			cache_db_bind(&w->db, STMT_BODY_DELETE, b->mailbox, b->uid, b->chunk));
	if (rc == 0 && sqlite3_changes(w->db.handle) != 1)
		return SQLITE_CORRUPT; /* an index that leads nowhere: going on would not end */
	w->bytes -= b->n < w->bytes ? b->n : w->bytes;
	w->untidy = true;
	return rc;
}

static int apply_put_chunk(struct cache_writer *w, struct cache_job *job)
{
	struct body old;

	if (!job->data)
		return 0;
	int rc = find_body(
		cache_db_bind(&w->db, STMT_BODY_FIND, job->mailbox, job->uid, job->chunk), &old);
	if (rc == 0)
		rc = remove_body(w, &old);
	else if (rc == SQLITE_DONE)
		rc = 0;
	if (rc != 0)
		return rc;
	sqlite3_stmt *s = w->db.stmts[STMT_DATA_PUT];
	sqlite3_bind_blob64(s, 1, job->data, job->n, SQLITE_STATIC);
	if ((rc = cache_db_run(s)) != 0)
		return rc;
	rc = cache_db_run(cache_db_bind(&w->db, STMT_BODY_PUT, job->mailbox, job->uid, job->chunk,
		(int64_t)job->n, (int64_t)job->used,
		(int64_t)chunk_check(job->mailbox, job->uid, job->chunk, job->data, job->n),
		sqlite3_last_insert_rowid(w->db.handle)));
	if (rc == 0)
		w->bytes += job->n;
	return rc;
}

static void finish_put_chunk(struct cache_job *job)
{
	job->on_done.chunk(job->ctx);
}

static const struct cache_job_kind put_chunk = {
	.apply = apply_put_chunk, .finish = finish_put_chunk};

/* What is not kept is a job without data, so that on_done is called in its turn. */
void cache_put_chunk(struct cache *c, uint32_t mailbox, uint32_t uid, uint32_t chunk, char *data,
	size_t n, void (*on_done)(void *ctx), void *ctx)
{
	struct cache_job *job = cache_jobs_new(&put_chunk, mailbox);

	job->uid = uid;
	job->chunk = chunk;
	job->on_done.chunk = on_done;
	job->ctx = ctx;
	if (n > CACHE_CHUNK || c->ceased || map_get(&c->dropped, mailbox) ||
		c->queued + n > QUEUE_MAX) {
		free(data);
	} else {
		job->data = data ? data : mem_zalloc(1);
		job->n = job->octets = n;
		job->cost = n + 4096;
		c->tape += n + 1;
		job->used = c->tape;
	}
	cache_jobs_add(c, job);
}

int cache_bodies_use(struct cache_writer *w, const struct cache_use *uses, size_t n)
{
	int rc = 0;

	for (size_t i = 0; i < n && rc == 0; i++)
		rc = cache_db_run(cache_db_bind(&w->db, STMT_BODY_USE, uses[i].mailbox, uses[i].uid,
			uses[i].chunk, (int64_t)uses[i].used));
	return rc;
}

int cache_bodies_drop_message(struct cache_writer *w, uint32_t mailbox, uint32_t uid)
{
	struct body b = {0};
	int rc;

	do {
		rc = find_body(cache_db_bind(&w->db, STMT_BODY_OF_MESSAGE, mailbox, uid), &b);
		if (rc == 0)
			rc = remove_body(w, &b);
	} while (rc == 0);
	return rc == SQLITE_DONE ? 0 : rc;
}

/* --- keeping within the bound --- */

bool cache_bodies_over(const struct cache_writer *w)
{
	return w->bytes > w->max_bytes;
}

/* Down to 95 % of the bound, so that it is not done one by one for ever; and not at once, when the
 * bound was lowered by gigabytes. */
int cache_bodies_evict(struct cache_writer *w, uint64_t put)
{
	uint64_t low = w->max_bytes - w->max_bytes / 20;
	uint64_t step = EVICT_STEP + put, evicted = 0;
	int rc = 0;

	w->evicting = w->evicting || cache_bodies_over(w);
	while (rc == 0 && w->evicting && evicted < step) {
		struct body b = {0};

		if (w->bytes <= low) {
			w->evicting = false;
			break;
		}
		rc = find_body(w->db.stmts[STMT_BODY_OLDEST], &b);
		if (rc == 0) {
			rc = remove_body(w, &b);
			evicted += b.n;
		}
	}
	if (rc != SQLITE_DONE)
		return rc;
	/* The total was wrong: nothing is left. */
	w->bytes = 0;
	w->evicting = false;
	return 0;
}

/* Removes some bodies of one dropped mailbox. SQLITE_DONE: no mailbox is being dropped. */
static int tidy_doomed(struct cache_writer *w)
{
	int64_t mailbox;
	struct body b = {0};
	int rc = cache_db_number(w->db.stmts[STMT_DOOMED_ALL], &mailbox);

	if (rc != 0)
		return rc;
	if (mailbox == 0)
		return SQLITE_DONE;
	for (int i = 0; i < TIDY_STEP && rc == 0; i++) {
		rc = find_body(cache_db_bind(&w->db, STMT_BODY_OF_MAILBOX, mailbox), &b);
		if (rc == 0)
			rc = remove_body(w, &b);
	}
	if (rc == SQLITE_DONE)
		rc = cache_db_run(cache_db_bind(&w->db, STMT_DOOMED_DROP, mailbox));
	return rc;
}

/* Free pages are used again, so they are given back only when they are an eighth of the file, and
 * then down to a sixteenth. */
static int tidy_pages(struct cache_writer *w)
{
	int64_t pages, free_pages;
	int rc;

	if ((rc = cache_db_number(w->db.stmts[STMT_PAGES], &pages)) != 0 ||
		(rc = cache_db_number(w->db.stmts[STMT_FREE_PAGES], &free_pages)) != 0)
		return rc;
	w->vacuuming = free_pages > VACUUM_MIN_PAGES &&
		       free_pages > pages / (w->vacuuming ? 16 : 8);
	w->untidy = w->vacuuming;
	if (!w->vacuuming)
		return 0;
	return cache_db_run(w->db.stmts[STMT_VACUUM]);
}

int cache_bodies_tidy(struct cache_writer *w)
{
	int rc = tidy_doomed(w);

	return rc == SQLITE_DONE ? tidy_pages(w) : rc;
}

int cache_bodies_open(struct cache *c)
{
	int64_t bytes, newest;
	int rc;

	if ((rc = cache_db_number(c->writer.db.stmts[STMT_TOTAL_GET], &bytes)) != 0 ||
		(rc = cache_db_number(c->writer.db.stmts[STMT_NEWEST], &newest)) != 0)
		return rc;
	c->bytes = c->writer.bytes = (uint64_t)bytes;
	c->tape = (uint64_t)newest;
	c->writer.untidy = true;
	return 0;
}
