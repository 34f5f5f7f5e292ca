/* SPDX-License-Identifier: MIT */
/*
 * Bodies: chunks put by the worker and read by others, and what keeps them within their bound.
 *
 * A chunk is appended to the current segment (segments.h), and then the database is told where it
 * is. It stays there: a use of it is a use of its segment, and the segment that was unused longest
 * goes when there are too many octets. Measured with 291 MB of bodies: with the octets in SQLite
 * 0.7 s of CPU and 2.6 s to disk, in appended files 0.14 s and 0.6 s.
 *
 * Reading goes through a connection of its own, so it neither waits for the writer nor keeps it
 * from resetting the WAL. It uses no memory map: a bad block of the disk would be a SIGBUS that
 * takes the mount down instead of a miss.
 */
#include <errno.h>
#include <stdlib.h>

#include "base/array.h"
#include "base/log.h"
#include "base/mem.h"
#include "cache/private.h"

/* Of jobs waiting to be written; beyond it chunks are not kept. */
#define QUEUE_MAX ((size_t)64 << 20)
/* What one run evicts, beyond what it puts. */
#define EVICT_STEP ((uint64_t)4 << 20)
#define TIDY_STEP 256
#define VACUUM_MIN_PAGES 256
/* Of a segment. Small caches have smaller ones, so that not much goes with the oldest. */
#define SEGMENT_MAX ((uint64_t)64 << 20)
#define SEGMENTS_MIN 16

static uint64_t chunk_check(
	uint32_t mailbox, uint32_t uid, uint32_t chunk, const char *octets, size_t n)
{
	return cache_db_check(((uint64_t)mailbox << 32 | uid) + chunk, octets, n);
}

/* --- reading --- */

static void read_octets(struct cache_segments *files, uint32_t mailbox, size_t n, uint64_t sum,
	struct cache_want *want)
{
	char *octets = mem_alloc(n + 1);

	want->spoilt = (n > 0 && cache_segments_read(
					 files, want->segment, want->offset, octets, n) != 0) ||
		       sum != chunk_check(mailbox, want->uid, want->chunk, octets, n);
	if (want->spoilt) {
		free(octets);
		return;
	}
	want->data = octets;
	want->n = n;
}

int cache_bodies_read(struct cache_db *db, struct cache_segments *files, uint32_t mailbox,
	struct cache_want *want)
{
	sqlite3_stmt *s = cache_db_bind(db, STMT_BODY_GET, mailbox, want->uid, want->chunk);
	int rc = sqlite3_step(s);
	bool found = rc == SQLITE_ROW;
	uint64_t n = 0, sum = 0;

	if (found) {
		n = (uint64_t)sqlite3_column_int64(s, 0);
		sum = (uint64_t)sqlite3_column_int64(s, 1);
		want->segment = (uint32_t)sqlite3_column_int64(s, 2);
		want->offset = (uint64_t)sqlite3_column_int64(s, 3);
	}
	sqlite3_reset(s);
	if (!found)
		return rc;
	if (n > CACHE_CHUNK)
		return SQLITE_CORRUPT;
	read_octets(files, mailbox, n, sum, want);
	return want->spoilt ? SQLITE_DONE : 0;
}

static void note_use(struct cache *c, uint32_t segment)
{
	for (size_t i = c->n_uses; i > 0; i--) {
		if (c->uses[i - 1].segment == segment) {
			c->uses[i - 1].used = ++c->tape;
			return;
		}
	}
	if (c->n_uses < CACHE_USES_MAX)
		c->uses[c->n_uses++] = (struct cache_use){segment, ++c->tape};
	if (c->n_uses == CACHE_USES_MAX)
		cache_jobs_start(c);
}

static void forget_spoilt(struct cache *c, uint32_t mailbox, const struct cache_want *want);

void cache_bodies_note_read(struct cache *c, uint32_t mailbox, const struct cache_want *want)
{
	if (want->data) {
		c->hits++;
		note_use(c, want->segment);
		return;
	}
	c->misses++;
	if (want->spoilt)
		forget_spoilt(c, mailbox, want);
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
	cache_bodies_note_read(c, mailbox, &want);
	if (rc != 0) {
		cache_bodies_note_failure(c, rc);
		return CACHE_ABSENT;
	}
	*data = want.data;
	*n = want.n;
	return CACHE_FOUND;
}

/* --- segments, in the worker --- */

