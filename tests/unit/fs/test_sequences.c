/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/error.h"
#include "fs/view/sequences.h"

static int parse(const char *text, char *again, size_t size)
{
	struct sequences s;
	struct buf out;

	sequences_init(&s);
	buf_init(&out, 1u << 20);
	int err = sequences_parse(&s, span_of(text));
	if (err == 0) {
		assert_int_equal(sequences_print(&s, &out), 0);
		snprintf(again, size, "%s", buf_cstr(&out));
	}
	buf_finish(&out);
	sequences_finish(&s);
	return err;
}

static void test_read_and_written(void **state)
{
	static const struct {
		const char *text, *again;
	} cases[] = {
		{"", ""},
		{"unseen: 1-3 5\n", "unseen: 1-3 5\n"},
		{"unseen:1\n", "unseen: 1\n"},
		{"unseen: 5 1-3 4", "unseen: 1-5\n"},
		{"replied: 2\nflagged: 1\n", "flagged: 1\nreplied: 2\n"},
		{"unseen:\nflagged: \n", ""},
		{"cur: 7\nunseen: 1\nmine: 2-3\n", "unseen: 1\ncur: 7\nmine: 2-3\n"},
		{"cur: 7", "cur: 7\n"},
		{"unseen: 1\n 2\n\t3 9\nflagged: 4\r\n", "unseen: 1-3 9\nflagged: 4\n"},
		{"\n\nunseen: 0 0-2\n", "unseen: 1-2\n"},
		{"unseen: 1-4294967295\n", "unseen: 1-4294967295\n"},
		{"unseen: 1\nunseen: 2\n", "unseen: 1-2\n"},
		{"Unseen: 1\n", "Unseen: 1\n"},
	};
	char again[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_int_equal(parse(cases[i].text, again, sizeof(again)), 0);
		assert_string_equal(again, cases[i].again);
	}
}

static void test_refused(void **state)
{
	static const char *const cases[] = {"x", "unseen 1", ": 1", " unseen: 1", "unseen: a",
		"unseen: 1-", "unseen: -1", "unseen: 2-1", "unseen: 1-2-3", "unseen: 4294967296",
		"unseen: 99999999999999999999999", "unseen: 1,2", "unseen: 1a", "From a@b\n"};
	char again[256];

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(parse(cases[i], again, sizeof(again)), ERR_INVALID);
}

/* What is not a flag is kept as it is, but not without end; a NUL is in no such file. */
static void test_bounds(void **state)
{
	struct sequences s;
	static char text[SEQUENCES_OTHERS_MAX + 16];

	memset(text, '1', sizeof(text));
	memcpy(text, "cur: ", 5);
	sequences_init(&s);
	assert_int_equal(sequences_parse(&s, (struct span){text, sizeof(text)}), ERR_LIMIT);
	sequences_finish(&s);
	sequences_init(&s);
	assert_int_equal(sequences_parse(&s, SPAN("cur: 1\0\n")), ERR_INVALID);
	sequences_finish(&s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_read_and_written),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
