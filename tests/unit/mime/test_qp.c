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
#include "mime/qp.h"

static const struct {
	const char *in, *out;
} known[] = {
	{"", ""},
	{"plain text, and more of it", "plain text, and more of it"},
	{"=41=4a=4A=e4", "AJJ\xe4"},
	{"one\r\ntwo\nthree\r", "one\r\ntwo\nthree\r"},
	/* Soft line ends. */
	{"one =\r\ntwo=\nthree=\rfour", "one twothreefour"},
	{"one= \t \r\ntwo", "onetwo"},
	{"one=\r\n\r\ntwo", "one\r\ntwo"},
	{"one=\r\rtwo", "one\rtwo"},
	{"one=", "one"},
	{"one= \t", "one"},
	/* White space at the end of a line, and before it. */
	{"one \t \r\n two  three ", "one\r\n two  three"},
	{"one  \n\t\n", "one\n\n"},
	{"one \rtwo\t\r\r\n \r=\r\n", "one \rtwo\t\r\r\n \r"},
	{"one \r", "one \r"},
	{"one=20\r\n", "one \r\n"},
	{" =20 \r\n", "  \r\n"},
	/* Escapes that are none. */
	{"a = b", "a = b"},
	{"a=b", "a=b"},
	{"=4", "=4"},
	{"=4\r\n", "=4\r\n"},
	{"=4 x", "=4 x"},
	{"=4 \r\n", "=4\r\n"},
	{"=4=41", "=4A"},
	{"=4g=g4==41", "=4g=g4=A"},
	{"= =41", "= A"},
	{"=\tx\r\n", "=\tx\r\n"},
};

static void known_texts(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		convert_check_text(&convert_qp, NULL, known[i].in, known[i].out);
}

static void digits(void **state)
{
	for (int c = 0; c < 256; c++) {
		char text[2] = {(char)c, 0}, *end;
		bool is_digit = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') ||
				(c >= 'A' && c <= 'F');
		assert_int_equal(mime_qp_digit((char)c), is_digit ? strtol(text, &end, 16) : -1);
	}
}

/* More white space than is held back is data, whatever stands behind it. */
static void much_white_space(void **state)
{
	char in[MIME_QP_TAIL * 2 + 8];

	memset(in, ' ', sizeof(in));
	in[sizeof(in) - 1] = '\n';
	struct buf out;
	buf_init(&out, sizeof(in));
	convert_in_parts(&convert_qp, (struct span){0}, (struct span){in, sizeof(in)}, 100, &out);
	assert_int_equal(out.len, MIME_QP_TAIL * 2 + 1);
	assert_int_equal(out.data[out.len - 1], '\n');
	buf_finish(&out);
	convert_check(&convert_qp, (struct span){0}, (struct span){in, MIME_QP_TAIL}, SPAN(""));
}

/* Octets that are all escaped come back. */
static void random_octets(void **state)
{
	static const char hex[] = "0123456789ABCDEF";
	char from[500], to[1500];
	uint64_t random = 1;

	for (size_t i = 0; i < sizeof(from); i++) {
		from[i] = (char)random_next(&random);
		to[3 * i] = '=';
		to[3 * i + 1] = hex[(unsigned char)from[i] >> 4];
		to[3 * i + 2] = hex[from[i] & 15];
	}
	convert_check(&convert_qp, (struct span){0}, (struct span){to, sizeof(to)},
		(struct span){from, sizeof(from)});
}

static void limits(void **state)
{
	convert_check_limits(&convert_qp, (struct span){0},
		SPAN("one=20two =\r\n  three=4\r\n four =e4 =g  five = six=4"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_texts),
		cmocka_unit_test(digits),
		cmocka_unit_test(much_white_space),
		cmocka_unit_test(random_octets),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
