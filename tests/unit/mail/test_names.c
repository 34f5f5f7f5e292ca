/* SPDX-License-Identifier: MIT */
/*
 * The mapping of mailbox names to path components: known pairs, what is refused, and over random
 * octets and random text that it loses nothing and mixes nothing up.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/text.h"
#include "imap/utf7.h"
#include "mail/model/names.h"

struct pair {
	struct span level;
	struct span component;
};

#define PAIR(level, component)                                                                     \
	{                                                                                          \
		{level, sizeof(level) - 1},                                                        \
		{                                                                                  \
			component, sizeof(component) - 1                                           \
		}                                                                                  \
	}

static const struct pair utf7_pairs[] = {
	PAIR("INBOX", "INBOX"),
	PAIR("2024", "2024"),
	PAIR("Sent Items", "Sent Items"),
	PAIR("Entw&APw-rfe", "Entw\xc3\xbcrfe"),
	PAIR("&ZeVnLIqe-", "\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"),
	PAIR("&2D3eAA-", "\xf0\x9f\x98\x80"),
	PAIR("R&-D", "R&D"),
	/* What a path cannot hold. */
	PAIR("a/b", "a%2Fb"),
	PAIR("&AAA-", "%00"),
	PAIR("&AAoAfw-", "%0A%7F"),
	PAIR("&AIUAnwCg-", "%C2%85%C2%9F\xc2\xa0"),
	PAIR(".", "%2E"),
	PAIR("..", "%2E%2E"),
	PAIR(".imapfs", "%2Eimapfs"),
	PAIR("...", "..."),
	PAIR(".hidden", ".hidden"),
	/* A percent sign. */
	PAIR("100%", "100%"),
	PAIR("100%ok", "100%ok"),
	PAIR("%2F", "%252F"),
	PAIR("%2f", "%252f"),
	PAIR("%%41", "%%2541"),
	PAIR("%2/", "%2%2F"),
	PAIR("%~", "%25~"),
	PAIR("a%~b", "a%25~b"),
	/* What does not decode, and what decodes to the same look. */
	PAIR("", "%~"),
	PAIR("&AOQ", "%~&AOQ"),
	PAIR("&-AOQ", "&AOQ"),
	PAIR("&AOR-", "%~&AOR-"),
	PAIR("Entw\xc3\xbcrfe", "%~Entw%C3%BCrfe"),
	PAIR("\xc2\x80", "%~%C2%80"),
	PAIR("&/%2F%~", "%~&%2F%252F%25~"),
};

static const struct pair utf8_pairs[] = {
	PAIR("Entw\xc3\xbcrfe", "Entw\xc3\xbcrfe"),
	PAIR("Entw&APw-rfe", "Entw&APw-rfe"),
	PAIR("", "%~"),
	PAIR("..", "%2E%2E"),
	PAIR("\x01\xc2\x80", "%01%C2%80"),
	PAIR("\xc3", "%~%C3"),
	PAIR("\xed\xa0\x80", "%~%ED%A0%80"),
	PAIR("\xc3\xbc\xff", "%~%C3%BC%FF"),
};

static void assert_span(struct span s, struct span expected)
{
	assert_int_equal(s.n, expected.n);
	assert_memory_equal(s.n ? s.p : "", expected.n ? expected.p : "", s.n);
}

static void check_pair(const struct pair *pair, bool utf8)
{
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(buf_append_char(&out, '|'), 0);
	assert_int_equal(names_component(pair->level, utf8, &out), 0);
	buf_consume(&out, 1);
	assert_span(buf_span(&out), pair->component);
	buf_clear(&out);
	assert_int_equal(buf_append_char(&out, '|'), 0);
	assert_int_equal(names_level(pair->component, utf8, &out), 0);
	buf_consume(&out, 1);
	assert_span(buf_span(&out), pair->level);
	buf_finish(&out);
}

static void test_pairs(void **state)
{
	for (size_t i = 0; i < sizeof(utf7_pairs) / sizeof(utf7_pairs[0]); i++)
		check_pair(&utf7_pairs[i], false);
	for (size_t i = 0; i < sizeof(utf8_pairs) / sizeof(utf8_pairs[0]); i++)
		check_pair(&utf8_pairs[i], true);
}

