/* SPDX-License-Identifier: MIT */
/* Queries: what is one, what it means, and that nothing is sent that is not one command. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/error.h"
#include "fs/view/query.h"
#include "imap/bodystructure.h"
#include "imap/response.h"

static const char *const bad[] = {
	"",
	".x",
	" ",
	"or",
	"a or",
	"or a",
	"a or or b",
	"from:",
	"from:\"a",
	"\"a\"b",
	"foo:bar",
	"since:yesterday",
	"since:2026-13",
	"since:2026-1",
	"before:2026-01-32",
	"larger:10X",
	"larger:",
	"larger:99999999999999999999",
	"is:",
	"is:unread,what",
	"has:wings",
	"a\nb",
	"body:a\r\nA1 LOGOUT",
	"body:\x7f",
	"imap:",
	"imap:BODY {3}",
	"imap:BODY \"a",
	"imap:(UNSEEN",
	"imap:UNSEEN)",
	"imap:BODY \"a\\\"",
	"imap:BODY \"\xc3\xa4\"",
	"body:\xff",
	"from:\"\"",
};

static void not_queries(void **state)
{
	struct query q;

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		if (query_parse(&q, span_of(bad[i])) != ERR_INVALID)
			fail_msg("%s", bad[i]);
		query_finish(&q);
	}
	assert_int_equal(query_parse(&q, SPAN("a\0b")), ERR_INVALID);
	query_finish(&q);
}

#define MIXED                                                                                      \
	"((\"text\" \"plain\" NIL NIL NIL \"7bit\" 3 1)(\"image\" \"png\" NIL NIL NIL \"base64\" " \
	"4) "                                                                                      \
	"\"mixed\")"

/* Of: From Jürgen <j@x>, To b@y, subject "Re: Invoice 5/6", 20000 octets, 2026-11-21, seen and
 * flagged, with an image; the server says of body: and text: that they are met. */
static const struct {
	const char *query;
	bool matches;
} queries[] = {
	{"invoice", true},
	{"INVOICE", true},
	{"j\xc3\xbcrgen", true},
	{"J\xc3\x9cRGEN", true},
	{"from:J\xc3\xbcrgen", true},
	{"from:j@x", true},
	{"from:b@y", false},
	{"to:b@y", true},
	{"cc:b@y", false},
	{"subject:\"re: invoice\"", true},
	{"subject:invoice re", true},
	{"\"invoice re\"", false},
	{"5%2F6", true},
	{"5%2f6", true},
	{"-invoice", false},
	{"-what", true},
	{"what or invoice", true},
	{"what invoice or nothing", false},
	{"what or invoice from:j@x", true},
	{"what or invoice from:b@y", false},
	{"invoice or what what", true},
	{"since:2026", true},
	{"since:2026-11-21", true},
	{"since:2026-11-22", false},
	{"before:2026-11-22", true},
	{"before:2026-11-21", false},
	{"before:2026-11", false},
	{"larger:19k", true},
	{"larger:20000", false},
	{"smaller:20001", true},
	{"smaller:1M", true},
	{"is:read", true},
	{"is:unread", false},
	{"-is:unread", true},
	{"is:flagged,read", true},
	{"is:flagged,deleted", false},
	{"has:attachment", true},
	{"-has:attachment", false},
	{"id:1@x", true},
	{"list:users", true},
	{"body:x", true},
	{"-body:x", false},
	{"body:x from:j@x", true},
	{"imap:OR FROM \"a (b\" (UNSEEN)", true},
	{"what or text:\"a b\"", true},
};

static void meanings(void **state)
{
	struct mime_structure structure;
	struct query_message m = {.size = 20000,
		.date = 1795224543,
		.flags = IMAP_FLAG_SEEN | IMAP_FLAG_FLAGGED,
		.structure = &structure};

	assert_int_equal(imap_bodystructure_parse(SPAN(MIXED), &structure), 0);
	m.summary.value[MIME_SUMMARY_FROM] = SPAN("=?utf-8?q?J=C3=BCrgen?= <j@x>");
	m.summary.value[MIME_SUMMARY_TO] = SPAN("b@y");
	m.summary.value[MIME_SUMMARY_SUBJECT] = SPAN("Re: Invoice 5/6");
	m.summary.value[MIME_SUMMARY_MESSAGE_ID] = SPAN("<1@x>");
	m.summary.value[MIME_SUMMARY_LIST_ID] = SPAN("Users <users.x>");
	for (size_t i = 0; i < sizeof(queries) / sizeof(queries[0]); i++) {
		bool met[QUERY_TERMS_MAX];
		struct query q;
		if (query_parse(&q, span_of(queries[i].query)) != 0)
			fail_msg("no query: %s", queries[i].query);
		for (unsigned t = 0; t < q.count; t++)
			met[t] = query_is_asked(&q.terms[t]);
		if (query_matches(&q, &m, met) != queries[i].matches)
			fail_msg("%s", queries[i].query);
		query_finish(&q);
	}
	mime_structure_finish(&structure);
}

/* Of the same without summary and structure, size and date: what is not known keeps no message out, what
 * is known does. */
static void unknown(void **state)
{
	static const struct {
		const char *query;
		bool matches;
	} those[] = {
		{"invoice", true},
		{"-invoice", true},
		{"from:x", true},
		{"id:x -list:y", true},
		{"from:x is:unread", false},
		{"from:x is:read", true},
		{"has:attachment", true},
		{"-has:attachment", true},
		{"-has:attachment is:unread or is:deleted", false},
		{"is:unread or has:attachment", true},
		{"larger:1k smaller:1", true},
		{"since:2026 before:1999", true},
		{"body:x has:attachment", false},
		{"-body:x larger:1G", true},
	};
	const struct query_message m = {.flags = IMAP_FLAG_SEEN,
		.unknown = QUERY_NO_SUMMARY | QUERY_NO_STRUCTURE | QUERY_NO_SIZE | QUERY_NO_DATE};
	const bool met[QUERY_TERMS_MAX] = {false};

	for (size_t i = 0; i < sizeof(those) / sizeof(those[0]); i++) {
		struct query q;
		assert_int_equal(query_parse(&q, span_of(those[i].query)), 0);
		if (query_matches(&q, &m, met) != those[i].matches)
			fail_msg("%s", those[i].query);
		query_finish(&q);
	}
}

static void needs(void **state)
{
	struct query q;

	assert_int_equal(query_parse(&q, SPAN("is:read since:2026 larger:1k body:x")), 0);
	assert_true(query_wants_flags(&q));
	assert_false(query_wants_summary(&q));
	assert_false(query_wants_structure(&q));
	query_finish(&q);
	assert_int_equal(query_parse(&q, SPAN("x has:attachment")), 0);
	assert_false(query_wants_flags(&q));
	assert_true(query_wants_summary(&q));
	assert_true(query_wants_structure(&q));
	query_finish(&q);
	/* All that stands behind it, quotes and all. */
	assert_int_equal(query_parse(&q, SPAN("x imap:FROM \"a b\" UNSEEN")), 0);
	assert_int_equal(q.count, 2);
	assert_true(span_equal(q.terms[1].text, SPAN("FROM \"a b\" UNSEEN")));
	query_finish(&q);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(not_queries),
		cmocka_unit_test(meanings),
		cmocka_unit_test(unknown),
		cmocka_unit_test(needs),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
