/* SPDX-License-Identifier: MIT */
#include "cache/care.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/array.h"
#include "base/error.h"
#include "base/mem.h"
#include "cache/private.h"

/* --- from outside --- */

/* What others who look at it have made, for a moment. */
static bool is_of_look(const char *name)
{
	return strcmp(name, "cache.db-shm") == 0;
}

/* Whether it tells when the cache was used. */
static bool is_content(const char *name, const struct stat *st)
{
	return strcmp(name, "cache.db") == 0 ||
	       (strcmp(name, "cache.db-wal") == 0 && st->st_size > 0);
}

/* All files of the directory; bodies: each is content. */
static void weigh_files(int dir, bool bodies, struct cache_look *look)
{
	int fd = dir < 0 ? -1 : openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;
	struct stat st;

	if (!d && fd >= 0)
		close(fd);
	while (d && (entry = readdir(d)) != NULL) {
		if (fstatat(dir, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) != 0 ||
			!S_ISREG(st.st_mode) || is_of_look(entry->d_name))
			continue;
		look->octets += (uint64_t)st.st_blocks * 512;
		if (st.st_mtim.tv_sec > look->used && (bodies || is_content(entry->d_name, &st)))
			look->used = st.st_mtim.tv_sec;
	}
	if (d)
		closedir(d);
}

static int64_t count_messages(struct cache_db *db)
{
	sqlite3_stmt *s;
	int64_t count = 0;

	if (sqlite3_prepare_v2(db->handle,
		    "SELECT count(*) FROM bodies"
		    " WHERE chunk=0 AND mailbox IN (SELECT id FROM mailboxes)",
		    -1, &s, NULL) != 0)
		return 0;
	if (sqlite3_step(s) == SQLITE_ROW)
		count = sqlite3_column_int64(s, 0);
	sqlite3_finalize(s);
	return count;
}

/* What only the database tells; nothing where it is of another version, or damaged. It is opened by no
 * path that holds a symbolic link. */
static void read_database(const char *dir, struct cache_look *look)
{
	char *real = realpath(dir, NULL);
	char *path = mem_printf("%s/cache.db", real ? real : dir);
	struct cache_db db = {0};

	if (cache_db_open_look(&db, path) == 0 && cache_db_account(&db, &look->account) == 0)
		look->messages = (uint64_t)count_messages(&db);
	cache_db_close(&db);
	free(path);
	free(real);
}

bool cache_look(const char *dir, struct cache_look *look)
{
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	*look = (struct cache_look){.octets = 0};
	int lock = fd < 0 ? -1 : cache_dir_try_share(fd, &look->in_use, &look->pid);
	if (lock < 0) {
		if (fd >= 0)
			close(fd);
		return false;
	}
	weigh_files(fd, false, look);
	int bodies = openat(fd, "bodies", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	weigh_files(bodies, true, look);
	if (bodies >= 0)
		close(bodies);
	if (!look->in_use) {
		read_database(dir, look);
		cache_dir_tidy(fd);
	}
	close(lock);
	close(fd);
	return true;
}

void cache_look_finish(struct cache_look *look)
{
	free(look->account);
	look->account = NULL;
}

/* --- from inside: nobody else has the writer, since no job was ever queued --- */

struct cache *cache_open_alone(const struct cache_options *options, char *error, size_t size)
{
	return cache_open_as(NULL, options, true, error, size);
}

static int give_up(struct cache *c, int rc)
{
	if (cache_db_is_damage(rc))
		cache_cease(c, rc);
	return rc == 0 ? 0 : ERR_IO;
}

static int evict_some(struct cache_writer *w, void *ctx)
{
	return cache_evict(w, 0);
}

static int tidy_some(struct cache_writer *w, void *ctx)
{
	return cache_tidy(w);
}

int cache_trim(struct cache *c, uint64_t max_bytes)
{
	struct cache_writer *w = &c->writer;
	int rc;

	w->max_bytes = max_bytes;
	do
		rc = cache_jobs_transact(w, evict_some, NULL);
	while (rc == 0 && w->evicting);
	while (rc == 0 && w->untidy)
		rc = cache_jobs_transact(w, tidy_some, NULL);
	return give_up(c, rc);
}

struct message {
	uint32_t mailbox, uid;
};

struct messages {
	struct message *at;
	size_t count, room;
};

static int drop_messages(struct cache_writer *w, void *ctx)
{
	const struct messages *damaged = ctx;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < damaged->count; i++)
		rc = cache_bodies_drop_message(w, damaged->at[i].mailbox, damaged->at[i].uid);
	return rc;
}

