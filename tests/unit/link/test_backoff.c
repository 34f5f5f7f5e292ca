/* SPDX-License-Identifier: MIT */
/* When what failed is tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "link/backoff.h"

#define NOW ((uint64_t)7000000)

/* The next failure, at NOW, is waited for so many seconds, give or take a quarter. */
static void assert_waits(const struct backoff *before, int err, unsigned forgiven, uint64_t seconds)
{
	uint64_t least = UINT64_MAX, most = 0;

	for (uint32_t noise = 0; noise < 4000000; noise += 997) {
		struct backoff b = *before;
		backoff_failed(&b, err, forgiven, NOW, noise);
		uint64_t delay = b.retry_at - NOW;
		assert_in_range(delay, seconds * 750, seconds * 1250);
		least = delay < least ? delay : least;
		most = delay > most ? delay : most;
		assert_true(backoff_is_due(&b, b.retry_at));
		if (delay > 0)
			assert_false(backoff_is_due(&b, b.retry_at - 1));
	}
	/* The noise is of use. */
	assert_true(least < seconds * 770 + 1 && most + 1 > seconds * 1230);
}

static void lose(struct backoff *b, int err, unsigned times)
{
	while (times-- > 0)
		backoff_failed(b, err, 0, NOW, 0);
}

static void the_line_is_down(void **state)
{
	static const uint64_t seconds[] = {1, 2, 4, 8, 16, 30, 30, 30};
	struct backoff b = {0};

	assert_true(backoff_is_due(&b, 0));
	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		assert_waits(&b, ERR_NET, 0, seconds[i]);
		lose(&b, ERR_NET, 1);
	}
	lose(&b, ERR_TIMEOUT, 1000);
	assert_waits(&b, ERR_NET, 0, 30);
}

static void the_first_are_forgiven(void **state)
{
	static const uint64_t seconds[] = {0, 0, 1, 2, 4};
	struct backoff b = {0};

	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		assert_waits(&b, ERR_NET, 2, seconds[i]);
		lose(&b, ERR_NET, 1);
	}
}

static void the_login_is_refused(void **state)
{
	static const uint64_t seconds[] = {5, 60, 300, 900, 3600, 3600};
	struct backoff b = {0};

	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		assert_waits(&b, ERR_AUTH, 0, seconds[i]);
		lose(&b, ERR_AUTH, 1);
	}
}

/* Whatever the noise, and however often somebody asks: four in the first five minutes, and when
 * nobody asks four in ten. */
static void it_does_not_lock_the_account(void **state)
{
	for (int asking = 0; asking < 2; asking++) {
		for (uint32_t noise = 0; noise < 4000000; noise += 99991) {
			struct backoff b = {0};
			unsigned logins[2] = {0};
			for (uint64_t now = 0; now < 600000; now += 250) {
				if (asking ? !backoff_may_ask(&b, now) : !backoff_is_due(&b, now))
					continue;
				logins[now >= 300000]++;
				backoff_failed(&b, ERR_AUTH, 0, now, noise);
			}
			assert_true(logins[0] <= 4);
			assert_true(logins[1] <= (asking ? 5 : 4 - logins[0]));
			/* Nor does it give up. */
			assert_true(logins[0] >= 3);
		}
	}
}

static void who_asks_may_try_once_a_minute(void **state)
{
	struct backoff b = {0};

	lose(&b, ERR_AUTH, 3);
	assert_false(backoff_may_ask(&b, NOW + 59999));
	assert_false(backoff_is_due(&b, NOW + 60000));
	assert_true(backoff_may_ask(&b, NOW + 60000));
	/* What failed since then in another way counts, too. */
	backoff_failed(&b, ERR_NET, 0, NOW + 60000, 0);
	assert_false(backoff_may_ask(&b, NOW + 60001));
	/* Nobody asks a line that is down. */
	b = (struct backoff){0};
	lose(&b, ERR_NET, 6);
	assert_false(backoff_may_ask(&b, b.retry_at - 1));
	assert_true(backoff_may_ask(&b, b.retry_at));
}

/* A long night without a network does not make the first refusal worse, nor does a network that
 * fails bring the next login forward. */
static void each_has_its_count(void **state)
{
	struct backoff b = {0};

	lose(&b, ERR_NET, 100);
	assert_waits(&b, ERR_AUTH, 0, 5);
	lose(&b, ERR_AUTH, 3);
	uint64_t retry_at = b.retry_at;
	lose(&b, ERR_NET, 1);
	assert_int_equal(b.retry_at, retry_at);
}

static void what_is_long_ago(void **state)
{
	struct backoff b = {0};

	backoff_age(&b, NOW);
	lose(&b, ERR_NET, 3);
	backoff_age(&b, b.retry_at + 59999);
	assert_int_equal(b.failures, 3);
	backoff_age(&b, b.retry_at + 60000);
	assert_int_equal(b.failures, 0);
	/* A password does not get better by waiting. */
	lose(&b, ERR_AUTH, 3);
	backoff_age(&b, b.retry_at + 86400000);
	assert_int_equal(b.refusals, 3);
}

static void the_machine_slept(void **state)
{
	struct backoff b = {0};

	backoff_wake(&b);
	assert_int_equal(b.failures, 0);
	lose(&b, ERR_NET, 100);
	backoff_wake(&b);
	assert_true(backoff_is_due(&b, NOW));
	assert_int_equal(b.failures, 1);
	assert_waits(&b, ERR_NET, 0, 2);
	/* Nor by sleeping. */
	lose(&b, ERR_AUTH, 2);
	backoff_wake(&b);
	assert_false(backoff_is_due(&b, NOW));
	assert_waits(&b, ERR_AUTH, 0, 300);
}

static void a_delay_alone(void **state)
{
	assert_int_equal(backoff_delay(0), 0);
	assert_int_equal(backoff_delay(1), 1000);
	assert_int_equal(backoff_delay(5), 16000);
	assert_int_equal(backoff_delay(6), 30000);
	assert_int_equal(backoff_delay(UINT32_MAX), 30000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_is_down),
		cmocka_unit_test(the_first_are_forgiven),
		cmocka_unit_test(the_login_is_refused),
		cmocka_unit_test(it_does_not_lock_the_account),
		cmocka_unit_test(who_asks_may_try_once_a_minute),
		cmocka_unit_test(each_has_its_count),
		cmocka_unit_test(what_is_long_ago),
		cmocka_unit_test(the_machine_slept),
		cmocka_unit_test(a_delay_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
