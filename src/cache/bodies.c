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
/* Bodies of a dropped mailbox that one run removes. */
#define TIDY_STEP 256
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

/* Where the chunk is, and its octets' number and sum. 0, SQLITE_DONE, or SQLite's code. */
static int find_place(
	struct cache_db *db, uint32_t mailbox, struct cache_want *want, uint64_t *n, uint64_t *sum)
{
	sqlite3_stmt *s = cache_db_bind(db, STMT_BODY_GET, mailbox, want->uid, want->chunk);
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW) {
		*n = (uint64_t)sqlite3_column_int64(s, 0);
		*sum = (uint64_t)sqlite3_column_int64(s, 1);
		want->segment = (uint32_t)sqlite3_column_int64(s, 2);
		want->offset = (uint64_t)sqlite3_column_int64(s, 3);
		rc = *n > CACHE_CHUNK ? SQLITE_CORRUPT : 0;
	}
	sqlite3_reset(s);
	return rc;
}

/* One of a kept mailbox may be moved between the look at the database and that at the file: then it is
 * where the database says now. */
int cache_bodies_read(struct cache_db *db, struct cache_segments *files, uint32_t mailbox,
	struct cache_want *want)
{
	uint64_t n = 0, sum = 0;
	int rc = find_place(db, mailbox, want, &n, &sum);

	while (rc == 0) {
		uint32_t segment = want->segment;
		uint64_t offset = want->offset;
		read_octets(files, mailbox, n, sum, want);
		if (!want->spoilt)
			return 0;
		rc = find_place(db, mailbox, want, &n, &sum);
		if (rc == 0 && want->segment == segment && want->offset == offset)
			return SQLITE_DONE;
	}
	want->spoilt = false;
	return rc;
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

struct cache_segment *cache_bodies_segment(struct cache_writer *w, uint32_t id)
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

int cache_bodies_drop_segment(struct cache_writer *w, struct cache_segment *s)
{
	uint32_t id = s->id;
	size_t at = (size_t)(s - w->segments);

	w->bytes -= s->live;
	if (w->current == id)
		w->current = 0;
	if (w->current_kept == id)
		w->current_kept = 0;
	w->n_segments--;
	memmove(s, s + 1, (w->n_segments - at) * sizeof(*s));
	waste(w, id, 0, 0);
	return cache_db_run(cache_db_bind(&w->db, STMT_SEGMENT_DROP, id));
}

/* The segment that has room for n octets more. Kept mail has segments of its own, which nothing evicts,
 * so they need not be small. */
static struct cache_segment *current_segment(struct cache_writer *w, size_t n, bool kept)
{
	uint64_t max = kept ? SEGMENT_MAX : w->max_bytes / SEGMENTS_MIN;
	uint32_t *current = kept ? &w->current_kept : &w->current;
	struct cache_segment *s = *current ? cache_bodies_segment(w, *current) : NULL;

	if (max > SEGMENT_MAX)
		max = SEGMENT_MAX;
	if (s && (s->size == 0 || s->size + n <= max))
		return s;
	s = add_segment(w, w->next_segment++);
	*current = s->id;
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

struct cache_body cache_bodies_column(sqlite3_stmt *s)
{
	return (struct cache_body){
		.mailbox = (uint32_t)sqlite3_column_int64(s, 0),
		.uid = (uint32_t)sqlite3_column_int64(s, 1),
		.chunk = (uint32_t)sqlite3_column_int64(s, 2),
		.n = (uint64_t)sqlite3_column_int64(s, 3),
		.segment = (uint32_t)sqlite3_column_int64(s, 4),
		.offset = (uint64_t)sqlite3_column_int64(s, 5),
	};
}

/* Runs a statement that finds at most one body. SQLITE_DONE: there is none. */
static int find_body(sqlite3_stmt *s, struct cache_body *b)
{
	int rc = sqlite3_step(s);

	if (rc == SQLITE_ROW) {
		*b = cache_bodies_column(s);
		rc = 0;
	}
	sqlite3_reset(s);
	return rc;
}

static int remove_body(struct cache_writer *w, const struct cache_body *b)
{
	struct cache_segment *s = cache_bodies_segment(w, b->segment);
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
	if (s->kept > 0 && cache_kept_is(w, b->mailbox, b->chunk))
		s->kept -= b->n < s->kept ? b->n : s->kept;
	s->changed = true;
	if (s->live == 0 && s->id != w->current && s->id != w->current_kept)
		return cache_bodies_drop_segment(w, s);
	if (b->n > 0)
		waste(w, s->id, b->offset, b->n);
	return 0;
}

/* Removes the chunk if there is one. */
static int remove_chunk(struct cache_writer *w, const struct cache_job *job)
{
	struct cache_body old = {0};
	int rc = find_body(
		cache_db_bind(&w->db, STMT_BODY_FIND, job->mailbox, job->uid, job->chunk), &old);

	if (rc == 0)
		rc = remove_body(w, &old);
	return rc == SQLITE_DONE ? 0 : rc;
}

/* Where octets of a chunk are put: behind all others of its kind. */
static int append(struct cache_writer *w, struct cache_body *b, const char *octets)
{
	const struct cache_segment *s = current_segment(
		w, b->n, cache_kept_is(w, b->mailbox, b->chunk));

	b->segment = s->id;
	b->offset = s->size;
	return code_of(cache_segments_append(w->files, s->id, s->size, octets, b->n));
}

/* The database is told where that is. */
static int insert_body(
	struct cache_writer *w, const struct cache_body *b, const char *octets, uint64_t used)
{
	struct cache_segment *s = cache_bodies_segment(w, b->segment);
	int rc = cache_db_run(cache_db_bind(&w->db, STMT_BODY_PUT, b->mailbox, b->uid, b->chunk,
		(int64_t)b->n, (int64_t)chunk_check(b->mailbox, b->uid, b->chunk, octets, b->n),
		b->segment, (int64_t)b->offset));

