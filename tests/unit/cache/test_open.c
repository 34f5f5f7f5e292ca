/* SPDX-License-Identifier: MIT */
/* Which directories are used, who may use them, and what is done about a database that is no good.
 */
#include "support.h"

#include <dirent.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* Stands before libc's, so that nobody waits for a lock that its holder keeps; how long he would
 * have is counted, in nanoseconds. */
static long long waited;
int nanosleep(const struct timespec *time, struct timespec *left)
{
	waited += time->tv_sec * 1000000000LL + time->tv_nsec;
	return 0;
}

static mode_t mode_in(struct fixture *f, const char *name)
{
	struct stat st;

	assert_int_equal(lstat(path_in(f, name), &st), 0);
	return st.st_mode & 07777;
}

static void check_refused(struct fixture *f, const char *dir, const char *why)
{
	char error[512] = "";
	struct cache_options options = {.dir = dir, .max_bytes = MIB};

	f->c = cache_open(&f->loop, &options, error, sizeof(error));
	assert_null(f->c);
	if (!strstr(error, why))
		fail_msg("'%s' does not say '%s'", error, why);
	assert_non_null(strstr(error, dir));
}

/* --- the directory --- */

static void test_modes(void **state)
{
	static const mode_t umasks[] = {0, 077, 0277};
	struct fixture *f = *state;

	for (size_t i = 0; i < 3; i++) {
		mode_t before = umask(umasks[i]);

		snprintf(f->dir, sizeof(f->dir), "%s/%zu", f->root, i);
		/* A umask that takes our own rights away is for the files alone. */
		if (umasks[i] & 0700)
			assert_int_equal(mkdir(f->dir, 0), 0);
		if (umasks[i] & 0700)
			assert_int_equal(chmod(f->dir, 0700), 0);
		fixture_open(f, MIB);
		put_chunk(f, 1, 1, 0, 10);
		fixture_idle(f);
		cache_new_id(f->c);
		assert_int_equal(mode_in(f, "."), 0700);
		assert_int_equal(mode_in(f, "cache.db"), 0600);
		assert_int_equal(mode_in(f, "cache.db-wal"), 0600);
		assert_false(exists_in(f, "cache.db-shm"));
		assert_int_equal(mode_in(f, "cache.lock"), 0600);
		assert_int_equal(mode_in(f, "cache.ids"), 0600);
		fixture_close(f);
		umask(before);
	}
}

static void test_loose_file_is_tightened(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, MIB);
	fixture_close(f);
	assert_int_equal(chmod(path_in(f, "cache.db"), 0644), 0);
	fixture_open(f, MIB);
	put_chunk(f, 1, 1, 0, 10);
	fixture_idle(f);
	assert_int_equal(mode_in(f, "cache.db"), 0600);
	assert_int_equal(mode_in(f, "cache.db-wal"), 0600);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	char path[96];

	snprintf(path, sizeof(path), "%s/open", f->root);
	assert_int_equal(mkdir(path, 0700), 0);
	chmod(path, 0720);
	check_refused(f, path, "writable by others: run 'chmod go-w'");
	chmod(path, 0702);
	check_refused(f, path, "writable by others");
	/* What others may only read is closed to them. */
	chmod(path, 0755);
	snprintf(f->dir, sizeof(f->dir), "%s", path);
	fixture_open(f, MIB);
	fixture_close(f);
	assert_int_equal(mode_in(f, "."), 0700);
	if (geteuid() == 0)
		assert_int_equal(chown(path, 12345, 12345), 0);
	check_refused(f, geteuid() == 0 ? path : "/usr", "belongs to another user");

	snprintf(path, sizeof(path), "%s/file", f->root);
	close(open(path, O_WRONLY | O_CREAT, 0600));
	check_refused(f, path, "Not a directory");
	snprintf(path, sizeof(path), "%s/file/below", f->root);
	check_refused(f, path, "Not a directory");
}

/* Who can write a directory above can put another in the place of ours, also where a link leads to
 * it.
 */
