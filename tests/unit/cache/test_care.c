/* SPDX-License-Identifier: MIT */
/* A cache that no mount uses: looked at, verified, trimmed and cleared. */
#include "support.h"

#include <fcntl.h>
#include <stdio.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/error.h"
#include "cache/care.h"
#include "cache/private.h"

#define COUNT 20u

/* Stands before libc's, so that nobody waits for a lock that its holder keeps. */
int nanosleep(const struct timespec *time, struct timespec *left)
{
	return 0;
}

static void open_alone(struct fixture *f)
{
	const struct cache_options options = {.dir = f->dir, .max_bytes = 16 * MIB};
	char error[512] = "";

	f->c = cache_open_alone(&options, error, sizeof(error));
	if (!f->c)
		fail_msg("%s", error);
}

static void close_it(struct fixture *f)
{
	cache_close(f->c);
	f->c = NULL;
}

/* A mailbox with so many messages of a chunk, in segments of 1 MiB; and something that is no message. */
static void fill(struct fixture *f)
{
	fixture_open(f, 16 * MIB);
	struct cache_mailbox m = mailbox_of(1, "INBOX");
	cache_put_mailbox(f->c, &m);
	for (uint32_t uid = 1; uid <= COUNT; uid++)
		put_chunk(f, 1, uid, 0, CACHE_CHUNK);
	put_chunk(f, 9, 1, 0, 100);
	fixture_settle(f);
	fixture_close(f);
}

static unsigned count_found(struct fixture *f)
{
	unsigned found = 0;

	for (uint32_t uid = 1; uid <= COUNT; uid++)
		found += has_chunk(f, 1, uid, 0, CACHE_CHUNK);
	return found;
}

static void test_look(void **state)
{
	struct fixture *f = *state;
	struct cache_look look;

	assert_false(cache_look(f->dir, &look));
	assert_false(exists_in(f, "cache.db"));
	assert_false(cache_look(f->root, &look));
	fill(f);
	assert_true(cache_look(f->dir, &look));
	assert_false(look.in_use);
	assert_string_equal(look.account, "");
	assert_int_equal(look.messages, COUNT);
	assert_true(look.octets >= COUNT * (uint64_t)CACHE_CHUNK);
	assert_true(look.used > 0);
	cache_look_finish(&look);
	/* It holds nothing: the next one has it at once. */
	fixture_open(f, 16 * MIB);
	assert_true(cache_look(f->dir, &look));
	assert_true(look.in_use);
	assert_int_equal(look.pid, getpid());
	assert_null(look.account);
	cache_look_finish(&look);
}

/* Seconds since 1970 for all that the cache has. */
static void set_times(struct fixture *f, const char *const *names, size_t n, time_t seconds)
{
	const struct timespec times[2] = {{.tv_sec = seconds}, {.tv_sec = seconds}};

	for (size_t i = 0; i < n; i++)
		assert_int_equal(utimensat(AT_FDCWD, path_in(f, names[i]), times, 0), 0);
}

/* A look is no use of it, and leaves nothing behind. */
static void test_looks_are_alike(void **state)
{
	static const char *const names[] = {"cache.db", "bodies/00000001", "bodies/00000002",
		"bodies/00000003", "bodies/00000004", "bodies/00000005", "bodies/00000006"};
	struct fixture *f = *state;
	struct cache_look look;

	fill(f);
	set_times(f, names, sizeof(names) / sizeof(names[0]), 1000);
	set_times(f, names + 2, 1, 2000);
	for (unsigned i = 0; i < 2; i++) {
		assert_true(cache_look(f->dir, &look));
		assert_int_equal(look.messages, COUNT);
		assert_int_equal(look.used, 2000);
		cache_look_finish(&look);
		assert_false(exists_in(f, "cache.db-shm"));
		assert_false(exists_in(f, "cache.db-wal"));
	}
}

static void copy(struct fixture *f, const char *from, const char *to)
{
	static char octets[2 * MIB];
	int in = open(path_in(f, from), O_RDONLY);
	ssize_t n = read(in, octets, sizeof(octets));

	assert_in_range(n, 1, sizeof(octets) - 1);
	close(in);
	int out = open(path_in(f, to), O_WRONLY | O_CREAT | O_TRUNC, 0600);
	assert_int_equal(write(out, octets, (size_t)n), n);
	close(out);
}

/* What a process that was killed has written last is in the log still, and stays there. */
static void test_look_at_log(void **state)
{
	struct fixture *f = *state;
	struct cache_look look;

	fill(f);
	fixture_open(f, 16 * MIB);
	put_chunk(f, 1, COUNT + 1, 0, 10);
	fixture_settle(f);
	fixture_idle(f);
	copy(f, "cache.db", "killed.db");
	copy(f, "cache.db-wal", "killed.db-wal");
	fixture_close(f);
	copy(f, "killed.db", "cache.db");
	copy(f, "killed.db-wal", "cache.db-wal");
	for (unsigned i = 0; i < 2; i++) {
		assert_true(cache_look(f->dir, &look));
		assert_int_equal(look.messages, COUNT + 1);
		cache_look_finish(&look);
	}
	fixture_open(f, 16 * MIB);
	assert_true(has_chunk(f, 1, COUNT + 1, 0, 10));
}