static struct cache_segment *find_segment(struct cache_writer *w, uint32_t id)
{
	for (size_t i = w->n_segments; i > 0; i--)
		if (w->segments[i - 1].id == id)
			return &w->segments[i - 1];
	return NULL;
}

static struct cache_segment *add_segment(struct cache_writer *w, uint32_t id)
{
	w->segments = array_grow(
		w->segments, &w->segments_room, w->n_segments + 1, sizeof(*w->segments));
	w->segments[w->n_segments] = (struct cache_segment){.id = id};
	return &w->segments[w->n_segments++];
}

static void waste(struct cache_writer *w, uint32_t segment, uint64_t offset, uint64_t n)
{
	w->waste = array_grow(w->waste, &w->waste_room, w->n_waste + 1, sizeof(*w->waste));
	w->waste[w->n_waste++] = (struct cache_waste){segment, offset, n};
}

/* The rows of its chunks are gone already, or the caller removes them. */
static int drop_segment(struct cache_writer *w, struct cache_segment *s)
{
	uint32_t id = s->id;
	size_t at = (size_t)(s - w->segments);

	w->held -= s->held;
	w->bytes -= s->live;
	if (w->current == id)
		w->current = 0;
	w->n_segments--;
	memmove(s, s + 1, (w->n_segments - at) * sizeof(*s));
	waste(w, id, 0, 0);
	return cache_db_run(cache_db_bind(&w->db, STMT_SEGMENT_DROP, id));
}

/* The segment that has room for n octets more. */
static struct cache_segment *current_segment(struct cache_writer *w, size_t n)
{
	uint64_t max = w->max_bytes / SEGMENTS_MIN;
	struct cache_segment *s = w->current ? find_segment(w, w->current) : NULL;

	if (max > SEGMENT_MAX)
		max = SEGMENT_MAX;
	if (s && (s->size == 0 || s->size + n <= max))
		return s;
	s = add_segment(w, w->next_segment++);
	w->current = s->id;
	return s;
}

static int code_of(int error)
{
	switch (error) {
	case 0:
		return 0;
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return SQLITE_FULL;
	default:
		return SQLITE_IOERR_WRITE;
	}
}

/* --- writing --- */

struct body {
	uint32_t mailbox, uid, chunk;
	uint64_t n;
	uint32_t segment;
	uint64_t offset;
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
			.segment = (uint32_t)sqlite3_column_int64(s, 4),
			.offset = (uint64_t)sqlite3_column_int64(s, 5),
		};
		rc = 0;
	}
	sqlite3_reset(s);
	return rc;
}

static int remove_body(struct cache_writer *w, const struct body *b)
{
	struct cache_segment *s = find_segment(w, b->segment);
	int rc = cache_db_run(
		cache_db_bind(&w->db, STMT_BODY_DELETE, b->mailbox, b->uid, b->chunk));

	if (rc == 0 && sqlite3_changes(w->db.handle) != 1)
		return SQLITE_CORRUPT; /* an index that leads nowhere: going on would not end */
	w->untidy = true;
	if (rc != 0 || !s)
		return rc;
	uint64_t n = b->n < s->live ? b->n : s->live;
	s->live -= n;
	w->bytes -= n;
	s->changed = true;
	if (s->live == 0 && s->id != w->current)
		return drop_segment(w, s);
	if (b->n > 0)
		waste(w, s->id, b->offset, b->n);
	return 0;
}

/* Removes the chunk if there is one. */
static int remove_chunk(struct cache_writer *w, const struct cache_job *job)
{
	struct body old = {0};
	int rc = find_body(
		cache_db_bind(&w->db, STMT_BODY_FIND, job->mailbox, job->uid, job->chunk), &old);

	if (rc == 0)
		rc = remove_body(w, &old);
	return rc == SQLITE_DONE ? 0 : rc;
}

static int apply_put_chunk(struct cache_writer *w, struct cache_job *job)
{
	if (!job->data)
		return 0;
	int rc = remove_chunk(w, job);
	if (rc != 0)
		return rc;
	struct cache_segment *s = current_segment(w, job->n);
	rc = code_of(cache_segments_append(w->files, s->id, s->size, job->data, job->n));
	if (rc != 0)
		return rc;
	rc = cache_db_run(cache_db_bind(&w->db, STMT_BODY_PUT, job->mailbox, job->uid, job->chunk,
		(int64_t)job->n,
		(int64_t)chunk_check(job->mailbox, job->uid, job->chunk, job->data, job->n), s->id,
		(int64_t)s->size));
	if (rc != 0)
		return rc;
	s->size += job->n;
	s->held += job->n;
	s->live += job->n;
	s->used = job->used;
	s->changed = true;
	w->held += job->n;
	w->bytes += job->n;
	return 0;
}

