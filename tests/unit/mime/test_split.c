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
#include "imap/bodystructure.h"
#include "mime/split.h"

#define OUT_MAX (64u << 20)
#define PART(octets) "(\"text\" \"plain\" NIL NIL NIL \"7bit\" " #octets " 1)"
#define MULTI(parts, boundary) "(" parts " \"mixed\" (\"boundary\" \"" boundary "\"))"
#define MESSAGE(part, octets)                                                                      \
	"(\"message\" \"rfc822\" NIL NIL NIL \"7bit\" " #octets " (NIL) " part " 1)"
#define HEAD "Subject: x\r\n\r\n"

/* The bodies in their order, each with "|" behind it; NULL: octets and structure disagree. */
static const struct {
	const char *structure, *message, *bodies;
} known[] = {
	{PART(6), HEAD "text\r\n", "text\r\n|"},
	{PART(0), HEAD, "|"},
	{PART(0), "Subject: no body", "|"},
	{PART(4), HEAD "text\r\n", NULL},
	{MULTI(PART(3) PART(5), "b"),
		HEAD
		"preamble\r\n--b\r\n\r\none\r\n--b\r\nX: y\r\n\r\ntwo\r\n\r\n--b--\r\nepilogue",
		"one|two\r\n|"},
	/* White space, line ends, no end. */
	{MULTI(PART(3) PART(3), "b"), "\n--b \t\n\none\n--b\n\ntwo\n--b--", "one|two|"},
	{MULTI(PART(3) PART(5), "b"), HEAD "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n", "one|two\r\n|"},
	{MULTI(PART(3) PART(3), "b"), HEAD "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b", NULL},
	/* Empty bodies, and no empty line before one. */
	{MULTI(PART(0) PART(0) PART(0), "b"),
		HEAD "--b\r\n\r\n--b\r\n\r\n\r\n--b\r\nX: y\r\n--b--\r\n", "|||"},
	/* Lines that are like boundaries. */
	{MULTI(PART(33), "b"),
		HEAD "--b\r\n\r\n--bb\r\n-- b\r\n--b x\r\n--b-\r\n --b\r\n--\r\n--b--\r\n",
		"--bb\r\n-- b\r\n--b x\r\n--b-\r\n --b\r\n--|"},
	{MULTI(PART(3), "b"), HEAD "--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\nnothing\r\n", "one|"},
	/* Within each other, also where one name begins as another does. */
	{MULTI(MULTI(PART(3) PART(3), "bb") PART(5), "b"),
		HEAD "--b\r\n\r\n--bb\r\n\r\none\r\n--bb\r\n\r\ntwo\r\n--bb--\r\n\r\n--"
		     "b\r\n\r\nthree\r\n--b--\r\n",
		"one|two|three|"},
	{MULTI(MULTI(PART(3) PART(3), "bb") PART(5), "b"),
		HEAD
		"--b\r\n\r\n--bb\r\n\r\none\r\n--bb\r\n\r\ntwo\r\n--b\r\n\r\nthree\r\n--b--\r\n",
		"one|two|three|"},
	{MULTI(MULTI(PART(3), "b") PART(3), "b"),
		HEAD "--b\r\n\r\n--b\r\n\r\none\r\n--b--\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
		"one|two|"},
	/* Attached messages. */
	{MULTI(MESSAGE(PART(3), 17) PART(3), "b"),
		HEAD "--b\r\n\r\n" HEAD "one\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
		"Subject: x\r\n\r\none|one|two|"},
	{MULTI(MESSAGE(MULTI(PART(3), "c"), 33) PART(3), "b"),
		HEAD "--b\r\n\r\n" HEAD
		     "--c\r\n\r\none\r\n--c--\r\n\r\n--b\r\n\r\ntwo\r\n--b--\r\n",
		"Subject: x\r\n\r\n--c\r\n\r\none\r\n--c--\r\n|one|two|"},
	{MESSAGE(PART(3), 17), HEAD HEAD "one", "Subject: x\r\n\r\none|one|"},
	/* More parts than are there, and fewer. */
	{MULTI(PART(3) PART(3), "b"), HEAD "--b\r\n\r\none\r\n--b--\r\n", NULL},
	{MULTI(PART(3), "b"), HEAD "--b\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n", NULL},
	{MULTI(MULTI(PART(3) PART(3), "c") PART(3), "b"),
		HEAD "--b\r\n\r\n--c\r\n\r\none\r\n--b\r\n\r\ntwo\r\n--b--\r\n", NULL},
	{MULTI(PART(3), "other"), HEAD "--b\r\n\r\none\r\n--b--\r\n", NULL},
	/* No boundary is found: the parts are empty, and all the body is the multipart's. */
	{MULTI(PART(0), "other"), HEAD "--b\r\n\r\none\r\n--b--\r\n", "|"},
	{MULTI(PART(0) PART(0), "other"), HEAD "--b\r\n", "||"},
	{MULTI(PART(3) MULTI(MULTI(PART(0), "d") PART(0), "c"), "b"),
		HEAD "--b\r\n\r\none\r\n--b\r\n\r\ntext\r\n--b--\r\n", "one|||"},
	{MULTI(PART(0) PART(0), "b"), HEAD "--b\r\n\r\n--b--\r\n", NULL},
	{MULTI(MESSAGE(PART(0), 0), "other"), HEAD "text\r\n", NULL},
	{MULTI(PART(3), ""), HEAD "--\r\n\r\none\r\n----\r\n", NULL},
	{"(" PART(3) " \"mixed\")", HEAD "--b\r\n\r\none\r\n--b--\r\n", NULL},
	{PART(3), "", NULL},
};

