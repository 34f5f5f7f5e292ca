/* SPDX-License-Identifier: MIT */
/* How often work is begun again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "link/retry.h"

static void three_connections_are_lost_at_most(void **state)
{
	struct retry r = {0};

	assert_true(retry_lost(&r, ERR_NET));
	assert_true(retry_lost(&r, ERR_TIMEOUT));
	assert_false(retry_lost(&r, ERR_NET));
	assert_false(retry_lost(&r, ERR_NET));
}

static void what_is_canceled_is_over(void **state)
{
	struct retry r = {0};

	assert_false(retry_lost(&r, ERR_CANCELED));
}

/* The sum of all delays, in seconds. */
static uint64_t waits(unsigned most)
{
	struct retry r = {0};
	uint64_t before = 0, sum = 0;

	while (retry_busy(&r, most)) {
		uint64_t delay = retry_delay(&r);
		assert_true(delay >= before && delay > 0);
		before = delay;
		sum += delay;
	}
	assert_int_equal(r.busy, most + 1);
	return sum / 1000;
}

static void patience_ends(void **state)
{
	assert_int_equal(waits(RETRY_BRIEF), 1 + 2);
	assert_int_equal(waits(RETRY_PATIENT), 1 + 2 + 4 + 8 + 16 + 7 * 30);
}

/* A server that is busy now and then does not use up what a line that breaks has. */
static void each_has_its_own_count(void **state)
{
	struct retry r = {0};

	for (int i = 0; i < 5; i++)
		assert_true(retry_busy(&r, RETRY_PATIENT));
	assert_true(retry_lost(&r, ERR_NET));
	assert_int_equal(retry_delay(&r), 16000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(three_connections_are_lost_at_most),
		cmocka_unit_test(what_is_canceled_is_over),
		cmocka_unit_test(patience_ends),
		cmocka_unit_test(each_has_its_own_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
