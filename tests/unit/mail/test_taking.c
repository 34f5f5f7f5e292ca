/* SPDX-License-Identifier: MIT */
/* How much of messages their readers take. */
#include "mail/read/taking.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define KIB 1024u

static void two_beginnings_are_believed(void **state)
{
	struct taking t = {0};

	assert_int_equal(taking_octets(&t), 0);
	taking_note(&t, 16 * KIB);
	assert_int_equal(taking_octets(&t), 0);
	taking_note(&t, 5 * KIB + 1);
	assert_int_equal(taking_octets(&t), 16 * KIB);
}

static void whole_pages(void **state)
{
	struct taking t = {0};

	taking_note(&t, 1);
	taking_note(&t, 1);
	assert_int_equal(taking_octets(&t), 4 * KIB);
	taking_note(&t, 4 * KIB + 1);
	assert_int_equal(taking_octets(&t), 8 * KIB);
	taking_note(&t, TAKING_BEGINNING_MAX);
	assert_int_equal(taking_octets(&t), TAKING_BEGINNING_MAX);
}

static void one_that_was_read_ends_the_row(void **state)
{
	struct taking t = {0};

	taking_note(&t, 16 * KIB);
	taking_note(&t, TAKING_BEGINNING_MAX + 1);
	taking_note(&t, 8 * KIB);
	assert_int_equal(taking_octets(&t), 0);
	taking_note(&t, 8 * KIB);
	assert_int_equal(taking_octets(&t), 8 * KIB);
}

static void a_longer_beginning_is_still_one(void **state)
{
	struct taking t = {0};

	taking_go_on(&t, 100 * KIB);
	taking_note(&t, 16 * KIB);
	taking_note(&t, 16 * KIB);
	taking_go_on(&t, 8 * KIB);
	assert_int_equal(taking_octets(&t), 16 * KIB);
	taking_go_on(&t, 48 * KIB);
	assert_int_equal(taking_octets(&t), 48 * KIB);
}

static unsigned needed_until_believed(struct taking *t)
{
	unsigned n = 0;

	for (; taking_octets(t) == 0; n++)
		taking_note(t, 16 * KIB);
	return n;
}

/* Each reader that goes on makes twice as many necessary, up to a bound. */
static void going_on_is_remembered(void **state)
{
	const unsigned needed[] = {2, 4, 8, 16, 32, 64, 64, 64};
	struct taking t = {0};

	for (size_t i = 0; i < sizeof(needed) / sizeof(needed[0]); i++) {
		assert_int_equal(needed_until_believed(&t), needed[i]);
		taking_go_on(&t, TAKING_BEGINNING_MAX + 1);
		assert_int_equal(taking_octets(&t), 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(two_beginnings_are_believed),
		cmocka_unit_test(whole_pages),
		cmocka_unit_test(one_that_was_read_ends_the_row),
		cmocka_unit_test(a_longer_beginning_is_still_one),
		cmocka_unit_test(going_on_is_remembered),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
