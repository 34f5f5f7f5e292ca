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
#include "mime/header.h"

#define OUT_MAX (64u << 20)

static const char message[] = "From anna Fri Nov 20 10:00:00 2026\r\n"
			      "Received: by x;\r\n\tyesterday\r\n"
			      "Subject : a\r\n  b\r\n c \r\n"
			      ": no name\r\n"
			      "nonsense\r\n"
			      "EMPTY:\r\n"
			      "subject: second\n"
			      "To:x\r\n"
			      "\r\n"
			      "Cc: body\r\n";

static void fields(void **state)
{
	static const char *const expected[][2] = {{"From anna Fri Nov 20 10", "00:00 2026"},
		{"Received", "by x;\r\n\tyesterday"}, {"Subject", "a\r\n  b\r\n c"}, {"EMPTY", ""},
		{"subject", "second"}, {"To", "x"}};
	struct span header = SPAN(message);
	struct mime_field field;

	for (size_t i = 0; i < 6; i++) {
		assert_true(mime_header_next(&header, &field));
		if (i == 0)
			continue;
		assert_true(span_equal(field.name, span_of(expected[i][0])));
		assert_true(span_equal(field.value, span_of(expected[i][1])));
	}
	assert_false(mime_header_next(&header, &field));
	assert_true(span_equal(
		mime_header_find(SPAN(message), SPAN("SUBJECT")), SPAN("a\r\n  b\r\n c")));
	assert_int_equal(mime_header_find(SPAN(message), SPAN("cc")).n, 0);
	assert_int_equal(mime_header_length(SPAN(message)), sizeof(message) - 1 - 10);
	assert_int_equal(mime_header_length(SPAN("a: b\r\n")), 6);
	assert_int_equal(mime_header_length(SPAN("\nx")), 1);
	assert_int_equal(mime_header_length(SPAN("")), 0);
}

static void take_prefix(void *ctx, struct span prefix)
{
	struct mime_field field;
	struct mime_address address;
	struct span rest = prefix;
	struct buf out;

	while (mime_header_next(&rest, &field))
		assert_true(field.name.n > 0);
	assert_true(mime_header_length(prefix) <= prefix.n);
	buf_init(&out, OUT_MAX);
	while (mime_address_next(&prefix, &address)) {
		assert_int_equal(mime_address_name(&address, &out), 0);
		assert_int_equal(mime_address_mailbox(&address, &out), 0);
	}
	buf_finish(&out);
}

/* name|mailbox of each, in lines. */
static const struct {
	const char *list, *out;
} lists[] = {
	{"", ""},
	{" , ,;", ""},
	{"a@b.c", "|a@b.c\n"},
	{"<a@b>, c@d", "|a@b\n|c@d\n"},
	{"Anna B. <a@b>", "Anna B.|a@b\n"},
	{"\"B, Anna\" <a@b>, \"say \\\"x\\\"\" <c@d>", "B, Anna|a@b\nsay \"x\"|c@d\n"},
	{"a@b (Anna (B) \\) x)", "Anna (B) ) x|a@b\n"},
	{"a@b (=?utf-8?q?=C3=BC?=)", "\xc3\xbc|a@b\n"},
	{"=?utf-8?q?=C3=BC?= =?utf-8?q?_b?= <a@b>", "\xc3\xbc b|a@b\n"},
	{"\"=?utf-8?q?=C3=BC?=\" <a@b>", "\xc3\xbc|a@b\n"},
	{"A  B\r\n\tC (c) <a @ b (x)>", "A B C|a@b\n"},
	{"group: a@b, \"C\" <c@d>;, e@f", "|a@b\nC|c@d\n|e@f\n"},
	{"undisclosed-recipients:;", ""},
	{"a:a:a:a:b", "|b\n"},
	{"Anna <a@b", "Anna|a@b\n"},
	{"Anna <>", "Anna|\n"},
	{"<@x,@y:a@b>", "|@x,@y:a@b\n"},
	{"Anna <a@b> <c@d>", "Anna|a@b\n"},
	{"\"open <a@b>, c@d", "|open<a@b>,c@d\n"},
	{"a@b (open", "ope|a@b\n"},
	{"a\\,b@c\\", "|a,b@c\\\n"},
	{"(only a comment)", "only a comment|\n"},
	{"Anna\x01<a@b>", "Anna |a@b\n"},
	{"\"\" <a@b> (c)", "c|a@b\n"},
};

static void append_line(struct buf *out, const struct mime_address *address)
{
	assert_int_equal(mime_address_name(address, out), 0);
	assert_int_equal(buf_append_char(out, '|'), 0);
	assert_int_equal(mime_address_mailbox(address, out), 0);
	assert_int_equal(buf_append_char(out, '\n'), 0);
}

static void addresses(void **state)
{
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		struct span list = span_of(lists[i].list);
		struct mime_address address;
		struct buf out;
		buf_init(&out, OUT_MAX);
		while (mime_address_next(&list, &address))
			append_line(&out, &address);
		if (strcmp(buf_cstr(&out), lists[i].out) != 0)
			fail_msg("%s gives\n%s\nnot\n%s", lists[i].list, buf_cstr(&out),
				lists[i].out);
		buf_finish(&out);
		feed_prefixes(span_of(lists[i].list), take_prefix, NULL);
	}
	feed_prefixes(SPAN(message), take_prefix, NULL);
}

static void check_first(const char *list, const char *expected)
{
	struct buf out;

	buf_init(&out, OUT_MAX);
	assert_int_equal(mime_address_first(span_of(list), &out), 0);
	assert_string_equal(buf_cstr(&out), expected);
	buf_finish(&out);
}

static void first_address(void **state)
{
	check_first("x:;, Anna <a@b>, c@d", "Anna");
	check_first("a@b", "a@b");
	check_first("a@b (Anna)", "Anna");
	check_first("", "");
}

static void bombs(void **state)
{
	static const char *const pieces[] = {"a:", "a,", "<", ">", "(", ")", "\"", "\\", "a@b, ",
		"a <b>,", ": ", "\r\n ", "\r\n", "a: b\r\n", "a\r\n"};

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		struct buf in;
		buf_init(&in, OUT_MAX);
		while (in.len < 200000)
			assert_int_equal(buf_append_span(&in, span_of(pieces[i])), 0);
		take_prefix(NULL, buf_span(&in));
		assert_true(mime_header_find(buf_span(&in), SPAN("x")).n == 0);
		buf_finish(&in);
	}
}

static void limits(void **state)
{
	static const char *const in[] = {"\"\xfc\" <a@b>", "\xfc <a@b>", "a@b (x)", "a@b"};

	for (size_t i = 0; i < 4; i++) {
		bool failed = true;
		for (size_t n = 1; failed; n++) {
			struct buf out;
			buf_init(&out, OUT_MAX);
			oom_arm(n);
			int err = mime_address_first(span_of(in[i]), &out);
			failed = oom_disarm();
			assert_int_equal(err, failed ? ERR_NOMEM : 0);
			buf_finish(&out);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(addresses),
		cmocka_unit_test(first_address),
		cmocka_unit_test(bombs),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
