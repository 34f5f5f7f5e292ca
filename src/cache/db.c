/* SPDX-License-Identifier: MIT */
/*
 * One connection to the database: how it is opened, the schema, and the statements.
 *
 * The schema, and why:
 *   account    whose mail it is, one row
 *   mailboxes  struct cache_mailbox, a row each
 *   messages   a row is a block of up to 128 messages with neighbouring UIDs, a packed array of
 *              struct cache_message: a mailbox of a million is 8,000 rows and read in 30 ms
 *   flags      struct cache_flags, a row for each mailbox whose flags were asked for
 *   given      names that messages came in under
 *   nodes      struct cache_view
 *   facts      struct cache_fact
 *   fact_totals  of each mailbox and kind of fact, octets and when they were loaded last
 *   bodies     where each chunk is. Written once with it, and gone with it
 *   segments   the files that hold the chunks' octets, struct cache_segment
 *   kept       mailboxes whose messages are not evicted, but by an older program of the same schema
 *   doomed     mailboxes that were dropped while their bodies are removed bit by bit
 *   journal    UIDs whose \Deleted flag is to be put back: see cache_put_journal
 *   notes      the numbers of enum cache_note
 *
 * Rows in which SQLite would not notice a change on the disk carry a check sum (chk, or at the end
 * of a packed row).
 */
#include "base/mem.h"
#include "cache/private.h"

/* Milliseconds for which another process, which looks at the database, is waited for. */
#define BUSY_TIMEOUT 5000
#define APPLICATION_ID 0x696d6673 /* "imfs" */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SCHEMA_BASE 0x10000 /* packed rows are in the machine's own byte order */
#else
#define SCHEMA_BASE 0
#endif
/* 1: did not say whose mail it holds, and may hold messages that were cut short.
 * 2: held bodies itself; what else it knows is carried over.
 * 3: did not know the tables that `upgrade` makes. */
#define SCHEMA_VERSION (SCHEMA_BASE + 4)
#define SCHEMA_UPGRADED (SCHEMA_BASE + 3)
#define SCHEMA_CARRIED (SCHEMA_BASE + 2)

/* What version 3 has not. */
#define NEW_TABLES                                                                                 \
	"CREATE TABLE flags(mailbox INTEGER PRIMARY KEY, modseq INTEGER, sets BLOB, chk INTEGER);" \
	"CREATE TABLE given(mailbox INTEGER, uid INTEGER, name BLOB, chk INTEGER,"                 \
	" PRIMARY KEY(mailbox, uid)) WITHOUT ROWID;"

/* Tables that an older program of the same schema does not miss: made where they are not there. */
#define MORE_TABLES                                                                                \
	"CREATE TABLE IF NOT EXISTS nodes(id INTEGER PRIMARY KEY, mailbox INTEGER, level INTEGER," \
	" key BLOB, state BLOB, chk INTEGER);"                                                     \
	"CREATE TABLE IF NOT EXISTS facts(mailbox INTEGER, kind INTEGER, uid INTEGER, chk "        \
	"INTEGER,"                                                                                 \
	" packed BLOB, PRIMARY KEY(mailbox, kind, uid)) WITHOUT ROWID;"                            \
	"CREATE TABLE IF NOT EXISTS fact_totals(mailbox INTEGER, kind INTEGER, octets INTEGER,"    \
	" used INTEGER, PRIMARY KEY(mailbox, kind)) WITHOUT ROWID;"                                \
	"CREATE TABLE IF NOT EXISTS kept(mailbox INTEGER PRIMARY KEY, whole INTEGER);"

/* Begins a transaction, which ends when the version is written too. */
static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE account(name TEXT);"
	"CREATE TABLE mailboxes(id INTEGER PRIMARY KEY, name BLOB, delimiter INTEGER,"
	" list_flags INTEGER, uidvalidity INTEGER, uidnext INTEGER, highestmodseq INTEGER,"
	" present INTEGER, complete INTEGER, chk INTEGER, listed INTEGER, changed INTEGER);"
	"CREATE TABLE messages(id INTEGER PRIMARY KEY, packed BLOB);" /* mailbox << 25 | uid >> 7 */
	"CREATE TABLE bodies(mailbox INTEGER, uid INTEGER, chunk INTEGER, n INTEGER, chk INTEGER,"
	" segment INTEGER, offset INTEGER, PRIMARY KEY(mailbox, uid, chunk)) WITHOUT ROWID;"
	"CREATE TABLE segments(id INTEGER PRIMARY KEY, size INTEGER, live INTEGER, used INTEGER);"
	"CREATE TABLE doomed(mailbox INTEGER PRIMARY KEY);"
	"CREATE TABLE journal(mailbox INTEGER PRIMARY KEY, uids BLOB, chk INTEGER);"
	"CREATE TABLE notes(id INTEGER PRIMARY KEY, value INTEGER);" NEW_TABLES MORE_TABLES;