static void test_parents(void **state)
{
	struct fixture *f = *state;
	char loose[72], path[96], link[96];

	snprintf(loose, sizeof(loose), "%s/loose", f->root);
	snprintf(path, sizeof(path), "%s/between/cache", loose);
	snprintf(link, sizeof(link), "%s/link", f->root);
	assert_int_equal(mkdir(loose, 0700), 0);
	chmod(loose, 0777);
	check_refused(f, path, "could be replaced by another user");
	assert_int_equal(symlink(path, link), 0);
	check_refused(f, link, "could be replaced by another user");
	if (geteuid() == 0) {
		chmod(loose, 0755);
		assert_int_equal(chown(loose, 12345, 12345), 0);
		check_refused(f, path, "could be replaced by another user");
		assert_int_equal(chown(loose, 0, 12345), 0);
		chmod(loose, 0775);
		check_refused(f, path, "could be replaced by another user");
	}
	chmod(loose, 01777);
	snprintf(f->dir, sizeof(f->dir), "%s", path);
	fixture_open(f, MIB);
	fixture_close(f);
}

/* A link that somebody put there must not make us write elsewhere. */
static void test_links_are_not_followed(void **state)
{
	static const char *const names[] = {"cache.db", "cache.lock", "cache.ids"};
	struct fixture *f = *state;
	char target[128];
	struct stat st;

	snprintf(target, sizeof(target), "%s/precious", f->root);
	for (size_t i = 0; i < 3; i++) {
		snprintf(f->dir, sizeof(f->dir), "%s/%zu", f->root, i);
		assert_int_equal(mkdir(f->dir, 0700), 0);
		close(open(target, O_WRONLY | O_CREAT | O_TRUNC, 0644));
		assert_int_equal(symlink(target, path_in(f, names[i])), 0);
		check_refused(f, f->dir, "cache");
		assert_int_equal(stat(target, &st), 0);
		assert_int_equal(st.st_size, 0);
		assert_int_equal(st.st_mode & 07777, 0644);
	}
}

/* But the directory itself may be reached by one. */
static void test_linked_directory(void **state)
{
	struct fixture *f = *state;
	char real[128];

	snprintf(real, sizeof(real), "%s/real", f->root);
	assert_int_equal(mkdir(real, 0700), 0);
	snprintf(f->dir, sizeof(f->dir), "%s/link", f->root);
	assert_int_equal(symlink(real, f->dir), 0);
	fixture_open(f, MIB);
	put_chunk(f, 1, 1, 0, 10);
	fixture_reopen(f);
	assert_true(has_chunk(f, 1, 1, 0, 10));
}

/* --- in memory --- */

/* Of what this process has open in a directory for a cache in memory: others may make their own meanwhile. */
static int count_open(bool named)
{
	DIR *fds = opendir("/proc/self/fd");
	struct dirent *entry;
	int n = 0;

	assert_non_null(fds);
	while ((entry = readdir(fds))) {
		char target[512];
		ssize_t length = readlinkat(dirfd(fds), entry->d_name, target, sizeof(target) - 1);
		target[length < 0 ? 0 : length] = '\0';
		n += strstr(target, "/imapfs-") && named == !strstr(target, " (deleted)");
	}
	closedir(fds);
	return n;
}

static void use_in_memory(struct fixture *f)
{
	struct cache_mailbox m = mailbox_of(1, "m");
	uint32_t uid = 5;

	assert_false(counts_of(f).on_disk);
	assert_int_equal(cache_new_id(f->c), 1);
	cache_put_mailbox(f->c, &m);
	put_messages(f, 1, 1, 1000);
	put_journal(f, 5, &uid, 1);
	/* More than the log holds, and more than the bound. */
	for (uint32_t i = 1; i <= 300; i++) {
		put_chunk(f, 1, i, 0, CACHE_CHUNK);
		fixture_settle(f);
		assert_true(has_chunk(f, 1, i, 0, CACHE_CHUNK));
	}
	fixture_idle(f);
	assert_int_equal(f->err, 0);
	assert_true(counts_of(f).bytes <= 64 * MIB);
	assert_true(counts_of(f).bytes > 32 * MIB);
	load(f, 1);
	assert_int_equal(f->n, 1000);
	assert_int_equal(count_mailboxes(f, NULL), 1);
	assert_int_equal(count_journal(f, NULL, NULL), 1);
}