static void finish_put_chunk(struct cache_job *job)
{
	job->on_done.chunk(job->ctx);
}

static const struct cache_job_kind put_chunk = {
	.apply = apply_put_chunk, .finish = finish_put_chunk};

/* What is not kept is a job without data, so that on_done is called in its turn. */
void cache_put_chunk(struct cache *c, uint32_t mailbox, uint32_t uid, uint32_t chunk, char *data,
	size_t n, cache_chunk_done *on_done, void *ctx)
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

/* The chunk may have been removed, or put anew, since it was read. */
static int apply_forget_spoilt(struct cache_writer *w, struct cache_job *job)
{
	struct body b = {0};
	int rc = find_body(
		cache_db_bind(&w->db, STMT_BODY_FIND, job->mailbox, job->uid, job->chunk), &b);

	if (rc != 0)
		return rc == SQLITE_DONE ? 0 : rc;
	const struct cache_want *want = job->data;
	if (b.segment != want->segment || b.offset != want->offset)
		return 0;
	if (!w->spoilt_told)
		log_warning("cache: %s: bytes of message %u are damaged; what is found damaged is "
			    "fetched again",
			w->name, job->uid);
	w->spoilt_told = true;
	return remove_body(w, &b);
}

static const struct cache_job_kind forget_spoilt_chunk = {.apply = apply_forget_spoilt};

static void forget_spoilt(struct cache *c, uint32_t mailbox, const struct cache_want *want)
{
	struct cache_job *job = cache_jobs_new(&forget_spoilt_chunk, mailbox);

	job->uid = want->uid;
	job->chunk = want->chunk;
	job->data = mem_copy(want, sizeof(*want));
	cache_jobs_add(c, job);
}

void cache_bodies_use(struct cache_writer *w, const struct cache_use *uses, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct cache_segment *s = find_segment(w, uses[i].segment);
		if (s && s->used < uses[i].used) {
			s->used = uses[i].used;
			s->changed = true;
		}
	}
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

int cache_bodies_drop_sections(struct cache_writer *w, uint32_t mailbox, uint32_t uid)
{
	struct body b = {0};
	int rc;

	do {
		rc = find_body(cache_db_bind(&w->db, STMT_BODY_OF_SECTIONS, mailbox, uid,
				       2 * (int64_t)CACHE_SECTION_CHUNKS),
			&b);
		if (rc == 0)
			rc = remove_body(w, &b);
	} while (rc == 0);
	return rc == SQLITE_DONE ? 0 : rc;
}

/* --- the end of a run --- */

int cache_bodies_save(struct cache_writer *w)
{
	for (size_t i = 0; i < w->n_segments; i++) {
		struct cache_segment *s = &w->segments[i];
		if (!s->changed)
			continue;
		int rc = cache_db_run(cache_db_bind(&w->db, STMT_SEGMENT_PUT, s->id,
			(int64_t)s->size, (int64_t)s->live, (int64_t)s->used));
		if (rc != 0)
			return rc;
	}
	return 0;
}

/* What the disk got back counts, not what was asked for. */
static void weigh(struct cache_writer *w, uint32_t id)
{
	struct cache_segment *s = find_segment(w, id);
	uint64_t held;

	if (!s || cache_segments_held(w->files, id, &held) != 0)
		return;
	w->held = w->held - s->held + held;
	s->held = held;
}

void cache_bodies_committed(struct cache_writer *w)
{
	for (size_t i = 0; i < w->n_segments; i++)
		w->segments[i].changed = false;
	for (size_t i = 0; i < w->n_waste; i++) {
		const struct cache_waste *x = &w->waste[i];
		if (x->n == 0) {
			cache_segments_remove(w->files, x->segment);
		} else if (find_segment(w, x->segment)) {
			cache_segments_punch(w->files, x->segment, x->offset, x->n);
			weigh(w, x->segment);
		}
	}
	w->n_waste = 0;
	w->first_new = w->next_segment;
}