static void test_no_level(void **state)
{
	static const char *const components[] = {"", ".", "..", ".imapfs", "a/b", "%41", "%2f",
		"%2E.", "x%2E", "%25", "%25x", "a\nb", "\x7f", "\xc2\x85", "%C2%A0", "%C3%BC",
		"%~a", "%~%7E", "%~&APw-", "a%~", "a%~0123456789abcdef", "%~%~", "\xff", "%FF"};
	struct buf out;

	buf_init(&out, 4096);
	assert_int_equal(buf_append_char(&out, '|'), 0);
	for (size_t i = 0; i < sizeof(components) / sizeof(components[0]); i++)
		assert_int_equal(names_level(span_of(components[i]), false, &out), ERR_INVALID);
	assert_int_equal(names_level((struct span){"a\0b", 3}, false, &out), ERR_INVALID);
	assert_int_equal(names_level(span_of("%~a"), true, &out), ERR_INVALID);
	assert_int_equal(names_level(span_of("%~%C3%BC"), true, &out), ERR_INVALID);
	assert_span(buf_span(&out), SPAN("|"));
	buf_finish(&out);
}

static void component_of(struct span level, bool utf8, struct buf *out)
{
	buf_clear(out);
	assert_int_equal(names_component(level, utf8, out), 0);
}

static void assert_can_be_a_file_name(struct span component)
{
	assert_true(component.n > 0 && component.n <= NAME_MAX);
	assert_null(memchr(component.p, '/', component.n));
	assert_null(memchr(component.p, '\0', component.n));
	assert_false(span_equal(component, SPAN(".")) || span_equal(component, SPAN("..")));
	for (struct span s = component; s.n > 0;) {
		size_t n = text_utf8_sequence(s);
		assert_true(n > 0);
		assert_true(n > 1 || (s.p[0] >= 0x20 && s.p[0] != 0x7f));
		s.p += n;
		s.n -= n;
	}
}

/* 255 octets still fit; one more and the name is cut, between characters, never within an escape.
 */
static void test_cut(void **state)
{
	static const struct span fillers[] = {{"a", 1}, {"\xc3\xbc", 2}, {"\xe6\x97\xa5", 3},
		{"\xf0\x9f\x98\x80", 4}, {"\x01", 1}, {"\xc2\x80", 2}, {"\xff", 1}};
	struct buf level, out, other, back;

	buf_init(&level, 2048);
	buf_init(&out, 2048);
	buf_init(&other, 2048);
	buf_init(&back, 2048);
	for (size_t f = 0; f < sizeof(fillers) / sizeof(fillers[0]); f++) {
		buf_clear(&level);
		for (size_t last = 0; level.len < 600; last = out.len) {
			assert_int_equal(buf_append_span(&level, fillers[f]), 0);
			component_of(buf_span(&level), true, &out);
			assert_true(out.len <= NAME_MAX);
			assert_can_be_a_file_name(buf_span(&out));
			buf_clear(&back);
			if (names_level(buf_span(&out), true, &back) == 0)
				assert_true(out.len > last);
			else
				break;
		}
		assert_true(level.len < 600);
		assert_true(out.len > NAME_MAX - 18 - 6);
		assert_memory_equal(out.data + out.len - 18, "%~", 2);
		level.data[0] = 'b';
		component_of(buf_span(&level), true, &other);
		assert_false(span_equal(buf_span(&out), buf_span(&other)));
	}
	buf_finish(&level);
	buf_finish(&out);
	buf_finish(&other);
	buf_finish(&back);
}

static void test_cut_is_stable(void **state)
{
	char level[256], expected[NAME_MAX + 1];
	struct buf out;

	memset(level, 'a', sizeof(level));
	memset(expected, 'a', 237);
	snprintf(expected + 237, sizeof(expected) - 237, "%%~fd2916200943d825");
	buf_init(&out, NAME_MAX);
	component_of((struct span){level, 255}, false, &out);
	assert_span(buf_span(&out), (struct span){level, 255});
	component_of((struct span){level, 256}, false, &out);
	assert_span(buf_span(&out), span_of(expected));
	buf_finish(&out);
}