static struct mime_structure structure;
static struct span message;

static void *start_split(void)
{
	struct mime_split *p = test_malloc(sizeof(*p));

	assert_int_equal(mime_split_init(p, &structure), 0);
	return p;
}

static void feed_split(void *state, struct span part)
{
	mime_split_feed(state, part);
}

static void end_split(void *state, struct buf *result)
{
	struct mime_split *p = state;
	bool good = mime_split_end(p);

	for (size_t i = 0; i < structure.count && good; i++) {
		const struct mime_region *region = &p->regions[i];
		if (structure.parts[i].kind == MIME_MULTIPART)
			continue;
		assert_true(region->at <= region->end && region->end <= message.n);
		assert_int_equal(buf_append(result, message.p + region->at,
					 (size_t)(region->end - region->at)),
			0);
		assert_int_equal(buf_append_char(result, '|'), 0);
	}
	if (!good)
		assert_int_equal(buf_append(result, "disagree", 8), 0);
	mime_split_finish(p);
	test_free(p);
}

static const struct feeder splitter = {start_split, feed_split, end_split};

static void known_messages(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		struct buf result;
		buf_init(&result, OUT_MAX);
		if (imap_bodystructure_parse(span_of(known[i].structure), &structure) != 0)
			fail_msg("not parsed: %s", known[i].structure);
		message = span_of(known[i].message);
		feed_all_ways(&splitter, message, &result);
		if (strcmp(buf_cstr(&result), known[i].bodies ? known[i].bodies : "disagree") != 0)
			fail_msg("%zu: %s\n%s\ngives\n%s", i, known[i].structure, known[i].message,
				buf_cstr(&result));
		buf_finish(&result);
		mime_structure_finish(&structure);
	}
}

static void no_structure(void **state)
{
	struct mime_split p;

	mime_structure_init(&structure);
	assert_int_equal(mime_split_init(&p, &structure), 0);
	mime_split_feed(&p, SPAN("x"));
	assert_false(mime_split_end(&p));
	mime_split_finish(&p);
	oom_arm(1);
	assert_int_equal(mime_split_init(&p, &structure), ERR_NOMEM);
	assert_true(oom_disarm());
	mime_split_finish(&p);
}

