/* SPDX-License-Identifier: MIT */
/* The words of a command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "app/options/words.h"

struct row {
	const char *command;
	const char *words[5];
};

static const struct row rows[] = {
	{"pass mail/anna", {"pass", "mail/anna"}},
	{"  a\t b\n", {"a", "b"}},
	{"a", {"a"}},
	{"a b c d", {"a", "b", "c", "d"}},
	{"gpg -qd '/home/a b/x.gpg'", {"gpg", "-qd", "/home/a b/x.gpg"}},
	{"a \"b \\\" \\\\ \\n 'c'\" d", {"a", "b \" \\ \\n 'c'", "d"}},
	{"a 'b \\ \"c\"'", {"a", "b \\ \"c\""}},
	{"a\\ b \\'c\\'", {"a b", "'c'"}},
	{"x'y'\"z\"", {"xyz"}},
	{"a '' \"\"", {"a", "", ""}},
	{"echo $HOME *.c | ; ~ `x`", {"echo", "$HOME", "*.c", "|", ";"}},
};

static void test_split(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const char *error;
		char **words;
		assert_int_equal(words_split(rows[i].command, &words, &error), 0);
		for (size_t j = 0; j < 5 && rows[i].words[j]; j++)
			assert_string_equal(words[j], rows[i].words[j]);
		words_free(words);
	}
}

static void test_ends(void **state)
{
	const char *error;
	char **words;

	assert_int_equal(words_split("a b", &words, &error), 0);
	assert_null(words[2]);
	words_free(words);
	words_free(NULL);
}

static void test_refused(void **state)
{
	static const char *const bad[] = {"", "  ", "'a", "a \"b", "a \\", "'' a", "\"\\\""};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		const char *error = NULL;
		char **words = NULL;
		assert_int_equal(words_split(bad[i], &words, &error), ERR_INVALID);
		assert_non_null(error);
		assert_null(words);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_split),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
