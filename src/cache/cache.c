/* SPDX-License-Identifier: MIT */
/*
 * Opening and closing: the directory, the two connections, and what happens when one of them cannot
 * be used. Without a directory of its own the cache is the same database in a private directory in
 * memory, whose names are removed once it is open.
 */
#include "cache/cache.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "cache/private.h"

/* Octets of bodies in a cache that is in memory. */
#define MEMORY_MAX ((uint64_t)64 << 20)

static void close_connections(struct cache *c)
{
	free(c->account);
	c->account = NULL;
	cache_db_close(&c->loader);
	cache_db_close(&c->reader_db);
	cache_db_close(&c->writer.db);
	cache_bodies_close(c);
}

/* A private directory has no names for long, so its files have none from the start. */
static struct cache_segments *open_segments(struct cache *c)
{
	int dir = -1;

	if (c->dir.lock >= 0 && (dir = cache_dir_segments(&c->dir)) < 0)
		return NULL;
	return cache_segments_create(dir);
}

/* Opens the connections and reads the small tables. 0 or SQLite's code. */
static int open_connections(struct cache *c, const char *path, const char *account)
{
	int64_t id;
	int rc;

	c->writer.name = c->dir.path;
	c->writer.dir = &c->dir;
	c->writer.files = open_segments(c);
	if (!c->writer.files)
		return SQLITE_CANTOPEN;
	if ((rc = cache_db_open_writer(&c->writer.db, path, account)) != 0 ||
		(rc = cache_db_open_reader(&c->reader_db, path)) != 0 ||
		(rc = cache_db_open_reader(&c->loader, path)) != 0 ||
		(rc = cache_db_account(&c->reader_db, &c->account)) != 0 ||
		(rc = cache_rows_verify(&c->reader_db)) != 0 ||
		(rc = cache_rows_doomed(&c->reader_db, &c->dropped)) != 0 ||
		(rc = cache_bodies_open(c)) != 0 || (rc = cache_facts_count(&c->writer)) != 0 ||
		(rc = cache_db_number(c->writer.db.stmts[STMT_HIGHEST_ID], &id)) != 0)
		return rc;
	cache_dir_raise_id(&c->dir, (uint32_t)id + 1);
	return 0;
}

/* SQLITE_ERROR: a statement does not fit the tables. */
static bool should_set_aside(int code)
{
	return cache_db_is_damage(code) || (code & 0xff) == SQLITE_MISMATCH ||
	       (code & 0xff) == SQLITE_ERROR || code == SQLITE_IOERR_READ ||
	       code == SQLITE_IOERR_SHORT_READ;
}

static bool is_no_room(int code)
{
	return (code & 0xff) == SQLITE_FULL || code == SQLITE_IOERR_WRITE;
}

static bool set_aside(struct cache *c, const char *why)
{
	log_warning("cache: %s: %s; it is kept as cache.db.damaged, and a new one is begun%s",
		c->dir.path, why,
		cache_dir_keeps(&c->dir) ? "; nothing is kept for offline any more (imapfs --keep)"
					 : "");
	return cache_dir_set_aside(&c->dir);
}

/* Mail itself is fetched again: it is a copy, and may be large. */
static bool carry_over(struct cache *c)
{
	char *path = mem_printf("%s/cache.db", c->dir.path);
	char *new = mem_printf("%s/cache.db.new", c->dir.path);
	bool ok = cache_dir_prepare_new(&c->dir) && cache_db_carry_over(new, path) == 0 &&
		  cache_dir_replace_db(&c->dir);

	free(new);
	free(path);
	if (ok)
		log_notice("cache: %s: an older version of imapfs made the database; what it knows "
			   "of mailboxes is carried over, mail is fetched again",
			c->dir.path);
	else
		log_notice("cache: %s: an older version of imapfs made the database; a new one is "
			   "begun",
			c->dir.path);
	return ok || cache_dir_remove_db(&c->dir);
}

static const char *reason(int code)
{
	if ((code & 0xff) == SQLITE_MISMATCH)
		return "the database is of another version";
	return sqlite3_errstr(code);
}

/* 0 or SQLite's code; a database that is damaged is replaced once. alone: it is left as it is. */
static int open_database(struct cache *c, const char *account, bool alone)
{
	char *path = mem_printf("%s/cache.db", c->dir.path);
	bool fresh = false;
	int rc = 0;

	bool marked = cache_dir_is_marked(&c->dir);
	if (marked && !alone)
		fresh = set_aside(c, "the database is damaged");
	for (;;) {
		if (marked && alone)
			rc = SQLITE_CORRUPT;
		else if (cache_dir_prepare_db(&c->dir))
			rc = open_connections(c, path, account);
		else
			rc = SQLITE_CANTOPEN;
		if (rc == 0 || fresh || alone || !should_set_aside(rc))
			break;
		close_connections(c);
		fresh = true;
		if (!(rc == CACHE_DB_OLD ? carry_over(c) : set_aside(c, reason(rc))))
			break;
	}
	free(path);
	if (rc != 0)
		close_connections(c);
	return rc;
}

