/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/view/base64_lines.h"

/* What follows from the first and the last octets of a text. */
static bool measure(const char *text, struct base64_lines *l)
{
	size_t n = strlen(text);
	size_t head = n < BASE64_LINES_HEAD ? n : BASE64_LINES_HEAD;
	size_t tail = n < BASE64_LINES_TAIL ? n : BASE64_LINES_TAIL;

	*l = (struct base64_lines){0};
	return base64_lines_begin(l, (struct span){text, head}) &&
	       base64_lines_end(l, (struct span){text + n - tail, tail}, n);
}

static void test_measured(void **state)
{
	static const struct {
		const char *text;
		uint64_t size, encoded;
	} cases[] = {
		{"QUJD\r\nQUJD\r\nQUJD", 9, 16},
		{"QUJD\r\nQUJD\r\nQUJD\r\n", 9, 16},
		{"QUJD\r\nQUJD\r\nQUJD\r\n\r\n", 9, 16},
		{"QUJD\nQUJD\nQQ==\n", 7, 14},
		{"QUJDQUJD\r\nQUI=\r\n", 8, 14},
		{"QUJDQUJD\r\nQUJDQUI=", 11, 18},
	};
	struct base64_lines l;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(measure(cases[i].text, &l));
		assert_int_equal(l.size, cases[i].size);
		assert_int_equal(l.encoded, cases[i].encoded);
		assert_true(base64_lines_are(&l, span_of(cases[i].text), 0));
	}
}

static void test_refused(void **state)
{
	static const char *const cases[] = {"", "QUJD", "QUJD QUJD\r\n", "QUJ\r\nQUJ\r\n",
		"\r\nQUJD\r\n", "QUJD\rQUJD\r", "QUJD\r\nQUJDQUJDQ\r\n", "QUJD\r\nQUJ\r\n",
		"QUJD\r\n===\r\n", "QUJD\r\n----\r\nx"};
	struct base64_lines l;

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_false(measure(cases[i], &l) && base64_lines_are(&l, span_of(cases[i]), 0));
}

/* Each way in which a line in the middle may differ is seen. */
static void test_irregular(void **state)
{
	static const char good[] = "QUJDQUJD\r\nQUJDQUJD\r\nQUJDQUJD\r\nQUI=\r\n";
	char bad[sizeof(good)];
	struct base64_lines l;

	assert_true(measure(good, &l));
	assert_true(base64_lines_are(&l, (struct span){good + 10, 20}, 10));
	for (size_t i = 0; i < l.encoded; i++) {
		memcpy(bad, good, sizeof(good));
		bad[i] = good[i] == '=' ? 'A' : '*';
		bool is_digit = good[i] == '=';
		assert_int_equal(base64_lines_are(&l, span_of(bad), 0), is_digit);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_measured),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_irregular),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
