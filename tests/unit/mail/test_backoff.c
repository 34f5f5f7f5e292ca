/* How long is waited after how many failures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "mail/backoff.h"

static void assert_delay(const struct backoff *b, uint64_t seconds)
{
	for (uint32_t noise = 0; noise < 400000; noise += 997)
		assert_in_range(backoff_delay(b, noise), seconds * 750, seconds * 1250);
	/* The noise reaches both ends. */
	assert_int_equal(backoff_delay(b, 0), seconds * 750);
	assert_int_equal(backoff_delay(b, (uint32_t)seconds * 500), seconds * 1250);
}

static void the_line_is_down(void **state)
{
	static const uint64_t seconds[] = {1, 2, 4, 8, 16, 30, 30, 30};
	struct backoff b = {0};

	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		backoff_note(&b, ERR_NET);
		assert_delay(&b, seconds[i]);
	}
	for (unsigned i = 0; i < 1000; i++)
		backoff_note(&b, ERR_TIMEOUT);
	assert_delay(&b, 30);
}

static void the_login_is_refused(void **state)
{
	static const uint64_t seconds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300};
	struct backoff b = {0};

	for (size_t i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		backoff_note(&b, ERR_AUTH);
		assert_delay(&b, seconds[i]);
	}
}

/* A long night without a network does not make the first refusal worse. */
static void each_has_its_count(void **state)
{
	struct backoff b = {0};

	for (unsigned i = 0; i < 100; i++)
		backoff_note(&b, ERR_NET);
	backoff_note(&b, ERR_AUTH);
	assert_delay(&b, 30);
	for (unsigned i = 0; i < 6; i++)
		backoff_note(&b, ERR_AUTH);
	assert_delay(&b, 64);
}

static void the_machine_slept(void **state)
{
	struct backoff b = {0};

	backoff_wake(&b);
	assert_int_equal(b.failures, 0);
	for (unsigned i = 0; i < 100; i++)
		backoff_note(&b, ERR_NET);
	backoff_wake(&b);
	assert_delay(&b, 1);
	backoff_note(&b, ERR_NET);
	assert_delay(&b, 2);
	/* A password does not get better by sleeping. */
	for (unsigned i = 0; i < 6; i++)
		backoff_note(&b, ERR_AUTH);
	backoff_wake(&b);
	assert_delay(&b, 32);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_line_is_down),
		cmocka_unit_test(the_login_is_refused),
		cmocka_unit_test(each_has_its_count),
		cmocka_unit_test(the_machine_slept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
