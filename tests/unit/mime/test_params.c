/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/feed.h"
#include "../support/oom.h"
#include "base/error.h"
#include "mime/params.h"
#include "mime/utf8.h"

#define OUT_MAX (1u << 20)
#define PAIRS_MAX 400

/* "name=value" of each, NULL at the end. */
static const struct {
	const char *pairs[6];
	const char *out;
} known[] = {
	{{NULL}, ""},
	{{"name=a.pdf", NULL}, "a.pdf"},
	{{"charset=x", "NAME=a", "name=b", NULL}, "a"},
	{{"names=a", "nam=b", "name!=c", NULL}, ""},
	/* RFC 2231. */
	{{"name*=utf-8''gr%C3%BC%c3%9f.txt", NULL}, "gr\xc3\xbc\xc3\x9f.txt"},
	{{"name*=iso-8859-1'de'%fc", "name=u", NULL}, "\xc3\xbc"},
	{{"name*1=b", "name*0=a", "name*2=c", NULL}, "abc"},
	{{"name*0*=utf-8''%C3", "name*1*=%BC%", "name*2=%41", NULL}, "\xc3\xbc%%41"},
	{{"name*0*=utf-8'", "name*1*='%C", "name*2*=3%B", "name*3*=C", NULL}, "\xc3\xbc"},
	{{"name*0=a", "name*2=c", NULL}, "a"},
	{{"name*1=b", "name=a", NULL}, "a"},
	{{"name*0=a", "name=x", "name*0=b", NULL}, "a"},
	{{"name*=gr%FC", NULL}, "gr\xc3\xbc"},
	{{"name*=utf-8'x", NULL}, "utf-8'x"},
	{{"name*=''%4", NULL}, "%4"},
	{{"name**=a", "name*x=b", "name*999=c", "name*0**=d", NULL}, ""},
	{{"name*=", "name=x", NULL}, ""},
	/* What most senders do. */
	{{"name==?utf-8?q?gr=C3=BC?=", NULL}, "gr\xc3\xbc"},
	{{"name*0==?utf-8?q?=C3?= ", "name*1==?utf-8?q?=BC?=", NULL}, "\xc3\xbc"},
	{{"name=gr\xfc", NULL}, "gr\xc3\xbc"},
};

static size_t split_pairs(const char *const *texts, struct mime_param *pairs)
{
	size_t n = 0;

	for (; texts[n]; n++) {
		const char *equals = strchr(texts[n], '=');
		pairs[n].name = (struct span){texts[n], (size_t)(equals - texts[n])};
		pairs[n].value = span_of(equals + 1);
	}
	return n;
}

static void known_params(void **state)
{
	struct mime_param pairs[PAIRS_MAX];

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct buf out;
		size_t n = split_pairs(known[i].pairs, pairs);
		buf_init(&out, OUT_MAX);
		assert_int_equal(mime_params_get(pairs, n, SPAN("name"), &out), 0);
		if (strcmp(buf_cstr(&out), known[i].out) != 0)
			fail_msg("%zu: %s, not %s", i, buf_cstr(&out), known[i].out);
		buf_finish(&out);
	}
}

static void many_pieces(void **state)
{
	static char names[PAIRS_MAX][16];
	struct mime_param pairs[PAIRS_MAX];
	struct buf out;

	for (size_t i = 0; i < PAIRS_MAX; i++) {
		snprintf(names[i], sizeof(names[i]), "name*%zu", i);
		pairs[i] = (struct mime_param){span_of(names[i]), SPAN("x")};
	}
	buf_init(&out, OUT_MAX);
	assert_int_equal(mime_params_get(pairs, PAIRS_MAX, SPAN("Name"), &out), 0);
	assert_int_equal(out.len, MIME_PARAMS_PIECES);
	buf_finish(&out);
}

static const struct {
	const char *text, *name;
} filenames[] = {
	{"report.pdf", "report.pdf"},
	{"../USER/HOMEPAGE/WGIF/BG03.GIF", "BG03.GIF"},
	{"C:\\Users\\anna\\a.doc", "a.doc"},
	{"/etc/passwd", "passwd"},
	{"..", ""},
	{". ..  ", ""},
	{"a/", ""},
	{"  .hidden file .txt", "hidden file .txt"},
	{"a\tb\r\nc\x7f"
	 "d\xc2\x85"
	 "e",
		"abcde"},
	{"evil\xe2\x80\xaegpj.exe", "evilgpj.exe"},
	{"\xef\xbb\xbf"
	 "a\xe2\x80\x8b\xe2\x81\xa6\xcd\x8f"
	 "b",
		"ab"},
	/* A letter and its mark. */
	{"Gru\xcc\x88n.txt", "Gr\xc3\xbcn.txt"},
	{"\xe2\x84\xab", "\xc3\x85"},
	{"a\xff"
	 "b",
		"a\xef\xbf\xbd"
		"b"},
	{"\xe6\x97\xa5\xe6\x9c\xac.txt", "\xe6\x97\xa5\xe6\x9c\xac.txt"},
};

