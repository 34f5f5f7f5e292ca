/* SPDX-License-Identifier: MIT */
/* Structures as servers write them: each as one line a part. */
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
#include "imap/bodystructure.h"

#define OUT_MAX (64u << 20)

static void put(struct buf *out, const char *before, struct span s)
{
	assert_int_equal(buf_printf(out, "%s%.*s", before, (int)s.n, s.p), 0);
}

static void put_pairs(
	struct buf *out, const struct mime_structure *s, const struct mime_pairs *pairs)
{
	for (size_t i = 0; i < pairs->count; i++) {
		put(out, " ", s->params[pairs->first + i].name);
		put(out, "=", s->params[pairs->first + i].value);
	}
}

/* "section type/subtype name=value encoding octets disposition name=value" */
static void dump(struct buf *out, const struct mime_structure *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		const struct mime_part *part = &s->parts[i];
		assert_int_equal(mime_structure_section(s, i, out), 0);
		put(out, " ", part->type);
		put(out, "/", part->subtype);
		put_pairs(out, s, &part->params);
		if (part->kind != MIME_MULTIPART) {
			put(out, " ", part->encoding);
			assert_int_equal(
				buf_printf(out, " %llu", (unsigned long long)part->octets), 0);
		}
		if (part->disposition.n > 0)
			put(out, " ", part->disposition);
		put_pairs(out, s, &part->disposition_params);
		assert_int_equal(buf_append_char(out, '\n'), 0);
	}
}

#define ENVELOPE "(\"date\" \"s\" ((\"n\" NIL \"a\" \"b\")) NIL NIL NIL NIL NIL NIL \"<id>\")"
#define PLAIN "(\"text\" \"plain\" (\"charset\" \"us-ascii\") NIL NIL \"7bit\" 5 1)"

static const struct {
	const char *text, *out;
} known[] = {
	{PLAIN, "1 text/plain charset=us-ascii 7bit 5\n"},
	{"(\"TEXT\" \"HTML\" NIL \"<id>\" \"about\" \"BASE64\" 12 1 NIL NIL NIL NIL)",
		"1 TEXT/HTML BASE64 12\n"},
	{" ( \"text\" \"plain\"  () NIL NIL \"7bit\" 5 1 \"md5\" (\"inline\" (\"filename\" \"a "
	 "\\\"b\\\"\" \"size\" \"5\")) (\"en\" \"de\") \"loc\" (1 (2)) ) ",
		"1 text/plain 7bit 5 inline filename=a \"b\" size=5\n"},
	{"(text plain (charset {5}\r\nutf-8) nil nil 8bit 5)",
		"1 text/plain charset=utf-8 8bit 5\n"},
	{"(\"image\" \"png\" (\"name\" \"x\") NIL NIL \"base64\" 100 NIL (\"attachment\" NIL) NIL "
	 "NIL)",
		"1 image/png name=x base64 100 attachment\n"},
	{"(\"image\" \"png\" NIL NIL NIL \"base64\" 100 NIL \"attachment\")",
		"1 image/png base64 100 attachment\n"},
	{"(\"image\" \"png\" NIL NIL NIL \"base64\" 100 NIL (\"inline\"))",
		"1 image/png base64 100 inline\n"},
	{"(" PLAIN PLAIN " \"mixed\")", " multipart/mixed\n1 text/plain charset=us-ascii 7bit 5\n2 "
					"text/plain charset=us-ascii 7bit 5\n"},
	{"(((" PLAIN " \"related\" (\"boundary\" \"a\") (\"inline\" NIL) NIL)" PLAIN
	 " \"alternative\" NIL) \"MIXED\" (\"boundary\" \"=_b\") NIL NIL NIL)",
		" multipart/MIXED boundary==_b\n1 multipart/alternative\n1.1 multipart/related "
		"boundary=a inline\n1.1.1 text/plain charset=us-ascii 7bit 5\n1.2 text/plain "
		"charset=us-ascii 7bit 5\n"},
	{"(" PLAIN "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 300 " ENVELOPE PLAIN
	 " 10 NIL (\"attachment\" (\"filename\" \"m.eml\")) NIL NIL) \"digest\")",
		" multipart/digest\n1 text/plain charset=us-ascii 7bit 5\n2 message/rfc822 7bit "
		"300 attachment filename=m.eml\n2.1 text/plain charset=us-ascii 7bit 5\n"},
	{"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 300 " ENVELOPE "(" PLAIN PLAIN
	 " \"mixed\") 10)",
		"1 message/rfc822 7bit 300\n1 multipart/mixed\n1.1 text/plain charset=us-ascii "
		"7bit 5\n1.2 text/plain charset=us-ascii 7bit 5\n"},
	/* A message that the server did not look into. */
	{"(\"message\" \"rfc822\" NIL NIL NIL \"base64\" 300 NIL NIL 10 NIL NIL)",
		"1 message/rfc822 base64 300\n"},
	{"(\"message\" \"rfc822\" NIL NIL NIL \"base64\" 300)", "1 message/rfc822 base64 300\n"},
	{"(\"message\" \"delivery-status\" NIL NIL NIL \"7bit\" 300 NIL (\"inline\" NIL))",
		"1 message/delivery-status 7bit 300 inline\n"},
};