static bool open_private(struct cache *c, const char *account, char *error, size_t size)
{
	if (cache_dir_open_private(&c->dir, error, size) != CACHE_DIR_OK)
		return false;
	int rc = open_database(c, account, false);
	cache_dir_hide(&c->dir);
	if (rc != 0) {
		snprintf(error, size, "%s: %s", c->dir.path, sqlite3_errstr(rc));
		cache_dir_close(&c->dir);
		return false;
	}
	if (c->writer.max_bytes > MEMORY_MAX)
		c->writer.max_bytes = MEMORY_MAX;
	return true;
}

/* One person's mail must never be shown as another's. */
static bool is_of(struct cache *c, const char *account, char *error, size_t size)
{
	if (strcmp(c->account, account) == 0)
		return true;
	snprintf(error, size,
		"cache directory %s holds the mail of another account, %s: give this one a "
		"directory of its own with cache=DIR, or remove that one",
		c->dir.path, c->account);
	close_connections(c);
	cache_dir_close(&c->dir);
	return false;
}

static bool open_in_dir(
	struct cache *c, const char *dir, bool alone, const char *account, char *error, size_t size)
{
	switch (cache_dir_open(&c->dir, dir, error, size)) {
	case CACHE_DIR_UNUSABLE:
		return false;
	case CACHE_DIR_LOCKED:
		if (alone)
			return false;
		log_warning("cache: %s; keeping mail in memory", error);
		return open_private(c, account, error, size);
	case CACHE_DIR_OK:
		break;
	}
	int rc = open_database(c, account, alone);
	c->on_disk = rc == 0;
	if (rc == 0)
		return is_of(c, account, error, size);
	snprintf(error, size, "cache database %s/cache.db: %s%s", c->dir.path, reason(rc),
		should_set_aside(rc) ? "; it is left as it is, and the next mount begins a new one"
				     : "");
	cache_dir_close(&c->dir);
	if (!is_no_room(rc) || alone)
		return false;
	log_warning("%s; keeping mail in memory", error);
	return open_private(c, account, error, size);
}

struct cache *cache_open(
	uv_loop_t *loop, const struct cache_options *options, char *error, size_t size)
{
	return cache_open_as(loop, options, false, error, size);
}

struct cache *cache_open_as(
	uv_loop_t *loop, const struct cache_options *options, bool alone, char *error, size_t size)
{
	struct cache *c = mem_zalloc(sizeof(*c));
	const char *account = options->account ? options->account : "";

	c->loop = loop;
	c->writer.max_bytes = options->max_bytes;
	c->gather_time = options->gather;
	map_init(&c->dropped);
	list_init(&c->loads);
	bool ok = options->dir ? open_in_dir(c, options->dir, alone, account, error, size)
			       : open_private(c, account, error, size);
	if (!ok) {
		map_finish(&c->dropped);
		free(c);
		return NULL;
	}
	cache_jobs_init(c);
	c->reader = cache_reader_start(&c->reader_db, c->writer.files);
	return c;
}

void cache_close(struct cache *c)
{
	if (!c)
		return;
	cache_reader_stop(c->reader);
	cache_loads_finish(c);
	cache_jobs_finish(c);
	close_connections(c);
	cache_dir_close(&c->dir);
	map_finish(&c->dropped);
	free(c);
}

void cache_discard_new(struct cache *c)
{
	c->dir.unwanted = c->on_disk && c->dir.made;
}

void cache_cease(struct cache *c, int code)
{
	if (c->ceased)
		return;
	c->ceased = true;
	log_warning("cache: %s: %s; going on without it, the next start begins a new one",
		c->dir.path, sqlite3_errstr(code));
	if (c->on_disk)
		cache_dir_mark_damaged(&c->dir);
}

uint32_t cache_new_id(struct cache *c)
{
	return cache_dir_new_id(&c->dir);
}

void cache_wind_down(struct cache *c)
{
	c->ending = true;
}

bool cache_is_idle(const struct cache *c)
{
	return list_empty(&c->queue) && !c->running;
}

void cache_counts(struct cache *c, struct cache_counts *counts)
{
	*counts = (struct cache_counts){
		.bytes = c->bytes,
		.kept = c->kept,
		.kept_lost = c->kept_lost || (c->ceased && cache_dir_keeps(&c->dir)),
		.no_room = c->no_room,
		.max_bytes = c->writer.max_bytes,
		.hits = c->hits,
		.misses = c->misses,
		.queued = c->queued,
		.on_disk = c->on_disk,
	};
}