/* In one transaction, since each writes the first page; where they are there nothing is written. */
static const char more_tables[] = "BEGIN;" MORE_TABLES "COMMIT;";

static const char upgrade[] = "BEGIN IMMEDIATE;" NEW_TABLES;

/* What the version before knew, into an empty database of this one. */
static const char carry[] =
	"BEGIN;"
	"DELETE FROM account;"
	"INSERT INTO account SELECT name FROM old.account;"
	"INSERT INTO mailboxes(id, name, delimiter, list_flags, uidvalidity, uidnext,"
	" highestmodseq, present, complete, chk, listed, changed)"
	" SELECT id, name, delimiter, list_flags, uidvalidity, uidnext, highestmodseq, present,"
	" complete, chk, listed, changed FROM old.mailboxes;"
	"INSERT INTO messages(id, packed) SELECT id, packed FROM old.messages;"
	"INSERT INTO journal(mailbox, uids, chk) SELECT mailbox, uids, chk FROM old.journal;"
	"INSERT INTO notes(id, value) SELECT id, bytes FROM old.total WHERE id<>1;"
	"COMMIT;";

static const char writer_settings[] = "PRAGMA cache_size=-8192;" /* KiB */
				      "PRAGMA secure_delete=FAST;"
				      "PRAGMA synchronous=NORMAL;"
				      "PRAGMA wal_autocheckpoint=0;";

