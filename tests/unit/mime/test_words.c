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
#include "mime/utf8.h"
#include "mime/words.h"

#define OUT_MAX (64u << 20)
#define FFFD "\xef\xbf\xbd"

static const struct {
	const char *in, *out;
} known[] = {
	{"", ""},
	{"plain text", "plain text"},
	{"=?utf-8?q?gr=C3=BC=C3=9Fe?=", "gr\xc3\xbc\xc3\x9f"
					"e"},
	{"=?UTF-8?B?Z3LDvMOfZQ==?=", "gr\xc3\xbc\xc3\x9f"
				     "e"},
	{"=?iso-8859-1*de?Q?a_b=20c=5F=3d?=", "a b c_="},
	{"=?ISO-2022-JP?B?GyRCJDMkcxsoQg==?=", "\xe3\x81\x93\xe3\x82\x93"},
	/* Adjacent words, also with a character split between them; and what stands between. */
	{"=?utf-8?q?a?= =?utf-8?q?b?=", "ab"},
	{"=?utf-8?q?a?=\r\n =?utf-8?q?b?=\r\n\t=?iso-8859-1?q?=fc?=", "ab\xc3\xbc"},
	{"=?utf-8?B?w7w=?= =?UTF-8?Q?=C3?= =?utf-8?b?vA==?=", "\xc3\xbc\xc3\xbc"},
	{"=?utf-8?q?=C3?= x =?utf-8?q?=BC?=", FFFD " x " FFFD},
	{"a =?utf-8?q?b?= c =?utf-8?q?d?=e", "a b c de"},
	{"(=?utf-8?q?b?=)=?utf-8?q?c?=\"=?utf-8?q?d?=\"", "(b)c\"d\""},
	/* Folding. */
	{"a\r\n b\n\tc\r\nd", "a b\tc d"},
	{"a\rb", "a b"},
	/* Encoded, though not as it should be. */
	{"=?utf-8?q?a b?=", "a b"},
	{"=?utf-8?q?who?me?=", "who?me"},
	{"=?utf-8?q?=zz=4?=", "=zz=4"},
	{"=?utf-8?b?Z?=", ""},
	{"=?utf-8?b?Zm9v!YmF?=", "fooba"},
	{"=?nosuch?q?=fc?=", "\xc3\xbc"},
	{"=?utf-8?q?=fc?=", FFFD},
	{"=??q?x?=", "=??q?x?="},
	{"=?*de?q?x?=", "x"},
	{"=?utf-8?x?y?=", "=?utf-8?x?y?="},
	{"=?utf-8?q?y", "=?utf-8?q?y"},
	{"=?utf-8?q?y =?utf-8?q?", "=?utf-8?q?y =?utf-8?q?"},
	{"=?utf-8?q", "=?utf-8?q"},
	{"=?utf 8?q?x?=", "=?utf 8?q?x?="},
	{"=?a=?utf-8?q?x?=", "=?ax"},
	{"==?utf-8?q?x?==", "=x="},
	{"=?=?=?", "=?=?=?"},
	/* Not encoded at all. */
	{"gr\xc3\xbc\xc3\x9f"
	 "e",
		"gr\xc3\xbc\xc3\x9f"
		"e"},
	{"gr\xfc\xdf"
	 "e =?utf-8?q?=C3=BC?=",
		"gr\xc3\xbc\xc3\x9f"
		"e \xc3\xbc"},
};

static void check(const char *in, bool plain, const char *expected)
{
	struct guarded g;
	struct buf out;

	guarded_init(&g, strlen(in));
	buf_init(&out, OUT_MAX);
	assert_int_equal(mime_words_decode(guarded_place(&g, span_of(in)), plain, &out), 0);
	if (!span_equal(buf_span(&out), span_of(expected)))
		fail_msg("%s gives\n%.*s\nnot\n%s", in, (int)out.len, out.data, expected);
	buf_finish(&out);
	guarded_finish(&g);
}

static void known_texts(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		check(known[i].in, false, known[i].out);
}

static void plain_texts(void **state)
{
	check("a\tb\x01"
	      "c\x7f",
		true, "a b c ");
	check("=?utf-8?q?a=0D=0Ab=00c=E2=80=AEd=C2=85e=E2=80=A8f?=", true, "a  b c d e f");
	check("\xe2\x81\xa6x\xd8\x9cy\xe2\x80\x8fz", true, " x y z");
	check("=?utf-8?q?a=09b?=", false, "a\tb");
}

/* However a text is cut, it gives UTF-8, at most three octets for each. */
static void take_prefix(void *ctx, struct span prefix)
{
	struct buf out;

	buf_init(&out, 3 * prefix.n);
	assert_int_equal(mime_words_decode(prefix, true, &out), 0);
	for (struct span s = buf_span(&out); s.n > 0;) {
		int width = mime_utf8_look(s);
		assert_true(width > 0);
		assert_false(mime_utf8_is_control(mime_utf8_value(s)));
		s = (struct span){s.p + width, s.n - (size_t)width};
	}
	buf_finish(&out);
}

static void cut_short(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		feed_prefixes(span_of(known[i].in), take_prefix, NULL);
}

static void repeat(struct buf *in, const char *piece, size_t octets)
{
	while (in->len < octets)
		assert_int_equal(buf_append_span(in, span_of(piece)), 0);
}

/* Time is linear in them (a test that is not does not end), memory is bounded. */
static void bombs(void **state)
{
	static const char *const pieces[] = {"=?", "=?a?q?", "=?a",
		"?=", "=?utf-8?q?x?= ", "=?koi8-r?q?=e4?==?shift_jis?q?=e4?=", "=?utf-8?b?",
		"\r\n ", "=?a?q?=?"};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct buf in, out;
		buf_init(&in, OUT_MAX);
		buf_init(&out, OUT_MAX);
		repeat(&in, pieces[i], 200000);
		oom_arm(0);
		assert_int_equal(mime_words_decode(buf_span(&in), true, &out), 0);
		assert_in_range(oom_allocated(), 0, 16 * in.len + (8u << 20));
		buf_finish(&in);
		buf_finish(&out);
	}
}

static void limits(void **state)
{
	static const char text[] =
		"a =?utf-8?q?=C3?= =?utf-8?b?vA==?= b\r\n =?koi8-r?q?=e4_?= \xfc";
	struct span in = SPAN(text);
	size_t need = SIZE_MAX;
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		struct buf out;
		buf_init(&out, OUT_MAX);
		oom_arm(n);
		int err = mime_words_decode(in, n % 2, &out);
		failed = oom_disarm();
		assert_int_equal(err, failed ? ERR_NOMEM : 0);
		buf_finish(&out);
	}
	for (size_t max = 0; max < need; max++) {
		struct buf out;
		buf_init(&out, max);
		int err = mime_words_decode(in, max % 2, &out);
		assert_true(err == 0 || err == ERR_LIMIT);
		if (err == 0)
			need = out.len;
		buf_finish(&out);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_texts),
		cmocka_unit_test(plain_texts),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(bombs),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
