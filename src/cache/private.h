/* SPDX-License-Identifier: MIT */
/*
 * What the files of cache/ know of each other.
 *
 * Who may touch what: struct cache_writer belongs to the thread of a run (jobs.c) while one is in
 * progress, and to the loop otherwise; reader_db to the reader's thread (read.c), once it is
 * started; loader to the thread of a load (load.c) while one is in progress. All else of struct
 * cache belongs to the loop. libuv's work queue orders these, and the reader has a lock of its own.
 */
#ifndef CACHE_PRIVATE_H
#define CACHE_PRIVATE_H

#include <sqlite3.h>

#include "base/list.h"
#include "base/map.h"
#include "cache/cache.h"
#include "cache/segments.h"

/* --- files (dir.c) --- */

struct cache_dir {
	char *path; /* resolved and absolute */
	int fd;
	int lock;         /* holds the flock, and our PID; -1: a private directory */
	int ids;          /* the counter's file; -1: a private directory */
	uint32_t next_id; /* the next to give out; 0: the counter was unreadable */
	uint32_t end_id;  /* the first that is not reserved in the file */
	uint32_t block;   /* how many to reserve next */
	bool ids_failed;  /* it was said that the counter cannot be written */
	bool made;        /* the directory was not there before */
	bool unwanted;    /* remove it when it is closed */
	bool emptied;     /* the same of all but the counter and the lock */
};

enum cache_dir_result { CACHE_DIR_OK, CACHE_DIR_LOCKED, CACHE_DIR_UNUSABLE };

/* Makes, checks and locks, for which it waits some seconds. error is filled unless CACHE_DIR_OK. */
enum cache_dir_result cache_dir_open(
	struct cache_dir *d, const char *path, char *error, size_t size);
/* A descriptor of the lock's file of the directory, to be closed; it shares the lock with others that look
 * unless somebody has it alone, whose number *owner then is (0: not known). -1: there is none, so no cache
 * either. */
int cache_dir_try_share(int dir, bool *in_use, unsigned *owner);
/* Removes what SQLite leaves beside a database that was only read; with the shared lock. */
void cache_dir_tidy(int dir);
/* A new directory, in memory where possible, for this process alone. */
enum cache_dir_result cache_dir_open_private(struct cache_dir *d, char *error, size_t size);
/* Takes the names of a private directory away; what is open stays usable, and nothing is left
 * behind however the process ends. */
void cache_dir_hide(struct cache_dir *d);
void cache_dir_close(struct cache_dir *d);

/* Makes cache.db when there is none, and it 0600. False with errno set. */
bool cache_dir_prepare_db(struct cache_dir *d);
/* Remembers, for the next open, that the database is damaged. */
void cache_dir_mark_damaged(struct cache_dir *d);
bool cache_dir_is_marked(struct cache_dir *d);
/* Renames cache.db to cache.db.damaged. False with errno set. */
bool cache_dir_set_aside(struct cache_dir *d);
/* Whether the database knows of mailboxes that are kept is remembered beside it: who relies on them has to
 * hear when it is lost. False with errno set. */
bool cache_dir_put_keeps(struct cache_dir *d, bool keeps);
bool cache_dir_keeps(const struct cache_dir *d);
/* An empty cache.db.new. False with errno set. */
bool cache_dir_prepare_new(struct cache_dir *d);
/* Puts what was made as cache.db.new in the place of cache.db. False with errno set. */
bool cache_dir_replace_db(struct cache_dir *d);
/* The directory of the segments, made when it is not there; -1 with errno set. */
int cache_dir_segments(struct cache_dir *d);
/* Removes cache.db. False with errno set. */
bool cache_dir_remove_db(struct cache_dir *d);

/* Once after opening, before the first id: those below at_least are in use. */
void cache_dir_raise_id(struct cache_dir *d, uint32_t at_least);
uint32_t cache_dir_new_id(struct cache_dir *d);

/* --- one connection (db.c) --- */

