/* SPDX-License-Identifier: MIT */
/* Numbers at their limits, UTF-8 against its definition, and server text made harmless. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/text.h"

static void assert_number(const char *text, uint64_t max, uint64_t expected)
{
	uint64_t value = 77;

	assert_true(text_parse_number(span_of(text), max, &value));
	assert_true(value == expected);
}

static void assert_no_number(const char *text, uint64_t max)
{
	uint64_t value = 77;

	assert_false(text_parse_number(span_of(text), max, &value));
	assert_int_equal(value, 77);
}

static void numbers(void **state)
{
	assert_number("0", 0, 0);
	assert_number("000", 0, 0);
	assert_number("5", 5, 5);
	assert_number("4294967295", UINT32_MAX, UINT32_MAX);
	assert_number("18446744073709551615", UINT64_MAX, UINT64_MAX);
	assert_number("00000000000000000000000000000012", 12, 12);
}

static void no_numbers(void **state)
{
	assert_no_number("", 10);
	assert_no_number("-1", 10);
	assert_no_number("+1", 10);
	assert_no_number(" 1", 10);
	assert_no_number("1 ", 10);
	assert_no_number("1a", 100);
	assert_no_number("1", 0);
	assert_no_number("9", 8);
	assert_no_number("11", 10);
	assert_no_number("4294967296", UINT32_MAX);
	assert_no_number("18446744073709551616", UINT64_MAX);
	assert_no_number("99999999999999999999", UINT64_MAX);
}

/* The octets of code point c by the definition; 0 when it is none. */
static size_t encode(uint32_t c, unsigned char *out)
{
	if (c < 0x80) {
		out[0] = (unsigned char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (unsigned char)(0x80 | (c & 0x3f));
	out[0] = (unsigned char)((0xf00 >> n) | c);
	return n;
}

static void utf8_of_every_character(void **state)
{
	for (uint32_t c = 0; c <= 0x1fffff; c++) {
		unsigned char s[4];
		size_t n = encode(c, s);
		bool valid = c <= 0x10ffff && !(c >= 0xd800 && c <= 0xdfff);
		struct span whole = {(char *)s, n};

		if (text_utf8_sequence(whole) != (valid ? n : 0))
			fail_msg("U+%04X", c);
		for (whole.n = 1; whole.n < n; whole.n++)
			assert_int_equal(text_utf8_sequence(whole), 0);
	}
}

static void utf8_that_is_none(void **state)
{
	static const char *const bad[] = {"", "\x80", "\xbf", "\xc0\x80", "\xc1\xbf",
		"\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
		"\xf8\x88\x80\x80\x80", "\xff", "\xc3(", "\xe2\x82(", "\xf0\x9f\x98(",
		"\xed\xa0\x80"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(text_utf8_sequence(span_of(bad[i])), 0);
}

static void assert_printable(struct span s, size_t size, const char *expected)
{
	char out[64];

	memset(out, 'X', sizeof(out));
	assert_ptr_equal(text_printable(s, out, size), out);
	assert_string_equal(out, expected);
	for (size_t i = size; i < sizeof(out); i++)
		assert_int_equal(out[i], 'X');
}

static void printable_replaces(void **state)
{
	assert_printable(SPAN(""), 64, "");
	assert_printable(SPAN("plain ~ text"), 64, "plain ~ text");
	assert_printable(SPAN("a\x1b[31mb\x7f\r\n\0z"), 64, "a?[31mb????z");
	assert_printable(SPAN("gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80"), 64,
		"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80");
	assert_printable(SPAN("\xc2\x9b"
			      "31m\xc2\xa0"),
		64, "?31m\xc2\xa0");
	assert_printable(SPAN("\xff\xfe\xc3"), 64, "???");
	assert_printable(SPAN("a\xe2\x80\xa8z \xe2\x80\xae \xe2\x81\xa6"), 64, "a?z ? ?");
	assert_printable(SPAN("\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5"), 64,
		"\xe2\x80\xa7\xe2\x80\xaf\xe2\x81\xa5");
}

static void printable_cuts_only_what_does_not_fit(void **state)
{
	assert_printable(SPAN("abc"), 4, "abc");
	assert_printable(SPAN("abcd"), 4, "...");
	assert_printable(SPAN("abcdefg"), 8, "abcdefg");
	assert_printable(SPAN("abcdefgh"), 8, "abcd...");
	assert_printable(SPAN("abcdef\xc3\xbc"), 8, "abcd...");
	assert_printable(SPAN("abc\xc3\xbc"
			      "efgh"),
		8, "abc...");
	assert_printable(SPAN("\xf0\x9f\x98\x80"
			      "abcd"),
		8, "\xf0\x9f\x98\x80...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers),
		cmocka_unit_test(no_numbers),
		cmocka_unit_test(utf8_of_every_character),
		cmocka_unit_test(utf8_that_is_none),
		cmocka_unit_test(printable_replaces),
		cmocka_unit_test(printable_cuts_only_what_does_not_fit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
