/* SPDX-License-Identifier: MIT */
/* Which lines count as slow. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "link/rate.h"

/* So many octets a millisecond for so long, in the midst of one response. True: proved slow. */
static bool stream(struct rate *r, uint64_t *now, size_t rate, unsigned milliseconds)
{
	bool slow = false;

	for (unsigned i = 0; i < milliseconds && !slow; i++)
		slow = rate_note(r, rate, true, ++*now) && rate_is_slow(r);
	return slow;
}

static void test_slow(void **state)
{
	struct rate r = {0};
	uint64_t now = 5000;

	/* 100 Mbit/s: known after about a megabyte. */
	assert_false(stream(&r, &now, 12500, 80));
	assert_true(stream(&r, &now, 12500, 10));
	assert_in_range(r.rate, 12000000, 13000000);
	assert_in_range(rate_mean(&r), 12000000, 13000000);
}

static void test_very_slow(void **state)
{
	struct rate r = {0};
	uint64_t now = 5000;

	assert_false(stream(&r, &now, 20, 1900));
	assert_true(stream(&r, &now, 20, 200));
}

static void test_fast(void **state)
{
	struct rate r = {0};
	uint64_t now = 5000;

	assert_false(stream(&r, &now, 60000, 2000));
}

/* All within one millisecond. */
static void test_instant(void **state)
{
	struct rate r = {0};

	for (unsigned i = 0; i < 1000; i++)
		rate_note(&r, 65536, true, 7);
	assert_true(r.samples > 100);
	assert_false(rate_is_slow(&r));
}

static void test_slow_start(void **state)
{
	struct rate r = {0};
	uint64_t now = 5000;

	for (size_t rate = 1000; rate < 60000; rate *= 2)
		assert_false(stream(&r, &now, rate, (unsigned)(600000 / rate)));
	assert_false(stream(&r, &now, 60000, 1000));
}

static void test_one_stall(void **state)
{
	struct rate r = {0};
	uint64_t now = 5000;

	assert_false(stream(&r, &now, 60000, 100));
	now += 3000;
	assert_false(stream(&r, &now, 60000, 100));
	now += 3000;
	assert_false(stream(&r, &now, 60000, 100));
}

/* A message of 100,000 octets each 50 ms, because each is asked for when the last one came: the
 * line itself is fast. */
static void test_round_trips(void **state)
{
	struct rate r = {0};
	uint64_t now = 5000;

	for (unsigned i = 0; i < 200; i++) {
		now += 50;
		rate_note(&r, 50000, true, now);
		now += 1;
		rate_note(&r, 50000, false, now);
		assert_false(rate_is_slow(&r));
	}
}

static void test_window(void **state)
{
	/* 120 MB/s over 50 ms hold 6 MB. */
	assert_int_equal(rate_lead(120000000, 50000000), 24000000);
	/* The bounds, and what is not known. */
	assert_int_equal(rate_lead(12500000, 50000000), 4 << 20);
	assert_int_equal(rate_lead(UINT64_MAX, 3000000000), 32 << 20);
	assert_int_equal(rate_lead(0, 50000000), rate_lead(180000000, 0));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slow),
		cmocka_unit_test(test_very_slow),
		cmocka_unit_test(test_fast),
		cmocka_unit_test(test_instant),
		cmocka_unit_test(test_slow_start),
		cmocka_unit_test(test_window),
		cmocka_unit_test(test_one_stall),
		cmocka_unit_test(test_round_trips),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
