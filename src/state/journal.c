/* SPDX-License-Identifier: MIT */
/* One journal: the database, and its statements. */
#include <sqlite3.h>

#include "base/mem.h"
#include "state/private.h"

#define SCHEMA_VERSION 2

static const char settings[] = "PRAGMA page_size=1024;"
			       "PRAGMA journal_mode=WAL;"
			       "PRAGMA synchronous=NORMAL;"
			       "PRAGMA wal_autocheckpoint=0;"
			       "PRAGMA cell_size_check=1;"
			       "PRAGMA temp_store=MEMORY;";

static const char schema[] =
	"CREATE TABLE account(name TEXT);"
	"CREATE TABLE intents(mailbox BLOB, uidvalidity INTEGER, uid INTEGER, verb INTEGER,"
	" target BLOB, argument BLOB, made INTEGER, size INTEGER, date INTEGER, flags INTEGER,"
	" name BLOB,"
	" PRIMARY KEY(mailbox, uidvalidity, uid)) WITHOUT ROWID;";

/* What a journal of the version before lacks. */
static const char from_1[] = "ALTER TABLE intents ADD COLUMN name BLOB;";

static const char *const statements[JOURNAL_STATEMENTS] = {
	[JOURNAL_PUT] =
		"INSERT OR REPLACE INTO intents(uidvalidity, uid, verb, made, size, date, flags,"
		" mailbox, target, argument, name)"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)",
	[JOURNAL_DROP] = "DELETE FROM intents WHERE uidvalidity=?1 AND uid=?2 AND mailbox=?3",
	[JOURNAL_ALL] = "SELECT uidvalidity, uid, verb, made, size, date, flags,"
			" mailbox, target, argument, name"
			" FROM intents ORDER BY made, mailbox, uid",
	[JOURNAL_COUNT] = "SELECT count(*) FROM intents",
	[JOURNAL_RENAME] = "UPDATE OR REPLACE intents SET mailbox=?2 WHERE mailbox=?1",
	[JOURNAL_RENAME_TARGET] = "UPDATE intents SET target=?2 WHERE target=?1",
};

static int run(struct journal *j, const char *sql)
{
	return sqlite3_exec(j->db, sql, NULL, NULL, NULL);
}

static int run_with_text(struct journal *j, const char *format, const char *text)
{
	char *sql = sqlite3_mprintf(format, text);
	int rc = sql ? run(j, sql) : SQLITE_NOMEM;

	sqlite3_free(sql);
	return rc;
}

static int get_number(struct journal *j, const char *sql, int64_t *value)
{
	sqlite3_stmt *s;
	int rc = sqlite3_prepare_v2(j->db, sql, -1, &s, NULL);

	if (rc == SQLITE_OK && (rc = sqlite3_step(s)) == SQLITE_ROW) {
		*value = sqlite3_column_int64(s, 0);
		rc = SQLITE_OK;
	}
	sqlite3_finalize(s);
	return rc;
}

static int make_schema(struct journal *j, const char *account)
{
	int rc = journal_begin(j);

	if (rc == SQLITE_OK)
		rc = run(j, schema);
	if (rc == SQLITE_OK)
		rc = run_with_text(j, "INSERT INTO account VALUES(%Q)", account);
	if (rc == SQLITE_OK)
		rc = run(j, "PRAGMA user_version=2");
	return rc == SQLITE_OK ? journal_end(j, true) : rc;
}

static int carry_over(struct journal *j)
{
	int rc = journal_begin(j);

	if (rc == SQLITE_OK)
		rc = run(j, from_1);
	if (rc == SQLITE_OK)
		rc = run(j, "PRAGMA user_version=2");
	return rc == SQLITE_OK ? journal_end(j, true) : rc;
}

/* Before anything is set, which may write to it. */
static int check_version(struct journal *j, bool *is_empty, int64_t *version)
{
	int64_t tables = 0;
	int rc;

	if ((rc = get_number(j, "PRAGMA user_version", version)) != SQLITE_OK ||
		(rc = get_number(j, "SELECT count(*) FROM sqlite_schema", &tables)) != SQLITE_OK)
		return rc;
	*is_empty = *version == 0 && tables == 0;
	if (*version > SCHEMA_VERSION)
		return JOURNAL_NEWER;
	return *is_empty || *version >= 1 ? SQLITE_OK : SQLITE_MISMATCH;
}

static int prepare_all(struct journal *j)
{
	for (size_t i = 0; i < JOURNAL_STATEMENTS; i++) {
		int rc = sqlite3_prepare_v3(j->db, statements[i], -1, SQLITE_PREPARE_PERSISTENT,
			&j->statements[i], NULL);
		if (rc != SQLITE_OK)
			return rc;
	}
	return SQLITE_OK;
}

