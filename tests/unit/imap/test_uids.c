/* SPDX-License-Identifier: MIT */
/* What APPENDUID and COPYUID say, and what they must not be taken to say. */
#include "imap/uids.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static uint32_t find(const char *args, uint32_t from)
{
	const struct imap_uids uids = imap_uids_parse(span_of(args), true);

	return imap_uids_find(&uids, from);
}

static void each_has_its_own(void **state)
{
	assert_int_equal(find("9 5 12", 5), 12);
	assert_int_equal(find("9 304,319:320 3956:3958", 304), 3956);
	assert_int_equal(find("9 304,319:320 3956:3958", 319), 3957);
	assert_int_equal(find("9 304,319:320 3956:3958", 320), 3958);
	assert_int_equal(find("9 1:4 2,7:8,10", 1), 2);
	assert_int_equal(find("9 1:4 2,7:8,10", 2), 7);
	assert_int_equal(find("9 1:4 2,7:8,10", 4), 10);
	/* As they were named, in whatever order. */
	assert_int_equal(find("9 7,3 20:21", 7), 20);
	assert_int_equal(find("9 7,3 20:21", 3), 21);
	assert_int_equal(find("9 4294967295 4294967295", UINT32_MAX), UINT32_MAX);
	assert_int_equal(find("9  1   2 ", 1), 2);
}

static void others_have_none(void **state)
{
	assert_int_equal(find("9 304,319:320 3956:3958", 303), 0);
	assert_int_equal(find("9 304,319:320 3956:3958", 305), 0);
	assert_int_equal(find("9 304,319:320 3956:3958", 321), 0);
	assert_int_equal(find("9 304,319:320 3956:3958", 0), 0);
}

static void nonsense_says_nothing(void **state)
{
	static const char *const table[] = {"", " ", "9", "9 1", "9 1 2 3", "0 1 2", "9 1:2 5",
		"9 1 5:6", "9 * 5", "9 1 *", "9 1:* 5:*", "9 NIL NIL", "9 \"\" \"\"", "9 1, 5",
		"9 1 5,", "9 ,1 5", "9 1,,2 5:6", "9 0 5", "9 1 0", "9 0:1 5:6", "9 2:1 5:6",
		"9 1:2 6:5", "9 1:2 6,5", "9 1:2 5,5", "9 1:3 5:6,6", "9 4294967296 1",
		"9 1 4294967296", "9 1:4294967295 1:4294967295", "9 1:1048577 1:1048577", "-9 1 5",
		"x 1 5", "9 1;2 5:6", "9 1: 5", "9 :1 5", "9 1:2:3 5:7", "4294967296 1 2"};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		const struct imap_uids uids = imap_uids_parse(span_of(table[i]), true);
		assert_int_equal(uids.uidvalidity, 0);
		assert_int_equal(imap_uids_first(&uids), 0);
		for (uint32_t uid = 0; uid < 4; uid++)
			assert_int_equal(imap_uids_find(&uids, uid), 0);
	}
}

static void many_are_believed(void **state)
{
	assert_int_equal(find("9 1:1048576 2:1048577", 1048576), 1048577);
}

static void one_was_appended(void **state)
{
	struct imap_uids uids = imap_uids_parse(SPAN("38505 3955"), false);

	assert_int_equal(uids.uidvalidity, 38505);
	assert_int_equal(uids.count, 1);
	assert_int_equal(imap_uids_first(&uids), 3955);
	uids = imap_uids_parse(SPAN("38505 3955:3956"), false);
	assert_int_equal(uids.count, 2);
	assert_int_equal(imap_uids_first(&uids), 3955);
	uids = imap_uids_parse(SPAN("38505 3955 3956"), false);
	assert_int_equal(imap_uids_first(&uids), 0);
	uids = imap_uids_parse(SPAN("38505 NIL"), false);
	assert_int_equal(imap_uids_first(&uids), 0);
	uids = imap_uids_parse(SPAN("38505"), false);
	assert_int_equal(imap_uids_first(&uids), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_has_its_own),
		cmocka_unit_test(others_have_none),
		cmocka_unit_test(nonsense_says_nothing),
		cmocka_unit_test(many_are_believed),
		cmocka_unit_test(one_was_appended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