enum cache_stmt {
	STMT_BEGIN,
	STMT_COMMIT,
	STMT_ROLLBACK,
	STMT_MAILBOX_ALL,
	STMT_MAILBOX_PUT,
	STMT_MAILBOX_DROP,
	STMT_MESSAGES_GET,
	STMT_MESSAGES_PUT,
	STMT_MESSAGES_DELETE,
	STMT_MESSAGES_DROP,
	STMT_MESSAGES_LOAD,
	STMT_FLAGS_GET,
	STMT_FLAGS_PUT,
	STMT_FLAGS_DROP,
	STMT_FACTS_LENGTH,
	STMT_FACTS_PUT,
	STMT_FACTS_DROP,
	STMT_FACTS_DROP_KIND,
	STMT_FACTS_LOAD,
	STMT_FACTS_SUM,
	STMT_FACTS_OLDEST,
	STMT_FACTS_TOTAL_ADD,
	STMT_FACTS_TOTAL_USE,
	STMT_FACTS_TOTAL_DROP,
	STMT_GIVEN_ALL,
	STMT_GIVEN_PUT,
	STMT_GIVEN_DROP,
	STMT_GIVEN_DROP_ALL,
	STMT_VIEW_ALL,
	STMT_VIEW_PUT,
	STMT_VIEW_DROP_ALL,
	STMT_JOURNAL_ALL,
	STMT_JOURNAL_PUT,
	STMT_JOURNAL_DROP,
	STMT_DOOMED_ALL,
	STMT_DOOMED_PUT,
	STMT_DOOMED_DROP,
	STMT_BODY_GET,
	STMT_BODY_PUT,
	STMT_BODY_DELETE,
	STMT_BODY_FIND,
	STMT_BODY_OF_MAILBOX,
	STMT_BODY_OF_MESSAGE,
	STMT_BODY_OF_SECTIONS,
	STMT_BODY_HELD,
	STMT_BODY_KEPT_IN,
	STMT_BODY_DROP_SEGMENT,
	STMT_BODY_DROP_LOST,
	STMT_KEPT_ALL,
	STMT_KEPT_PUT,
	STMT_KEPT_DROP,
	STMT_KEPT_SEGMENTS,
	STMT_SEGMENT_ALL,
	STMT_SEGMENT_PUT,
	STMT_SEGMENT_DROP,
	STMT_NOTE_GET,
	STMT_NOTE_PUT,
	STMT_HIGHEST_ID,
	STMT_PAGES,
	STMT_FREE_PAGES,
	STMT_VACUUM,
	STMT_COUNT
};

#define CACHE_PAGE_SIZE 16384

struct cache_db {
	sqlite3 *handle;
	sqlite3_stmt *stmts[STMT_COUNT];
};

/* Beside SQLite's codes: the schema is of an older version of ours. */
#define CACHE_DB_OLD (SQLITE_MISMATCH | 1 << 8)

/* Both return SQLite's code (SQLITE_MISMATCH: the schema is not ours, or of a newer version) or
 * CACHE_DB_OLD. After a failure cache_db_close is still due. A new database is given the account's
 * name. */
int cache_db_open_writer(struct cache_db *db, const char *path, const char *account);
/* Makes a new database at `path` that knows what the older one at `old` knows, except bodies. 0 or
 * SQLite's code; nothing is open afterwards. */
int cache_db_carry_over(const char *path, const char *old);
int cache_db_open_reader(struct cache_db *db, const char *path);
/* The same, without the statements, for who looks from outside: it waits for others who do. */
int cache_db_open_look(struct cache_db *db, const char *path);
/* Whose mail it holds, malloc'ed; NULL unless 0 is returned. */
int cache_db_account(struct cache_db *db, char **account);
void cache_db_close(struct cache_db *db);

/* The statement with numbers bound to ?1, ?2 ... */
sqlite3_stmt *cache_db_bind_numbers(
	struct cache_db *db, enum cache_stmt id, const int64_t *values, size_t n);
#define cache_db_bind(db, id, ...)                                                                 \
	cache_db_bind_numbers((db), (id), (const int64_t[]){__VA_ARGS__},                          \
		sizeof((const int64_t[]){__VA_ARGS__}) / sizeof(int64_t))