/* unix-excl: what is locked is locked for the whole process, and the log's index is on the heap. */
int journal_open(struct journal *j, const char *path, const char *account)
{
	bool is_empty = false;
	int64_t version = 0;
	int rc = sqlite3_open_v2(path, &j->db,
		SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
			SQLITE_OPEN_PRIVATECACHE | SQLITE_OPEN_NOFOLLOW,
		"unix-excl");

	if (rc != SQLITE_OK)
		return rc;
	sqlite3_extended_result_codes(j->db, 1);
	if ((rc = check_version(j, &is_empty, &version)) == SQLITE_OK)
		rc = run(j, settings);
	if (rc == SQLITE_OK && is_empty)
		rc = make_schema(j, account);
	else if (rc == SQLITE_OK && version < SCHEMA_VERSION)
		rc = carry_over(j);
	return rc == SQLITE_OK ? prepare_all(j) : rc;
}

void journal_close(struct journal *j)
{
	for (size_t i = 0; i < JOURNAL_STATEMENTS; i++)
		sqlite3_finalize(j->statements[i]);
	sqlite3_close(j->db);
	*j = (struct journal){0};
}

/* Whose mail it is about; malloc'ed, "" when that cannot be said. */
char *journal_account(struct journal *j)
{
	sqlite3_stmt *s;
	char *name = NULL;

	if (sqlite3_prepare_v2(j->db, "SELECT name FROM account", -1, &s, NULL) == SQLITE_OK &&
		sqlite3_step(s) == SQLITE_ROW && sqlite3_column_text(s, 0))
		name = mem_strdup((const char *)sqlite3_column_text(s, 0));
	sqlite3_finalize(s);
	return name ? name : mem_strdup("");
}

static int step(sqlite3_stmt *s)
{
	int rc = sqlite3_step(s);

	sqlite3_reset(s);
	sqlite3_clear_bindings(s);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static void bind_span(sqlite3_stmt *s, int at, struct span octets)
{
	sqlite3_bind_blob64(s, at, octets.n ? octets.p : "", octets.n, SQLITE_STATIC);
}

int journal_put(struct journal *j, const struct state_intent *i)
{
	sqlite3_stmt *s = j->statements[JOURNAL_PUT];
	const int64_t numbers[] = {
		i->uidvalidity, i->uid, i->verb, i->made, (int64_t)i->size, i->date, i->flags};

	for (int n = 0; n < 7; n++)
		sqlite3_bind_int64(s, n + 1, numbers[n]);
	bind_span(s, 8, i->mailbox);
	bind_span(s, 9, i->target);
	bind_span(s, 10, i->argument);
	bind_span(s, 11, i->name);
	return step(s);
}

int journal_drop(struct journal *j, struct span mailbox, uint32_t uidvalidity, uint32_t uid)
{
	sqlite3_stmt *s = j->statements[JOURNAL_DROP];

	sqlite3_bind_int64(s, 1, uidvalidity);
	sqlite3_bind_int64(s, 2, uid);
	bind_span(s, 3, mailbox);
	return step(s);
}

static struct span column(sqlite3_stmt *s, int at)
{
	const char *p = sqlite3_column_blob(s, at);

	return (struct span){p ? p : "", (size_t)sqlite3_column_bytes(s, at)};
}

int journal_each(struct journal *j, state_intent_fn *f, void *ctx)
{
	sqlite3_stmt *s = j->statements[JOURNAL_ALL];
	int rc;

	while ((rc = sqlite3_step(s)) == SQLITE_ROW) {
		struct state_intent i = {
			.uidvalidity = (uint32_t)sqlite3_column_int64(s, 0),
			.uid = (uint32_t)sqlite3_column_int64(s, 1),
			.verb = (uint32_t)sqlite3_column_int64(s, 2),
			.made = sqlite3_column_int64(s, 3),
			.size = (uint64_t)sqlite3_column_int64(s, 4),
			.date = sqlite3_column_int64(s, 5),
			.flags = (uint32_t)sqlite3_column_int64(s, 6),
			.mailbox = column(s, 7),
			.target = column(s, 8),
			.argument = column(s, 9),
			.name = column(s, 10),
		};
		f(ctx, &i);
	}
	sqlite3_reset(s);
	return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

bool journal_is_empty(struct journal *j)
{
	int64_t count = 1;

	return get_number(j, statements[JOURNAL_COUNT], &count) == SQLITE_OK && count == 0;
}

int journal_rename(struct journal *j, struct span from, struct span to)
{
	int rc = SQLITE_OK;

	for (int n = JOURNAL_RENAME; n <= JOURNAL_RENAME_TARGET && rc == SQLITE_OK; n++) {
		bind_span(j->statements[n], 1, from);
		bind_span(j->statements[n], 2, to);
		rc = step(j->statements[n]);
	}
	return rc;
}

int journal_begin(struct journal *j)
{
	return run(j, "BEGIN IMMEDIATE");
}

int journal_end(struct journal *j, bool commit)
{
	return run(j, commit ? "COMMIT" : "ROLLBACK");
}

/* With a connection of its own, so that nobody who writes meanwhile waits. */
void journal_checkpoint(const char *path)
{
	sqlite3 *db = NULL;

	if (sqlite3_open_v2(path, &db,
		    SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_PRIVATECACHE |
			    SQLITE_OPEN_NOFOLLOW,
		    "unix-excl") == SQLITE_OK)
		sqlite3_wal_checkpoint_v2(db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	sqlite3_close(db);
}
