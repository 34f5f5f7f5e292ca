/* SPDX-License-Identifier: MIT */
/* Names that messages came in under, with a cache in memory. */
#include "mail/model/given.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "mail/model/tree.h"

struct fixture {
	uv_loop_t loop;
	struct tree tree;
	struct mailbox mb;
	unsigned kept;
};

static int create(void **state)
{
	static const struct cache_options options = {.max_bytes = 1 << 20};
	struct fixture *f = calloc(1, sizeof(*f));
	char error[256];

	if (!f || uv_loop_init(&f->loop) != 0)
		return -1;
	f->tree.cache = cache_open(&f->loop, &options, error, sizeof(error));
	f->mb.tree = &f->tree;
	f->mb.id = 7;
	*state = f;
	return f->tree.cache ? 0 : -1;
}

static int destroy(void **state)
{
	struct fixture *f = *state;

	given_finish(&f->mb);
	cache_close(f->tree.cache);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	uv_loop_close(&f->loop);
	free(f);
	return 0;
}

static void test_one_each(void **state)
{
	struct fixture *f = *state;
	struct mailbox *mb = &f->mb;

	assert_int_equal(given_find(mb, "a"), 0);
	given_put(mb, "a", 5, false, NULL);
	given_put(mb, "b", 6, false, NULL);
	assert_int_equal(given_find(mb, "a"), 5);
	assert_int_equal(given_find(mb, "b"), 6);
	/* Another message takes the name. */
	given_put(mb, "a", 7, false, NULL);
	assert_int_equal(given_find(mb, "a"), 7);
	/* A message takes another name. */
	given_put(mb, "c", 7, false, NULL);
	assert_int_equal(given_find(mb, "a"), 0);
	assert_int_equal(given_find(mb, "c"), 7);
	given_put(mb, "c", 7, false, NULL);
	assert_int_equal(given_find(mb, "c"), 7);
	given_drop(mb, 7);
	given_drop(mb, 7);
	assert_int_equal(given_find(mb, "c"), 0);
	assert_int_equal(given_find(mb, "b"), 6);
	given_finish(mb);
	assert_int_equal(given_find(mb, "b"), 0);
}

static void test_passing(void **state)
{
	struct fixture *f = *state;
	struct mailbox *mb = &f->mb;

	given_drop_passing(mb);
	given_put(mb, "5", 50, true, NULL);
	given_put(mb, "6", 60, true, NULL);
	given_put(mb, "a", 70, false, NULL);
	assert_true(given_is_passing(mb, "5"));
	assert_false(given_is_passing(mb, "a"));
	assert_false(given_is_passing(mb, "9"));
	given_drop(mb, 60);
	given_drop_passing(mb);
	assert_int_equal(given_find(mb, "5"), 0);
	assert_int_equal(given_was(mb, "5"), 50);
	assert_false(given_is_passing(mb, "5"));
	assert_int_equal(given_find(mb, "a"), 70);
	assert_int_equal(given_was(mb, "a"), 0);
	given_put(mb, "5", 50, true, NULL);
	assert_int_equal(given_find(mb, "5"), 50);
	assert_int_equal(given_was(mb, "5"), 0);
	given_drop(mb, 50);
	assert_int_equal(given_was(mb, "5"), 0);
}

static void check_kept(void *ctx, uint32_t mailbox, uint32_t uid, struct span name)
{
	struct fixture *f = ctx;

	assert_int_equal(mailbox, 7);
	assert_in_range(uid, 5, 6);
	assert_true(span_equal(name, uid == 5 ? SPAN("a name") : SPAN("/6")));
	f->kept++;
}

static void test_kept(void **state)
{
	struct fixture *f = *state;

	given_put(&f->mb, "a name", 5, false, NULL);
	given_put(&f->mb, "6", 6, true, NULL);
	given_put(&f->mb, "c", 7, false, NULL);
	given_drop(&f->mb, 7);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	cache_each_given(f->tree.cache, check_kept, f);
	assert_int_equal(f->kept, 2);
	cache_drop_mailbox(f->tree.cache, 7);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	cache_each_given(f->tree.cache, check_kept, f);
	assert_int_equal(f->kept, 2);
}

static void test_loaded(void **state)
{
	struct fixture *f = *state;

	given_load(&f->mb, SPAN("a"), 5);
	given_load(&f->mb, SPAN("a"), 6);
	given_load(&f->mb, SPAN("b"), 5);
	given_load(&f->mb, (struct span){"c\0d", 3}, 7);
	assert_int_equal(given_find(&f->mb, "a"), 5);
	assert_int_equal(given_find(&f->mb, "b"), 0);
	assert_int_equal(given_find(&f->mb, "c"), 0);
	given_load(&f->mb, SPAN("/8"), 9);
	assert_int_equal(given_find(&f->mb, "8"), 0);
	assert_int_equal(given_was(&f->mb, "8"), 9);
}

/* The server says a wrong UID: the name finds nothing, rather than another message. */
static void test_other(void **state)
{
	struct fixture *f = *state;
	struct cache_message is = {.size = 10, .date = 1000}, there = {.uid = 5, .size = 10};

	given_put(&f->mb, "a", 5, false, &is);
	assert_int_equal(given_find(&f->mb, "a"), 5);
	rows_put(&f->mb.messages.rows, &there);
	assert_int_equal(given_find(&f->mb, "a"), 5);
	rows_find(&f->mb.messages.rows, 5)->size = 11;
	assert_int_equal(given_find(&f->mb, "a"), 0);
	/* Another name of the same message tells no more of it. */
	given_put(&f->mb, "b", 5, false, NULL);
	assert_int_equal(given_find(&f->mb, "b"), 0);
	rows_find(&f->mb.messages.rows, 5)->date = 1000;
	assert_int_equal(given_find(&f->mb, "b"), 5);
	rows_finish(&f->mb.messages.rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_one_each, create, destroy),
		cmocka_unit_test_setup_teardown(test_passing, create, destroy),
		cmocka_unit_test_setup_teardown(test_kept, create, destroy),
		cmocka_unit_test_setup_teardown(test_loaded, create, destroy),
		cmocka_unit_test_setup_teardown(test_other, create, destroy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
