/* SPDX-License-Identifier: MIT */
/*
 * The small tables: mailboxes, packed messages, the journal. Each write is a job with an apply
 * function for the worker; the reading functions at the end run before the loop does.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/array.h"
#include "base/mem.h"
#include "cache/private.h"

/* --- mailboxes --- */

static uint64_t mailbox_check(const struct cache_mailbox *m)
{
	const uint64_t fields[] = {m->id, m->list_flags, m->uidvalidity, m->uidnext,
		m->highestmodseq, m->exists, m->complete, m->has_delimiter,
		m->has_delimiter ? (unsigned char)m->delimiter : 0, m->listed,
		(uint64_t)m->changed};

	return cache_db_check(cache_db_check(0, fields, sizeof(fields)), m->name.p, m->name.n);
}

static int apply_put_mailbox(struct cache_writer *w, struct cache_job *job)
{
	const struct cache_mailbox *m = &job->row;

	if (cache_jobs_frozen(w, m->id))
		return 0;
	sqlite3_stmt *s = cache_db_bind(&w->db, STMT_MAILBOX_PUT, m->id, m->list_flags,
		m->uidvalidity, m->uidnext, (int64_t)m->highestmodseq, m->exists, m->complete);
	if (m->has_delimiter)
		sqlite3_bind_int(s, 8, (unsigned char)m->delimiter);
	else
		sqlite3_bind_null(s, 8);
	sqlite3_bind_blob64(s, 9, m->name.p, m->name.n, SQLITE_STATIC);
	sqlite3_bind_int64(s, 10, (int64_t)mailbox_check(m));
	sqlite3_bind_int(s, 11, m->listed);
	sqlite3_bind_int64(s, 12, m->changed);
	return cache_db_run(s);
}

static const struct cache_job_kind put_mailbox = {.apply = apply_put_mailbox, .metadata = true};

void cache_put_mailbox(struct cache *c, const struct cache_mailbox *m)
{
	if (map_get(&c->dropped, m->id))
		return;

	struct cache_job *job = cache_jobs_new(&put_mailbox, m->id);
	job->data = mem_copy(m->name.p, m->name.n);
	job->octets = m->name.n;
	job->row = *m;
	job->row.name.p = job->data;
	cache_jobs_add(c, job);
}

/* --- messages --- */

#define BLOCK_BITS 7
#define BLOCK (1u << BLOCK_BITS)
#define MAILBOX_SHIFT (32 - BLOCK_BITS)

_Static_assert(sizeof(struct cache_message) == 24, "the packed form has no padding");

/* The messages of one row, by the low bits of their UIDs; uid 0 is a free place. */
struct block {
	int64_t id;
	struct cache_message at[BLOCK];
	bool changed;
};

static int64_t block_id(uint32_t mailbox, uint32_t uid)
{
	return (int64_t)mailbox << MAILBOX_SHIFT | uid >> BLOCK_BITS;
}

static int64_t last_block_id(uint32_t mailbox)
{
	return block_id(mailbox, UINT32_MAX);
}

/* The number of messages in a packed row, which ends with its check sum; -1 when it is damaged. */
static ptrdiff_t packed_count(int64_t id, const char *packed, size_t octets)
{
	uint64_t sum;

	if (!packed || octets < sizeof(sum))
		return -1;
	octets -= sizeof(sum);
	memcpy(&sum, packed + octets, sizeof(sum));
	size_t n = octets / sizeof(struct cache_message);
	if (n > BLOCK || octets % sizeof(struct cache_message) ||
		sum != cache_db_check((uint64_t)id, packed, octets))
		return -1;
	return (ptrdiff_t)n;
}

static int block_unpack(struct block *b, const char *packed, size_t octets)
{
	ptrdiff_t n = packed_count(b->id, packed, octets);

	for (ptrdiff_t i = 0; i < n; i++) {
		struct cache_message m;

		memcpy(&m, packed + (size_t)i * sizeof(m), sizeof(m));
		b->at[m.uid % BLOCK] = m;
	}
	return n < 0 ? SQLITE_CORRUPT : 0;
}

static int block_read(struct cache_writer *w, struct block *b, int64_t id)
{
	*b = (struct block){.id = id};
	sqlite3_stmt *s = cache_db_bind(&w->db, STMT_MESSAGES_GET, id);
	int rc = sqlite3_step(s);
	if (rc == SQLITE_ROW)
		rc = block_unpack(b, sqlite3_column_blob(s, 0), (size_t)sqlite3_column_bytes(s, 0));
	else if (rc == SQLITE_DONE)
		rc = 0;
	sqlite3_reset(s);
	return rc;
}