/* Runs a statement that gives no rows; 0 or SQLite's code. */
int cache_db_run(sqlite3_stmt *s);
/* Reads one number: 0, or SQLite's code. NULL and no row are 0. */
int cache_db_number(sqlite3_stmt *s, int64_t *value);

bool cache_db_is_damage(int code);
/* A check sum that finds what SQLite cannot: damage inside of a row. */
uint64_t cache_db_check(uint64_t seed, const void *octets, size_t n);

/* --- the writer and its jobs (jobs.c) --- */

/* A file of bodies, see segments.h. */
struct cache_segment {
	uint32_t id;
	uint64_t size; /* octets appended so far */
	uint64_t held; /* of the disk */
	uint64_t live; /* of chunks that the database knows */
	uint64_t kept; /* of those, of messages in mailboxes that are kept */
	uint64_t used; /* position on the tape of its last use, see struct cache */
	bool changed;  /* to be written by the end of the run */
};

/* What to do with segments when the transaction is committed. */
struct cache_waste {
	uint32_t segment;
	uint64_t offset, n; /* n 0: the whole file */
};

struct cache_writer {
	struct cache_db db;
	const char *name; /* for messages */
	struct cache_segments *files;
	struct cache_segment *segments; /* by id */
	size_t n_segments, segments_room;
	uint32_t current;      /* that is appended to; 0: the next chunk begins one */
	uint32_t current_kept; /* the same for messages in mailboxes that are kept */
	struct map kept;       /* those mailboxes */
	struct cache_dir *dir;
	bool kept_lost; /* others were, in a database that is lost, and nobody has kept any since */
	bool no_room;   /* the last write failed since the disk is full */
	uint32_t next_segment;
	uint32_t first_new; /* ids from here on were made by this run */
	struct cache_waste *waste;
	size_t n_waste, waste_room;
	uint64_t bytes; /* of all bodies */
	uint64_t facts; /* octets of all facts */
	uint64_t max_bytes;
	int wal_pages;     /* in the log after the last commit */
	bool evicting;     /* what is not kept was over max_bytes and is not yet well below */
	bool spoilt_told;  /* the log has it that a chunk was damaged */
	bool untidy;       /* there may be something to do for cache_tidy */
	bool vacuuming;    /* giving space back, until little is left to give */
	bool more;         /* a run without jobs has something to do */
	struct map frozen; /* mailboxes of which a write failed, see cache_jobs_frozen */
	uint32_t logged;   /* bit n: failures of SQLite's primary code n were reported */
};

struct cache_job;

struct cache_job_kind {
	/* In the worker, inside a transaction; 0 or SQLite's code. */
	int (*apply)(struct cache_writer *w, struct cache_job *job);
	/* In the loop, job->err is set; calls back, if there is anybody to call. NULL: nobody. */
	void (*finish)(struct cache_job *job);
	bool metadata; /* changes what is known of a mailbox */
	bool load;     /* somebody waits for its answer: it ends a run; canceled by closing */
	bool durable;  /* alone in a run, and on the disk when it ends; somebody waits for that */
};

struct cache_job {
	struct list node;
	const struct cache_job_kind *kind;
	size_t octets; /* that it holds in memory */
	size_t cost;   /* about the octets that it writes */
	int err;       /* 0 or enum error */
	uint32_t mailbox, uid, chunk;
	uint64_t used;            /* of a chunk */
	struct cache_mailbox row; /* name lies in data */
	void *data;               /* owned: messages, UIDs, the chunk's octets, the name */
	size_t n;                 /* elements of data */
	size_t room;              /* for so many, where more may be added */
	bool found;               /* of a load: there was a row */
	union {
		cache_flags_done *flags;
		cache_chunk_done *chunk;
		cache_facts_done *facts;
		cache_held_done *held;
		cache_journal_done *journal;
		cache_keep_done *keep;
		cache_messages_done *messages;
	} on_done;
	void *ctx;
};