static const char *const statements[STMT_COUNT] = {
	[STMT_BEGIN] = "BEGIN IMMEDIATE",
	[STMT_COMMIT] = "COMMIT",
	[STMT_ROLLBACK] = "ROLLBACK",
	[STMT_MAILBOX_ALL] = "SELECT id, list_flags, uidvalidity, uidnext, highestmodseq, present,"
			     " complete, delimiter, name, chk, listed, changed FROM mailboxes"
			     " ORDER BY length(name), id",
	[STMT_MAILBOX_PUT] =
		"INSERT OR REPLACE INTO mailboxes(id, list_flags, uidvalidity, uidnext,"
		" highestmodseq, present, complete, delimiter, name, chk, listed, changed)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)",
	[STMT_MAILBOX_DROP] = "DELETE FROM mailboxes WHERE id=?1",
	[STMT_MESSAGES_GET] = "SELECT packed FROM messages WHERE id=?1",
	[STMT_MESSAGES_PUT] = "INSERT OR REPLACE INTO messages(id, packed) VALUES(?1, ?2)",
	[STMT_MESSAGES_DELETE] = "DELETE FROM messages WHERE id=?1",
	[STMT_MESSAGES_DROP] = "DELETE FROM messages WHERE id BETWEEN ?1 AND ?2",
	[STMT_MESSAGES_LOAD] = "SELECT id, packed FROM messages WHERE id BETWEEN ?1 AND ?2"
			       " ORDER BY id",
	[STMT_FLAGS_GET] = "SELECT modseq, sets, chk FROM flags WHERE mailbox=?1",
	[STMT_FLAGS_PUT] = "INSERT OR REPLACE INTO flags(mailbox, modseq, chk, sets)"
			   " VALUES(?1, ?2, ?3, ?4)",
	[STMT_FLAGS_DROP] = "DELETE FROM flags WHERE mailbox=?1",
	[STMT_FACTS_LENGTH] = "SELECT length(packed) + 24 FROM facts"
			      " WHERE mailbox=?1 AND kind=?2 AND uid=?3",
	[STMT_FACTS_PUT] = "INSERT INTO facts(mailbox, kind, uid, chk, packed)"
			   " VALUES(?1, ?2, ?3, ?4, ?5)",
	[STMT_FACTS_DROP] = "DELETE FROM facts WHERE mailbox=?1 AND kind=?2 AND uid=?3",
	[STMT_FACTS_DROP_KIND] = "DELETE FROM facts WHERE mailbox=?1 AND kind=?2",
	[STMT_FACTS_LOAD] = "SELECT uid, packed, chk FROM facts WHERE mailbox=?1 AND kind=?2"
			    " ORDER BY uid",
	[STMT_FACTS_SUM] = "SELECT sum(octets) FROM fact_totals"
			   " WHERE mailbox NOT IN (SELECT mailbox FROM kept)",
	[STMT_FACTS_OLDEST] = "SELECT mailbox, kind FROM fact_totals"
			      " WHERE NOT (mailbox=?1 AND kind=?2)"
			      " AND mailbox NOT IN (SELECT mailbox FROM kept)"
			      " ORDER BY used LIMIT 1",
	[STMT_FACTS_TOTAL_ADD] =
		"INSERT INTO fact_totals(mailbox, kind, octets, used)"
		" VALUES(?1, ?2, ?3, (SELECT ifnull(max(used), 0) + 1 FROM fact_totals))"
		" ON CONFLICT(mailbox, kind) DO UPDATE SET octets = octets + ?3",
	[STMT_FACTS_TOTAL_USE] = "UPDATE fact_totals"
				 " SET used = (SELECT max(used) + 1 FROM fact_totals)"
				 " WHERE mailbox=?1 AND kind=?2",
	[STMT_FACTS_TOTAL_DROP] = "DELETE FROM fact_totals WHERE mailbox=?1 AND kind=?2",
	[STMT_GIVEN_ALL] = "SELECT mailbox, uid, name, chk FROM given",
	[STMT_GIVEN_PUT] = "INSERT OR REPLACE INTO given(mailbox, uid, chk, name)"
			   " VALUES(?1, ?2, ?3, ?4)",
	[STMT_GIVEN_DROP] = "DELETE FROM given WHERE mailbox=?1 AND uid=?2",
	[STMT_GIVEN_DROP_ALL] = "DELETE FROM given WHERE mailbox=?1",
	[STMT_VIEW_ALL] = "SELECT id, mailbox, level, key, state, chk FROM nodes",
	[STMT_VIEW_PUT] = "INSERT OR REPLACE INTO nodes(id, mailbox, level, chk, key, state)"
			  " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[STMT_VIEW_DROP_ALL] = "DELETE FROM nodes WHERE mailbox=?1",
	[STMT_JOURNAL_ALL] = "SELECT mailbox, uids, chk FROM journal ORDER BY mailbox",
	[STMT_JOURNAL_PUT] =
		"INSERT OR REPLACE INTO journal(mailbox, chk, uids) VALUES(?1, ?2, ?3)",
	[STMT_JOURNAL_DROP] = "DELETE FROM journal WHERE mailbox=?1",
	[STMT_DOOMED_ALL] = "SELECT mailbox FROM doomed ORDER BY mailbox",
	[STMT_DOOMED_PUT] = "INSERT OR IGNORE INTO doomed(mailbox) VALUES(?1)",
	[STMT_DOOMED_DROP] = "DELETE FROM doomed WHERE mailbox=?1",
	[STMT_BODY_GET] = "SELECT n, chk, segment, offset FROM bodies"
			  " WHERE mailbox=?1 AND uid=?2 AND chunk=?3",
	[STMT_BODY_PUT] = "INSERT INTO bodies(mailbox, uid, chunk, n, chk, segment, offset)"
			  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[STMT_BODY_DELETE] = "DELETE FROM bodies WHERE mailbox=?1 AND uid=?2 AND chunk=?3",
	[STMT_BODY_FIND] = "SELECT mailbox, uid, chunk, n, segment, offset FROM bodies"
			   " WHERE mailbox=?1 AND uid=?2 AND chunk=?3",
	[STMT_BODY_OF_MAILBOX] = "SELECT mailbox, uid, chunk, n, segment, offset FROM bodies"
				 " WHERE mailbox=?1 LIMIT 1",
	[STMT_BODY_OF_MESSAGE] = "SELECT mailbox, uid, chunk, n, segment, offset FROM bodies"
				 " WHERE mailbox=?1 AND uid=?2 LIMIT 1",
	[STMT_BODY_OF_SECTIONS] = "SELECT mailbox, uid, chunk, n, segment, offset FROM bodies"
				  " WHERE mailbox=?1 AND uid=?2 AND chunk>=?3 LIMIT 1",
	[STMT_BODY_HELD] = "SELECT uid, sum(n) FROM bodies WHERE mailbox=?1 AND uid>=?2"
			   " AND chunk<65536 GROUP BY uid ORDER BY uid",
	[STMT_BODY_KEPT_IN] = "SELECT mailbox, uid, chunk, n, segment, offset FROM bodies"
			      " WHERE mailbox IN (SELECT mailbox FROM kept) AND segment=?1"
			      " AND chunk<65536",
	[STMT_BODY_DROP_SEGMENT] = "DELETE FROM bodies WHERE segment=?1",
	[STMT_BODY_DROP_LOST] = "DELETE FROM bodies WHERE segment NOT IN (SELECT id FROM segments)",
	[STMT_KEPT_ALL] = "SELECT mailbox, whole FROM kept",
	[STMT_KEPT_PUT] = "INSERT OR REPLACE INTO kept(mailbox, whole) VALUES(?1, ?2)",
	[STMT_KEPT_DROP] = "DELETE FROM kept WHERE mailbox=?1",
	[STMT_KEPT_SEGMENTS] = "SELECT segment, sum(n) FROM bodies WHERE mailbox=?1 AND chunk<65536"
			       " GROUP BY segment",
	[STMT_SEGMENT_ALL] = "SELECT id, size, live, used FROM segments ORDER BY id",
	[STMT_SEGMENT_PUT] = "INSERT OR REPLACE INTO segments(id, size, live, used)"
			     " VALUES(?1, ?2, ?3, ?4)",
	[STMT_SEGMENT_DROP] = "DELETE FROM segments WHERE id=?1",
	[STMT_NOTE_GET] = "SELECT value FROM notes WHERE id=?1",
	[STMT_NOTE_PUT] = "INSERT OR REPLACE INTO notes(id, value) VALUES(?1, ?2)",
	[STMT_HIGHEST_ID] = "SELECT max((SELECT ifnull(max(id), 0) FROM mailboxes),"
			    " (SELECT ifnull(max(mailbox), 0) FROM doomed),"
			    " (SELECT ifnull(max(mailbox), 0) FROM journal),"
			    " (SELECT ifnull(max(mailbox), 0) FROM bodies),"
			    " (SELECT ifnull(max(id), 0) FROM nodes),"
			    " (SELECT ifnull(max(mailbox), 0) FROM kept),"
			    " (SELECT ifnull(max(id), 0) >> 25 FROM messages))",
	[STMT_PAGES] = "PRAGMA page_count",
	[STMT_FREE_PAGES] = "PRAGMA freelist_count",
	[STMT_VACUUM] = "PRAGMA incremental_vacuum(128)",
};