static int block_write(struct cache_writer *w, struct block *b)
{
	char packed[sizeof(b->at) + sizeof(uint64_t)];
	size_t n = 0;

	if (!b->changed)
		return 0;
	b->changed = false;
	for (size_t i = 0; i < BLOCK; i++) {
		if (b->at[i].uid) {
			memcpy(packed + n, &b->at[i], sizeof(b->at[i]));
			n += sizeof(b->at[i]);
		}
	}
	if (n == 0)
		return cache_db_run(cache_db_bind(&w->db, STMT_MESSAGES_DELETE, b->id));
	uint64_t sum = cache_db_check((uint64_t)b->id, packed, n);
	memcpy(packed + n, &sum, sizeof(sum));
	sqlite3_stmt *s = cache_db_bind(&w->db, STMT_MESSAGES_PUT, b->id);
	sqlite3_bind_blob64(s, 2, packed, n + sizeof(sum), SQLITE_STATIC);
	return cache_db_run(s);
}

/* Makes b the block that holds the UID, writing the one before. */
static int block_seek(struct cache_writer *w, struct block *b, uint32_t mailbox, uint32_t uid)
{
	int64_t id = block_id(mailbox, uid);

	if (b->id == id)
		return 0;
	int rc = block_write(w, b);
	return rc == 0 ? block_read(w, b, id) : rc;
}

static int apply_put_messages(struct cache_writer *w, struct cache_job *job)
{
	const struct cache_message *messages = job->data;
	struct block b = {.id = -1};
	int rc = 0;

	if (cache_jobs_frozen(w, job->mailbox))
		return 0;
	for (size_t i = 0; i < job->n && rc == 0; i++) {
		rc = block_seek(w, &b, job->mailbox, messages[i].uid);
		b.at[messages[i].uid % BLOCK] = messages[i];
		b.at[messages[i].uid % BLOCK].flags &= CACHE_MESSAGE_FLAGS;
		b.changed = true;
	}
	return rc == 0 ? block_write(w, &b) : rc;
}

static int apply_drop_messages(struct cache_writer *w, struct cache_job *job)
{
	const uint32_t *uids = job->data;
	struct block b = {.id = -1};
	int rc = 0;

	if (cache_jobs_frozen(w, job->mailbox))
		return 0;
	for (size_t i = 0; i < job->n && rc == 0; i++) {
		rc = block_seek(w, &b, job->mailbox, uids[i]);
		b.changed = b.changed || b.at[uids[i] % BLOCK].uid;
		b.at[uids[i] % BLOCK].uid = 0;
		if (rc == 0)
			rc = cache_bodies_drop_message(w, job->mailbox, uids[i]);
		if (rc == 0)
			rc = cache_facts_drop_message(w, job->mailbox, uids[i]);
	}
	return rc == 0 ? block_write(w, &b) : rc;
}

static const struct cache_job_kind put_messages = {.apply = apply_put_messages, .metadata = true};
static const struct cache_job_kind drop_messages = {.apply = apply_drop_messages, .metadata = true};

void cache_put_messages(
	struct cache *c, uint32_t mailbox, const struct cache_message *messages, size_t n)
{
	if (n == 0 || map_get(&c->dropped, mailbox))
		return;

	struct cache_job *job = cache_jobs_new(&put_messages, mailbox);
	job->octets = job->cost = n * sizeof(*messages);
	job->data = mem_copy(messages, job->octets);
	job->n = n;
	cache_jobs_add(c, job);
}

/* UIDs in one job: each may have a body to remove and a run is to be short. */
#define DROP_MAX 1024

/* The last job that waits, if it is one of these and not full. */
static struct cache_job *last_drop(struct cache *c, uint32_t mailbox)
{
	struct cache_job *job = list_entry(c->queue.prev, struct cache_job, node);

	if (list_empty(&c->queue) || job->kind != &drop_messages || job->mailbox != mailbox ||
		job->n == DROP_MAX)
		return NULL;
	return job;
}

