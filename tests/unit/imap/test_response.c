/* SPDX-License-Identifier: MIT */
/* What a table of responses cannot show: nesting, cost, sets and words, recovery after a failed
 * allocation. What the parser makes of each response is in servers.txt. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/oom.h"
#include "base/buf.h"
#include "base/error.h"
#include "imap/framer.h"
#include "imap/response.h"

static void append(struct buf *b, const char *text, size_t times)
{
	while (times-- > 0)
		assert_int_equal(buf_append_span(b, span_of(text)), 0);
}

static int parse(struct buf *text, struct imap_response *r)
{
	struct imap_parser *p = imap_parser_create();

	assert_non_null(p);
	int err = imap_response_parse(p, buf_span(text), r);
	imap_parser_destroy(p);
	return err;
}

static int parse_nested(size_t depth)
{
	struct imap_response r;
	struct buf b;

	buf_init(&b, IMAP_LINE_MAX);
	append(&b, "* 1 FETCH (BODY ", 1);
	append(&b, "(", depth);
	append(&b, ")", depth);
	append(&b, " UID 5)", 1);
	int err = parse(&b, &r);
	if (err == 0)
		assert_int_equal(r.fetch.uid, 5);
	buf_finish(&b);
	return err;
}

static void nesting_maximum(void **state)
{
	assert_int_equal(parse_nested(1), 0);
	assert_int_equal(parse_nested(100), 0);
	assert_int_equal(parse_nested(101), ERR_PROTOCOL);
	assert_int_equal(parse_nested(1000000), ERR_PROTOCOL);
}

/* Long nonsense: takes hours when a piece costs the length of the response. */
static void nonsense_is_linear(void **state)
{
	static const struct {
		const char *head, *piece;
	} table[] = {
		{"* 1 FETCH (X ", "\"x "},
		{"* 1 FETCH (FLAGS (", "\"x "},
		{"* 1 FETCH (X ", "{1 "},
		{"* 1 FETCH (X ", "[\" "},
		{"* 1 FETCH (X ", "A[\" "},
		{"* 1 FETCH (BODY[] ", "\"a\\\""},
		{"* 1 FETCH (UID ", "1UID "},
		{"* 1 FETCH (UID ", "UID "},
		{"* 1 FETCH (UID ", "\"UID "},
		{"* 1 FETCH (UID ", "(UID "},
		{"* 1 FETCH (MODSEQ ", "MODSEQ ("},
		{"* LIST () \"/\" ", "\" x"},
		{"* LIST () \"/\" \"", "\"    "},
		{"* LIST (", "\"x "},
		{"* STATUS x (", "\"x "},
		{"* ESEARCH ", "\"x "},
		{"* OK ", "["},
		{"* OK [X ", "(\""},
		{"* NO ", "[THROTTLED"},
		{"* QUOTA x (", "\"x "},
	};

	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		struct imap_response r;
		struct buf b;
		buf_init(&b, IMAP_LINE_MAX);
		append(&b, table[i].head, 1);
		append(&b, table[i].piece, (IMAP_LINE_MAX - 64) / strlen(table[i].piece));
		int err = parse(&b, &r);
		assert_true(err == 0 || err == ERR_PROTOCOL);
		buf_finish(&b);
	}
}

/* Strings that must be unquoted lie in the parser's memory; all of a response stay valid together.
 */
static void unquoted_strings_stay(void **state)
{
	struct imap_parser *p = imap_parser_create();
	struct imap_response r;
	struct span quota = SPAN("* QUOTA \"a\\\\b\" (STORAGE 1 2)");
	struct span root = SPAN("* QUOTAROOT \"c\\\"d\" \"e\\\\\\\"\"");

	assert_int_equal(imap_response_parse(p, quota, &r), 0);
	assert_true(span_equal(r.quota.root, SPAN("a\\b")));
	assert_int_equal(imap_response_parse(p, root, &r), 0);
	assert_int_equal(r.kind, IMAP_QUOTAROOT);
	assert_true(span_equal(r.quota.root, SPAN("e\\\"")));
	imap_parser_destroy(p);
	imap_parser_destroy(NULL);
}

