/* SPDX-License-Identifier: MIT */
/* The status as JSON: lists, strings that need escapes, and what is no line of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "app/ask/status.h"

static void assert_json(const char *text, const char *expected)
{
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(status_to_json(span_of(text), &out), 0);
	assert_string_equal(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void test_members(void **state)
{
	assert_json("", "{\n}\n");
	assert_json("server: a@h:993\nstate: online\n",
		"{\n  \"server\": \"a@h:993\",\n  \"state\": \"online\"\n}\n");
	assert_json("nonsense\nstate: online", "{\n  \"state\": \"online\"\n}\n");
}

/* In a list when it may be one, and when it is one, wherever its lines stand. */
static void test_lists(void **state)
{
	assert_json("mailbox: INBOX: 3 messages\n",
		"{\n  \"mailbox\": [\n    \"INBOX: 3 messages\"\n  ]\n}\n");
	assert_json("x: 1\ny: 2\nx: 3\n",
		"{\n  \"x\": [\n    \"1\",\n    \"3\"\n  ],\n  \"y\": \"2\"\n}\n");
}

static void test_escapes(void **state)
{
	assert_json("k: a\"b\\c\x01\xc3\xa4\xff\n",
		"{\n  \"k\": \"a\\\"b\\\\c\\u0001\xc3\xa4\\ufffd\"\n}\n");
}

static void test_limit(void **state)
{
	struct buf out;

	buf_init(&out, 8);
	assert_true(status_to_json(SPAN("state: online\n"), &out) < 0);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_members),
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_escapes),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
