/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/size.h"

static void good(void **state)
{
	static const struct {
		const char *text;
		uint64_t size;
	} sizes[] = {{"0", 0}, {"7", 7}, {"1k", 1024}, {"1K", 1024}, {"3M", 3 << 20},
		{"2G", (uint64_t)2 << 30}, {"9223372036854775807", INT64_MAX},
		{"8589934591G", INT64_MAX >> 30 << 30}};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		uint64_t value = 77;
		assert_true(size_parse(span_of(sizes[i].text), &value));
		assert_true(value == sizes[i].size);
	}
}

static void bad(void **state)
{
	static const char *const texts[] = {"", "k", "1m", "1T", "1kk", "-1k", "1 k", "1.5G",
		"9223372036854775808", "8589934592G"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		uint64_t value = 77;
		assert_false(size_parse(span_of(texts[i]), &value));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good),
		cmocka_unit_test(bad),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
