/*
 * One connection to the database: how it is opened, the schema, and the statements.
 *
 * The schema, and why:
 *  - messages: a row is a block of up to 128 messages with neighbouring UIDs, a packed array of
 *    struct cache_message, so that a mailbox of a million is 8,000 rows and read in 30 ms.
 *  - bodies is the index of chunks and small, data holds the octets: a use rewrites a row of
 * bodies, and eviction walks it, without touching a page of data.
 *  - account: whose mail it is, one row.
 *  - doomed: mailboxes that were dropped while their bodies are removed bit by bit.
 *  - total keeps the sum of bodies.n (row 1), so that it need not be counted, and in further rows
 * the numbers of enum cache_note.
 * What SQLite would not notice when it changes on the disk carries a check sum.
 */
#include "base/mem.h"
#include "cache/internal.h"

#define APPLICATION_ID 0x696d6673 /* "imfs" */
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define SCHEMA_BASE 0x10000 /* packed rows are in the machine's own byte order */
#else
#define SCHEMA_BASE 0
#endif
/* 1: did not say whose mail it holds, and may hold messages that were cut short. */
#define SCHEMA_VERSION (SCHEMA_BASE + 2)

/* Begins a transaction, which ends when the version is written too. */
static const char schema[] =
	"BEGIN IMMEDIATE;"
	"CREATE TABLE account(name TEXT);"
	"CREATE TABLE mailboxes(id INTEGER PRIMARY KEY, name BLOB, delimiter INTEGER,"
	" list_flags INTEGER, uidvalidity INTEGER, uidnext INTEGER, highestmodseq INTEGER,"
	" present INTEGER, complete INTEGER, chk INTEGER, listed INTEGER, changed INTEGER);"
	"CREATE TABLE messages(id INTEGER PRIMARY KEY, packed BLOB);" /* mailbox << 25 | uid >> 7 */
	"CREATE TABLE bodies(mailbox INTEGER, uid INTEGER, chunk INTEGER, n INTEGER, used INTEGER,"
	" chk INTEGER, data INTEGER, PRIMARY KEY(mailbox, uid, chunk)) WITHOUT ROWID;"
	"CREATE INDEX bodies_used ON bodies(used);"
	"CREATE TABLE data(id INTEGER PRIMARY KEY, octets BLOB);"
	"CREATE TABLE doomed(mailbox INTEGER PRIMARY KEY);"
	"CREATE TABLE journal(mailbox INTEGER PRIMARY KEY, uids BLOB, chk INTEGER);"
	"CREATE TABLE total(id INTEGER PRIMARY KEY, bytes INTEGER);"
	"INSERT INTO total VALUES(1, 0);";

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
	[STMT_JOURNAL_ALL] = "SELECT mailbox, uids, chk FROM journal ORDER BY mailbox",
	[STMT_JOURNAL_PUT] =
		"INSERT OR REPLACE INTO journal(mailbox, chk, uids) VALUES(?1, ?2, ?3)",
	[STMT_JOURNAL_DROP] = "DELETE FROM journal WHERE mailbox=?1",
	[STMT_DOOMED_ALL] = "SELECT mailbox FROM doomed ORDER BY mailbox",
	[STMT_DOOMED_PUT] = "INSERT OR IGNORE INTO doomed(mailbox) VALUES(?1)",
	[STMT_DOOMED_DROP] = "DELETE FROM doomed WHERE mailbox=?1",
	[STMT_BODY_GET] = "SELECT b.n, b.used, b.chk, d.octets FROM bodies b LEFT JOIN data d"
			  " ON d.id=b.data WHERE b.mailbox=?1 AND b.uid=?2 AND b.chunk=?3",
	[STMT_BODY_PUT] = "INSERT INTO bodies(mailbox, uid, chunk, n, used, chk, data)"
			  " VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[STMT_BODY_DELETE] = "DELETE FROM bodies WHERE mailbox=?1 AND uid=?2 AND chunk=?3",
	[STMT_BODY_USE] = "UPDATE bodies SET used=?4 WHERE mailbox=?1 AND uid=?2 AND chunk=?3"
			  " AND used<?4",
	[STMT_BODY_FIND] = "SELECT mailbox, uid, chunk, n, data FROM bodies"
			   " WHERE mailbox=?1 AND uid=?2 AND chunk=?3",
	[STMT_BODY_OLDEST] = "SELECT mailbox, uid, chunk, n, data FROM bodies"
			     " ORDER BY used, mailbox, uid, chunk LIMIT 1",
	[STMT_BODY_OF_MAILBOX] = "SELECT mailbox, uid, chunk, n, data FROM bodies"
				 " WHERE mailbox=?1 LIMIT 1",
	[STMT_BODY_OF_MESSAGE] = "SELECT mailbox, uid, chunk, n, data FROM bodies"
				 " WHERE mailbox=?1 AND uid=?2 LIMIT 1",
	[STMT_DATA_PUT] = "INSERT INTO data(octets) VALUES(?1)",
	[STMT_DATA_DELETE] = "DELETE FROM data WHERE id=?1",
	[STMT_TOTAL_GET] = "SELECT bytes FROM total WHERE id=1",
	[STMT_TOTAL_PUT] = "UPDATE total SET bytes=?1 WHERE id=1",
	[STMT_NOTE_GET] = "SELECT bytes FROM total WHERE id=?1",
	[STMT_NOTE_PUT] = "INSERT OR REPLACE INTO total(id, bytes) VALUES(?1, ?2)",
	[STMT_NEWEST] = "SELECT max(used) FROM bodies",
	[STMT_HIGHEST_ID] = "SELECT max((SELECT ifnull(max(id), 0) FROM mailboxes),"
			    " (SELECT ifnull(max(mailbox), 0) FROM doomed),"
			    " (SELECT ifnull(max(mailbox), 0) FROM journal),"
			    " (SELECT ifnull(max(mailbox), 0) FROM bodies),"
			    " (SELECT ifnull(max(id), 0) >> 25 FROM messages))",
	[STMT_PAGES] = "PRAGMA page_count",
	[STMT_FREE_PAGES] = "PRAGMA freelist_count",
	[STMT_VACUUM] = "PRAGMA incremental_vacuum(128)",
};