/* A boundary that is longer than any may be, one of the longest, and lines that are much longer. */
static void long_lines(void **state)
{
	for (unsigned n = MIME_BOUNDARY_MAX; n <= MIME_BOUNDARY_MAX + 1; n++) {
		struct buf text, in, result;
		char boundary[MIME_BOUNDARY_MAX + 2];
		memset(boundary, 'b', n);
		boundary[n] = '\0';
		buf_init(&text, OUT_MAX);
		buf_init(&in, OUT_MAX);
		buf_init(&result, OUT_MAX);
		assert_int_equal(
			buf_printf(&text, "(" PART(304) " \"m\" (\"boundary\" \"%s\"))", boundary),
			0);
		assert_int_equal(buf_printf(&in, HEAD "--%s\r\n\r\n--%s%100s\r\n--%s--\r\n",
					 boundary, boundary, ".", boundary),
			0);
		assert_int_equal(imap_bodystructure_parse(buf_span(&text), &structure), 0);
		message = buf_span(&in);
		structure.parts[1].octets = n + 102;
		feed_all_ways(&splitter, message, &result);
		if (n > MIME_BOUNDARY_MAX)
			assert_string_equal(buf_cstr(&result), "disagree");
		else
			assert_int_equal(result.len, n + 103);
		mime_structure_finish(&structure);
		buf_finish(&text);
		buf_finish(&in);
		buf_finish(&result);
	}
}

/* A hundred open boundaries, and lines that are like all of them. */
static void hostile_lines(void **state)
{
	struct buf text, in;
	struct mime_split p;

	buf_init(&text, OUT_MAX);
	buf_init(&in, OUT_MAX);
	for (unsigned i = 0; i < MIME_DEPTH_MAX; i++) {
		assert_int_equal(buf_append_char(&text, '('), 0);
		assert_int_equal(buf_append(&in, "\r\n--b\r\n", 7), 0);
	}
	assert_int_equal(buf_append_span(&text, SPAN(PART(1))), 0);
	for (unsigned i = 0; i < MIME_DEPTH_MAX; i++)
		assert_int_equal(buf_append_span(&text, SPAN(" \"m\" (\"boundary\" \"b\"))")), 0);
	while (in.len < 4000000)
		assert_int_equal(buf_append_span(&in, SPAN("\r\n--bx")), 0);
	assert_int_equal(imap_bodystructure_parse(buf_span(&text), &structure), 0);
	assert_int_equal(mime_split_init(&p, &structure), 0);
	mime_split_feed(&p, buf_span(&in));
	assert_false(mime_split_end(&p));
	mime_split_finish(&p);
	mime_structure_finish(&structure);
	buf_finish(&text);
	buf_finish(&in);
}

static void header_alone(void **state)
{
	static const struct {
		const char *header, *stated;
		bool contradicts;
	} cases[] = {
		{"Content-Transfer-Encoding: BASE64\r\n\r\n", "base64", false},
		{"content-transfer-encoding : base64", "7bit", true},
		{"A: b\nContent-Transfer-Encoding:\n\t7bit\n\n", "base64", true},
		{"Content-Transfer-Encoding: x-none\r\n\r\n", "base64", false},
		{"A: b\r\n\r\n", "quoted-printable", true},
		{"A: b\r\n\r\n", "8bit", false},
		{"\r\n", "base64", false},
		{"", "base64", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const struct mime_part part = {.encoding = span_of(cases[i].stated)};
		assert_int_equal(mime_header_contradicts(span_of(cases[i].header), &part),
			cases[i].contradicts);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_messages),
		cmocka_unit_test(no_structure),
		cmocka_unit_test(long_lines),
		cmocka_unit_test(hostile_lines),
		cmocka_unit_test(header_alone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