void cache_drop_messages(struct cache *c, uint32_t mailbox, const uint32_t *uids, size_t n)
{
	if (map_get(&c->dropped, mailbox))
		return;
	while (n > 0) {
		/* They mostly come one by one. */
		struct cache_job *waiting = last_drop(c, mailbox);
		struct cache_job *job = waiting ? waiting : cache_jobs_new(&drop_messages, mailbox);
		size_t take = DROP_MAX - job->n < n ? DROP_MAX - job->n : n;

		job->data = array_grow(job->data, &job->room, job->n + take, sizeof(*uids));
		memcpy((uint32_t *)job->data + job->n, uids, take * sizeof(*uids));
		job->n += take;
		job->octets += take * sizeof(*uids);
		job->cost += take << 12;
		uids += take;
		n -= take;
		if (waiting)
			c->queued += take * sizeof(*uids);
		else
			cache_jobs_add(c, job);
	}
}

/* Appends the messages of a packed row to those that the job has found so far. */
static int load_block(
	struct cache_job *job, size_t *room, int64_t id, const char *packed, size_t octets)
{
	ptrdiff_t n = packed_count(id, packed, octets);

	if (n < 0)
		return SQLITE_CORRUPT;
	if (n == 0)
		return 0;
	job->data = array_grow(job->data, room, job->n + (size_t)n, sizeof(struct cache_message));
	memcpy((struct cache_message *)job->data + job->n, packed,
		(size_t)n * sizeof(struct cache_message));
	job->n += (size_t)n;
	return 0;
}

static int apply_load(struct cache_writer *w, struct cache_job *job)
{
	size_t room = 0;
	int rc;

	if (cache_jobs_frozen(w, job->mailbox)) {
		job->err = ERR_IO;
		return 0;
	}
	sqlite3_stmt *s = cache_db_bind(
		&w->db, STMT_MESSAGES_LOAD, block_id(job->mailbox, 0), last_block_id(job->mailbox));
	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		rc = load_block(job, &room, sqlite3_column_int64(s, 0), sqlite3_column_blob(s, 1),
			(size_t)sqlite3_column_bytes(s, 1));
		if (rc != 0)
			break;
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : rc;
}

static void finish_load(struct cache_job *job)
{
	struct cache_message *messages = job->data;

	job->data = NULL;
	if (job->err) {
		free(messages);
		job->on_done.messages(job->ctx, job->err, NULL, 0);
	} else {
		job->on_done.messages(job->ctx, 0, messages, job->n);
	}
}

static const struct cache_job_kind load_messages = {
	.apply = apply_load, .finish = finish_load, .load = true};

void cache_load_messages(struct cache *c, uint32_t mailbox, cache_messages_done *on_done, void *ctx)
{
	struct cache_job *job = cache_jobs_new(&load_messages, mailbox);

	job->on_done.messages = on_done;
	job->ctx = ctx;
	cache_jobs_add(c, job);
}

/* --- flags --- */

static uint64_t flags_check(uint32_t mailbox, const struct cache_flags *flags)
{
	return cache_db_check(
		mailbox ^ flags->modseq << 32 ^ flags->modseq >> 32, flags->sets.p, flags->sets.n);
}

static int apply_put_flags(struct cache_writer *w, struct cache_job *job)
{
	const struct cache_flags flags = {job->used, {job->data, job->n}};

	if (cache_jobs_frozen(w, job->mailbox))
		return 0;
	sqlite3_stmt *s = cache_db_bind(&w->db, STMT_FLAGS_PUT, job->mailbox, (int64_t)flags.modseq,
		(int64_t)flags_check(job->mailbox, &flags));
	sqlite3_bind_blob64(s, 4, flags.sets.p, flags.sets.n, SQLITE_STATIC);
	return cache_db_run(s);
}

static const struct cache_job_kind put_flags = {.apply = apply_put_flags, .metadata = true};

void cache_put_flags(struct cache *c, uint32_t mailbox, const struct cache_flags *flags)
{
	if (map_get(&c->dropped, mailbox))
		return;
	struct cache_job *job = cache_jobs_new(&put_flags, mailbox);
	job->used = flags->modseq;
	job->octets = job->n = flags->sets.n;
	job->data = mem_copy(flags->sets.p, flags->sets.n);
	cache_jobs_add(c, job);
}

