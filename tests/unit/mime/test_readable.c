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
#include "mime/readable.h"

#define OUT_MAX (256u << 20)
#define TEXT(subtype, charset, encoding)                                                           \
	"(\"text\" \"" subtype "\" (\"charset\" \"" charset "\") NIL NIL \"" encoding "\" 1 1)"
#define PLAIN TEXT("plain", "us-ascii", "7bit")
#define HTML TEXT("html", "utf-8", "7bit")
#define EMPTY "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)"
#define HTML0 "(\"text\" \"html\" NIL NIL NIL \"7bit\" 0 0)"
#define PDF "(\"Application\" \"PDF\" (\"name\" \"r.pdf\") NIL NIL \"base64\" 1)"
#define MULTI(parts, subtype) "(" parts " \"" subtype "\" (\"boundary\" \"x\"))"

/* bodies: what is fed for each part that is wanted, in the order of the wants. */
static const struct {
	const char *structure, *header, *bodies[4], *out;
} known[] = {
	{PLAIN,
		"Subject: =?utf-8?q?=C3=BC?=\r\nX: y\r\nDate: today\r\nto: a\r\nTo: b\r\n c\r\nCC: "
		"d\r\n"
		"From: \"=?utf-8?q?e=0Af?=\" <g>\r\nMessage-Id: <i>\r\n\r\n",
		{"one\r\ntwo\r\n"},
		"Date: today\nFrom: \"e f\" <g>\nTo: a\nTo: b c\nCc: d\nSubject: "
		"\xc3\xbc\nMessage-ID: <i>\n\none\ntwo\n"},
	{PLAIN, "", {""}, "\n"},
	/* Line ends. */
	{PLAIN, "", {"a\rb\r\rc\n\r\nd"}, "\na\nb\n\nc\n\nd\n"},
	{PLAIN, "", {"a"}, "\na\n"},
	/* Encodings and charsets. */
	{TEXT("plain", "iso-8859-1", "quoted-printable"), "", {"gr=FC=DFe =\r\nyou"},
		"\ngr\xc3\xbc\xc3\x9f"
		"e you\n"},
	{TEXT("plain", "utf-8", "BASE64"), "", {"Z3LDvMOfZQ0K"},
		"\ngr\xc3\xbc\xc3\x9f"
		"e\n"},
	{TEXT("plain", "utf-8", "base64"), "", {"Z3LD"}, "\ngr\xef\xbf\xbd\n"},
	{TEXT("plain", "utf-8", "x-uuencode"), "", {"a=41"}, "\na=41\n"},
	{TEXT("plain", "shift_jis", "8bit"), "", {"\x82\xb1"}, "\n\xe3\x81\x93\n"},
	/* HTML. */
	{HTML, "", {"<p>one</p><a href=u>two</a>"}, "\none\n\ntwo[1]\n\n[1] u\n"},
	{TEXT("html", "koi8-r", "quoted-printable"), "", {"<b>=F0=D2</b>"}, "\n\xd0\x9f\xd1\x80\n"},
	/* Several parts. */
	{MULTI(PLAIN HTML, "alternative"), "", {"plain"}, "\nplain\n"},
	{MULTI(PLAIN HTML, "alternative"), "", {" \r\n\t", "<b>html</b>"}, "\n \n\t\n\nhtml\n"},
	{MULTI(PLAIN HTML, "alternative"), "", {"", ""}, "\n\n"},
	{MULTI(PLAIN PDF PLAIN HTML, "mixed"), "", {"one", "two\r\n", "<b>three</b>"},
		"Attachment: 2 application/pdf r.pdf\n\none\n\ntwo\n\nthree\n"},
	{PDF, "", {NULL}, "Attachment: 1 application/pdf r.pdf\n\n"},
	/* No line is the boundary's: the parts are empty, and the body is shown as it is. */
	{MULTI(EMPTY, "mixed"), "", {"--y\r\n\r\na=41\xfc\r\n--y--\r\n"},
		"\n--y\n\na=41\xc3\xbc\n--y--\n"},
	{MULTI(EMPTY EMPTY, "alternative"), "", {"-\r\n--\r\n-x\n- -x\r--x"},
		"\n-\n--\n-x\n- -x\n--x\n"},
	{MULTI(EMPTY, "mixed"), "", {"one\r\n--"}, "\none\n--\n"},
	{"(" EMPTY " \"mixed\")", "", {"--x\r\n"}, "\n--x\n"},
	/* The parts are empty, and so is the text, but for what stands before them. */
	{MULTI(EMPTY EMPTY, "mixed"), "", {"--x\r\nX: y\r\n\r\n--x--\r\nepilogue"}, "\n"},
	{MULTI(EMPTY, "mixed"), "", {"one\r\n--x\r\n\r\n--x--\r\n"}, "\none\n"},
	{MULTI(PLAIN MULTI(EMPTY HTML0, "alternative") PDF, "mixed"), "", {"one", "--y\r\n"},
		"Attachment: 3 application/pdf r.pdf\n\none\n\n--y\n"},
	/* A multipart without a boundary is one part to some servers. */
	{"(\"multipart\" \"mixed\" NIL NIL NIL \"7bit\" 5)", "", {"--y\r\n"}, "\n--y\n"},
	{"(\"a b\" \"c\x01\xff\" NIL NIL NIL \"7bit\" 1)", "", {NULL},
		"Attachment: 1 a?b/c?? 1.bin\n\n"},
};

struct rendering {
	struct mime_structure structure;
	struct mime_names names;
	struct mime_readable readable;
	struct buf out;
};

