/* SPDX-License-Identifier: MIT */
/* Modified UTF-7 is a bijection between the texts in UTF-8 and the names that decoding accepts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../support/feed.h"
#include "../support/oom.h"
#include "../support/random.h"
#include "base/error.h"
#include "base/text.h"
#include "imap/utf7.h"

#define NAME_MAX_OCTETS 4096

static const struct {
	const char *name, *text;
} pairs[] = {
	{"", ""},
	{"INBOX", "INBOX"},
	{"&-", "&"},
	{"&-&-", "&&"},
	{"a&-b", "a&b"},
	{"&-AOk-", "&AOk-"},
	{"~peter/mail/&U,BTFw-/&ZeVnLIqe-",
		"~peter/mail/\xe5\x8f\xb0\xe5\x8c\x97/\xe6\x97\xa5\xe6\x9c\xac\xe8\xaa\x9e"},
	{"Entw&APw-rfe", "Entw\xc3\xbcrfe"},
	{"&APw-&-", "\xc3\xbc&"},
	{"&-&APw-", "&\xc3\xbc"},
	{"&Jjo-!", "\xe2\x98\xba!"},
	{"&2D3eAA-", "\xf0\x9f\x98\x80"},
	{"&2D3eANg93gA-", "\xf0\x9f\x98\x80\xf0\x9f\x98\x80"},
	{"&2D3eAABh-", NULL},
	{"&AAoACQB-", NULL},
	{"&AAoACQ-", "\n\t"},
	{"&AH8-", "\x7f"},
	{"&AAE-", "\x01"},
	{"&1,8-", "\xed\x9f\xbf"},
	{"&,,8-", "\xef\xbf\xbf"},
	{"&2,,f,w-", "\xf4\x8f\xbf\xbf"},
	{"&AC8-", NULL},
	{"&AC4ALg-", NULL},
};

/* Each breaks one rule. */
static const char *const bad[] = {"&", "a&", "&AOk", "&AO-", "&A-", "&AOkA-", "&AOl-", "&AOkAA-",
	"&AO=-", "&AO/-", "&AO k-", "&AOk=-", "&AOk-&AOk-", "&AGE-", "&ACY-", "&AH4-", "&ACA-",
	"&AOkAYQ-", "&2D0-", "&3gA-", "&3gDYPQ-", "&2D3YPQ-", "&2D0AYQ-", "&2D0-&3gA-", "\xc3\xbc",
	"a\x01", "\x7f", "\n", "\xff", "&\xff-", "&-&", "&&-", "&--&AOk"};

static void assert_decodes(const char *name, const char *text)
{
	struct buf out;

	buf_init(&out, NAME_MAX_OCTETS);
	assert_int_equal(buf_append(&out, "x", 1), 0);
	int err = imap_utf7_decode(span_of(name), &out);
	if (err != (text ? 0 : ERR_INVALID))
		fail_msg("%s: %d", name, err);
	assert_string_equal(buf_cstr(&out) + 1, text ? text : "");
	assert_int_equal(out.data[0], 'x');
	if (text) {
		buf_clear(&out);
		assert_int_equal(imap_utf7_encode(span_of(text), &out), 0);
		assert_string_equal(buf_cstr(&out), name);
	}
	buf_finish(&out);
}

static void known_names(void **state)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++)
		assert_decodes(pairs[i].name, pairs[i].text);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_decodes(bad[i], NULL);
}

static void nul_is_encoded(void **state)
{
	struct buf out;

	buf_init(&out, 100);
	assert_int_equal(imap_utf7_decode(SPAN("a&AAA-b"), &out), 0);
	assert_true(span_equal(buf_span(&out), SPAN("a\0b")));
	buf_clear(&out);
	assert_int_equal(imap_utf7_encode(SPAN("a\0b"), &out), 0);
	assert_true(span_equal(buf_span(&out), SPAN("a&AAA-b")));
	buf_finish(&out);
}

/* What decoding accepts, encoding gives back, and the text is valid. Returns whether it accepted.
 */
static bool check_name(struct span name)
{
	struct buf text, again;

	buf_init(&text, NAME_MAX_OCTETS);
	buf_init(&again, NAME_MAX_OCTETS);
	int err = imap_utf7_decode(name, &text);
	assert_true(err == 0 || err == ERR_INVALID);
	if (err < 0)
		assert_int_equal(text.len, 0);
	for (struct span s = buf_span(&text); s.n > 0;) {
		size_t n = text_utf8_sequence(s);
		assert_int_not_equal(n, 0);
		s = (struct span){s.p + n, s.n - n};
	}
	if (err == 0) {
		assert_int_equal(imap_utf7_encode(buf_span(&text), &again), 0);
		if (!span_equal(buf_span(&again), name))
			fail_msg("%.*s: %.*s", (int)name.n, name.p, (int)again.len, again.data);
	}
	buf_finish(&text);
	buf_finish(&again);
	return err == 0;
}

