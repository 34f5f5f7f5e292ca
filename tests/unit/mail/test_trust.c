/* SPDX-License-Identifier: MIT */
/* When a server's word that it will tell of changes is believed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "mail/sync/trust.h"

static void found_and_never_told(struct trust *t, uint64_t now, bool renew)
{
	trust_found(t, 7, false, now);
	assert_false(trust_is_overdue(t, now + TRUST_PATIENCE - 1));
	assert_int_equal(trust_is_overdue(t, now + TRUST_PATIENCE), renew);
	assert_true(t->late);
}

static void in_time(struct trust *t, uint64_t now)
{
	trust_found(t, 7, false, now);
	trust_told(t, 7, now + TRUST_PATIENCE - 1);
	assert_false(trust_is_overdue(t, now + TRUST_PATIENCE));
}

static void silent_from_the_start(void **state)
{
	struct trust t = {0};

	assert_false(t.late);
	assert_false(t.reliable);
	found_and_never_told(&t, 5000, true);
}

static void told_before_or_soon_after(void **state)
{
	struct trust t = {0};

	trust_told(&t, 7, 900);
	assert_false(t.reliable);
	trust_found(&t, 7, true, 1000);
	assert_true(t.reliable);
	assert_false(trust_is_overdue(&t, 1000000));
	in_time(&t, 2000000);
	assert_false(t.late);
}

static void told_too_late(void **state)
{
	struct trust t = {0};

	trust_found(&t, 7, false, 1000);
	trust_told(&t, 7, 1000 + TRUST_PATIENCE);
	assert_true(trust_is_overdue(&t, 1000 + TRUST_PATIENCE));
	assert_true(t.late);
}

static void of_another_mailbox(void **state)
{
	struct trust t = {0};

	trust_found(&t, 7, false, 1000);
	trust_found(&t, 8, false, 1500);
	trust_told(&t, 8, 1600);
	assert_true(trust_is_overdue(&t, 1000 + TRUST_PATIENCE));
}

/* What comes again and again does not put off the end. */
static void found_again(void **state)
{
	struct trust t = {0};

	for (uint64_t now = 1000; now < 1000 + TRUST_PATIENCE; now += 100)
		trust_found(&t, 7, false, now);
	assert_true(trust_is_overdue(&t, 1000 + TRUST_PATIENCE));
}

static void three_times_running(void **state)
{
	struct trust t = {0};

	found_and_never_told(&t, 1000, true);
	trust_begin(&t);
	assert_true(t.late);
	in_time(&t, 10000);
	in_time(&t, 20000);
	found_and_never_told(&t, 30000, false);
	in_time(&t, 40000);
	trust_found(&t, 7, true, 50000);
	assert_true(t.late);
	in_time(&t, 60000);
	assert_false(t.late);
}

static void not_set_up_for_ever(void **state)
{
	struct trust t = {0};
	uint64_t now = 1000, pause = TRUST_RENEW_MIN;

	found_and_never_told(&t, now, true);
	for (unsigned i = 0; i < 10; i++) {
		trust_begin(&t);
		found_and_never_told(&t, now + pause / 2, false);
		now += pause + TRUST_PATIENCE;
		found_and_never_told(&t, now, true);
		pause = pause < TRUST_RENEW_MAX ? 2 * pause : pause;
		assert_true(t.renew_at == now + TRUST_PATIENCE + pause);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(silent_from_the_start),
		cmocka_unit_test(told_before_or_soon_after),
		cmocka_unit_test(told_too_late),
		cmocka_unit_test(of_another_mailbox),
		cmocka_unit_test(found_again),
		cmocka_unit_test(three_times_running),
		cmocka_unit_test(not_set_up_for_ever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