static int begin(struct rendering *r, const char *structure, struct span header)
{
	buf_init(&r->out, OUT_MAX);
	mime_structure_init(&r->structure);
	r->names = (struct mime_names){0};
	r->readable = (struct mime_readable){0};
	int err = imap_bodystructure_parse(span_of(structure), &r->structure);
	if (err == 0)
		err = mime_names_init(&r->names, &r->structure);
	if (err == 0)
		err = mime_readable_begin(&r->readable, &r->structure, &r->names, header, &r->out);
	return err;
}

static void finish(struct rendering *r)
{
	mime_readable_finish(&r->readable);
	mime_names_finish(&r->names);
	mime_structure_finish(&r->structure);
	buf_finish(&r->out);
}

/* Feeds a part that is wanted in parts of so many octets. */
static int feed_part(struct rendering *r, struct span body, size_t part, struct guarded *g)
{
	int err = 0;

	while (body.n > 0 && err == 0) {
		size_t n = part < body.n ? part : body.n;
		err = mime_readable_feed(
			&r->readable, guarded_place(g, (struct span){body.p, n}), &r->out);
		body = (struct span){body.p + n, body.n - n};
	}
	return err ? err : mime_readable_end_part(&r->readable, &r->out);
}

static int render(struct rendering *r, size_t i, size_t part)
{
	struct guarded g;
	int err = begin(r, known[i].structure, span_of(known[i].header));

	guarded_init(&g, 100);
	for (size_t body = 0; err == 0 && mime_readable_wants(&r->readable) != MIME_NO_PART; body++)
		err = feed_part(r, span_of(known[i].bodies[body]), part, &g);
	guarded_finish(&g);
	return err;
}

static void known_messages(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		for (size_t part = 1; part < 40; part++) {
			struct rendering r;
			assert_int_equal(render(&r, i, part), 0);
			if (strcmp(buf_cstr(&r.out), known[i].out) != 0)
				fail_msg("%zu, by %zu: %s\nnot\n%s", i, part, buf_cstr(&r.out),
					known[i].out);
			finish(&r);
		}
}

static void no_memory(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		bool failed = true;
		for (size_t n = 1; failed; n++) {
			struct rendering r;
			oom_arm(n);
			int err = render(&r, i, 5);
			failed = oom_disarm();
			assert_int_equal(err, failed ? ERR_NOMEM : 0);
			finish(&r);
		}
	}
}

/* One that stops in the midst of a part, as when a line is lost. */
static void left_early(void **state)
{
	struct rendering r;

	assert_int_equal(begin(&r, HTML, SPAN("")), 0);
	assert_int_equal(mime_readable_wants(&r.readable), 0);
	assert_int_equal(mime_readable_feed(&r.readable, SPAN("<a href='x\xc3\xbc"), &r.out), 0);
	finish(&r);
}

static void repeat(struct buf *out, const char *text, size_t octets)
{
	while (out->len < octets)
		assert_int_equal(buf_append_span(out, span_of(text)), 0);
}

static void check_header(const char *piece, size_t octets)
{
	struct rendering r;
	struct buf header;

	buf_init(&header, OUT_MAX);
	repeat(&header, piece, octets);
	oom_arm(0);
	assert_int_equal(begin(&r, PLAIN, buf_span(&header)), 0);
	assert_in_range(oom_allocated(), 0, 8 * r.out.len + (32u << 20));
	finish(&r);
	buf_finish(&header);
}

/* 12 MB of header; and less of what takes longer. */
static void large_headers(void **state)
{
	check_header("To: a@example.org,\r\n", 12u << 20);
	check_header("X-Spam: no\r\n", 3u << 20);
	check_header("\r", 3u << 20);
	check_header("To: =?utf-8?q?=C3=BC?=\r\n", 1u << 20);
	struct rendering r;
	struct buf header;
	buf_init(&header, OUT_MAX);
	repeat(&header, "From: ", 1);
	repeat(&header, "a:", 3u << 20);
	assert_int_equal(begin(&r, PLAIN, buf_span(&header)), 0);
	assert_int_equal(r.out.len, MIME_READABLE_FIELD_MAX + 6 + 3 + 1 + 1);
	finish(&r);
	buf_finish(&header);
}

/* Bodies of megabytes go through in bounded memory beside what they give. */
static void large_bodies(void **state)
{
	static const struct {
		const char *structure, *piece;
	} bodies[] = {
		{PLAIN, "plain text of a line\r\n"},
		{PLAIN, "\xc3\xbc"},
		{PLAIN, "\xfc\xff"},
		{PLAIN, "\r"},
		{PLAIN, " "},
		{TEXT("plain", "utf-16", "base64"), "AAAA"},
		{TEXT("plain", "utf-8", "quoted-printable"), "=\r\n"},
		{TEXT("plain", "utf-8", "quoted-printable"), " "},
		{HTML, "<div>"},
		{HTML, "<a href=x>y</a>"},
		{HTML, "&nbsp;"},
	};

	for (size_t i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		struct rendering r;
		struct buf body;
		buf_init(&body, OUT_MAX);
		repeat(&body, bodies[i].piece, 300000);
		assert_int_equal(begin(&r, bodies[i].structure, SPAN("")), 0);
		oom_arm(0);
		assert_int_equal(mime_readable_feed(&r.readable, buf_span(&body), &r.out), 0);
		assert_int_equal(mime_readable_end_part(&r.readable, &r.out), 0);
		assert_int_equal(mime_readable_wants(&r.readable), MIME_NO_PART);
		assert_true(r.out.len <= 3 * body.len + 2);
		/* Doubling buffers take twice what they hold. */
		assert_in_range(oom_allocated(), 0, 4 * r.out.len + (10u << 20));
		finish(&r);
		buf_finish(&body);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_messages),
		cmocka_unit_test(no_memory),
		cmocka_unit_test(left_early),
		cmocka_unit_test(large_headers),
		cmocka_unit_test(large_bodies),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