/* A use of a segment that the writer does not know of yet. */
struct cache_use {
	uint32_t segment;
	uint64_t used;
};

struct cache_run;
struct cache_load;

struct cache {
	uv_loop_t *loop;
	struct cache_dir dir;
	bool on_disk;
	char *account; /* whose mail the database holds */

	struct cache_db reader_db; /* the reader's */
	struct cache_reader *reader;
	bool ceased; /* damage was found: nothing is read or written any more */
	bool reader_logged;
	uint64_t hits, misses;
	struct map dropped; /* mailboxes; nothing is kept for them any more */
	/* How recently a segment was used is a position on the tape of all octets ever put: reading
	 * moves it to the end. Time would not do, it says nothing about what has to go. */
	uint64_t tape;
	struct cache_use *uses; /* CACHE_USES_MAX, one a segment, to be noted by the next run */
	size_t n_uses;

	struct cache_writer writer;
	struct list queue;
	size_t queued;  /* octets of the jobs in the queue and in the run */
	size_t awaited; /* jobs there that somebody waits for */
	uint64_t bytes; /* as of the last run, as are kept, kept_lost and no_room */
	uint64_t kept;
	bool kept_lost;
	bool no_room;
	bool running; /* run is in libuv's hands */
	bool closing;
	bool ending; /* no house-keeping begins any more */
	uv_timer_t *
		gather; /* when what is queued is begun, unless somebody waits for it; NULL: at once */
	uint64_t gather_time; /* milliseconds */
	struct cache_run *run;

	struct cache_db loader; /* the connection of the load that runs */
	struct list loads;      /* that wait */
	struct cache_load *load;
};

/* --- reading single chunks (read.c) --- */

struct cache_reader *cache_reader_start(struct cache_db *db, struct cache_segments *files);
/* Waits for the read that is under way. NULL is fine. */
void cache_reader_stop(struct cache_reader *r);
/* Reads a chunk as cache_bodies_read does; false when that would take long. */
bool cache_reader_try(struct cache_reader *r, uint32_t mailbox, struct cache_want *want, int *rc);

/* --- loading (load.c) --- */

/* Ends all loads; before cache_jobs_finish. */
void cache_loads_finish(struct cache *c);

/* --- the queue of jobs (jobs.c) --- */

void cache_jobs_init(struct cache *c);
/* Runs what is queued in this thread, and calls back. */
void cache_jobs_finish(struct cache *c);
struct cache_job *cache_jobs_new(const struct cache_job_kind *kind, uint32_t mailbox);
/* Takes ownership. */
void cache_jobs_add(struct cache *c, struct cache_job *job);
/* Starts a run when there is none. */
void cache_jobs_start(struct cache *c);
/*
 * After a failed write the rows of a mailbox are what they were before: true then, and consistent.
 * A later write on top would make them neither (a new HIGHESTMODSEQ without the expunges before
 * it), so for the rest of the process they stay as they are.
 */
bool cache_jobs_frozen(const struct cache_writer *w, uint32_t mailbox);
/* Does the step in one transaction together with what it means for the files; all or nothing. The caller has
 * the writer for itself. SQLite's code. */
typedef int cache_step(struct cache_writer *w, void *ctx);
int cache_jobs_transact(struct cache_writer *w, cache_step *step, void *ctx);

/* --- the cache itself (cache.c) --- */

/* cache_open; alone: only the cache in options->dir will do, now, and there need be no loop where
 * nothing is gathered. */
struct cache *cache_open_as(
	uv_loop_t *loop, const struct cache_options *options, bool alone, char *error, size_t size);

/* Damage: no use of the database from now on. */
void cache_cease(struct cache *c, int code);

/* --- the small tables (rows.c) --- */

/* Reads mailboxes and journal once. 0 or SQLite's code. */
int cache_rows_verify(struct cache_db *db);
/* Puts the mailboxes that are being dropped into m. */
int cache_rows_doomed(struct cache_db *db, struct map *m);

/* --- facts (facts.c) --- */