static void known_structures(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct mime_structure s;
		struct guarded g;
		struct buf out;
		guarded_init(&g, strlen(known[i].text));
		buf_init(&out, OUT_MAX);
		if (imap_bodystructure_parse(guarded_place(&g, span_of(known[i].text)), &s) != 0)
			fail_msg("not parsed: %s", known[i].text);
		guarded_finish(&g);
		dump(&out, &s);
		if (strcmp(buf_cstr(&out), known[i].out) != 0)
			fail_msg("%s gives\n%s\nnot\n%s", known[i].text, buf_cstr(&out),
				known[i].out);
		buf_finish(&out);
		mime_structure_finish(&s);
	}
}

static const char *const bad[] = {"", " ", "NIL", "\"text\"", "()", "(())", ")", "(\"text\")",
	"(\"text\" \"plain\" NIL NIL NIL \"7bit\" x)",
	"(\"text\" \"plain\" NIL NIL NIL \"7bit\" -1 1)",
	"(\"text\" \"plain\" NIL NIL NIL \"7bit\" NIL NIL)",
	"(\"text\" \"plain\" (\"a\") NIL NIL \"7bit\" 1 1)",
	"(\"text\" \"plain\" (\"a\" (\"b\")) NIL NIL \"7bit\" 1 1)", PLAIN "x", PLAIN PLAIN,
	"(" PLAIN ")", "(" PLAIN " (\"x\") \"mixed\")", "(" PLAIN " \"mixed\" (\"a\"))",
	"(\"a\" \"b\" NIL NIL NIL \"7bit\" 1 NIL ((\"x\")))",
	"(\"a\" \"b\" NIL NIL NIL \"7bit\" 1 NIL (\"x\" NIL NIL))",
	"(\"a\" \"b\" NIL NIL NIL \"7bit\" 1 NIL \"x\" ("};

static void bad_structures(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct mime_structure s;
		if (imap_bodystructure_parse(span_of(bad[i]), &s) != ERR_UNREADABLE)
			fail_msg("parsed: %s", bad[i]);
		mime_structure_finish(&s);
	}
}

/* Every beginning of a structure that does not close it is none. */
static void take_prefix(void *ctx, struct span prefix)
{
	struct mime_structure s;
	int err = imap_bodystructure_parse(prefix, &s);

	assert_true(err == 0 || err == ERR_UNREADABLE);
	if (err == 0)
		assert_non_null(memchr(prefix.p, ')', prefix.n));
	mime_structure_finish(&s);
}

static void cut_short(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		feed_prefixes(span_of(known[i].text), take_prefix, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		feed_prefixes(span_of(bad[i]), take_prefix, NULL);
}

static void repeat(struct buf *out, const char *text, size_t n)
{
	while (n-- > 0)
		assert_int_equal(buf_append_span(out, span_of(text)), 0);
}

static int parse_nested(
	const char *before, size_t depth, const char *inner, size_t count, const char *after)
{
	struct mime_structure s;
	struct buf text;

	buf_init(&text, OUT_MAX);
	repeat(&text, before, depth);
	repeat(&text, inner, count);
	repeat(&text, after, depth);
	int err = imap_bodystructure_parse(buf_span(&text), &s);
	mime_structure_finish(&s);
	buf_finish(&text);
	return err;
}

static void hostile_structures(void **state)
{
	static const char message[] = "(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" 1 " ENVELOPE;

	assert_int_equal(parse_nested("(", MIME_DEPTH_MAX, PLAIN, 1, " \"mixed\")"), 0);
	assert_int_equal(parse_nested("(", MIME_DEPTH_MAX + 1, PLAIN, 1, " \"mixed\")"), ERR_LIMIT);
	assert_int_equal(parse_nested("(", 1000000, PLAIN, 1, " \"mixed\")"), ERR_LIMIT);
	assert_int_equal(parse_nested(message, MIME_DEPTH_MAX, PLAIN, 1, " 1)"), 0);
	assert_int_equal(parse_nested(message, MIME_DEPTH_MAX + 1, PLAIN, 1, " 1)"), ERR_LIMIT);
	assert_int_equal(parse_nested("(", 1, PLAIN, MIME_PARTS_MAX - 1, " \"mixed\")"), 0);
	assert_int_equal(parse_nested("(", 1, PLAIN, MIME_PARTS_MAX, " \"mixed\")"), ERR_LIMIT);
	assert_int_equal(parse_nested("(\"text\" \"plain\" ", 1, "(", 100000, ")"), ERR_UNREADABLE);
	assert_int_equal(parse_nested("(\"text\" \"plain\" (", 1, "a b ", MIME_PAIRS_MAX,
				 ") NIL NIL \"7bit\" 1 1)"),
		0);
	assert_int_equal(parse_nested("(\"text\" \"plain\" (", 1, "a b ", MIME_PAIRS_MAX + 1,
				 ") NIL NIL \"7bit\" 1 1)"),
		ERR_LIMIT);
	assert_int_equal(parse_nested("(\"text\" \"plain\" NIL NIL NIL \"7bit\" 1 1 ", 1,
				 "\"x\\\"y\" ", 500000, ")"),
		0);
}

static void no_memory(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		bool failed = true;
		for (size_t n = 1; failed; n++) {
			struct mime_structure s;
			oom_arm(n);
			int err = imap_bodystructure_parse(span_of(known[i].text), &s);
			failed = oom_disarm();
			assert_int_equal(err, failed ? ERR_NOMEM : 0);
			mime_structure_finish(&s);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_structures),
		cmocka_unit_test(bad_structures),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(hostile_structures),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