static void test_memory(void **state)
{
	struct fixture *f = *state;
	struct cache_options options = {.dir = NULL, .max_bytes = 1000 * MIB};
	char error[512];

	f->c = cache_open(&f->loop, &options, error, sizeof(error));
	assert_non_null(f->c);
	/* No name stays while it is open, so none is left behind by kill -9. */
	assert_int_equal(count_open(true), 0);
	assert_true(count_open(false) > 0);
	assert_int_equal(counts_of(f).max_bytes, 64 * MIB);
	use_in_memory(f);
	fixture_close(f);
	options.max_bytes = MIB;
	f->c = cache_open(&f->loop, &options, error, sizeof(error));
	assert_int_equal(counts_of(f).max_bytes, MIB);
	assert_int_equal(counts_of(f).bytes, 0);
}

static void test_second_opener(void **state)
{
	struct fixture *f = *state;
	struct fixture other;

	fixture_open(f, 100 * MIB);
	put_chunk(f, 1, 1, 0, 10);
	fixture_idle(f);
	other = (struct fixture){.loop = {0}};
	assert_int_equal(uv_loop_init(&other.loop), 0);
	snprintf(other.dir, sizeof(other.dir), "%s", f->dir);
	waited = 0;
	fixture_open(&other, 1000 * MIB);
	assert_true(waited >= 4 * 1000000000LL && waited <= 6 * 1000000000LL);
	char who[96];
	snprintf(who, sizeof(who),
		"/a/b is in use by another process, PID %d; keeping mail in memory", (int)getpid());
	expect_log(who);
	assert_false(has_chunk(&other, 1, 1, 0, 10));
	use_in_memory(&other);
	fixture_close(&other);
	assert_int_equal(uv_loop_close(&other.loop), 0);
	free(other.messages);
	/* The first was not disturbed, and holds its lock. */
	assert_true(counts_of(f).on_disk);
	put_chunk(f, 1, 2, 0, 10);
	fixture_reopen(f);
	assert_true(has_chunk(f, 1, 1, 0, 10));
	assert_true(has_chunk(f, 1, 2, 0, 10));
}

/* --- databases that are no good --- */

/* A mailbox, messages, a journal entry and bodies of several sizes. */
static void make_cache(struct fixture *f)
{
	struct cache_mailbox m = mailbox_of(7, "precious");
	uint32_t uids[] = {7, 14};

	fixture_open(f, 100 * MIB);
	cache_put_mailbox(f->c, &m);
	put_messages(f, 7, 1, 1000);
	put_journal(f, 7, uids, 2);
	for (uint32_t uid = 1; uid <= 60; uid++)
		put_chunk(f, 7, uid, 0, uid * 997);
	fixture_idle(f);
	fixture_close(f);
}

static void check_whole(struct fixture *f)
{
	struct cache_mailbox last;

	assert_int_equal(count_mailboxes(f, &last), 1);
	assert_int_equal(last.exists, mailbox_of(7, "").exists);
	load(f, 7);
	assert_int_equal(f->n, 1000);
	for (uint32_t uid = 1; uid <= 60; uid++)
		assert_true(has_chunk(f, 7, uid, 0, uid * 997));
}

static void check_new(struct fixture *f)
{
	assert_true(counts_of(f).on_disk);
	assert_int_equal(counts_of(f).bytes, 0);
	assert_int_equal(count_mailboxes(f, NULL), 0);
	assert_int_equal(count_journal(f, NULL, NULL), 0);
	put_chunk(f, 1, 1, 0, 10);
	fixture_reopen(f);
	assert_true(has_chunk(f, 1, 1, 0, 10));
}

static void check_replaced(struct fixture *f)
{
	check_new(f);
	assert_true(exists_in(f, "cache.db.damaged"));
}

static void overwrite(const char *path, long long offset, const void *octets, size_t n)
{
	int fd = open(path, O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, octets, n, offset), n);
	close(fd);
}