/* Octets out of an alphabet that makes shifts likely, and any octets. */
static void random_names(void **state)
{
	static const char likely[] = "&&&&----AAAAAOOkk8,+g2D3eazZ90 \x7f\xc3";
	uint64_t random = 1;
	int accepted = 0;

	for (int i = 0; i < 300000; i++) {
		char name[24];
		size_t n = random_below(&random, sizeof(name) + 1);
		for (size_t at = 0; at < n; at++)
			name[at] = i % 2 ? (char)random_next(&random)
					 : likely[random_below(&random, sizeof(likely) - 1)];
		accepted += check_name((struct span){name, n});
	}
	assert_true(accepted > 1000);
}

/* All names of up to six octets out of a few. */
static void every_short_name(void **state)
{
	static const char octets[] = "&-AOk,";
	enum { BASE = sizeof(octets) - 1 };
	char name[6];

	for (size_t n = 0, count = 1; n <= sizeof(name); n++, count *= BASE) {
		for (size_t number = 0; number < count; number++) {
			size_t rest = number;
			for (size_t at = 0; at < n; at++, rest /= BASE)
				name[at] = octets[rest % BASE];
			check_name((struct span){name, n});
		}
	}
}

static size_t append_character(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n - 1; i > 0; i--, c >>= 6)
		out[i] = (char)(0x80 | (c & 0x3f));
	out[0] = (char)((0xf00 >> n) | c);
	return n;
}

static uint32_t random_character(uint64_t *random)
{
	static const uint32_t below[] = {0x80, 0x100, 0x800, 0x10000, 0x110000};
	uint32_t c;

	do
		c = random_below(random, below[random_below(random, 5)]);
	while (c >= 0xd800 && c <= 0xdfff);
	return c;
}

static void random_texts(void **state)
{
	uint64_t random = 2;
	struct buf name, again;

	buf_init(&name, NAME_MAX_OCTETS);
	buf_init(&again, NAME_MAX_OCTETS);
	for (int i = 0; i < 200000; i++) {
		char text[64];
		size_t n = 0, characters = random_below(&random, 16);
		while (characters-- > 0)
			n += append_character(text + n, random_character(&random));
		buf_clear(&name);
		buf_clear(&again);
		assert_int_equal(imap_utf7_encode((struct span){text, n}, &name), 0);
		for (size_t at = 0; at < name.len; at++)
			assert_in_range(name.data[at], 0x20, 0x7e);
		assert_int_equal(imap_utf7_decode(buf_span(&name), &again), 0);
		assert_true(span_equal(buf_span(&again), (struct span){text, n}));
	}
	buf_finish(&name);
	buf_finish(&again);
}

static void text_that_is_no_utf8(void **state)
{
	static const char *const texts[] = {"\xff", "a\x80", "\xc3", "\xed\xa0\x80", "\xc0\x80",
		"ok\xf4\x90\x80\x80", "\xc3\xbc\xe2\x82"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct buf out;
		buf_init(&out, 100);
		assert_int_equal(buf_append(&out, "x", 1), 0);
		assert_int_equal(imap_utf7_encode(span_of(texts[i]), &out), ERR_INVALID);
		assert_true(span_equal(buf_span(&out), SPAN("x")));
		buf_finish(&out);
	}
}

static void take_prefix(void *ctx, struct span prefix)
{
	struct buf out;

	check_name(prefix);
	buf_init(&out, NAME_MAX_OCTETS);
	int err = imap_utf7_encode(prefix, &out);
	assert_true(err == 0 || err == ERR_INVALID);
	buf_finish(&out);
}

static void cut_short(void **state)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		feed_prefixes(span_of(pairs[i].name), take_prefix, NULL);
		feed_prefixes(span_of(pairs[i].text), take_prefix, NULL);
	}
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		feed_prefixes(span_of(bad[i]), take_prefix, NULL);
}

typedef int convert_fn(struct span from, struct buf *out);

/* Every allocation fails once, and every maximum below what is needed is tried. */
static void check_limits(convert_fn *convert, struct span from, struct span to)
{
	for (size_t n = 1;; n++) {
		struct buf out;
		buf_init(&out, NAME_MAX_OCTETS);
		oom_arm(n);
		int err = convert(from, &out);
		bool failed = oom_disarm();
		assert_int_equal(err, failed ? ERR_NOMEM : 0);
		assert_int_equal(out.len, failed ? 0 : to.n);
		buf_finish(&out);
		if (!failed)
			break;
	}
	for (size_t max = 0; max <= to.n; max++) {
		struct buf out;
		buf_init(&out, max);
		assert_int_equal(convert(from, &out), max < to.n ? ERR_LIMIT : 0);
		assert_int_equal(out.len, max < to.n ? 0 : to.n);
		buf_finish(&out);
	}
}

static void limits(void **state)
{
	for (size_t i = 0; i < sizeof(pairs) / sizeof(pairs[0]); i++) {
		if (!pairs[i].text)
			continue;
		struct span name = span_of(pairs[i].name), text = span_of(pairs[i].text);
		check_limits(imap_utf7_decode, name, text);
		check_limits(imap_utf7_encode, text, name);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_names),
		cmocka_unit_test(nul_is_encoded),
		cmocka_unit_test(random_names),
		cmocka_unit_test(every_short_name),
		cmocka_unit_test(random_texts),
		cmocka_unit_test(text_that_is_no_utf8),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
