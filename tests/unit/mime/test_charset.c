/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/random.h"
#include "base/error.h"
#include "convert.h"
#include "mime/charset.h"
#include "mime/utf8.h"

#define FFFD "\xef\xbf\xbd"

static const struct {
	const char *label, *in, *out;
} known[] = {
	/* UTF-8, and what is none. */
	{"utf-8", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80",
		"gr\xc3\xbc\xc3\x9f \xe2\x82\xac \xf0\x9f\x98\x80"},
	{"UTF8",
		"a\xff\xfe"
		"b",
		"a" FFFD FFFD "b"},
	{"utf-8",
		"\xe2\x82"
		"a\xf0\x9f\x98"
		"b",
		FFFD "a" FFFD "b"},
	{"utf-8", "\xed\xa0\x80\xc0\xaf\xf4\x90\x80\x80",
		FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD FFFD},
	{"utf-8", "a\xe2\x82", "a" FFFD},
	{"utf-8",
		"\xef\xbb\xbf"
		"a\xef\xbb\xbf",
		"a\xef\xbb\xbf"},
	/* Not labelled, or with no label that is known. */
	{"", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	{"", "gr\xfc\xdf \x80\x81", "gr\xc3\xbc\xc3\x9f \xe2\x82\xac" FFFD},
	{"us-ascii", "\xe2\x82", "\xc3\xa2\xe2\x80\x9a"},
	{"unknown-8bit", "\xef\xbb\xbf\xc3\xbc", "\xc3\xbc"},
	{"../../etc/passwd", "\xc3\xbc", "\xc3\xbc"},
	{"UTF-7", "+APw-", "+APw-"},
	{"hz-gb-2312", "~{", "~{"},
	{"UTF-8//IGNORE", "\xff", "\xc3\xbf"},
	/* Single octets; UTF-8 all the same. */
	{"iso-8859-1", "\x93\xfc\x94", "\xe2\x80\x9c\xc3\xbc\xe2\x80\x9d"},
	{"iso-8859-1", "gr\xc3\xbc\xc3\x9f", "gr\xc3\xbc\xc3\x9f"},
	{"iso-8859-15", "\xa4", "\xe2\x82\xac"},
	{"ISO-8859-2", "\xb1\xc3\xbc", "\xc4\x85\xc4\x82\xc5\xba"},
	{"koi8-r", "\xf0\xd2\xc9\xd7\xc5\xd4", "\xd0\x9f\xd1\x80\xd0\xb8\xd0\xb2\xd0\xb5\xd1\x82"},
	{"windows-1251", "\xcf\xf0\xe8", "\xd0\x9f\xd1\x80\xd0\xb8"},
	{"windows-1255", "\xe0\xc8 \xe0", "\xef\xac\xaf \xd7\x90"},
	{"windows-1258", "a\xec", "\xc3\xa1"},
	{"iso-8859-8-i", "\xe0\xfb", "\xd7\x90" FFFD},
	/* Several octets. */
	{"iso-2022-jp", "\x1b$B$3$s\x1b(B!", "\xe3\x81\x93\xe3\x82\x93!"},
	{"shift_jis", "\x82\xb1\x82\xf1\xff!", "\xe3\x81\x93\xe3\x82\x93" FFFD "!"},
	{"euc-jp", "\xa4\xb3\xa4", "\xe3\x81\x93" FFFD},
	{"gb2312", "\xc4\xe3\xba\xc3", "\xe4\xbd\xa0\xe5\xa5\xbd"},
	{"gbk", "\x81\x30\x84\x36 \xff", "\xc2\xa5 " FFFD},
	{"big5", "\xa7\x41\xa6\x6e", "\xe4\xbd\xa0\xe5\xa5\xbd"},
	{"ks_c_5601-1987", "\xbe\xc8", "\xec\x95\x88"},
	{"iso-2022-kr", "\x1b$)C\x0e>H\x0f!\n", "\xec\x95\x88!\n"},
};

static void known_texts(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		convert_check_text(&convert_charset, known[i].label, known[i].in, known[i].out);
}

/* Their texts have NULs. */
static void utf16(void **state)
{
	struct span little = SPAN("a\0\x3d\xd8\0\xde"), big = SPAN("\0a\xd8\x3d\xde\0");
	struct span text = SPAN("a\xf0\x9f\x98\x80");

	convert_check(&convert_charset, SPAN("utf-16le"), little, text);
	convert_check(&convert_charset, SPAN("utf-16be"), big, text);
	convert_check(&convert_charset, SPAN("utf-16"), little, text);
	convert_check(&convert_charset, SPAN("utf-16"),
		SPAN("\xff\xfe"
		     "a\0"),
		SPAN("a"));
	convert_check(&convert_charset, SPAN("utf-16"), SPAN("\xfe\xff\0a"), SPAN("a"));
	convert_check(&convert_charset, SPAN("utf-16"), SPAN("a"), SPAN(FFFD));
	convert_check(&convert_charset, SPAN("utf-16le"), SPAN("a\0\x3d\xd8"), SPAN("a" FFFD));
	convert_check(&convert_charset, SPAN("utf-16"), SPAN(""), SPAN(""));
}

/* Each label is found, sorted, and opened; and only labels are. */
static void labels(void **state)
{
	for (size_t i = 0; i < mime_label_count; i++) {
		struct span label = mime_labels[i].text;
		struct buf quoted;
		buf_init(&quoted, 100);
		assert_int_equal(mime_charset_lookup(label), mime_labels[i].encoding);
		assert_int_equal(buf_printf(&quoted, " \"%.*s\" ", (int)label.n, label.p), 0);
		assert_int_equal(mime_charset_lookup(buf_span(&quoted)), mime_labels[i].encoding);
		assert_int_equal(mime_charset_lookup((struct span){label.p, label.n - 1}) ==
						 mime_labels[i].encoding &&
					 label.n > 30,
			0);
		buf_clear(&quoted);
		convert_in_parts(&convert_charset, label, SPAN("\xe4\xe4 \xff "), 1, &quoted);
		assert_true(quoted.len > 0);
		buf_finish(&quoted);
	}
	assert_int_equal(mime_charset_lookup(SPAN("LATIN1")), MIME_WINDOWS_1252);
	assert_int_equal(mime_charset_lookup(SPAN("latin1x")), MIME_US_ASCII);
	assert_int_equal(mime_charset_lookup(SPAN(" ")), MIME_US_ASCII);
	assert_int_equal(
		mime_charset_lookup(SPAN("iso-8859-1-and-many-more-characters")), MIME_US_ASCII);
}

/* Whether a text is UTF-8 is decided within MIME_CHARSET_LOOK octets. */
static void far_mistakes(void **state)
{
	size_t n = MIME_CHARSET_LOOK;
	char *in = malloc(n + 1);
	struct buf out;

	memset(in, 'x', n + 1);
	memcpy(in, "\xc3\xbc", 2);
	in[n] = '\xfc';
	for (size_t part = 1; part <= n + 1; part = part * 3 + 1000) {
		buf_init(&out, 4 * n);
		convert_in_parts(
			&convert_charset, SPAN("iso-8859-1"), (struct span){in, n + 1}, part, &out);
		assert_memory_equal(out.data, "\xc3\xbcxx", 4);
		assert_memory_equal(out.data + out.len - 4, "x" FFFD, 4);
		buf_finish(&out);
	}
	in[n - 1] = '\xfc';
	buf_init(&out, 4 * n);
	convert_in_parts(&convert_charset, SPAN(""), (struct span){in, n + 1}, 1000, &out);
	assert_memory_equal(out.data, "\xc3\x83\xc2\xbcxx", 6);
	assert_memory_equal(out.data + out.len - 5, "x\xc3\xbc\xc3\xbc", 5);
	buf_finish(&out);
	free(in);
}

/* Whatever arrives, in whatever charset, what comes out is UTF-8, however it is cut. */
static void random_octets(void **state)
{
	uint64_t random = 5;
	char in[64];

	for (int i = 0; i < 3000; i++) {
		struct span label =
			mime_labels[random_below(&random, (uint32_t)mime_label_count)].text;
		size_t n = random_below(&random, sizeof(in));
		struct buf out;
		for (size_t at = 0; at < n; at++)
			in[at] = (char)(random_next(&random) | random_below(&random, 2) << 7);
		buf_init(&out, 4096);
		convert_in_parts(&convert_charset, label, (struct span){in, n}, n + 1, &out);
		for (struct span s = buf_span(&out); s.n > 0;) {
			int width = mime_utf8_look(s);
			assert_true(width > 0);
			s = (struct span){s.p + width, s.n - (size_t)width};
		}
		if (n > 0 && i % 10 == 0)
			convert_check(
				&convert_charset, label, (struct span){in, n}, buf_span(&out));
		buf_finish(&out);
	}
}

static void limits(void **state)
{
	convert_check_limits(&convert_charset, SPAN(""), SPAN("plain \xc3\xbc \xfc\xff\x80 text"));
	convert_check_limits(
		&convert_charset, SPAN("utf-8"), SPAN("plain \xc3\xbc \xfc\xff text\xc3"));
	convert_check_limits(
		&convert_charset, SPAN("koi8-r"), SPAN("plain \xc3\xbc \xfc\xff text"));
	convert_check_limits(&convert_charset, SPAN("utf-16"), SPAN("a\0b\0\x3d"));
	convert_check_limits(&convert_charset, SPAN("iso-2022-jp"), SPAN("\x1b$B$3$s\x1b(B! \xff"));
	convert_check_limits(&convert_charset, SPAN("iso-8859-2"), SPAN("\xc3\xbc text"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_texts),
		cmocka_unit_test(utf16),
		cmocka_unit_test(labels),
		cmocka_unit_test(far_mistakes),
		cmocka_unit_test(random_octets),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