static void test_garbage(void **state)
{
	struct fixture *f = *state;
	char *octets = make_octets(1, 2, 3, 100000);

	make_cache(f);
	overwrite(path_in(f, "cache.db"), 0, octets, 100000);
	fixture_open(f, 100 * MIB);
	expect_log("/a/b: file is not a database; it is kept as cache.db.damaged");
	check_replaced(f);
	/* Again: the older damaged one is replaced. */
	fixture_close(f);
	overwrite(path_in(f, "cache.db"), 0, octets, 500);
	long long size = size_in(f, "cache.db");
	fixture_open(f, 100 * MIB);
	expect_log("cache.db.damaged");
	assert_int_equal(size_in(f, "cache.db.damaged"), size);
	check_replaced(f);
	free(octets);
}

static void test_truncated(void **state)
{
	static const int percents[] = {1, 20, 50, 90};
	struct fixture *f = *state;

	for (size_t i = 0; i < 4; i++) {
		snprintf(f->dir, sizeof(f->dir), "%s/%zu", f->root, i);
		make_cache(f);
		long long size = size_in(f, "cache.db") * percents[i] / 100;
		assert_int_equal(truncate(path_in(f, "cache.db"), size), 0);
		fixture_open(f, 100 * MIB);
		expect_log("cache.db.damaged");
		check_replaced(f);
		fixture_close(f);
	}
}

static void execute(struct fixture *f, const char *sql)
{
	sqlite3 *handle;

	assert_int_equal(sqlite3_open(path_in(f, "cache.db"), &handle), 0);
	assert_int_equal(sqlite3_exec(handle, sql, NULL, NULL, NULL), 0);
	sqlite3_close(handle);
}

/* The tables of version 2, which held bodies itself, with what make_cache made. */
static const char version_2[] =
	"CREATE TABLE data(id INTEGER PRIMARY KEY, octets BLOB);"
	"INSERT INTO data VALUES(1, randomblob(20000));"
	"DROP TABLE bodies; DROP TABLE segments;"
	"CREATE TABLE bodies(mailbox INTEGER, uid INTEGER, chunk INTEGER, n INTEGER, used INTEGER,"
	" chk INTEGER, data INTEGER, PRIMARY KEY(mailbox, uid, chunk)) WITHOUT ROWID;"
	"CREATE INDEX bodies_used ON bodies(used);"
	"INSERT INTO bodies VALUES(7, 1, 0, 20000, 20000, 0, 1);"
	"CREATE TABLE total(id INTEGER PRIMARY KEY, bytes INTEGER);"
	"INSERT INTO total VALUES(1, 20000);"
	"INSERT INTO total SELECT id, value FROM notes;"
	"DROP TABLE notes; DROP TABLE flags;"
	"PRAGMA user_version=2;";

/* What the version before knew of mailboxes, marks and sizes is carried over, whose mail it is too;
 * mail is fetched again. */
static void test_carried_over(void **state)
{
	struct fixture *f = *state;
	struct cache_mailbox last;
	uint32_t mailbox = 0;
	size_t n = 0;
	char error[256];
	struct cache_options other = {.dir = f->dir, .account = "another", .max_bytes = MIB};

	make_cache(f);
	fixture_open(f, 100 * MIB);
	cache_put_note(f->c, CACHE_NOTE_SIZES, 2);
	fixture_close(f);
	execute(f, version_2);
	assert_null(cache_open(&f->loop, &other, error, sizeof(error)));
	assert_non_null(strstr(error, "holds the mail of another account"));
	expect_log("what it knows of mailboxes is carried over, mail is fetched again");
	fixture_open(f, 100 * MIB);
	assert_int_equal(count_mailboxes(f, &last), 1);
	assert_int_equal(last.exists, mailbox_of(7, "").exists);
	assert_int_equal(count_journal(f, &mailbox, &n), 1);
	assert_int_equal(mailbox, 7);
	assert_int_equal(n, 2);
	assert_int_equal(cache_get_note(f->c, CACHE_NOTE_SIZES), 2);
	load(f, 7);
	assert_int_equal(f->n, 1000);
	assert_int_equal(counts_of(f).bytes, 0);
	assert_false(has_chunk(f, 7, 1, 0, 20000));
	assert_false(exists_in(f, "cache.db.new"));
	put_chunk(f, 7, 1, 0, 500);
	fixture_reopen(f);
	assert_true(has_chunk(f, 7, 1, 0, 500));
}

