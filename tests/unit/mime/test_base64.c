/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/random.h"
#include "convert.h"
#include "mime/base64.h"

static const struct {
	const char *in, *out;
} known[] = {
	{"", ""},
	{"Zg==", "f"},
	{"Zm8=", "fo"},
	{"Zm9v", "foo"},
	{"Zm9vYg==", "foob"},
	{"Zm9vYmE=", "fooba"},
	{"Zm9vYmFy", "foobar"},
	{"+/+/", "\xfb\xff\xbf"},
	/* Lines, and what is no digit. */
	{"Zm9v\r\nYmFy\r\n", "foobar"},
	{"Z m\t9v\n!Y*m-F_y", "foobar"},
	{"Zm\xff"
	 "9v\x80",
		"foo"},
	/* Cut. */
	{"Zm9vYm", "foob"},
	{"Zm9vYmE", "fooba"},
	{"Zm9vY", "foo"},
	{"Zm9vYg=", "foob"},
	{"Zm9vYg=\r\n", "foob"},
	/* Behind complete padding stands no data. */
	{"Zm9vYg==\r\n_____\r\nA list\r\n", "foob"},
	{"Zm8=Zm9v", "fo"},
	/* Padding where there is nothing to be padded, or too little of it. */
	{"=Zm9v", "foo"},
	{"====", ""},
	{"Z=m9v", "foo"},
	{"Zm=9v", "foo"},
};

static void known_texts(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		convert_check_text(&convert_base64, NULL, known[i].in, known[i].out);
}

static size_t encode(const unsigned char *from, size_t n, size_t line, char *to)
{
	static const char digits[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t at = 0, column = 0;

	for (size_t i = 0; i < n; i += 3) {
		uint32_t bits = (uint32_t)from[i] << 16 | (i + 1 < n ? from[i + 1] << 8 : 0) |
				(i + 2 < n ? from[i + 2] : 0);
		if (column == line) {
			to[at++] = '\r';
			to[at++] = '\n';
			column = 0;
		}
		to[at++] = digits[bits >> 18];
		to[at++] = digits[bits >> 12 & 63];
		to[at++] = i + 1 < n ? digits[bits >> 6 & 63] : '=';
		to[at++] = i + 2 < n ? digits[bits & 63] : '=';
		column += 4;
	}
	to[at++] = '\r';
	to[at++] = '\n';
	return at;
}

/* Of every length, in lines of several lengths; what is foretold from both ends is right. */
static void random_octets(void **state)
{
	static unsigned char from[8192];
	static char to[16384];
	uint64_t random = 1;

	for (size_t n = 200; n < sizeof(from); n += 1 + random_below(&random, 60)) {
		struct buf out;
		uint64_t size;
		for (size_t i = 0; i < n; i++)
			from[i] = (unsigned char)random_next(&random);
		size_t octets = encode(from, n, 60 + 4 * random_below(&random, 5), to);
		buf_init(&out, sizeof(from));
		convert_in_parts(&convert_base64, (struct span){0}, (struct span){to, octets},
			1 + random_below(&random, 5000), &out);
		assert_true(span_equal(buf_span(&out), (struct span){(char *)from, n}));
		buf_finish(&out);
		assert_true(mime_base64_foretell((struct span){to, 100},
			(struct span){to + octets - 16, 16}, octets, &size));
		assert_int_equal(size, n);
		octets -= 2;
		assert_true(mime_base64_foretell((struct span){to, 100},
			(struct span){to + octets - 16, 16}, octets, &size));
		assert_int_equal(size, n);
	}
}

static bool foretell(const char *first, const char *last, uint64_t octets, uint64_t *size)
{
	return mime_base64_foretell(span_of(first), span_of(last), octets, size);
}

static void not_foretold(void **state)
{
	uint64_t size = 0;

	assert_true(foretell("AAAA\nAAAA\nAAAA\n", "AA\nAAAA\nAAA=\n", 1000 * 5, &size));
	assert_int_equal(size, 2999);
	assert_false(foretell("", "", 0, &size));
	assert_false(foretell("AAAA", "AAAA", 4, &size));
	assert_false(foretell("\r\nAAAA\r\n", "AAAA\r\n", 1000, &size));
	assert_false(foretell("AAAA\r", "AAAA", 1000, &size));
	assert_false(foretell("AAAA\r\n", "A===\r\n", 600, &size));
	assert_false(foretell("AAAA\r\n", "-- \r\n", 600, &size));
	assert_false(foretell("AAAA\r\n", "\r\n\r\n", 600, &size));
	assert_false(foretell("AAAA\r\n", "AAA\r\n", 599, &size));
	assert_false(foretell("AAAA\r\n", "AAAA\r\n", 3, &size));
	assert_false(foretell("AAAA\r\n", "AAAAAAAA\r\n", 7, &size));
}

static void limits(void **state)
{
	convert_check_limits(&convert_base64, (struct span){0}, SPAN("Zm9vYmFyZm9vYmFyZm9vYm"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_texts),
		cmocka_unit_test(random_octets),
		cmocka_unit_test(not_foretold),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
