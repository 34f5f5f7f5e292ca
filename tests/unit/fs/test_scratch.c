/* SPDX-License-Identifier: MIT */
/* Names of what is not finished. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fs/scratch.h"

static void test_scratch(void **state)
{
	static const char *const names[] = {".x", "x~", "#x#", "x.part", "x.tmp", "x.lock",
		".x.swp", "x.swp", ".letter.eml.Xy3kfD", ".", ".part"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_true(scratch_is_name(names[i]));
}

/* A number is none, though vim makes a file 4913 to see what happens: it may be a UID. */
static void test_others(void **state)
{
	static const char *const names[] = {
		"x", "5", "4913", "#", "#x", "x#", "~", "part", "x.parts", "x.tmp.eml", "a~b"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_false(scratch_is_name(names[i]));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scratch),
		cmocka_unit_test(test_others),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
