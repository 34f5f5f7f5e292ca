/* SPDX-License-Identifier: MIT */
/* The journal: what is put is there again, whoever opens it next, and nobody's is lost. */
#include <fcntl.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../support/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "base/buf.h"
#include "base/log.h"
#include "state/state.h"

struct fixture {
	char dir[64];
	uv_loop_t loop;
	struct buf seen;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	CHECK(f);
	snprintf(f->dir, sizeof(f->dir), "/tmp/imapfs-state-XXXXXX");
	CHECK(mkdtemp(f->dir));
	CHECK(uv_loop_init(&f->loop) == 0);
	buf_init(&f->seen, 1u << 20);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;
	char command[128];

	uv_run(&f->loop, UV_RUN_DEFAULT);
	CHECK(uv_loop_close(&f->loop) == 0);
	buf_finish(&f->seen);
	snprintf(command, sizeof(command), "rm -rf %s", f->dir);
	CHECK(system(command) == 0);
	free(f);
	return 0;
}

static struct state *open_as(struct fixture *f, const char *account)
{
	struct state_options options = {.dir = f->dir, .account = account};
	char error[256] = "";
	struct state *s = state_open(&f->loop, &options, error, sizeof(error));

	buf_clear(&f->seen);
	CHECK(buf_append_span(&f->seen, span_of(error)) == 0);
	return s;
}

static void put(struct state *s, const char *mailbox, uint32_t uid, const char *target)
{
	struct state_intent intent = {.mailbox = span_of(mailbox),
		.uidvalidity = 7,
		.uid = uid,
		.verb = target[0] ? 2 : 1,
		.target = span_of(target),
		.argument = SPAN("x"),
		.name = span_of(strcmp(target, "Away") == 0 ? "name" : ""),
		.made = 1000 + uid,
		.size = 99,
		.date = -5,
		.flags = 3};

	assert_int_equal(state_put(s, &intent), 0);
}

static void see(void *ctx, const struct state_intent *i)
{
	struct fixture *f = ctx;

	assert_int_equal(i->uidvalidity, 7);
	assert_int_equal(i->size, 99);
	assert_int_equal(i->date, -5);
	assert_int_equal(i->flags, 3);
	assert_int_equal(i->made, 1000 + i->uid);
	CHECK(buf_printf(&f->seen, "%.*s/%u:%u%.*s%s%.*s ", (int)i->mailbox.n, i->mailbox.p, i->uid,
		      i->verb, (int)i->target.n, i->target.p, i->name.n > 0 ? "/" : "",
		      (int)i->name.n, i->name.p) == 0);
}

static const char *all(struct fixture *f, struct state *s)
{
	buf_clear(&f->seen);
	state_each(s, see, f);
	return buf_cstr(&f->seen);
}

static unsigned journals(const struct fixture *f)
{
	char name[128];
	unsigned n = 0;

	for (unsigned i = 1; i < 5; i++) {
		snprintf(name, sizeof(name), "%s/journal-%u.db", f->dir, i);
		n += access(name, F_OK) == 0;
	}
	return n;
}

static void test_kept(void **state)
{
	struct fixture *f = *state;
	struct state *s = open_as(f, "joe");

	put(s, "INBOX", 3, "");
	put(s, "a&-b", 4, "Trash");
	put(s, "INBOX", 3, "Old");
	put(s, "INBOX", 5, "");
	state_drop(s, SPAN("INBOX"), 7, 5);
	state_drop(s, SPAN("INBOX"), 8, 3);
	assert_string_equal(all(f, s), "INBOX/3:2Old a&-b/4:2Trash ");
	state_close(s);
	s = open_as(f, "joe");
	assert_string_equal(all(f, s), "INBOX/3:2Old a&-b/4:2Trash ");
	state_rename(s, SPAN("Old"), SPAN("Older"));
	state_rename(s, SPAN("a&-b"), SPAN("c"));
	assert_string_equal(all(f, s), "INBOX/3:2Older c/4:2Trash ");
	state_drop(s, SPAN("INBOX"), 7, 3);
	state_drop(s, SPAN("c"), 7, 4);
	assert_int_equal(journals(f), 1);
	state_close(s);
	assert_int_equal(journals(f), 0);
}