static void test_long_level(void **state)
{
	size_t n = 70000;
	char *level = malloc(n);
	struct buf out;

	assert_non_null(level);
	memset(level, '&', n);
	buf_init(&out, NAME_MAX);
	component_of((struct span){level, n}, false, &out);
	assert_int_equal(out.len, NAME_MAX);
	buf_finish(&out);
	free(level);
}

static void test_out_limit(void **state)
{
	struct buf out;

	buf_init(&out, 4);
	assert_int_equal(names_component(SPAN("abcde"), false, &out), ERR_LIMIT);
	assert_int_equal(names_level(SPAN("abcde"), false, &out), ERR_LIMIT);
	assert_int_equal(out.len, 0);
	assert_int_equal(names_component(SPAN("abcd"), false, &out), 0);
	buf_finish(&out);
}

/* xorshift64*: the same numbers in each run. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

static unsigned random_below(unsigned n)
{
	random_state ^= random_state >> 12;
	random_state ^= random_state << 25;
	random_state ^= random_state >> 27;
	return (unsigned)((random_state * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % n;
}

/* Octets that mean something here are chosen half of the time. */
static size_t random_octets(char *out, size_t max)
{
	static const char telling[] = "%~&-./,2Ff0AOQ\x01\x7f\xc2\x80\xc3\xbc";
	size_t n = random_below((unsigned)max + 1);

	for (size_t i = 0; i < n; i++)
		out[i] = random_below(2) ? telling[random_below(sizeof(telling) - 1)]
					 : (char)random_below(256);
	return n;
}

static unsigned random_code_point(void)
{
	static const unsigned below[] = {0x80, 0xa0, 0x800, 0x10000, 0x110000};
	unsigned c = random_below(below[random_below(5)]);

	return c >= 0xd800 && c < 0xe000 ? c - 0xd800 : c;
}

static size_t put_utf8(unsigned c, char *out)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)(c | (0xf00u >> n & 0xff));
	return n;
}

static size_t random_text(char *out, size_t max_characters)
{
	size_t n = 0;

	for (unsigned i = random_below((unsigned)max_characters + 1); i > 0; i--)
		n += put_utf8(random_code_point(), out + n);
	return n;
}

/* The way back makes it injective: two levels with the same component would have to be the same. */
static void check_level(struct span level, bool utf8)
{
	struct buf component, back;

	buf_init(&component, NAME_MAX);
	buf_init(&back, 4096);
	assert_int_equal(names_component(level, utf8, &component), 0);
	assert_can_be_a_file_name(buf_span(&component));
	assert_int_equal(names_level(buf_span(&component), utf8, &back), 0);
	assert_span(buf_span(&back), level);
	buf_finish(&component);
	buf_finish(&back);
}

static void check_component(struct span component, bool utf8, unsigned *valid)
{
	struct buf level, back;

	buf_init(&level, 4096);
	buf_init(&back, NAME_MAX);
	int err = names_level(component, utf8, &level);
	if (err == 0) {
		assert_int_equal(names_component(buf_span(&level), utf8, &back), 0);
		assert_span(buf_span(&back), component);
		(*valid)++;
	} else {
		assert_int_equal(err, ERR_INVALID);
		assert_int_equal(level.len, 0);
	}
	buf_finish(&level);
	buf_finish(&back);
}

static void test_random_levels(void **state)
{
	char octets[40];

	for (int i = 0; i < 20000; i++) {
		struct span level = {octets, random_octets(octets, sizeof(octets))};
		check_level(level, i % 2);
	}
}

static void test_random_text(void **state)
{
	char text[4 * 20];
	struct buf level;

	buf_init(&level, 4096);
	for (int i = 0; i < 20000; i++) {
		struct span s = {text, random_text(text, 20)};
		check_level(s, true);
		buf_clear(&level);
		assert_int_equal(imap_utf7_encode(s, &level), 0);
		check_level(buf_span(&level), false);
	}
	buf_finish(&level);
}

static void test_random_components(void **state)
{
	char octets[12];
	unsigned valid = 0;

	for (int i = 0; i < 40000; i++) {
		struct span component = {octets, random_octets(octets, sizeof(octets))};
		check_component(component, i % 2, &valid);
	}
	assert_true(valid > 400);
}

