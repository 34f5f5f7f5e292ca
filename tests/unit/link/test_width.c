/* SPDX-License-Identifier: MIT */
/* When bulk tasks get one more connection, and when they keep it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "link/width.h"

/* Some seconds of bulk tasks; each connection carries so many octets a millisecond, all together at
 * most so many. */
static void run(struct width *s, uint64_t *now, size_t each, size_t all, unsigned most)
{
	for (unsigned i = 0; i < 20000; i++) {
		size_t octets = each * width_count(s);
		width_note(s, octets < all ? octets : all, true, most, ++*now);
	}
}

static void test_each_held_back(void **state)
{
	struct width s = {0};
	uint64_t now = 5000;

	run(&s, &now, 2000, 1000000, 2);
	assert_int_equal(width_count(&s), 2);
	/* If it may have more it takes them. */
	run(&s, &now, 2000, 1000000, 4);
	assert_int_equal(width_count(&s), 4);
}

static void test_line_is_full(void **state)
{
	struct width s = {0};
	uint64_t now = 5000;

	run(&s, &now, 2000, 2000, 3);
	assert_int_equal(width_count(&s), 1);
	assert_true(s.decided);
	/* The second brought much, the third little. */
	s = (struct width){0};
	run(&s, &now, 2000, 4200, 4);
	assert_int_equal(width_count(&s), 2);
	assert_true(s.decided);
}

static void test_fast(void **state)
{
	struct width s = {0};
	uint64_t now = 5000;

	run(&s, &now, 60000, 1000000, 3);
	assert_int_equal(width_count(&s), 1);
	/* It became slow. */
	run(&s, &now, 1000, 1000000, 3);
	assert_int_equal(width_count(&s), 3);
}

static void test_no_more_allowed(void **state)
{
	struct width s = {0};
	uint64_t now = 5000;

	run(&s, &now, 2000, 1000000, 1);
	assert_int_equal(width_count(&s), 1);
}

/* A reader that takes a little now and then: what passes between is not the line's. */
static void test_pauses(void **state)
{
	struct width s = {0};
	uint64_t now = 5000;

	for (unsigned i = 0; i < 50000; i++) {
		now += 500;
		width_note(&s, 100000, true, 3, now);
		now += 1;
		width_note(&s, 100000, false, 3, now);
	}
	assert_int_equal(width_count(&s), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_each_held_back),
		cmocka_unit_test(test_line_is_full),
		cmocka_unit_test(test_fast),
		cmocka_unit_test(test_no_more_allowed),
		cmocka_unit_test(test_pauses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