/* Counts those that are not of kept mailboxes. 0 or SQLite's code. */
int cache_facts_count(struct cache_writer *w);
int cache_facts_drop_message(struct cache_writer *w, uint32_t mailbox, uint32_t uid);
int cache_facts_drop_mailbox(struct cache_writer *w, uint32_t mailbox);

/* --- bodies (bodies.c) --- */

#define CACHE_USES_MAX 256u

/* Opens the files, and forgets what is lost. 0 or SQLite's code. */
int cache_bodies_open(struct cache *c);
void cache_bodies_close(struct cache *c);
/* Fills want but for uid and chunk; 0, SQLITE_DONE when it is not there, or SQLite's code. In any
 * thread. */
int cache_bodies_read(struct cache_db *db, struct cache_segments *files, uint32_t mailbox,
	struct cache_want *want);
/* In the loop: what a read found, or did not find where it should be. */
void cache_bodies_note_read(struct cache *c, uint32_t mailbox, const struct cache_want *want);
/* rc: of a read; SQLITE_DONE is none. */
void cache_bodies_note_failure(struct cache *c, int rc);
/* Steps of a run, inside the transaction. */
void cache_bodies_use(struct cache_writer *w, const struct cache_use *uses, size_t n);
/* Writes what is known of the segments; the last step. */
int cache_bodies_save(struct cache_writer *w);
/* The transaction was committed, or rolled back. */
void cache_bodies_committed(struct cache_writer *w);
void cache_bodies_rolled_back(struct cache_writer *w);
int cache_bodies_drop_message(struct cache_writer *w, uint32_t mailbox, uint32_t uid);
/* Chunks of all its sections but the first. */
int cache_bodies_drop_sections(struct cache_writer *w, uint32_t mailbox, uint32_t uid);
/* Bodies of one dropped mailbox, a few. SQLITE_DONE: no mailbox is being dropped. */
int cache_bodies_drop_doomed(struct cache_writer *w);

/* --- what bodies.c offers kept.c and evict.c, inside the transaction --- */

/* Where a chunk is. */
struct cache_body {
	uint32_t mailbox, uid, chunk;
	uint64_t n;
	uint32_t segment;
	uint64_t offset;
};

/* NULL: there is none. Valid until one is added or dropped. */
struct cache_segment *cache_bodies_segment(struct cache_writer *w, uint32_t id);
/* The rows of its chunks are gone already, or the caller removes them. */
int cache_bodies_drop_segment(struct cache_writer *w, struct cache_segment *s);
/* The columns mailbox, uid, chunk, n, segment, offset of a row. */
struct cache_body cache_bodies_column(sqlite3_stmt *s);
/* Moves a chunk to the segment that its mailbox's are appended to, or removes it where its octets are
 * damaged. *moved grows by its octets. */
int cache_bodies_move(
	struct cache_writer *w, const struct cache_body *b, uint64_t used, uint64_t *moved);

/* --- mailboxes that are kept (kept.c) --- */

/* Whether a chunk is one that nothing evicts: of a message, not of a section. */
bool cache_kept_is(const struct cache_writer *w, uint32_t mailbox, uint32_t chunk);
/* Reads which they are, and what the segments hold of them. 0 or SQLite's code. */
int cache_kept_load(struct cache_writer *w);
/* Once after opening. */
void cache_kept_open(struct cache_writer *w);
/* What was begun since it was read came to nothing. */
void cache_kept_rolled_back(struct cache_writer *w);
/* The mailbox is, or is no more. */
int cache_kept_set(struct cache_writer *w, uint32_t mailbox, enum cache_keep keep);
uint64_t cache_kept_octets(const struct cache_writer *w);

/* --- keeping within the bound (evict.c) --- */

/* Evicts when over the bound; put is what this run wrote. */
int cache_evict(struct cache_writer *w, uint64_t put);
/* A little of what can wait: bodies of dropped mailboxes, space to be given back. Clears untidy
 * when there is nothing. */
int cache_tidy(struct cache_writer *w);
bool cache_is_over(const struct cache_writer *w);

#endif