static int run_sql(struct cache_db *db, const char *sql)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
}

static int set_pragma(struct cache_db *db, const char *pragma, int value)
{
	char *sql = sqlite3_mprintf("PRAGMA %s=%d", pragma, value);
	int rc = sql ? run_sql(db, sql) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return rc;
}

static int get_pragma(struct cache_db *db, const char *sql, int64_t *value)
{
	sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(db->handle, sql, -1, &s, NULL);

	if (rc == 0)
		rc = cache_db_number(s, value);
	sqlite3_finalize(s);
	return rc;
}

static int name_account(struct cache_db *db, const char *account)
{
	char *sql = sqlite3_mprintf("INSERT INTO account VALUES(%Q)", account);
	int rc = sql ? run_sql(db, sql) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return rc;
}

static int make_schema(struct cache_db *db, const char *account)
{
	int rc = run_sql(db, schema);

	if (rc == 0)
		rc = name_account(db, account);
	if (rc == 0)
		rc = set_pragma(db, "application_id", APPLICATION_ID);
	if (rc == 0)
		rc = set_pragma(db, "user_version", SCHEMA_VERSION);
	return rc == 0 ? run_sql(db, "COMMIT") : rc;
}

static int upgrade_schema(struct cache_db *db)
{
	int rc = run_sql(db, upgrade);

	if (rc == 0)
		rc = set_pragma(db, "user_version", SCHEMA_VERSION);
	if (rc == 0)
		rc = run_sql(db, "COMMIT");
	if (!sqlite3_get_autocommit(db->handle))
		run_sql(db, "ROLLBACK");
	return rc;
}

