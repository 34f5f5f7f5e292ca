/* SPDX-License-Identifier: MIT */
/* Text without its case. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/feed.h"
#include "../support/oom.h"
#include "base/error.h"
#include "mime/fold.h"

static const struct {
	const char *in, *out;
} texts[] = {
	{"", ""},
	{"aBc Z[`{@", "abc z[`{@"},
	{"J\xc3\x9cRGEN", "j\xc3\xbcrgen"},
	{"u\xcc\x88", "\xc3\xbc"}, /* composed */
	{"Stra\xc3\x9f"
	 "e",
		"strasse"},                       /* full folding */
	{"\xce\xa3\xcf\x82", "\xcf\x83\xcf\x83"}, /* both small sigmas are one */
	{"\xe6\x97\xa5\xe6\x9c\xac", "\xe6\x97\xa5\xe6\x9c\xac"},
};

static void known(void **state)
{
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct buf out;
		buf_init(&out, 1000);
		assert_int_equal(mime_fold(span_of(texts[i].in), &out), 0);
		assert_string_equal(buf_cstr(&out), texts[i].out);
		buf_finish(&out);
	}
}

static void is_utf8(void **state)
{
	assert_true(mime_fold_is_utf8(SPAN("")));
	assert_true(mime_fold_is_utf8(SPAN("a\xc3\xa4\xf0\x9f\x98\x80")));
	assert_false(mime_fold_is_utf8(SPAN("a\xc3")));
	assert_false(mime_fold_is_utf8(SPAN("\xff")));
	assert_false(mime_fold_is_utf8(SPAN("\xed\xa0\x80")));
}

static void take_prefix(void *ctx, struct span prefix)
{
	struct buf out;

	buf_init(&out, 1000);
	if (mime_fold_is_utf8(prefix))
		assert_int_equal(mime_fold(prefix, &out), 0);
	buf_finish(&out);
}

static void prefixes(void **state)
{
	feed_prefixes(SPAN("J\xc3\x9cRGEN \xce\xa3\xcf\x82 \xf0\x9f\x98\x80 x"), take_prefix, NULL);
}

static void limits(void **state)
{
	struct buf out;

	buf_init(&out, 2);
	assert_int_equal(mime_fold(SPAN("abc"), &out), ERR_LIMIT);
	buf_clear(&out);
	assert_int_equal(mime_fold(SPAN("\xc3\x9c\xc3\x9c"), &out), ERR_LIMIT);
	buf_finish(&out);
	buf_init(&out, 100);
	oom_arm(1);
	int err = mime_fold(SPAN("abc"), &out);
	assert_true(oom_disarm());
	assert_int_equal(err, ERR_NOMEM);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(is_utf8),
		cmocka_unit_test(prefixes),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