static void note_damaged(struct messages *all, struct message m)
{
	all->at = array_grow(all->at, &all->room, all->count + 1, sizeof(*all->at));
	all->at[all->count++] = m;
}

/* The chunks of a message come one behind the other. */
struct verifying {
	struct message of;
	uint64_t octets;
	bool begun, damaged;
	bool counts; /* it is a message, of which the beginning is kept */
};

static void end_message(
	const struct verifying *now, struct cache_verified *v, struct messages *damaged)
{
	if (now->damaged) {
		note_damaged(damaged, now->of);
		return;
	}
	v->octets += now->octets;
	v->messages += now->counts;
}

/* SQLite's code. */
static int verify_chunk(struct cache *c, struct verifying *now, uint32_t chunk)
{
	struct cache_want want = {.uid = now->of.uid, .chunk = chunk};
	int rc = cache_bodies_read(&c->loader, c->writer.files, now->of.mailbox, &want);

	now->octets += want.n;
	now->damaged |= rc == SQLITE_DONE;
	free(want.data);
	return rc == SQLITE_DONE ? 0 : rc;
}

static int verify_row(struct cache *c, sqlite3_stmt *s, struct verifying *now,
	struct cache_verified *v, struct messages *damaged)
{
	const struct message m = {
		(uint32_t)sqlite3_column_int64(s, 0), (uint32_t)sqlite3_column_int64(s, 1)};
	uint32_t chunk = (uint32_t)sqlite3_column_int64(s, 2);

	if (!now->begun || m.mailbox != now->of.mailbox || m.uid != now->of.uid) {
		end_message(now, v, damaged);
		*now = (struct verifying){.of = m, .begun = true};
	}
	now->counts |= chunk == 0 && sqlite3_column_int(s, 3);
	return verify_chunk(c, now, chunk);
}

static int verify_all(struct cache *c, struct cache_verified *v, struct messages *damaged)
{
	struct verifying now = {.begun = false};
	sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(c->reader_db.handle,
		"SELECT mailbox, uid, chunk, mailbox IN (SELECT id FROM mailboxes) FROM bodies"
		" ORDER BY mailbox, uid, chunk",
		-1, &s, NULL);

	while (rc == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW)
		rc = verify_row(c, s, &now, v, damaged);
	sqlite3_finalize(s);
	end_message(&now, v, damaged);
	return rc == SQLITE_DONE ? 0 : rc;
}

/* SQLite's own look at the whole file. */
static int check_database(struct cache *c)
{
	sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(c->reader_db.handle, "PRAGMA quick_check(1)", -1, &s, NULL);

	if (rc == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		const char *text = (const char *)sqlite3_column_text(s, 0);
		rc = text && strcmp(text, "ok") == 0 ? 0 : SQLITE_CORRUPT;
	}
	sqlite3_finalize(s);
	return rc;
}

int cache_verify(struct cache *c, struct cache_verified *v)
{
	struct messages damaged = {NULL, 0, 0};
	int rc = check_database(c);

	*v = (struct cache_verified){.messages = 0};
	if (rc == 0)
		rc = verify_all(c, v, &damaged);
	if (rc == 0 && damaged.count > 0)
		rc = cache_jobs_transact(&c->writer, drop_messages, &damaged);
	v->damaged = damaged.count;
	free(damaged.at);
	return give_up(c, rc);
}

static void care_on_journal(void *ctx, uint32_t mailbox, const uint32_t *uids, size_t n)
{
	*(bool *)ctx = true;
}

static bool is_no_segment(void *ctx, uint32_t id)
{
	return false;
}

int cache_clear(struct cache *c)
{
	bool owes = false;

	cache_each_journal(c, care_on_journal, &owes);
	if (owes)
		return ERR_BUSY;
	if (c->ceased)
		return ERR_IO;
	/* What the database tells of ids goes with it; the counter's file has to. */
	cache_new_id(c);
	if (c->dir.ids_failed)
		return ERR_IO;
	c->dir.emptied = true;
	cache_segments_sweep(c->writer.files, is_no_segment, NULL);
	return 0;
}