static void test_foreign(void **state)
{
	static const char *const changes[] = {"PRAGMA user_version=99", "PRAGMA user_version=0",
		"PRAGMA application_id=1", "DROP TABLE journal", "DELETE FROM account",
		"ALTER TABLE bodies RENAME COLUMN n TO size"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		snprintf(f->dir, sizeof(f->dir), "%s/%zu", f->root, i);
		make_cache(f);
		execute(f, changes[i]);
		fixture_open(f, 100 * MIB);
		expect_log(i < 3 ? "the database is of another version; it is kept as"
				 : "it is kept as cache.db.damaged");
		check_replaced(f);
		fixture_close(f);
	}
}

/* Of an older version: nothing of it is served, and nothing of it is kept. */
static void test_older(void **state)
{
	struct fixture *f = *state;

	make_cache(f);
	execute(f, "PRAGMA user_version=1");
	fixture_open(f, 100 * MIB);
	expect_log("an older version of imapfs made the database; a new one is begun");
	check_new(f);
	assert_false(exists_in(f, "cache.db.damaged"));
	fixture_close(f);
}

static bool open_as(struct fixture *f, const char *account, char *error, size_t size)
{
	const struct cache_options options = {
		.dir = f->dir, .account = account, .max_bytes = 100 * MIB};

	*error = '\0';
	f->c = cache_open(&f->loop, &options, error, size);
	return f->c;
}

/* The mail of one person is never shown as another's, whoever asks first. */
/* Version 3 lacked some tables; all that it knew stays, mail too. */
static void test_upgraded(void **state)
{
	struct fixture *f = *state;
	const struct cache_flags about = {5, {"$Work", 6}};
	struct cache_mailbox last;

	make_cache(f);
	execute(f, "DROP TABLE flags; DROP TABLE given; DROP TABLE facts;"
		   "DROP TABLE fact_totals; PRAGMA user_version=3;");
	fixture_open(f, 100 * MIB);
	check_whole(f);
	assert_true(has_chunk(f, 7, 1, 0, 997));
	cache_put_flags(f->c, 7, &about);
	fixture_reopen(f);
	assert_int_equal(count_mailboxes(f, &last), 1);
	fixture_close(f);
}

static void test_other_account(void **state)
{
	struct fixture *f = *state;
	struct cache_mailbox box;
	char error[512];

	assert_true(open_as(f, "anna@h port 993", error, sizeof(error)));
	struct cache_mailbox inbox = mailbox_of(cache_new_id(f->c), "INBOX");
	cache_put_mailbox(f->c, &inbox);
	fixture_close(f);
	assert_false(open_as(f, "anna@h port 993 acting as bert", error, sizeof(error)));
	assert_non_null(strstr(error, "holds the mail of another account, anna@h port 993"));
	assert_false(open_as(f, "", error, sizeof(error)));
	assert_true(open_as(f, "anna@h port 993", error, sizeof(error)));
	assert_int_equal(count_mailboxes(f, &box), 1);
	fixture_close(f);
}

static void test_changed_row(void **state)
{
	static const char *const changes[] = {"UPDATE mailboxes SET uidvalidity=uidvalidity+1",
		"UPDATE mailboxes SET name=x'41'", "UPDATE mailboxes SET delimiter=NULL",
		"UPDATE journal SET uids=x'0100000002000000'"};
	struct fixture *f = *state;

	for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
		snprintf(f->dir, sizeof(f->dir), "%s/%zu", f->root, i);
		make_cache(f);
		execute(f, changes[i]);
		fixture_open(f, 100 * MIB);
		expect_log("cache.db.damaged");
		check_replaced(f);
		fixture_close(f);
	}
}

/* Killed before anything was written, or somebody removed the database and not its log. */
static void test_empty_and_missing(void **state)
{
	struct fixture *f = *state;

	make_cache(f);
	assert_int_equal(truncate(path_in(f, "cache.db"), 0), 0);
	fixture_open(f, MIB);
	assert_int_equal(count_mailboxes(f, NULL), 0);
	fixture_close(f);
	unlink(path_in(f, "cache.db"));
	overwrite(path_in(f, "cache.db-wal"), 0, "stale", 5);
	fixture_open(f, MIB);
	put_chunk(f, 1, 1, 0, 10);
	fixture_reopen(f);
	assert_true(has_chunk(f, 1, 1, 0, 10));
	assert_false(exists_in(f, "cache.db.damaged"));
}

