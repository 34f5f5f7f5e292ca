/* SPDX-License-Identifier: MIT */
/* The line of --keep: what it says, and that it fits whatever it is about. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "app/ask/bar.h"

static void check(
	struct bar *b, const struct bar_state *s, int64_t now, unsigned columns, const char *wanted)
{
	char text[512];

	bar_text(b, s, now, columns, text, sizeof(text));
	assert_string_equal(text, wanted);
}

static void test_figures(void **state)
{
	struct bar b = {.shown = false};
	struct bar_state s = {"INBOX", 0, 5000, 0, 130500000};

	check(&b, &s, 1000, 79,
		"INBOX  [...........................]  0/5000  0.0/130.5 MB  0.0 MB/s  -:-- left");
	s.octets = 65250000;
	s.messages = 2500;
	check(&b, &s, 11000, 79,
		"INBOX  [###########............]  2500/5000  65.2/130.5 MB  6.5 MB/s  0:10 left");
	/* What was thought to be here is not. */
	s.octets = 100;
	check(&b, &s, 12000, 79,
		"INBOX  [........................]  2500/5000  0.0/130.5 MB  0.0 MB/s  -:-- left");
	s = (struct bar_state){"INBOX", 9, 9, 0, 0};
	check(&b, &s, 12000, 79,
		"INBOX  [................................]  9/9  0.0/0.0 MB  0.0 MB/s  -:-- left");
}

static void test_long_time(void **state)
{
	struct bar b = {.shown = false};
	struct bar_state s = {"a", 0, 1, 0, 20000000000};

	check(&b, &s, 0, 50, "a  0/1  0.0/20000.0 MB  0.0 MB/s  -:-- left");
	s.octets = 1000000;
	check(&b, &s, 1000, 50, "a  0/1  1.0/20000.0 MB  1.0 MB/s  5:33:19 left");
	s.octets = 1000001;
	check(&b, &s, 100000000, 50, "a  0/1  1.0/20000.0 MB  0.0 MB/s  100:00:00 left");
}

/* Columns, of text in which each character above U+1100 has two. */
static unsigned width(const char *text)
{
	unsigned sum = 0;

	for (; *text; text++)
		sum += ((unsigned char)*text & 0xc0) == 0x80 ? 0
		       : (unsigned char)*text >= 0xe1        ? 2
							     : 1;
	return sum;
}

static void test_width(void **state)
{
	static const char wide[] = "\303\204\303\226/\346\227\245\346\234\254\350\252\236/"
				   "\346\227\245\346\234\254\350\252\236\346\227\245\346\234\254"
				   "\350\252\236";
	static const char *const names[] = {"INBOX", "", wide, "\033[2J\n\377\377",
		"a very long name of a mailbox that does not end and goes on"};
	char text[512];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		for (unsigned columns = 0; columns < 200; columns++) {
			struct bar b = {.shown = false};
			const struct bar_state s = {
				names[i], UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX};
			bar_text(&b, &s, 0, columns, text, sizeof(text));
			assert_true(width(text) <= columns);
			assert_null(strpbrk(text, "\033\n\377"));
			const struct bar_state small = {names[i], 1, 2, 3, 4};
			bar_text(&b, &small, 5, columns, text, sizeof(text));
			assert_true(width(text) <= columns);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_figures),
		cmocka_unit_test(test_long_time),
		cmocka_unit_test(test_width),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
