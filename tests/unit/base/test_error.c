/* SPDX-License-Identifier: MIT */
/* What errors mean. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/error.h"

static void an_outage_is_the_lines(void **state)
{
	assert_true(error_is_outage(ERR_NET) && error_is_outage(ERR_TIMEOUT));
	assert_false(error_is_outage(0) || error_is_outage(ERR_THROTTLED));
	assert_false(error_is_outage(ERR_AUTH) || error_is_outage(ERR_GONE));
}

static void a_connection_says_nothing_of_mail(void **state)
{
	static const int connection[] = {
		ERR_NET, ERR_TIMEOUT, ERR_PROTOCOL, ERR_TLS, ERR_AUTH, ERR_THROTTLED, ERR_TOKEN};
	static const int others[] = {ERR_OK, ERR_GONE, ERR_UNREADABLE, ERR_NO_MAILBOX, ERR_STALE,
		ERR_READONLY, ERR_DENIED, ERR_UNSAFE, ERR_REFUSED, ERR_PARTIAL, ERR_NOMEM,
		ERR_LIMIT, ERR_INVALID, ERR_IO, ERR_NOT_CACHED, ERR_CANCELED, ERR_QUOTA,
		ERR_TOO_LARGE, ERR_UNSURE};

	for (size_t i = 0; i < sizeof(connection) / sizeof(connection[0]); i++)
		assert_true(error_is_connection(connection[i]));
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		assert_false(error_is_connection(others[i]));
}

static void each_has_an_errno(void **state)
{
	assert_int_equal(error_errno(0), 0);
	assert_int_equal(error_errno(ERR_TIMEOUT), ETIMEDOUT);
	assert_int_equal(error_errno(-1), EIO);
	assert_string_equal(error_text(ERR_TIMEOUT), "timed out");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_outage_is_the_lines),
		cmocka_unit_test(a_connection_says_nothing_of_mail),
		cmocka_unit_test(each_has_an_errno),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
