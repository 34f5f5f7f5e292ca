/* SPDX-License-Identifier: MIT */
/* The fields of an index: gathered however the header is cut, kept within their bounds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/feed.h"
#include "../support/oom.h"
#include "base/error.h"
#include "mime/summary.h"

#define OUT_MAX (1u << 20)

static void *start(void)
{
	struct mime_summary_builder *b = malloc(sizeof(*b));

	assert_non_null(b);
	mime_summary_init(b);
	return b;
}

static void feed(void *state, struct span part)
{
	assert_int_equal(mime_summary_feed(state, part), 0);
}

/* "number=value|" of each field, "+" before "|" where it was cut. */
static void show(struct span packed, struct buf *result)
{
	struct mime_summary s;

	assert_true(mime_summary_unpack(packed, &s));
	for (int i = 0; i < MIME_SUMMARY_FIELDS; i++)
		if (s.value[i].n > 0)
			assert_int_equal(buf_printf(result, "%d=%.*s%s|", i, (int)s.value[i].n,
						 s.value[i].p, s.cut[i] ? "+" : ""),
				0);
}

static void end(void *state, struct buf *result)
{
	struct buf packed;

	buf_init(&packed, MIME_SUMMARY_MAX);
	assert_int_equal(mime_summary_pack(state, &packed), 0);
	show(buf_span(&packed), result);
	buf_finish(&packed);
	mime_summary_finish(state);
	free(state);
}

static const struct feeder builder = {start, feed, end};

static const struct {
	const char *in, *out;
} headers[] = {
	{"", ""},
	{"\r\n", ""},
	{"Subject: a\r\n\r\n", "4=a|"},
	{"Subject: a", "4=a|"},
	{"SUBJECT:a\nfrom :  b \t\nTo\t: c\n", "1=b|2=c|4=a|"},
	{"Subject: a\r\n b\r\n\tc \r\n\r\n", "4=a b\tc|"},
	{"Subject:\r\n a\r\n \r\nTo: b\r\n", "2=b|4=a|"},
	{"Subject: a\r\nSubject: b\r\n c\r\nCc: d\r\n", "3=d|4=a|"},
	{"Subject: \r\nSubject: b\r\n", "4=b|"},
	{" a\r\nno field\r\n b\r\nSubject: c\r\n", "4=c|"},
	{"X-Subject: a\r\nSubjects: b\r\nSubjec: c\r\nreferences-and-more: d\r\n", ""},
	{"Subject: a\r\n\r\nFrom: b\r\n", "4=a|"},
	{"Date: a\r\nFrom: b\r\nTo: c\r\nCc: d\r\nMessage-ID: e\r\nIn-Reply-To: f\r\n"
	 "References: g\r\nList-ID: h\r\nContent-Type: i; j=k\r\n",
		"0=a|1=b|2=c|3=d|5=e|6=f|7=g|8=h|9=i; j=k|"},
	{"Subject: a\rb\r\n", "4=a\rb|"},
	{"Subject: a: b\r\n:c\r\n", "4=a: b|"},
};

static void known_headers(void **state)
{
	for (size_t i = 0; i < sizeof(headers) / sizeof(headers[0]); i++) {
		struct buf result;
		buf_init(&result, OUT_MAX);
		feed_all_ways(&builder, span_of(headers[i].in), &result);
		if (strcmp(buf_cstr(&result), headers[i].out) != 0)
			fail_msg("%s gives %s", headers[i].in, buf_cstr(&result));
		buf_finish(&result);
	}
}

/* One field of so many members. */
static void build(const char *name, const char *member, size_t n, struct buf *result)
{
	struct mime_summary_builder *b = start();

	feed(b, span_of(name));
	for (size_t i = 0; i < n; i++)
		feed(b, span_of(member));
	feed(b, SPAN("\r\nCc: x@y\r\n"));
	end(b, result);
}

/* A list ends with a whole member, and what comes behind a long field is not lost. */
static void long_fields(void **state)
{
	struct buf result;

	buf_init(&result, OUT_MAX);
	build("To: ", "\"N\" <a@b>,\r\n ", 400000, &result);
	assert_true(result.len <= 4096 + strlen("2=+|3=x@y|"));
	assert_non_null(strstr(buf_cstr(&result), "<a@b>+|3=x@y|"));
	buf_clear(&result);
	build("References: ", "<0123456789@abc>\r\n ", 400000, &result);
	assert_non_null(strstr(buf_cstr(&result), "@abc>+|"));
	buf_clear(&result);
	build("Subject: ", "x", 2048, &result);
	assert_null(strchr(buf_cstr(&result), '+'));
	buf_clear(&result);
	build("Subject: ", "x", 2049, &result);
	assert_int_equal(result.len, strlen("3=x@y|4=+|") + 2048);
	buf_clear(&result);
	build("In-Reply-To: ", "x", 2049, &result);
	assert_int_equal(result.len, strlen("3=x@y|6=+|") + 1024);
	buf_finish(&result);
}

static const char everything[] =
	"Date: a\r\nFrom: b\r\nTo: c\r\nCc: d\r\nMessage-ID: e\r\nIn-Reply-To: f\r\n\r\n";

static int pack_all(struct buf *packed)
{
	struct mime_summary_builder b;

	mime_summary_init(&b);
	int err = mime_summary_feed(&b, SPAN(everything));
	if (err == 0)
		err = mime_summary_pack(&b, packed);
	mime_summary_finish(&b);
	return err;
}

static void out_of_memory(void **state)
{
	struct buf packed;
	bool failed = true;

	for (size_t n = 1; failed; n++) {
		buf_init(&packed, MIME_SUMMARY_MAX);
		oom_arm(n);
		int err = pack_all(&packed);
		failed = oom_disarm();
		assert_int_equal(err, failed ? ERR_NOMEM : 0);
		buf_finish(&packed);
	}
	buf_init(&packed, 20);
	assert_int_equal(pack_all(&packed), ERR_LIMIT);
	buf_finish(&packed);
}

static void take_prefix(void *ctx, struct span prefix)
{
	struct mime_summary s;

	mime_summary_unpack(prefix, &s);
}

static void damaged(void **state)
{
	struct mime_summary s;
	struct buf packed;

	buf_init(&packed, MIME_SUMMARY_MAX);
	assert_int_equal(pack_all(&packed), 0);
	feed_prefixes(buf_span(&packed), take_prefix, NULL);
	for (unsigned i = 0; i < packed.len * 256; i++) {
		char was = packed.data[i / 256];
		packed.data[i / 256] = (char)i;
		take_prefix(NULL, buf_span(&packed));
		packed.data[i / 256] = was;
	}
	buf_finish(&packed);
	assert_false(mime_summary_unpack(SPAN(""), &s));
	assert_false(mime_summary_unpack(SPAN("\x02"), &s));
	assert_true(mime_summary_unpack(SPAN("\x01"), &s));
	assert_false(mime_summary_unpack(SPAN("\x01\x00"), &s));
	assert_false(mime_summary_unpack(SPAN("\x01\x00\x00\x02x"), &s));
	assert_false(mime_summary_unpack(SPAN("\x01\x0a\x00\x01x"), &s));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_headers),
		cmocka_unit_test(long_fields),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(damaged),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