static int make_more_tables(struct cache_db *db)
{
	int rc = run_sql(db, more_tables);

	if (!sqlite3_get_autocommit(db->handle))
		run_sql(db, "ROLLBACK");
	return rc;
}

/* Makes the schema in an empty database; 0 only when it is the one of this version. */
static int check_schema(struct cache_db *db, const char *account)
{
	int64_t application, version, tables;
	int rc;

	if ((rc = get_pragma(db, "PRAGMA application_id", &application)) != 0 ||
		(rc = get_pragma(db, "PRAGMA user_version", &version)) != 0 ||
		(rc = get_pragma(db, "SELECT count(*) FROM sqlite_schema", &tables)) != 0)
		return rc;
	if (application == APPLICATION_ID && version == SCHEMA_VERSION)
		return 0;
	if (application == APPLICATION_ID && version == SCHEMA_UPGRADED)
		return upgrade_schema(db);
	if (application == APPLICATION_ID && version > SCHEMA_BASE && version < SCHEMA_VERSION)
		return CACHE_DB_OLD;
	if (application || version || tables)
		return SQLITE_MISMATCH;
	return make_schema(db, account);
}

/* unix-excl: for one process, whose connections share the index of the log on its heap. Else it is
 * a file that is mapped, and whoever cuts that file takes the mount down by SIGBUS. */
static int open_handle(struct cache_db *db, const char *path, int flags)
{
	int rc = sqlite3_open_v2(path, &db->handle,
		flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW,
		"unix-excl");

	if (rc != 0)
		return rc;
	sqlite3_extended_result_codes(db->handle, 1);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(db->handle, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	return run_sql(db, "PRAGMA cell_size_check=1; PRAGMA temp_store=MEMORY;");
}

static int prepare_all(struct cache_db *db)
{
	for (size_t i = 0; i < STMT_COUNT; i++) {
		int rc = sqlite3_prepare_v3(db->handle, statements[i], -1,
			SQLITE_PREPARE_PERSISTENT, &db->stmts[i], NULL);
		if (rc != 0)
			return rc;
	}
	return 0;
}

static int set_wal(struct cache_db *db)
{
	sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(db->handle, "PRAGMA journal_mode=WAL", -1, &s, NULL);

	if (rc == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		const char *mode = (const char *)sqlite3_column_text(s, 0);

		rc = mode && sqlite3_stricmp(mode, "wal") == 0 ? 0 : SQLITE_CANTOPEN;
	}
	sqlite3_finalize(s);
	return rc;
}

/* What must be said before the first page is written. Said again it would be written to an old
 * database, for which a full disk may have no room. */
static int set_layout(struct cache_db *db)
{
	int64_t pages;
	int rc = get_pragma(db, "PRAGMA page_count", &pages);

	if (rc != 0 || pages > 0)
		return rc;
	rc = set_pragma(db, "page_size", CACHE_PAGE_SIZE);
	return rc == 0 ? run_sql(db, "PRAGMA auto_vacuum=INCREMENTAL") : rc;
}

int cache_db_open_writer(struct cache_db *db, const char *path, const char *account)
{
	int rc = open_handle(db, path, SQLITE_OPEN_READWRITE);

	if (rc != 0)
		return rc;
	sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT);
	rc = set_layout(db);
	if (rc == 0)
		rc = run_sql(db, writer_settings);
	if (rc == 0)
		rc = set_wal(db);
	if (rc == 0)
		rc = check_schema(db, account);
	if (rc == 0)
		rc = make_more_tables(db);
	return rc == 0 ? prepare_all(db) : rc;
}

static int version_of(struct cache_db *db, const char *path, int64_t *version)
{
	int rc = open_handle(db, path, SQLITE_OPEN_READWRITE);

	return rc == 0 ? get_pragma(db, "PRAGMA user_version", version) : rc;
}