/* A text has one component, whichever way its server writes it. */
static void test_same_in_both_encodings(void **state)
{
	char text[4 * 20];
	struct buf level, a, b;

	buf_init(&level, 4096);
	buf_init(&a, NAME_MAX);
	buf_init(&b, NAME_MAX);
	for (int i = 0; i < 5000; i++) {
		struct span s = {text, random_text(text, 20)};
		buf_clear(&level);
		assert_int_equal(imap_utf7_encode(s, &level), 0);
		component_of(s, true, &a);
		component_of(buf_span(&level), false, &b);
		assert_span(buf_span(&a), buf_span(&b));
	}
	buf_finish(&level);
	buf_finish(&a);
	buf_finish(&b);
}

/* Every level of up to two of the octets that matter, each against each. */
static void test_short_levels_differ(void **state)
{
	static const char alphabet[] = {
		'%', '~', '&', '-', '2', 'E', '.', '/', '\x02', '\xc2', '\x80'};
	enum { N = sizeof(alphabet), COUNT = 1 + N + N * N };
	static char components[COUNT][32];
	struct buf out;

	buf_init(&out, 31);
	for (int i = 0; i < COUNT; i++) {
		char octets[2] = {alphabet[(i + N - 1) % N], alphabet[i > N ? (i - 1 - N) / N : 0]};
		struct span level = {octets, i == 0 ? 0 : i <= N ? 1 : 2};
		component_of(level, false, &out);
		memcpy(components[i], out.data, out.len);
	}
	for (int i = 0; i < COUNT; i++)
		for (int j = 0; j < i; j++)
			assert_string_not_equal(components[i], components[j]);
	buf_finish(&out);
}

static void test_inbox(void **state)
{
	assert_true(names_is_inbox(SPAN("INBOX")));
	assert_true(names_is_inbox(SPAN("inBox")));
	assert_false(names_is_inbox(SPAN("INBOX ")));
	assert_false(names_is_inbox(SPAN("")));
}

static void test_uid(void **state)
{
	static const char *const bad[] = {"", "0", "01", "4294967296", "18446744073709551617", "-1",
		"+1", " 1", "1 ", "1a", "0x1", "1.eml", ".eml"};
	struct span eml = SPAN(".eml"), none = {NULL, 0};
	uint32_t uid = 7;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(names_uid(span_of(bad[i]), none, &uid));
	assert_false(names_uid(SPAN("1"), eml, &uid));
	assert_false(names_uid(SPAN(".eml"), eml, &uid));
	assert_false(names_uid(SPAN("0.eml"), eml, &uid));
	assert_false(names_uid(SPAN("1.EML"), eml, &uid));
	assert_int_equal(uid, 7);
	assert_true(names_uid(SPAN("1"), none, &uid));
	assert_int_equal(uid, 1);
	assert_true(names_uid(SPAN("4294967295"), none, &uid));
	assert_int_equal(uid, UINT32_MAX);
	assert_true(names_uid(SPAN("53809.eml"), eml, &uid));
	assert_int_equal(uid, 53809);
}

static void test_format_uid(void **state)
{
	struct span none = {NULL, 0};
	char name[NAME_MAX + 1];

	assert_int_equal(names_format_uid(1, none, name), 1);
	assert_string_equal(name, "1");
	assert_int_equal(names_format_uid(UINT32_MAX, SPAN(".eml"), name), 14);
	assert_string_equal(name, "4294967295.eml");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_no_level),
		cmocka_unit_test(test_cut),
		cmocka_unit_test(test_cut_is_stable),
		cmocka_unit_test(test_long_level),
		cmocka_unit_test(test_out_limit),
		cmocka_unit_test(test_random_levels),
		cmocka_unit_test(test_random_text),
		cmocka_unit_test(test_random_components),
		cmocka_unit_test(test_same_in_both_encodings),
		cmocka_unit_test(test_short_levels_differ),
		cmocka_unit_test(test_inbox),
		cmocka_unit_test(test_uid),
		cmocka_unit_test(test_format_uid),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