static void check_filename(struct span text, const char *expected)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	assert_int_equal(mime_filename(text, &out), 0);
	if (strcmp(buf_cstr(&out), expected) != 0)
		fail_msg("%.*s gives %s, not %s", (int)text.n, text.p, buf_cstr(&out), expected);
	buf_finish(&out);
}

static void known_filenames(void **state)
{
	for (size_t i = 0; i < sizeof(filenames) / sizeof(filenames[0]); i++)
		check_filename(span_of(filenames[i].text), filenames[i].name);
}

/* Long names keep their extension, and whole characters. */
static void long_filenames(void **state)
{
	for (size_t n = 1; n < 10000; n = n * 5 / 4 + 1) {
		struct buf in, out;
		buf_init(&in, OUT_MAX);
		buf_init(&out, OUT_MAX);
		for (size_t i = 0; i < n; i++)
			assert_int_equal(mime_utf8_append(&in, 0x20ac), 0);
		assert_int_equal(buf_append(&in, ".tar.gz", 7), 0);
		assert_int_equal(mime_filename(buf_span(&in), &out), 0);
		assert_in_range(out.len, 1, MIME_FILENAME_MAX);
		assert_string_equal(buf_cstr(&out) + out.len - 3, ".gz");
		assert_int_equal(out.len, n < 83 ? in.len : 252 + 3);
		for (struct span s = buf_span(&out); s.n > 0; s.p++, s.n--)
			if ((*s.p & 0xc0) != 0x80)
				assert_true(mime_utf8_look(s) > 0);
		buf_finish(&in);
		buf_finish(&out);
	}
}

static void extensions(void **state)
{
	assert_int_equal(mime_filename_extension(SPAN("a.b.c")), 3);
	assert_int_equal(mime_filename_extension(SPAN("abc")), 3);
	assert_int_equal(mime_filename_extension(SPAN("abc.")), 3);
	assert_int_equal(mime_filename_extension(SPAN(".abc")), 4);
	assert_int_equal(mime_filename_extension(SPAN("")), 0);
	assert_int_equal(mime_filename_extension(SPAN("a.2345678901234567890123456789012")), 1);
	assert_int_equal(mime_filename_extension(SPAN("a.23456789012345678901234567890123")), 34);
}

static void take_prefix(void *ctx, struct span prefix)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	assert_int_equal(mime_filename(prefix, &out), 0);
	buf_finish(&out);
	struct mime_param pair = {SPAN("name*"), prefix};
	assert_int_equal(mime_params_get(&pair, 1, SPAN("name"), &out), 0);
	buf_finish(&out);
}

static void cut_short(void **state)
{
	for (size_t i = 0; i < sizeof(filenames) / sizeof(filenames[0]); i++)
		feed_prefixes(span_of(filenames[i].text), take_prefix, NULL);
	feed_prefixes(SPAN("utf-8''gr%C3%BC%c3%9f.txt"), take_prefix, NULL);
}

static int name_it(struct buf *out)
{
	static const struct mime_param pairs[] = {
		{{"name*0*", 7}, {"koi8-r''%fc\xfc%C3%BC", 17}},
		{{"name*1", 6}, {"/u\xcc\x88", 4}},
	};
	struct buf text;

	buf_init(&text, OUT_MAX);
	int err = mime_params_get(pairs, 2, SPAN("name"), &text);
	if (err == 0)
		err = mime_filename(buf_span(&text), out);
	buf_finish(&text);
	return err;
}

static void limits(void **state)
{
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		struct buf out;
		buf_init(&out, OUT_MAX);
		oom_arm(n);
		int err = name_it(&out);
		failed = oom_disarm();
		assert_int_equal(err, failed ? ERR_NOMEM : 0);
		buf_finish(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_params),
		cmocka_unit_test(many_pieces),
		cmocka_unit_test(known_filenames),
		cmocka_unit_test(long_filenames),
		cmocka_unit_test(extensions),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