/* Reads what the database knows of the segments. */
static int load_segments(struct cache_writer *w)
{
	sqlite3_stmt *q = w->db.stmts[STMT_SEGMENT_ALL];
	int rc;

	w->n_segments = 0;
	w->bytes = w->held = 0;
	w->current = 0;
	while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
		struct cache_segment *s = add_segment(w, (uint32_t)sqlite3_column_int64(q, 0));
		s->size = (uint64_t)sqlite3_column_int64(q, 1);
		s->live = (uint64_t)sqlite3_column_int64(q, 2);
		s->used = (uint64_t)sqlite3_column_int64(q, 3);
		w->bytes += s->live;
	}
	sqlite3_reset(q);
	for (size_t i = 0; i < w->n_segments; i++)
		weigh(w, w->segments[i].id);
	return rc == SQLITE_DONE ? 0 : rc;
}

void cache_bodies_rolled_back(struct cache_writer *w)
{
	w->n_waste = 0;
	for (uint32_t id = w->first_new; id < w->next_segment; id++)
		cache_segments_remove(w->files, id);
	w->first_new = w->next_segment;
	/* Where it cannot be read either, nothing can be written. */
	load_segments(w);
}

/* --- keeping within the bound --- */

/* What the facts leave. */
static uint64_t bodies_bound(const struct cache_writer *w)
{
	return w->facts < w->max_bytes ? w->max_bytes - w->facts : 0;
}

bool cache_bodies_over(const struct cache_writer *w)
{
	return w->held > bodies_bound(w);
}

/* The one that was unused longest. */
static struct cache_segment *oldest_segment(struct cache_writer *w)
{
	struct cache_segment *oldest = NULL;

	for (size_t i = 0; i < w->n_segments; i++)
		if (!oldest || w->segments[i].used < oldest->used)
			oldest = &w->segments[i];
	return oldest;
}

static int evict_segment(struct cache_writer *w, struct cache_segment *s)
{
	int rc = cache_db_run(cache_db_bind(&w->db, STMT_BODY_DROP_SEGMENT, s->id));

	w->untidy = true;
	return rc == 0 ? drop_segment(w, s) : rc;
}

/* Down to 95 % of the bound, so that it is not done one by one for ever; and not at once, when the
 * bound was lowered by gigabytes. */
int cache_bodies_evict(struct cache_writer *w, uint64_t put)
{
	uint64_t low = bodies_bound(w) - bodies_bound(w) / 20;
	uint64_t step = EVICT_STEP + put, evicted = 0;
	int rc = 0;

	w->evicting = w->evicting || cache_bodies_over(w);
	while (rc == 0 && w->evicting && evicted < step) {
		struct cache_segment *s = oldest_segment(w);
		w->evicting = s && w->held > low;
		if (w->evicting) {
			evicted += s->held;
			rc = evict_segment(w, s);
		}
	}
	return rc;
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

/* --- opening --- */

static bool is_known_segment(void *ctx, uint32_t id)
{
	return find_segment(ctx, id) != NULL;
}

/* Segments whose files are gone, and what they held, are forgotten. */
static int forget_lost(struct cache_writer *w)
{
	size_t lost = 0;
	int rc = 0;

	for (size_t i = w->n_segments; i > 0 && rc == 0; i--) {
		uint64_t held;
		if (cache_segments_held(w->files, w->segments[i - 1].id, &held) == 0)
			continue;
		lost++;
		rc = drop_segment(w, &w->segments[i - 1]);
	}
	if (lost == 0 || rc != 0)
		return rc;
	log_warning("cache: %s: %zu of its files are gone; what they held is fetched again",
		w->name, lost);
	return cache_db_run(w->db.stmts[STMT_BODY_DROP_LOST]);
}

int cache_bodies_open(struct cache *c)
{
	struct cache_writer *w = &c->writer;
	int rc = load_segments(w);

	w->next_segment = 1;
	if (rc == 0)
		rc = forget_lost(w);
	for (size_t i = 0; i < w->n_segments; i++) {
		const struct cache_segment *s = &w->segments[i];
		if (s->used > c->tape)
			c->tape = s->used;
		/* The newest is gone on with. */
		w->current = s->id;
		w->next_segment = s->id + 1;
	}
	w->first_new = w->next_segment;
	w->n_waste = 0;
	cache_segments_sweep(w->files, is_known_segment, w);
	c->bytes = w->bytes;
	w->untidy = true;
	return rc;
}

void cache_bodies_close(struct cache *c)
{
	struct cache_writer *w = &c->writer;

	cache_segments_destroy(w->files);
	free(w->segments);
	free(w->waste);
	w->files = NULL;
	w->segments = NULL;
	w->waste = NULL;
	w->n_segments = w->segments_room = w->n_waste = w->waste_room = 0;
}