static void works_after_out_of_memory(void **state)
{
	static const char *const texts[] = {"* LIST () \"/\" \"a\\\\b\"",
		"* STATUS \"a\\\\b\" (MESSAGES 1)", "* 1 FETCH (BODY[] \"a\\\\b\" UID 5)",
		"* NAMESPACE ((\"a\\\\\" \"\\\\\"))", "* OK [PERMANENTFLAGS (\"a\\\\b\")]",
		"* QUOTA \"a\\\\b\" ()", "* QUOTAROOT \"a\\\\b\"", "* MYRIGHTS \"a\\\\b\" lr",
		"* FLAGS (\"\\\\Seen\")", "* 1 FETCH (FLAGS (\"\\\\Seen\"))",
		"a OK [PERMANENTFLAGS (\"a\\\\b\")]"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct imap_parser *p = imap_parser_create();
		struct imap_response r;
		oom_arm(1);
		assert_int_equal(imap_response_parse(p, span_of(texts[i]), &r), ERR_NOMEM);
		assert_true(oom_disarm());
		assert_int_equal(imap_response_parse(p, span_of(texts[i]), &r), 0);
		assert_int_not_equal(r.kind, IMAP_UNKNOWN);
		imap_parser_destroy(p);
	}
}

static void rows_need_no_memory(void **state)
{
	struct imap_parser *p = imap_parser_create();
	struct imap_response r;
	struct span row = SPAN("* 5 FETCH (UID 7 RFC822.SIZE 4096 FLAGS (\\Seen) "
			       "INTERNALDATE \"17-Jul-1996 02:44:25 -0700\")");

	oom_arm(1);
	assert_int_equal(imap_response_parse(p, row, &r), 0);
	assert_int_equal(oom_allocated(), 0);
	oom_disarm();
	assert_int_equal(r.fetch.uid, 7);
	imap_parser_destroy(p);
}

static void assert_set(const char *text, const char *expected)
{
	struct span set = span_of(text);
	uint32_t first, last;
	char got[256] = "";
	size_t n = 0;

	while (imap_set_next(&set, &first, &last))
		n += (size_t)snprintf(got + n, sizeof(got) - n, "%u-%u;", first, last);
	assert_string_equal(got, expected);
	assert_false(imap_set_next(&set, &first, &last));
}

static void sets(void **state)
{
	assert_set("", "");
	assert_set("1", "1-1;");
	assert_set("1:5,9,12:*", "1-5;9-9;12-4294967295;");
	assert_set("1 2 3", "1-1;2-2;3-3;");
	assert_set("7:3", "3-7;");
	assert_set("*:4", "4-4294967295;");
	assert_set("*", "4294967295-4294967295;");
	assert_set(",, 1,, 2,", "1-1;2-2;");
	assert_set("0,4294967295,4294967296,99999999999999999999", "4294967295-4294967295;");
	assert_set("0:5,a,1a,1:,:1,1:2:3,-1,1:b,**,$,6", "6-6;");
}

static void words(void **state)
{
	struct span all = SPAN("  IMAP4rev1   AUTH=PLAIN x "), word;

	assert_true(imap_word_next(&all, &word));
	assert_true(span_equal(word, SPAN("IMAP4rev1")));
	assert_true(imap_word_next(&all, &word));
	assert_true(span_equal(word, SPAN("AUTH=PLAIN")));
	assert_true(imap_word_next(&all, &word));
	assert_true(span_equal(word, SPAN("x")));
	assert_false(imap_word_next(&all, &word));
	assert_false(imap_word_next(&all, &word));
	all = (struct span){NULL, 0};
	assert_false(imap_word_next(&all, &word));
}

static void empty_text_is_no_response(void **state)
{
	struct imap_parser *p = imap_parser_create();
	struct imap_response r;
	struct imap_fetch f;

	assert_int_equal(imap_response_parse(p, (struct span){NULL, 0}, &r), ERR_PROTOCOL);
	assert_int_equal(imap_response_parse_prefix(p, (struct span){NULL, 0}, &f), ERR_PROTOCOL);
	assert_int_equal(imap_response_parse_prefix(p, SPAN("* LIST ("), &f), ERR_PROTOCOL);
	imap_parser_destroy(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nesting_maximum),
		cmocka_unit_test(nonsense_is_linear),
		cmocka_unit_test(unquoted_strings_stay),
		cmocka_unit_test(works_after_out_of_memory),
		cmocka_unit_test(rows_need_no_memory),
		cmocka_unit_test(sets),
		cmocka_unit_test(words),
		cmocka_unit_test(empty_text_is_no_response),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