/* Killed while a database was being set aside. */
static void test_mark(void **state)
{
	struct fixture *f = *state;

	make_cache(f);
	overwrite(path_in(f, "cache.db.is-damaged"), 0, "", 0);
	fixture_open(f, MIB);
	expect_log("the database is damaged; it is kept as");
	check_replaced(f);
	assert_false(exists_in(f, "cache.db.is-damaged"));
	fixture_close(f);
	overwrite(path_in(f, "cache.db.is-damaged"), 0, "", 0);
	unlink(path_in(f, "cache.db"));
	fixture_open(f, MIB);
	expect_log("the database is damaged");
	assert_false(exists_in(f, "cache.db.is-damaged"));
}

/* Whatever page is damaged, what is found is right: either nothing is found, or what was put. */
static void check_found(struct fixture *f)
{
	struct cache_mailbox last;
	size_t n;

	if (count_mailboxes(f, &last) > 0)
		assert_int_equal(last.exists, mailbox_of(7, "").exists);
	if (count_journal(f, NULL, &n) > 0)
		assert_int_equal(n, 2);
	for (uint32_t uid = 1; uid <= 60; uid++)
		has_chunk(f, 7, uid, 0, uid * 997);
	load(f, 7);
	for (size_t i = 0; i < f->n; i++) {
		struct cache_message right = message_of(f->messages[i].uid);

		assert_true(f->messages[i].size == right.size);
		assert_true(f->messages[i].date == right.date);
	}
	/* And writing goes on, or is given up, but ends. */
	put_chunk(f, 7, 61, 0, 50000);
	put_messages(f, 7, 1, 300);
	cache_drop_mailbox(f->c, 7);
	fixture_idle(f);
}

static void read_all(const char *path, char *to, size_t n)
{
	int fd = open(path, O_RDONLY);

	assert_true(fd >= 0);
	assert_int_equal(read(fd, to, n), n);
	close(fd);
}

static void test_flipped_octets(void **state)
{
	struct fixture *f = *state;
	int replaced = 0;

	make_cache(f);
	size_t size = (size_t)size_in(f, "cache.db");
	char *saved = malloc(size);
	read_all(path_in(f, "cache.db"), saved, size);
	for (size_t at = 5; at < size; at += 1024 + 171) {
		char octet = (char)(saved[at] ^ 0x5a);

		unlink(path_in(f, "cache.db"));
		unlink(path_in(f, "cache.db.damaged"));
		overwrite(path_in(f, "cache.db"), 0, saved, size);
		overwrite(path_in(f, "cache.db"), (long long)at, &octet, 1);
		fixture_open(f, 100 * MIB);
		check_found(f);
		fixture_reopen(f);
		put_chunk(f, 8, 1, 0, 10);
		fixture_idle(f);
		forgive_log("cache: ");
		/* What was found to be damaged does not come back. */
		replaced += exists_in(f, "cache.db.damaged");
		fixture_close(f);
	}
	assert_true(replaced > 20);
	free(saved);
}

static void test_undamaged(void **state)
{
	struct fixture *f = *state;

	make_cache(f);
	fixture_open(f, 100 * MIB);
	check_whole(f);
	assert_false(exists_in(f, "cache.db.damaged"));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_create, fixture_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_modes),
		TEST(test_loose_file_is_tightened),
		TEST(test_refused),
		TEST(test_parents),
		TEST(test_links_are_not_followed),
		TEST(test_linked_directory),
		TEST(test_memory),
		TEST(test_second_opener),
		TEST(test_undamaged),
		TEST(test_garbage),
		TEST(test_truncated),
		TEST(test_foreign),
		TEST(test_older),
		TEST(test_carried_over),
		TEST(test_upgraded),
		TEST(test_other_account),
		TEST(test_changed_row),
		TEST(test_empty_and_missing),
		TEST(test_mark),
		TEST(test_flipped_octets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