int cache_db_carry_over(const char *path, const char *old)
{
	struct cache_db db = {0};
	int64_t version = 0;
	int rc = version_of(&db, old, &version);

	cache_db_close(&db);
	if (rc != 0 || version != SCHEMA_CARRIED)
		return rc ? rc : CACHE_DB_OLD;
	char *attach = sqlite3_mprintf("ATTACH %Q AS old", old);
	rc = attach ? cache_db_open_writer(&db, path, "") : SQLITE_NOMEM;
	if (rc == 0)
		rc = run_sql(&db, attach);
	if (rc == 0)
		rc = run_sql(&db, carry);
	sqlite3_free(attach);
	cache_db_close(&db);
	return rc;
}

int cache_db_account(struct cache_db *db, char **account)
{
	sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(db->handle, "SELECT name FROM account", -1, &s, NULL);

	*account = NULL;
	if (rc == 0 && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		const char *name = (const char *)sqlite3_column_text(s, 0);

		*account = mem_strdup(name ? name : "");
		rc = 0;
	} else if (rc == SQLITE_DONE) {
		rc = SQLITE_CORRUPT;
	}
	sqlite3_finalize(s);
	return rc;
}

int cache_db_open_reader(struct cache_db *db, const char *path)
{
	int rc = open_handle(db, path, SQLITE_OPEN_READONLY);

	return rc == 0 ? prepare_all(db) : rc;
}

int cache_db_open_look(struct cache_db *db, const char *path)
{
	int rc = open_handle(db, path, SQLITE_OPEN_READONLY);

	if (rc == 0)
		sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT);
	return rc;
}

void cache_db_close(struct cache_db *db)
{
	for (size_t i = 0; i < STMT_COUNT; i++)
		sqlite3_finalize(db->stmts[i]);
	sqlite3_close(db->handle);
	*db = (struct cache_db){0};
}

sqlite3_stmt *cache_db_bind_numbers(
	struct cache_db *db, enum cache_stmt id, const int64_t *values, size_t n)
{
	sqlite3_stmt *s = db->stmts[id];

	for (size_t i = 0; i < n; i++)
		sqlite3_bind_int64(s, (int)i + 1, values[i]);
	return s;
}

int cache_db_run(sqlite3_stmt *s)
{
	int rc = sqlite3_step(s);

	while (rc == SQLITE_ROW)
		rc = sqlite3_step(s);
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? 0 : rc;
}

int cache_db_number(sqlite3_stmt *s, int64_t *value)
{
	int rc = sqlite3_step(s);

	*value = rc == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
	sqlite3_reset(s);
	return rc == SQLITE_ROW || rc == SQLITE_DONE ? 0 : rc;
}

bool cache_db_is_damage(int code)
{
	switch (code & 0xff) {
	case SQLITE_CORRUPT:
	case SQLITE_NOTADB:
		return true;
	default:
		return false;
	}
}

static uint64_t rotate(uint64_t x, unsigned by)
{
	return x << by | x >> (64 - by);
}

static uint64_t mix(uint64_t lane, uint64_t word)
{
	return rotate(lane + word * 0xc2b2ae3d27d4eb4f, 31) * 0x9e3779b185ebca87;
}

static uint64_t word_at(const char *p, size_t n)
{
	uint64_t word = 0;

	memcpy(&word, p, n);
	return word;
}

/* Four lanes, because one would wait for its multiplications: about 10 GB/s. */
uint64_t cache_db_check(uint64_t seed, const void *octets, size_t n)
{
	const char *p = octets;
	uint64_t lane[4] = {seed + 1, seed ^ 0x85ebca77c2b2ae63, seed * 3, ~seed};
	uint64_t sum = n;

	for (; n >= 32; p += 32, n -= 32)
		for (size_t i = 0; i < 4; i++)
			lane[i] = mix(lane[i], word_at(p + 8 * i, 8));
	for (size_t i = 0; i < 4; i++)
		sum = mix(sum, lane[i]);
	for (; n >= 8; p += 8, n -= 8)
		sum = mix(sum, word_at(p, 8));
	if (n)
		sum = mix(sum, word_at(p, n));
	return mix(sum ^ sum >> 29, sum >> 32);
}
