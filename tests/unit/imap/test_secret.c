/* SPDX-License-Identifier: MIT */
/* What counts as a repetition of what we logged in with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "imap/secret.h"

static bool repeats(const char *text, const char *password, const char *wire)
{
	return secret_is_repeated(span_of(text), span_of(password), span_of(wire));
}

static void words(void **state)
{
	assert_true(repeats("what is pass", "pass", ""));
	assert_true(repeats("pass?", "pass", ""));
	assert_true(repeats("LOGIN joe \"pass\"", "pass", ""));
	assert_true(repeats("password or pass", "pass", ""));
	assert_true(repeats("xx$%xx", "$%", ""));
	assert_false(repeats("Application-specific password required", "pass", ""));
	assert_false(repeats("compass", "pass", ""));
	assert_false(repeats("", "pass", ""));
	assert_false(repeats("anything", "", ""));
}

static void pieces(void **state)
{
	const char *wire = "AGpvZQBzM2NyZXRXMHJk";

	assert_true(repeats("BAD AUTHENTICATE PLAIN AGpvZQBzM2NyZXRXMHJk", "", wire));
	assert_true(repeats("cannot parse BzM2NyZX...", "", wire));
	assert_false(repeats("cannot parse BzM2NyZ...", "", wire));
	assert_true(repeats("a short AGpv", "", "AGpv"));
	assert_false(repeats("a short AGp", "", "AGpv"));
	assert_true(repeats("LOGIN \"s3c\\\"ret!\"", "", "\"s3c\\\"ret!\""));
}

static void binary(void **state)
{
	const char text[] = "joe\0joe\0s3cret";

	assert_true(secret_is_repeated(
		(struct span){text, sizeof(text) - 1}, SPAN("s3cret"), (struct span){0}));
	assert_false(
		secret_is_repeated((struct span){0}, SPAN("s3cret"), SPAN("AGpvZQBzM2NyZXQ=")));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(words),
		cmocka_unit_test(pieces),
		cmocka_unit_test(binary),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
