/* SPDX-License-Identifier: MIT */
/* What an index says of a message, whatever its header holds. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/view/row.h"
#include "imap/bodystructure.h"
#include "imap/response.h"

static struct mime_summary summary_of(const char *from, const char *subject, const char *id)
{
	struct mime_summary s = {0};

	s.value[MIME_SUMMARY_FROM] = span_of(from);
	s.value[MIME_SUMMARY_SUBJECT] = span_of(subject);
	s.value[MIME_SUMMARY_MESSAGE_ID] = span_of(id);
	return s;
}

static void check_tail(const struct mime_summary *s, const char *expected)
{
	struct buf out;

	buf_init(&out, ROW_MAX);
	assert_int_equal(row_columns_tail(s, &out), 0);
	assert_string_equal(buf_cstr(&out), expected);
	buf_finish(&out);
}

/* A tab or a line end of the sender's would make another column or line. */
static void columns(void **state)
{
	static const struct {
		const char *from, *subject, *id, *out;
	} rows[] = {
		{"Anna <a@b>", "x", "<1@b>", "Anna\tx\t<1@b>\n"},
		{"a@b", "", "", "a@b\t\t\n"},
		{"", "a\tb\nc\x7f", "<1\t@b>", "\ta b c \t<1 @b>\n"},
		{"=?utf-8?q?A=0A=09B?= <a@b>", "=?utf-8?q?=0D=0Ax=E2=80=AEy?=", "\xff",
			"A  B\t  x y\t\xc3\xbf\n"},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct mime_summary s = summary_of(rows[i].from, rows[i].subject, rows[i].id);
		check_tail(&s, rows[i].out);
	}
}

static void check_head(const struct row_head *head, const char *text, const char *json)
{
	struct buf out;

	buf_init(&out, ROW_MAX);
	assert_int_equal(row_columns_head(head, &out), 0);
	assert_string_equal(buf_cstr(&out), text);
	buf_clear(&out);
	assert_int_equal(row_json_head(head, &out), 0);
	assert_string_equal(buf_cstr(&out), json);
	buf_finish(&out);
}

static void heads(void **state)
{
	const struct row_head nothing = {.uid = 7};
	const struct row_head all = {.uid = 4294967295,
		.has_date = true,
		.has_size = true,
		.date = 1795224543,
		.size = 9223372036854775807,
		.system = IMAP_FLAG_SEEN | IMAP_FLAG_ANSWERED | IMAP_FLAG_FLAGGED |
			  IMAP_FLAG_DELETED | IMAP_FLAG_DRAFT,
		.keywords = SPAN("$forwarded a\\\"b")};
	const struct row_head old = {.uid = 1, .has_date = true, .date = -62135596800};

	check_head(&nothing, "7\t-\t------\t-\t", "{\"uid\":7,\"flags\":[],\"keywords\":[]");
	check_head(&all, "4294967295\t2026-11-21T01:29:03Z\tSRFDTP\t9223372036854775807\t",
		"{\"uid\":4294967295,\"date\":\"2026-11-21T01:29:03Z\",\"size\":"
		"9223372036854775807,"
		"\"flags\":[\"\\\\Seen\",\"\\\\Answered\",\"\\\\Flagged\",\"\\\\Deleted\","
		"\"\\\\Draft\"],"
		"\"keywords\":[\"$forwarded\",\"a\\\\\\\"b\"]");
	check_head(&old, "1\t0001-01-01T00:00:00Z\t------\t-\t",
		"{\"uid\":1,\"date\":\"0001-01-01T00:00:00Z\",\"flags\":[],\"keywords\":[]");
}

static void json(void **state)
{
	struct mime_summary s = summary_of("\"A \\\"B\\\"\" <a@b>", "\\\"\t", "<1@b>");
	struct mime_structure structure;
	struct buf out;

	s.value[MIME_SUMMARY_TO] = SPAN("x:;, c@d, \"\" <>, \xff <e@f>");
	s.value[MIME_SUMMARY_REFERENCES] = SPAN(" <1> \t<2>");
	assert_int_equal(
		imap_bodystructure_parse(SPAN("((\"text\" \"pl\\\"\xe4\" NIL NIL NIL \"7bit\" 3"
					      " 1)(\"image\" \"png\" (\"name\" \"a\\\"b\") NIL NIL"
					      " \"base64\" 4) \"mixed\")"),
			&structure),
		0);
	buf_init(&out, ROW_MAX);
	assert_int_equal(row_json_tail(&s, &structure, &out), 0);
	assert_string_equal(buf_cstr(&out),
		",\"from\":\"A \\\"B\\\" <a@b>\",\"to\":[\"c@d\",\"\xc3\xbf <e@f>\"],\"cc\":[],"
		"\"subject\":\"\\\\\\\" \",\"message_id\":\"<1@b>\",\"in_reply_to\":[],"
		"\"references\":[\"<1>\",\"<2>\"],\"list_id\":\"\",\"sent\":\"\",\"parts\":["
		"{\"section\":\"1\",\"type\":\"text/"
		"pl\\\"\xc3\xa4\",\"name\":\"1.txt\",\"bytes\":3},"
		"{\"section\":\"2\",\"type\":\"image/png\",\"name\":\"a\\\"b\",\"bytes\":4}]}\n");
	mime_structure_finish(&structure);
	buf_finish(&out);
}

/* What cannot be had is not taken for what is not there. */
static void lacking(void **state)
{
	struct mime_summary s = summary_of("a@b", "", "");
	struct mime_structure structure = {0};
	struct buf out;

	check_tail(NULL, "-\t-\t-\n");
	buf_init(&out, ROW_MAX);
	assert_int_equal(row_json_tail(&s, NULL, &out), 0);
	assert_non_null(strstr(buf_cstr(&out), ",\"from\":\"a@b\",\"to\":[],"));
	assert_non_null(strstr(buf_cstr(&out), ",\"parts\":null,\"error\":\"the server gives no "
					       "structure of this message that makes "
					       "sense\"}\n"));
	buf_clear(&out);
	assert_int_equal(row_json_tail(NULL, &structure, &out), 0);
	assert_string_equal(buf_cstr(&out),
		",\"from\":null,\"to\":null,\"cc\":null,\"subject\":null,\"message_id\":null,"
		"\"in_reply_to\":null,\"references\":null,\"list_id\":null,\"sent\":null,"
		"\"parts\":[],\"error\":\"the server gives no header of this message that makes "
		"sense\"}\n");
	buf_clear(&out);
	assert_int_equal(row_json_tail(NULL, NULL, &out), 0);
	assert_non_null(strstr(buf_cstr(&out), "no header and no structure of this message"));
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(columns),
		cmocka_unit_test(heads),
		cmocka_unit_test(json),
		cmocka_unit_test(lacking),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