/* Two at once have each their own; what one left is taken over by the next. */
static void test_two(void **state)
{
	struct fixture *f = *state;
	struct state *one = open_as(f, "joe"), *two = open_as(f, "joe");

	put(one, "INBOX", 1, "");
	put(two, "INBOX", 2, "");
	assert_string_equal(all(f, one), "INBOX/1:1 ");
	assert_string_equal(all(f, two), "INBOX/2:1 ");
	assert_int_equal(journals(f), 2);
	state_close(two);
	state_close(one);
	one = open_as(f, "joe");
	assert_string_equal(all(f, one), "INBOX/1:1 INBOX/2:1 ");
	assert_int_equal(journals(f), 1);
	two = open_as(f, "joe");
	assert_string_equal(all(f, two), "");
	state_close(two);
	state_close(one);
}

static void test_killed(void **state)
{
	struct fixture *f = *state;
	pid_t child = fork();
	int status;

	if (child == 0) {
		put(open_as(f, "joe"), "INBOX", 9, "");
		_exit(0);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	struct state *s = open_as(f, "joe");
	assert_string_equal(all(f, s), "INBOX/9:1 ");
	state_close(s);
}

static void test_another_account(void **state)
{
	struct fixture *f = *state;
	struct state *s = open_as(f, "joe");

	put(s, "INBOX", 9, "");
	state_close(s);
	assert_null(open_as(f, "jane"));
	assert_non_null(strstr(buf_cstr(&f->seen), "is of another account, joe"));
	s = open_as(f, "joe");
	assert_string_equal(all(f, s), "INBOX/9:1 ");
	state_close(s);
}

static void test_ours_alone(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	char path[128];

	mode_t mask = umask(0);
	struct state *s = open_as(f, "joe");
	umask(mask);
	put(s, "INBOX", 1, "");
	assert_int_equal(fstat(state_dir(s), &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
	static const char *const names[] = {"journal-1.db", "journal-1.lock", "journal-1.db-wal"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(path, sizeof(path), "%s/%s", f->dir, names[i]);
		assert_int_equal(stat(path, &st), 0);
		assert_int_equal(st.st_mode & 0777, 0600);
	}
	state_close(s);
}

static void write_garbage(const struct fixture *f, const char *name)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/%s", f->dir, name);
	FILE *file = fopen(path, "w");
	CHECK(file && fputs("This is no database, but it is long enough for a header. ........",
			      file) > 0);
	fclose(file);
}

static void test_damaged(void **state)
{
	struct fixture *f = *state;
	char path[128];

	write_garbage(f, "journal-1.db");
	struct state *s = open_as(f, "joe");
	put(s, "INBOX", 1, "");
	assert_string_equal(all(f, s), "INBOX/1:1 ");
	state_close(s);
	snprintf(path, sizeof(path), "%s/journal-1.db.damaged", f->dir);
	assert_int_equal(access(path, F_OK), 0);
}

static void change_version(struct fixture *f, int version)
{
	char text[128];
	sqlite3 *db;

	snprintf(text, sizeof(text), "%s/journal-1.db", f->dir);
	CHECK(sqlite3_open(text, &db) == SQLITE_OK);
	snprintf(text, sizeof(text), "PRAGMA user_version=%d", version);
	CHECK(sqlite3_exec(db, text, NULL, NULL, NULL) == SQLITE_OK);
	CHECK(sqlite3_close(db) == SQLITE_OK);
}

static void check_log(struct fixture *f, const char *text)
{
	buf_clear(&f->seen);
	CHECK(log_recent(&f->seen) == 0);
	if (!strstr(buf_cstr(&f->seen), text))
		fail_msg("the log says '%s', not '%s'", buf_cstr(&f->seen), text);
}

/* Nothing in it is done, and nothing is lost: the version that made it goes on with it. */
static void test_newer(void **state)
{
	struct fixture *f = *state;
	struct state *s = open_as(f, "joe");

	put(s, "INBOX", 9, "");
	state_close(s);
	change_version(f, 3);
	for (int round = 0; round < 2; round++) {
		s = open_as(f, "joe");
		assert_non_null(s);
		check_log(
			f, "journal-1.db: a newer version of imapfs made it: it is left as it is");
		assert_string_equal(all(f, s), round ? "INBOX/5:1 " : "");
		put(s, "INBOX", 5, "");
		state_close(s);
	}
	change_version(f, 2);
	s = open_as(f, "joe");
	assert_string_equal(all(f, s), "INBOX/5:1 INBOX/9:1 ");
	state_close(s);
}

/* As the first version has left it. */
static const char of_version_1[] =
	"CREATE TABLE account(name TEXT);"
	"CREATE TABLE intents(mailbox BLOB, uidvalidity INTEGER, uid INTEGER, verb INTEGER,"
	" target BLOB, argument BLOB, made INTEGER, size INTEGER, date INTEGER, flags INTEGER,"
	" PRIMARY KEY(mailbox, uidvalidity, uid)) WITHOUT ROWID;"
	"INSERT INTO account VALUES('joe');"
	"INSERT INTO intents VALUES(x'494e424f58', 7, 4, 2, x'546f', x'', 1004, 99, -5, 3);"
	"PRAGMA user_version=1";

static void test_older(void **state)
{
	struct fixture *f = *state;
	char path[128];
	sqlite3 *db;

	snprintf(path, sizeof(path), "%s/journal-2.db", f->dir);
	for (int round = 0; round < 2; round++) {
		CHECK(sqlite3_open(path, &db) == SQLITE_OK);
		CHECK(sqlite3_exec(db, of_version_1, NULL, NULL, NULL) == SQLITE_OK);
		CHECK(sqlite3_close(db) == SQLITE_OK);
		/* Taken over from the one that nobody holds; and as its own. */
		struct state *s = open_as(f, "joe");
		assert_string_equal(all(f, s), "INBOX/4:2To ");
		put(s, "INBOX", 5, "Away");
		assert_string_equal(all(f, s), "INBOX/4:2To INBOX/5:2Away/name ");
		state_drop(s, SPAN("INBOX"), 7, 4);
		state_drop(s, SPAN("INBOX"), 7, 5);
		state_close(s);
		assert_int_equal(journals(f), 0);
		snprintf(path, sizeof(path), "%s/journal-1.db", f->dir);
	}
}

/* Where that is so of all there can be, nothing can be promised, and it is said why. */
static void test_all_newer(void **state)
{
	struct fixture *f = *state;
	char command[256];

	state_close(open_as(f, "joe"));
	change_version(f, 3);
	snprintf(command, sizeof(command),
		"cd %s && for n in $(seq 2 64); do cp journal-1.db journal-$n.db; done", f->dir);
	CHECK(system(command) == 0);
	assert_null(open_as(f, "joe"));
	assert_non_null(strstr(buf_cstr(&f->seen),
		"no journal can be used: a newer version of imapfs made them all"));
}

/* What is none of ours is kept for who wants to look. */
static void test_foreign(void **state)
{
	struct fixture *f = *state;
	struct state *s = open_as(f, "joe");
	char path[128];

	put(s, "INBOX", 9, "");
	state_close(s);
	change_version(f, 0);
	s = open_as(f, "joe");
	assert_non_null(s);
	check_log(f, "it is kept as journal-1.db.damaged");
	assert_string_equal(all(f, s), "");
	state_close(s);
	snprintf(path, sizeof(path), "%s/journal-1.db.damaged", f->dir);
	assert_int_equal(access(path, F_OK), 0);
}

/* The log is brought into the database meanwhile. */
static void test_many(void **state)
{
	struct fixture *f = *state;
	struct state *s = open_as(f, "joe");

	for (uint32_t uid = 1; uid <= 5000; uid++) {
		put(s, "INBOX", uid, "");
		uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	for (uint32_t uid = 1; uid < 5000; uid++)
		state_drop(s, SPAN("INBOX"), 7, uid);
	assert_string_equal(all(f, s), "INBOX/5000:1 ");
	state_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_two, setup, teardown),
		cmocka_unit_test_setup_teardown(test_killed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_account, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ours_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_damaged, setup, teardown),
		cmocka_unit_test_setup_teardown(test_older, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_all_newer, setup, teardown),
		cmocka_unit_test_setup_teardown(test_foreign, setup, teardown),
		cmocka_unit_test_setup_teardown(test_many, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
