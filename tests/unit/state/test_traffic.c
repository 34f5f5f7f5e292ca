/* SPDX-License-Identifier: MIT */
/* What came on a day: counted by several together, kept, and begun anew with the next. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "../support/check.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>
#include "state/traffic.h"

static char dir[64];

static int setup(void **state)
{
	snprintf(dir, sizeof(dir), "/tmp/imapfs-traffic-XXXXXX");
	CHECK(mkdtemp(dir));
	return 0;
}

static int teardown(void **state)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	CHECK(system(command) == 0);
	return 0;
}

static struct traffic *open_it(void)
{
	char error[256] = "";
	struct traffic *t = traffic_open(dir, error, sizeof(error));

	CHECK(t);
	return t;
}

static int open_file(void)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/traffic", dir);
	int fd = open(path, O_RDWR);
	CHECK(fd >= 0);
	return fd;
}

static void test_kept(void **state)
{
	struct traffic *t = open_it();

	assert_int_equal(traffic_add(t, "2026-11-27", 0), 0);
	assert_int_equal(traffic_add(t, "2026-11-27", 1000), 1000);
	assert_int_equal(traffic_add(t, "2026-11-27", 1), 1001);
	traffic_close(t);
	t = open_it();
	assert_int_equal(traffic_add(t, "2026-11-27", 0), 1001);
	traffic_close(t);
}

static void test_together(void **state)
{
	struct traffic *a = open_it(), *b = open_it();

	traffic_add(a, "2026-11-27", 1000);
	assert_int_equal(traffic_add(b, "2026-11-27", 500), 1500);
	assert_int_equal(traffic_add(a, "2026-11-27", 0), 1500);
	traffic_close(a);
	traffic_close(b);
}

static void test_next_day(void **state)
{
	struct traffic *t = open_it();

	traffic_add(t, "2026-11-27", 1000);
	assert_int_equal(traffic_add(t, "2026-11-28", 0), 0);
	assert_int_equal(traffic_add(t, "2026-11-28", 10), 10);
	traffic_close(t);
}

/* Somebody else writes at the moment: nobody waits, and nothing is lost. */
static void test_locked(void **state)
{
	struct traffic *t = open_it();
	int fd = open_file();

	traffic_add(t, "2026-11-27", 1);
	CHECK(flock(fd, LOCK_EX) == 0);
	assert_int_equal(traffic_add(t, "2026-11-27", 10), 11);
	assert_int_equal(traffic_add(t, "2026-11-27", 100), 111);
	CHECK(flock(fd, LOCK_UN) == 0);
	assert_int_equal(traffic_add(t, "2026-11-27", 0), 111);
	traffic_close(t);
	t = open_it();
	assert_int_equal(traffic_add(t, "2026-11-27", 0), 111);
	traffic_close(t);
	close(fd);
}

static void test_nonsense(void **state)
{
	static const char *const lines[] = {"0 2026-11-27 5\n", "1 2026-11-27\n", "1 x 5", "\n",
		"1 2026-11-27000000000000000000000000000000000000000000000000000000000005\n"};

	for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
		struct traffic *t = open_it();
		int fd = open_file();
		CHECK(ftruncate(fd, 0) == 0);
		CHECK(write(fd, lines[i], strlen(lines[i])) > 0);
		assert_int_equal(traffic_add(t, "2026-11-27", 7), 7);
		traffic_close(t);
		close(fd);
	}
}

/* Of a newer version: it is counted here alone, and nothing is written over what that version knows. */
static void test_newer(void **state)
{
	static const char line[] = "2 2026-11-27 5 what it means nobody knows\n";
	char now[sizeof(line) + 1] = "";
	struct traffic *t = open_it();
	int fd = open_file();

	CHECK(write(fd, line, strlen(line)) > 0);
	assert_int_equal(traffic_add(t, "2026-11-27", 7), 7);
	assert_int_equal(traffic_add(t, "2026-11-27", 1), 8);
	assert_int_equal(traffic_add(t, "2026-11-28", 1), 1);
	traffic_close(t);
	assert_int_equal(pread(fd, now, sizeof(now), 0), strlen(line));
	assert_string_equal(now, line);
	close(fd);
}

static void test_no_directory(void **state)
{
	char error[256] = "";

	assert_null(traffic_open("/proc/imapfs", error, sizeof(error)));
	assert_string_not_equal(error, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_kept, setup, teardown),
		cmocka_unit_test_setup_teardown(test_together, setup, teardown),
		cmocka_unit_test_setup_teardown(test_next_day, setup, teardown),
		cmocka_unit_test_setup_teardown(test_locked, setup, teardown),
		cmocka_unit_test_setup_teardown(test_nonsense, setup, teardown),
		cmocka_unit_test_setup_teardown(test_newer, setup, teardown),
		cmocka_unit_test(test_no_directory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