/* Others that look at the same time hold nobody up. */
static void test_looks_at_once(void **state)
{
	struct fixture *f = *state;
	struct cache_look look;

	fill(f);
	int other = open(path_in(f, "cache.lock"), O_RDONLY);
	assert_int_equal(flock(other, LOCK_SH | LOCK_NB), 0);
	assert_true(cache_look(f->dir, &look));
	assert_false(look.in_use);
	assert_int_equal(look.messages, COUNT);
	cache_look_finish(&look);
	close(other);
}

static void test_alone(void **state)
{
	struct fixture *f = *state;
	const struct cache_options options = {.dir = f->dir, .max_bytes = MIB};
	char error[512] = "";

	fill(f);
	fixture_open(f, 16 * MIB);
	assert_null(cache_open_alone(&options, error, sizeof(error)));
	assert_non_null(strstr(error, "is in use by another process"));
}

static void execute(sqlite3 *db, const char *sql)
{
	assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void execute_in(struct fixture *f, const char *sql)
{
	sqlite3 *db;

	assert_int_equal(sqlite3_open(path_in(f, "cache.db"), &db), SQLITE_OK);
	execute(db, sql);
	assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void refuse_alone(struct fixture *f, const char *why)
{
	const struct cache_options options = {.dir = f->dir, .max_bytes = 16 * MIB};
	char error[512] = "";

	assert_null(cache_open_alone(&options, error, sizeof(error)));
	if (!strstr(error, why) || !strstr(error, "it is left as it is"))
		fail_msg("'%s' does not say '%s'", error, why);
	assert_false(exists_in(f, "cache.db.damaged"));
	assert_true(exists_in(f, "cache.db"));
	assert_true(exists_in(f, "bodies/00000001"));
}

/* What cannot be used is not called sound, nor is anything done about it but by a mount. */
static void test_alone_leaves(void **state)
{
	struct fixture *f = *state;

	fill(f);
	execute_in(f, "PRAGMA user_version=99");
	refuse_alone(f, "the database is of another version");
	execute_in(f, "PRAGMA user_version=2");
	refuse_alone(f, "the database is of another version");
	execute_in(f, "PRAGMA user_version=4");
	open_alone(f);
	close_it(f);
	execute_in(f, "ALTER TABLE journal RENAME TO other");
	refuse_alone(f, "cache.db: ");
	execute_in(f, "ALTER TABLE other RENAME TO journal");
	close(open(path_in(f, "cache.db.is-damaged"), O_CREAT | O_WRONLY, 0600));
	refuse_alone(f, "malformed");
	assert_true(exists_in(f, "cache.db.is-damaged"));
	fixture_open(f, 16 * MIB);
	expect_log("the database is damaged; it is kept as cache.db.damaged");
}

static void test_verify(void **state)
{
	struct fixture *f = *state;
	struct cache_verified v;

	fill(f);
	open_alone(f);
	assert_int_equal(cache_verify(f->c, &v), 0);
	assert_int_equal(v.messages, COUNT);
	assert_int_equal(v.octets, COUNT * CACHE_CHUNK + 100);
	assert_int_equal(v.damaged, 0);
	close_it(f);

	int fd = open(path_in(f, "bodies/00000001"), O_WRONLY);
	assert_int_equal(pwrite(fd, "damage", 6, CACHE_CHUNK + 1000), 6);
	close(fd);
	open_alone(f);
	assert_int_equal(cache_verify(f->c, &v), 0);
	assert_int_equal(v.messages, COUNT - 1);
	assert_int_equal(v.damaged, 1);
	assert_int_equal(cache_verify(f->c, &v), 0);
	assert_int_equal(v.damaged, 0);
	close_it(f);
	fixture_open(f, 16 * MIB);
	assert_false(has_chunk(f, 1, 2, 0, CACHE_CHUNK));
	assert_int_equal(count_found(f), COUNT - 1);
}

/* A message of several chunks is sound only if all of them are; and it is kept no more. */
static void test_verify_in_part(void **state)
{
	struct fixture *f = *state;
	struct cache_verified v;

	for (uint32_t damaged = 0; damaged < 3; damaged++) {
		snprintf(f->dir, sizeof(f->dir), "%s/%u", f->root, damaged);
		fixture_open(f, 64 * MIB);
		struct cache_mailbox m = mailbox_of(1, "INBOX");
		cache_put_mailbox(f->c, &m);
		for (uint32_t chunk = 0; chunk < 3; chunk++)
			put_chunk(f, 1, 1, chunk, chunk < 2 ? CACHE_CHUNK : 100);
		put_chunk(f, 1, 2, 0, 7);
		fixture_settle(f);
		fixture_close(f);
		int fd = open(path_in(f, "bodies/00000001"), O_WRONLY);
		assert_int_equal(pwrite(fd, "damage", 6, damaged * CACHE_CHUNK + 10), 6);
		close(fd);
		open_alone(f);
		assert_int_equal(cache_verify(f->c, &v), 0);
		assert_int_equal(v.messages, 1);
		assert_int_equal(v.octets, 7);
		assert_int_equal(v.damaged, 1);
		assert_int_equal(cache_verify(f->c, &v), 0);
		assert_int_equal(v.messages, 1);
		assert_int_equal(v.octets, 7);
		assert_int_equal(v.damaged, 0);
		close_it(f);
	}
}

static void test_trim(void **state)
{
	struct fixture *f = *state;

	fill(f);
	open_alone(f);
	assert_int_equal(cache_trim(f->c, 3 * MIB), 0);
	close_it(f);
	fixture_open(f, 16 * MIB);
	assert_in_range(count_found(f), 4, 12);
	assert_true(has_chunk(f, 1, COUNT, 0, CACHE_CHUNK));
	assert_false(has_chunk(f, 1, 1, 0, CACHE_CHUNK));
	assert_int_equal(count_mailboxes(f, NULL), 1);
	fixture_close(f);
	open_alone(f);
	assert_int_equal(cache_trim(f->c, 0), 0);
	close_it(f);
	fixture_open(f, 16 * MIB);
	assert_int_equal(counts_of(f).bytes, 0);
	assert_int_equal(count_mailboxes(f, NULL), 1);
}

static void test_clear(void **state)
{
	struct fixture *f = *state;

	fill(f);
	fixture_open(f, 16 * MIB);
	uint32_t id = cache_new_id(f->c);
	fixture_close(f);
	open_alone(f);
	assert_int_equal(cache_clear(f->c), 0);
	close_it(f);
	assert_false(exists_in(f, "cache.db"));
	assert_false(exists_in(f, "cache.db-wal"));
	assert_false(exists_in(f, "bodies/00000001"));
	fixture_open(f, 16 * MIB);
	assert_int_equal(count_mailboxes(f, NULL), 0);
	assert_int_equal(count_found(f), 0);
	assert_true(cache_new_id(f->c) > id);
}

/* What is owed to the server is not forgotten. */
static void test_clear_refused(void **state)
{
	static const uint32_t uids[] = {1, 2};
	struct fixture *f = *state;
	uint32_t mailbox;
	size_t n;

	fill(f);
	fixture_open(f, 16 * MIB);
	put_journal(f, 1, uids, 2);
	fixture_settle(f);
	fixture_close(f);
	open_alone(f);
	assert_int_equal(cache_clear(f->c), ERR_BUSY);
	close_it(f);
	fixture_open(f, 16 * MIB);
	assert_int_equal(count_found(f), COUNT);
	assert_int_equal(count_journal(f, &mailbox, &n), 1);
	assert_int_equal(n, 2);
}

/* Nor where it cannot be read. */
static void test_clear_of_damage(void **state)
{
	static const uint32_t uids[] = {1, 2};
	struct fixture *f = *state;

	fill(f);
	fixture_open(f, 16 * MIB);
	put_journal(f, 1, uids, 2);
	fixture_settle(f);
	fixture_close(f);
	open_alone(f);
	execute(f->c->writer.db.handle, "UPDATE journal SET chk=chk+1");
	assert_int_equal(cache_clear(f->c), ERR_IO);
	expect_log("the next start begins a new one");
	close_it(f);
	assert_true(exists_in(f, "cache.db"));
	assert_true(exists_in(f, "bodies/00000001"));
}

/* Inodes are made of ids: none may mean another mailbox. */
static void test_clear_keeps_count(void **state)
{
	struct fixture *f = *state;
	struct cache_mailbox m = mailbox_of(1234, "INBOX");

	fixture_open(f, 16 * MIB);
	cache_put_mailbox(f->c, &m);
	fixture_close(f);
	assert_int_equal(size_in(f, "cache.ids"), 0);
	open_alone(f);
	assert_int_equal(cache_clear(f->c), 0);
	close_it(f);
	fixture_open(f, 16 * MIB);
	assert_true(cache_new_id(f->c) > 1234);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_look, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(
			test_looks_are_alike, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_look_at_log, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(
			test_looks_at_once, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_alone, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_alone_leaves, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_verify, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(
			test_verify_in_part, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_trim, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_clear, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(
			test_clear_refused, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(
			test_clear_of_damage, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(
			test_clear_keeps_count, fixture_create, fixture_destroy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