	if (rc != 0)
		return rc;
	s->size += b->n;
	s->held += b->n;
	s->live += b->n;
	if (cache_kept_is(w, b->mailbox, b->chunk))
		s->kept += b->n;
	if (s->used < used)
		s->used = used;
	s->changed = true;
	w->bytes += b->n;
	return 0;
}

static int apply_put_chunk(struct cache_writer *w, struct cache_job *job)
{
	struct cache_body b = {
		.mailbox = job->mailbox, .uid = job->uid, .chunk = job->chunk, .n = job->n};

	if (!job->data)
		return 0;
	int rc = remove_chunk(w, job);
	if (rc == 0)
		rc = append(w, &b, job->data);
	return rc == 0 ? insert_body(w, &b, job->data, job->used) : rc;
}

int cache_bodies_move(
	struct cache_writer *w, const struct cache_body *b, uint64_t used, uint64_t *moved)
{
	struct cache_want want = {.uid = b->uid, .chunk = b->chunk};
	struct cache_body new = *b;
	int rc = cache_bodies_read(&w->db, w->files, b->mailbox, &want);

	*moved += b->n;
	if (rc == SQLITE_DONE)
		return want.spoilt ? remove_body(w, b) : 0;
	/* Its octets first, so that a full disk leaves it where it is. */
	if (rc == 0)
		rc = append(w, &new, want.data);
	if (rc == 0)
		rc = remove_body(w, b);
	if (rc == 0)
		rc = insert_body(w, &new, want.data, used);
	free(want.data);
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
	struct cache_body b = {0};
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
		struct cache_segment *s = cache_bodies_segment(w, uses[i].segment);
		if (s && s->used < uses[i].used) {
			s->used = uses[i].used;
			s->changed = true;
		}
	}
}

int cache_bodies_drop_message(struct cache_writer *w, uint32_t mailbox, uint32_t uid)
{
	struct cache_body b = {0};
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
	struct cache_body b = {0};
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
	struct cache_segment *s = cache_bodies_segment(w, id);
	uint64_t held;

	if (!s || cache_segments_held(w->files, id, &held) != 0)
		return;
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
		} else if (cache_bodies_segment(w, x->segment)) {
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
	w->bytes = 0;
	w->current = w->current_kept = 0;
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
	return rc == SQLITE_DONE ? cache_kept_load(w) : rc;
}

void cache_bodies_rolled_back(struct cache_writer *w)
{
	w->n_waste = 0;
	for (uint32_t id = w->first_new; id < w->next_segment; id++)
		cache_segments_remove(w->files, id);
	w->first_new = w->next_segment;
	/* Where it cannot be read either, nothing can be written. */
	load_segments(w);
	cache_kept_rolled_back(w);
}

int cache_bodies_drop_doomed(struct cache_writer *w)
{
	int64_t mailbox;
	struct cache_body b = {0};
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

/* --- opening --- */

static bool is_known_segment(void *ctx, uint32_t id)
{
	return cache_bodies_segment(ctx, id) != NULL;
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
		rc = cache_bodies_drop_segment(w, &w->segments[i - 1]);
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
		/* The newest of each kind is gone on with. */
		if (s->kept > 0 && s->kept >= s->live)
			w->current_kept = s->id;
		else
			w->current = s->id;
		w->next_segment = s->id + 1;
	}
	w->first_new = w->next_segment;
	w->n_waste = 0;
	cache_segments_sweep(w->files, is_known_segment, w);
	c->bytes = w->bytes;
	if (rc == 0)
		cache_kept_open(w);
	c->kept = cache_kept_octets(w);
	c->kept_lost = w->kept_lost;
	w->untidy = true;
	return rc;
}

void cache_bodies_close(struct cache *c)
{
	struct cache_writer *w = &c->writer;

	cache_segments_destroy(w->files);
	free(w->segments);
	free(w->waste);
	map_finish(&w->kept);
	w->files = NULL;
	w->segments = NULL;
	w->waste = NULL;
	w->n_segments = w->segments_room = w->n_waste = w->waste_room = 0;
}
