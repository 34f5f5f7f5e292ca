/* SPDX-License-Identifier: MIT */
/* The spool: its bounds, and what one mount leaves to the next. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "fs/spool.h"

struct world {
	char path[64];
	int dir;
	uv_loop_t loop;
	struct spool_place found[8];
	unsigned n_found;
};

static int set_up(void **state)
{
	struct world *w = mem_zalloc(sizeof(*w));

	snprintf(w->path, sizeof(w->path), "/tmp/imapfs-spool-XXXXXX");
	assert_non_null(mkdtemp(w->path));
	w->dir = open(w->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	uv_loop_init(&w->loop);
	*state = w;
	return 0;
}

static int tear_down(void **state)
{
	struct world *w = *state;

	for (unsigned i = 0; i < w->n_found; i++)
		free(w->found[i].name);
	close(w->dir);
	uv_loop_close(&w->loop);
	assert_int_equal(rmdir(w->path), 0); /* nothing is left in it */
	free(w);
	return 0;
}

static void on_found(void *ctx, struct spool_place *place)
{
	struct world *w = ctx;

	assert_true(w->n_found < 8);
	w->found[w->n_found++] = *place;
}

static struct spool *open_spool(struct world *w)
{
	return spool_open(&w->loop, w->dir, w->path);
}

static struct spool_place make(struct spool *s, const char *name, const char *text)
{
	struct spool_place place = {
		.mailbox = spool_key(span_of("INBOX")), .name = mem_strdup(name)};

	assert_int_equal(spool_make(s, &place), 0);
	int fd = spool_open_file(s, &place);
	assert_true(fd >= 0);
	assert_int_equal(spool_resize(s, &place, strlen(text)), 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	close(fd);
	return place;
}

static void check_found(const struct spool_place *place, const char *name, uint64_t size)
{
	assert_int_equal(place->mailbox, spool_key(span_of("INBOX")));
	assert_string_equal(place->name, name);
	assert_int_equal(place->size, size);
}

static void test_left_to_the_next(void **state)
{
	struct world *w = *state;
	struct spool *s = open_spool(w);
	struct spool_place a = make(s, "a.b.c 1", "text"), b = make(s, "stored", "mail");

	spool_mark(s, &b, true);
	free(a.name);
	free(b.name);
	spool_close(s);
	s = open_spool(w);
	char path[PATH_MAX];
	snprintf(path, sizeof(path), "%s/7.9.1.of another version", spool_path(s));
	close(open(path, O_WRONLY | O_CREAT, 0600));
	/* What it does not know it leaves alone. */
	assert_int_equal(spool_each_left(s, on_found, w), 1);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(w->n_found, 1);
	check_found(&w->found[0], "a.b.c 1", 4);
	/* A new one does not get its number. */
	struct spool_place c = make(s, "c", "");
	assert_int_not_equal(c.number, w->found[0].number);
	spool_drop(s, &c);
	spool_drop(s, &w->found[0]);
	spool_close(s);
}

/* Each mount has its own, and takes over those that nobody has. */
static void test_two_mounts(void **state)
{
	struct world *w = *state;
	struct spool *one = open_spool(w), *two = open_spool(w);
	struct spool_place a = make(one, "a", "1"), b = make(two, "b", "22");

	assert_string_not_equal(spool_path(one), spool_path(two));
	free(b.name);
	spool_close(two);
	spool_each_left(one, on_found, w);
	assert_int_equal(w->n_found, 2);
	bool first = strcmp(w->found[0].name, "a") == 0;
	check_found(&w->found[first ? 1 : 0], "b", 2);
	spool_drop(one, &w->found[0]);
	spool_drop(one, &w->found[1]);
	free(a.name);
	spool_close(one);
}

/* Each name that a file can have. Of two that begin alike each is found. */
static void test_long_names(void **state)
{
	struct world *w = *state;
	struct spool *s = open_spool(w);
	char name[NAME_MAX + 1] = "";

	for (unsigned i = 0; i < NAME_MAX; i++)
		name[i] = i % 2 ? '\xa4' : '\xc3';
	name[NAME_MAX - 1] = 'a';
	struct spool_place a = make(s, name, "1");
	name[NAME_MAX - 1] = 'b';
	struct spool_place b = make(s, "short", "22"), to = b;
	to.name = name;
	assert_int_equal(spool_rename(s, &b, &to), 0);
	assert_string_equal(b.name, name);
	free(a.name);
	free(b.name);
	spool_close(s);
	s = open_spool(w);
	assert_int_equal(spool_each_left(s, on_found, w), 0);
	assert_int_equal(w->n_found, 2);
	assert_string_not_equal(w->found[0].name, w->found[1].name);
	for (unsigned i = 0; i < 2; i++) {
		size_t n = strcspn(w->found[i].name, "~");
		assert_true(n > 200 && n % 2 == 0 && memcmp(w->found[i].name, name, n) == 0);
		spool_drop(s, &w->found[i]);
	}
	spool_close(s);
}

static void test_bounds(void **state)
{
	struct world *w = *state;
	struct spool *s = open_spool(w);
	struct spool_place a = make(s, "a", "");

	assert_int_equal(spool_resize(s, &a, SPOOL_OCTETS_MAX), 0);
	assert_int_equal(spool_resize(s, &a, SPOOL_OCTETS_MAX + 1), ENOSPC);
	struct spool_place c = make(s, "c", "");
	assert_int_equal(spool_resize(s, &c, 1), ENOSPC);
	assert_int_equal(spool_resize(s, &a, 5), 0);
	assert_int_equal(spool_resize(s, &c, 1), 0);
	spool_drop(s, &a);
	spool_drop(s, &c);
	spool_close(s);
}

static void test_no_directory(void **state)
{
	struct world *w = *state;
	struct spool *s = spool_open(&w->loop, -1, NULL);
	struct spool_place a = {.name = mem_strdup("a")};

	assert_int_equal(spool_make(s, &a), ENOSPC);
	spool_each_left(s, on_found, w);
	free(a.name);
	spool_close(s);
}

static void on_done(struct spool_job *job)
{
	struct spool_job *copy = job->ctx;

	*copy = *job;
	if (job->what == SPOOL_READ)
		assert_memory_equal(job->data, "xyz", 3);
}

static void test_jobs(void **state)
{
	struct world *w = *state;
	struct spool *s = open_spool(w);
	struct spool_place a = make(s, "a", "1234");
	struct spool_job job = {0};
	int fd = spool_open_file(s, &a);

	spool_start(s, SPOOL_WRITE, fd, mem_copy("xyz", 3), 3, 2, on_done, &job);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(job.error, 0);
	assert_int_equal(job.n, 3);
	spool_start(s, SPOOL_READ, fd, NULL, 100, 2, on_done, &job);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(job.n, 3);
	spool_start(s, SPOOL_SYNC, fd, NULL, 0, 0, on_done, &job);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(job.error, 0);
	close(fd);
	spool_start(s, SPOOL_WRITE, -1, mem_copy("x", 1), 1, 0, on_done, &job);
	uv_run(&w->loop, UV_RUN_DEFAULT);
	assert_int_equal(job.error, EBADF);
	spool_drop(s, &a);
	spool_close(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_left_to_the_next, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_two_mounts, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_long_names, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_bounds, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_no_directory, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_jobs, set_up, tear_down),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