static int apply_load_flags(struct cache_writer *w, struct cache_job *job)
{
	sqlite3_stmt *s = cache_db_bind(&w->db, STMT_FLAGS_GET, job->mailbox);
	int rc = cache_jobs_frozen(w, job->mailbox) ? SQLITE_DONE : sqlite3_step(s);

	if (rc == SQLITE_ROW) {
		job->used = (uint64_t)sqlite3_column_int64(s, 0);
		job->n = (size_t)sqlite3_column_bytes(s, 1);
		job->data = mem_copy(sqlite3_column_blob(s, 1), job->n);
		job->found = true;
		const struct cache_flags flags = {job->used, {job->data, job->n}};
		rc = (uint64_t)sqlite3_column_int64(s, 2) == flags_check(job->mailbox, &flags)
			     ? 0
			     : SQLITE_CORRUPT;
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : rc;
}

static void finish_load_flags(struct cache_job *job)
{
	const struct cache_flags flags = {job->used, {job->data, job->n}};

	job->on_done.flags(job->ctx, job->found && job->err == 0 ? &flags : NULL);
}

static const struct cache_job_kind load_flags = {
	.apply = apply_load_flags, .finish = finish_load_flags};

void cache_load_flags(struct cache *c, uint32_t mailbox, cache_flags_done *on_done, void *ctx)
{
	struct cache_job *job = cache_jobs_new(&load_flags, mailbox);

	job->on_done.flags = on_done;
	job->ctx = ctx;
	cache_jobs_add(c, job);
}

/* --- dropping a mailbox --- */

static int apply_drop_mailbox(struct cache_writer *w, struct cache_job *job)
{
	uint32_t id = job->mailbox;
	int rc = cache_db_run(cache_db_bind(&w->db, STMT_MAILBOX_DROP, id));

	if (rc == 0)
		rc = cache_db_run(cache_db_bind(
			&w->db, STMT_MESSAGES_DROP, block_id(id, 0), last_block_id(id)));
	if (rc == 0)
		rc = cache_db_run(cache_db_bind(&w->db, STMT_FLAGS_DROP, id));
	if (rc == 0)
		rc = cache_db_run(cache_db_bind(&w->db, STMT_GIVEN_DROP_ALL, id));
	if (rc == 0)
		rc = cache_db_run(cache_db_bind(&w->db, STMT_VIEW_DROP_ALL, id));
	if (rc == 0)
		rc = cache_facts_drop_mailbox(w, id);
	if (rc == 0)
		rc = cache_kept_set(w, id, CACHE_KEEP_NOT);
	if (rc == 0)
		rc = cache_db_run(cache_db_bind(&w->db, STMT_DOOMED_PUT, id));
	w->untidy = true;
	return rc;
}

static const struct cache_job_kind drop_mailbox = {.apply = apply_drop_mailbox, .metadata = true};

void cache_drop_mailbox(struct cache *c, uint32_t id)
{
	if (map_get(&c->dropped, id))
		return;
	map_put(&c->dropped, id, c);
	cache_jobs_add(c, cache_jobs_new(&drop_mailbox, id));
}

void cache_forget_mailbox(struct cache *c, uint32_t id)
{
	map_remove(&c->dropped, id);
}

int cache_rows_doomed(struct cache_db *db, struct map *m)
{
	sqlite3_stmt *s = db->stmts[STMT_DOOMED_ALL];
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW)
		map_put(m, (uint64_t)sqlite3_column_int64(s, 0), m);
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : rc;
}

/* --- the journal --- */

static int apply_put_journal(struct cache_writer *w, struct cache_job *job)
{
	size_t octets = job->n * sizeof(uint32_t);

	if (job->n == 0)
		return cache_db_run(cache_db_bind(&w->db, STMT_JOURNAL_DROP, job->mailbox));
	sqlite3_stmt *s = cache_db_bind(&w->db, STMT_JOURNAL_PUT, job->mailbox,
		(int64_t)cache_db_check(job->mailbox, job->data, octets));
	sqlite3_bind_blob64(s, 3, job->data, octets, SQLITE_STATIC);
	return cache_db_run(s);
}

static void finish_put_journal(struct cache_job *job)
{
	job->on_done.journal(job->ctx, job->err);
}

static const struct cache_job_kind put_journal = {
	.apply = apply_put_journal, .finish = finish_put_journal, .durable = true};