static int execute(struct cache_db *db, const char *sql)
{
	return sqlite3_exec(db->handle, sql, NULL, NULL, NULL);
}

static int set_number(struct cache_db *db, const char *pragma, int value)
{
	char *sql = sqlite3_mprintf("PRAGMA %s=%d", pragma, value);
	int rc = sql ? execute(db, sql) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return rc;
}

static int get_number(struct cache_db *db, const char *sql, int64_t *value)
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
	int rc = sql ? execute(db, sql) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return rc;
}

static int make_schema(struct cache_db *db, const char *account)
{
	int rc = execute(db, schema);

	if (rc == 0)
		rc = name_account(db, account);
	if (rc == 0)
		rc = set_number(db, "application_id", APPLICATION_ID);
	if (rc == 0)
		rc = set_number(db, "user_version", SCHEMA_VERSION);
	return rc == 0 ? execute(db, "COMMIT") : rc;
}

/* Makes the schema in an empty database; 0 only when it is the one of this version. */
static int check_schema(struct cache_db *db, const char *account)
{
	int64_t application, version, tables;
	int rc;

	if ((rc = get_number(db, "PRAGMA application_id", &application)) != 0 ||
		(rc = get_number(db, "PRAGMA user_version", &version)) != 0 ||
		(rc = get_number(db, "SELECT count(*) FROM sqlite_schema", &tables)) != 0)
		return rc;
	if (application == APPLICATION_ID && version == SCHEMA_VERSION)
		return 0;
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
	return execute(db, "PRAGMA cell_size_check=1; PRAGMA temp_store=MEMORY;");
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
	int rc = get_number(db, "PRAGMA page_count", &pages);

	if (rc != 0 || pages > 0)
		return rc;
	rc = set_number(db, "page_size", CACHE_PAGE_SIZE);
	return rc == 0 ? execute(db, "PRAGMA auto_vacuum=INCREMENTAL") : rc;
}

/* Pages of 16 KiB: with 8 KiB one holds a single body of 4 KiB and wastes the rest (twice the file,
 * 89 against 213 MB/s of writing); 32 KiB gain little more and cost small writes. */
int cache_db_open_writer(struct cache_db *db, const char *path, const char *account)
{
	int rc = open_handle(db, path, SQLITE_OPEN_READWRITE);

	if (rc != 0)
		return rc;
	sqlite3_busy_timeout(db->handle, 5000);
	rc = set_layout(db);
	if (rc == 0)
		rc = execute(db, writer_settings);
	if (rc == 0)
		rc = set_wal(db);
	if (rc == 0)
		rc = check_schema(db, account);
	return rc == 0 ? prepare_all(db) : rc;
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