void cache_put_journal(struct cache *c, uint32_t mailbox, const uint32_t *uids, size_t n,
	cache_journal_done *on_done, void *ctx)
{
	struct cache_job *job = cache_jobs_new(&put_journal, mailbox);

	job->octets = n * sizeof(*uids);
	job->data = mem_copy(uids, job->octets);
	job->n = n;
	job->on_done.journal = on_done;
	job->ctx = ctx;
	cache_jobs_add(c, job);
}

/* --- notes --- */

static int apply_put_note(struct cache_writer *w, struct cache_job *job)
{
	return cache_db_run(
		cache_db_bind(&w->db, STMT_NOTE_PUT, (int64_t)job->n, (int64_t)job->used));
}

static const struct cache_job_kind put_note = {.apply = apply_put_note};

void cache_put_note(struct cache *c, enum cache_note note, int64_t value)
{
	struct cache_job *job = cache_jobs_new(&put_note, 0);

	job->n = note;
	job->used = (uint64_t)value;
	cache_jobs_add(c, job);
}

/* --- reading before the loop runs --- */

int64_t cache_get_note(struct cache *c, enum cache_note note)
{
	int64_t value = 0;

	if (!c->ceased)
		cache_db_number(cache_db_bind(&c->reader_db, STMT_NOTE_GET, note), &value);
	return value;
}

static int read_mailbox(sqlite3_stmt *s, struct cache_mailbox *m)
{
	*m = (struct cache_mailbox){
		.id = (uint32_t)sqlite3_column_int64(s, 0),
		.list_flags = (uint32_t)sqlite3_column_int64(s, 1),
		.uidvalidity = (uint32_t)sqlite3_column_int64(s, 2),
		.uidnext = (uint32_t)sqlite3_column_int64(s, 3),
		.highestmodseq = (uint64_t)sqlite3_column_int64(s, 4),
		.exists = (uint32_t)sqlite3_column_int64(s, 5),
		.complete = sqlite3_column_int64(s, 6),
		.has_delimiter = sqlite3_column_type(s, 7) != SQLITE_NULL,
		.delimiter = (char)sqlite3_column_int(s, 7),
		.name = {sqlite3_column_blob(s, 8), (size_t)sqlite3_column_bytes(s, 8)},
		.listed = sqlite3_column_int(s, 10),
		.changed = sqlite3_column_int64(s, 11),
	};
	return (uint64_t)sqlite3_column_int64(s, 9) == mailbox_check(m) ? 0 : SQLITE_CORRUPT;
}

/* f NULL only checks. 0 or SQLite's code. */
static int each_mailbox(struct cache_db *db, cache_mailbox_fn *f, void *ctx)
{
	sqlite3_stmt *s = db->stmts[STMT_MAILBOX_ALL];
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct cache_mailbox m;

		if ((rc = read_mailbox(s, &m)) != 0)
			break;
		if (f)
			f(ctx, &m);
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : rc;
}

static int each_journal(struct cache_db *db, cache_journal_fn *f, void *ctx)
{
	sqlite3_stmt *s = db->stmts[STMT_JOURNAL_ALL];
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		uint32_t mailbox = (uint32_t)sqlite3_column_int64(s, 0);
		size_t octets = (size_t)sqlite3_column_bytes(s, 1);
		uint32_t *uids = (uint32_t *)(void *)mem_copy(sqlite3_column_blob(s, 1), octets);
		uint64_t sum = (uint64_t)sqlite3_column_int64(s, 2);

		rc = sum == cache_db_check(mailbox, uids, octets) ? 0 : SQLITE_CORRUPT;
		if (rc == 0 && f)
			f(ctx, mailbox, uids, octets / sizeof(*uids));
		free(uids);
		if (rc != 0)
			break;
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : rc;
}

int cache_rows_verify(struct cache_db *db)
{
	int rc = each_mailbox(db, NULL, NULL);

	return rc == 0 ? each_journal(db, NULL, NULL) : rc;
}

/* What was opened was verified: a failure here is a disk that broke since. */
void cache_each_mailbox(struct cache *c, cache_mailbox_fn *f, void *ctx)
{
	int rc = c->ceased ? 0 : each_mailbox(&c->reader_db, f, ctx);

	if (cache_db_is_damage(rc))
		cache_cease(c, rc);
}

void cache_each_journal(struct cache *c, cache_journal_fn *f, void *ctx)
{
	int rc = c->ceased ? 0 : each_journal(&c->reader_db, f, ctx);

	if (cache_db_is_damage(rc))
		cache_cease(c, rc);
}
