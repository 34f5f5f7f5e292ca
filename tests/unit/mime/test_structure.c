/* SPDX-License-Identifier: MIT */
/* What follows from a structure: sections, shown texts, attachments, and names. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/oom.h"
#include "base/error.h"
#include "imap/bodystructure.h"
#include "mime/names.h"

#define OUT_MAX (64u << 20)
#define NOTHING " NIL NIL \"7bit\" 5"
#define PLAIN "(\"text\" \"plain\" NIL" NOTHING " 1)"
#define EMPTY "(\"text\" \"plain\" NIL NIL NIL \"7bit\" 0 0)"
#define HTML "(\"text\" \"html\" NIL" NOTHING " 1)"
#define TEXT(subtype) "(\"text\" \"" subtype "\" NIL" NOTHING " 1)"
#define NAMED(name) "(\"application\" \"pdf\" (\"name\" \"" name "\")" NOTHING ")"
#define UNNAMED(type, subtype) "(\"" type "\" \"" subtype "\" NIL" NOTHING ")"
#define ATTACHED                                                                                   \
	"(\"text\" \"plain\" NIL" NOTHING " 1 NIL (\"attachment\" (\"filename\" \"a.txt\")))"
#define INLINE "(\"text\" \"plain\" NIL" NOTHING " 1 NIL (\"inline\" (\"filename\" \"i.txt\")))"
#define MULTI(parts, subtype) "(" parts " \"" subtype "\" (\"boundary\" \"x\"))"
#define MESSAGE(part) "(\"message\" \"rfc822\" NIL" NOTHING " (NIL) " part " 1)"

static void parse(const char *text, struct mime_structure *s)
{
	if (imap_bodystructure_parse(span_of(text), s) != 0)
		fail_msg("not parsed: %s", text);
}

static void put_section(struct buf *out, const struct mime_structure *s, uint32_t part)
{
	if (part == MIME_NO_PART)
		assert_int_equal(buf_append_char(out, '-'), 0);
	else
		assert_int_equal(mime_structure_section(s, part, out), 0);
}

/* "plain/html ..." of what is shown, "|", attachments with their names. */
static const struct {
	const char *text, *out;
} shown[] = {
	{PLAIN, "1/- |"},
	{HTML, "-/1 |"},
	{ATTACHED, "| 1=a.txt"},
	{UNNAMED("image", "png"), "| 1=1.png"},
	{MULTI(PLAIN HTML, "alternative"), "1/2 |"},
	{MULTI(PLAIN MULTI(HTML UNNAMED("image", "png"), "related"), "ALTERNATIVE"),
		"1/2.1 | 2.2=2.2.png"},
	{MULTI(MULTI(PLAIN HTML, "alternative") NAMED("r.pdf") PLAIN, "mixed"),
		"1.1/1.2 3/- | 2=r.pdf"},
	{MULTI(MULTI(PLAIN HTML, "alternative") UNNAMED("image", "gif"), "related"),
		"1.1/1.2 | 2=2.gif"},
	{MULTI(HTML TEXT("css") PLAIN MULTI(PLAIN, "mixed"), "related"), "-/1 | 2=2.css"},
	{MULTI(PLAIN TEXT("calendar") MESSAGE(PLAIN) HTML HTML PLAIN ATTACHED, "alternative"),
		"1/4 | 2=2.ics 3=3.eml 7=a.txt"},
	{MULTI(ATTACHED UNNAMED("image", "png"), "alternative"), "| 1=a.txt 2=2.png"},
	{MULTI(PLAIN INLINE TEXT("x-diff") TEXT("rtf") ATTACHED, "mixed"),
		"1/- 2/- 3/- | 2=i.txt 4=4.rtf 5=a.txt"},
	{MULTI(PLAIN MESSAGE(MULTI(PLAIN NAMED("in.pdf"), "mixed")) HTML, "mixed"),
		"1/- -/3 | 2=2.eml"},
	{MULTI(PLAIN UNNAMED("application", "pgp-signature"), "signed"), "1/- | 2=2.asc"},
	{MESSAGE(PLAIN), "| 1=1.eml"},
	/* A multipart in which no part has an octet is shown itself; the whole body has no number. */
	{MULTI(EMPTY EMPTY, "mixed"), "/- |"},
	{MULTI(PLAIN MULTI(MULTI(EMPTY, "mixed") EMPTY, "alternative"), "mixed"), "1/- 2/- |"},
	{MULTI(PLAIN MULTI(EMPTY, "mixed"), "related"), "1/- |"},
	{MULTI(EMPTY PLAIN, "mixed"), "1/- 2/- |"},
	{UNNAMED("Multipart", "mixed"), "1/- |"},
	/* What a server could not read the type of is text, unless it is made for octets. */
	{UNNAMED("", ""), "1/- |"},
	{MULTI(PLAIN UNNAMED("", ""), "mixed"), "1/- 2/- |"},
	{"(\"\" \"\" NIL NIL NIL \"base64\" 5)", "| 1=1.bin"},
	{"(\"\" \"\" NIL NIL NIL \"7bit\" 5 NIL (\"attachment\" NIL))", "| 1=1.bin"},
};

static void shown_parts(void **state)
{
	for (size_t i = 0; i < sizeof(shown) / sizeof(shown[0]); i++) {
		struct mime_structure s;
		struct mime_names names;
		struct mime_shown text;
		struct buf out;
		uint32_t cursor = 0;
		parse(shown[i].text, &s);
		assert_int_equal(mime_names_init(&names, &s), 0);
		buf_init(&out, OUT_MAX);
		while (mime_structure_next_shown(&s, &cursor, &text)) {
			put_section(&out, &s, text.plain);
			assert_int_equal(buf_append_char(&out, '/'), 0);
			put_section(&out, &s, text.html);
			assert_int_equal(buf_append_char(&out, ' '), 0);
		}
		assert_int_equal(buf_append_char(&out, '|'), 0);
		for (uint32_t part = 0; part < s.count; part++) {
			struct span name = names.of[part].text;
			if (!mime_structure_is_attachment(&s, part))
				continue;
			assert_int_equal(buf_append_char(&out, ' '), 0);
			put_section(&out, &s, part);
			assert_int_equal(buf_printf(&out, "=%.*s", (int)name.n, name.p), 0);
		}
		if (strcmp(buf_cstr(&out), shown[i].out) != 0)
			fail_msg(
				"%s gives %s, not %s", shown[i].text, buf_cstr(&out), shown[i].out);
		buf_finish(&out);
		mime_names_finish(&names);
		mime_structure_finish(&s);
	}
}

/* Each part is found by its section, and nothing by what is none. */
static void sections(void **state)
{
	static const char *const none[] = {"", "0", "1.", ".1", "1..1", "01", "4", "1.1", "3",
		"3.1", "2.3", "2.1.1", "2.2.1.1", "x", "1x", "2.x", "99999999999999", "-1",
		"3.2.3"};
	struct mime_structure s;

	parse(MULTI(PLAIN MESSAGE(MULTI(HTML MESSAGE(PLAIN), "mixed")) MULTI(
			    MULTI(PLAIN, "mixed") MULTI(PLAIN HTML, "alternative"), "mixed"),
		      "mixed"),
		&s);
	for (uint32_t i = 0; i < s.count; i++) {
		struct buf section;
		buf_init(&section, 100);
		assert_int_equal(mime_structure_section(&s, i, &section), 0);
		if (s.parts[i].kind != MIME_MULTIPART)
			assert_int_equal(mime_structure_find(&s, buf_span(&section)), i);
		buf_finish(&section);
	}
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++)
		if (mime_structure_find(&s, span_of(none[i])) != MIME_NO_PART)
			fail_msg("%s was found", none[i]);
	mime_structure_finish(&s);
	mime_structure_init(&s);
	assert_int_equal(mime_structure_find(&s, SPAN("1")), MIME_NO_PART);
	parse(PLAIN, &s);
	assert_int_equal(mime_structure_find(&s, SPAN("1")), 0);
	assert_int_equal(mime_structure_find(&s, SPAN("1.1")), MIME_NO_PART);
	assert_int_equal(mime_structure_enclosing(&s, 0), MIME_NO_PART);
	mime_structure_finish(&s);
}

static const struct {
	const char *text, *names; /* of all parts that have one, separated by spaces */
} named[] = {
	{MULTI(PLAIN HTML UNNAMED("application", "octet-stream") UNNAMED("application", "PDF")
			 UNNAMED("x", "a/b") UNNAMED("audio", "mpeg") UNNAMED("message", "x")
				 TEXT("x"),
		 "mixed"),
		"1.txt 2.html 3.bin 4.pdf 5.bin 6.mp3 7.txt 8.txt"},
	{MULTI(NAMED("a.pdf") NAMED("a.pdf") NAMED("A.pdf") NAMED("a.pdf"), "mixed"),
		"a.pdf a~2.pdf A.pdf a~4.pdf"},
	{MULTI(NAMED("README") NAMED("README") NAMED("x.tar.gz") NAMED("x.tar.gz"), "mixed"),
		"README README~2 x.tar.gz x.tar~4.gz"},
	/* Names that try to be those of others. */
	{MULTI(NAMED("a~3.pdf") NAMED("a.pdf") NAMED("a.pdf"), "mixed"), "a~3~1.pdf a.pdf a~3.pdf"},
	{MULTI(NAMED("2.html") HTML NAMED("2") NAMED("3.1") NAMED("#5") NAMED("a~#1"), "mixed"),
		"2.html 2~2.html 2~3 3.1~4 #5~5 a~#1~6"},
	{MULTI(NAMED("../../x") NAMED("..") NAMED("/") NAMED(""), "mixed"), "x 2.pdf 3.pdf 4.pdf"},
	/* What is attached has a directory of its own. */
	{MULTI(NAMED("a.pdf") MESSAGE(MULTI(NAMED("a.pdf") NAMED("a.pdf") MESSAGE(PLAIN), "mixed"))
			 NAMED("a.pdf"),
		 "mixed"),
		"a.pdf 2.eml a.pdf a~2.2.pdf 2.3.eml 2.3.1.txt a~3.pdf"},
};

static void part_names(void **state)
{
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		struct mime_structure s;
		struct mime_names names;
		struct buf out;
		parse(named[i].text, &s);
		assert_int_equal(mime_names_init(&names, &s), 0);
		buf_init(&out, OUT_MAX);
		for (uint32_t part = 0; part < s.count; part++) {
			struct span name = names.of[part].text;
			if (name.n == 0)
				continue;
			if (out.len > 0)
				assert_int_equal(buf_append_char(&out, ' '), 0);
			assert_int_equal(buf_append_span(&out, name), 0);
			assert_int_equal(
				mime_names_find(&names, names.of[part].directory, name), part);
		}
		assert_string_equal(buf_cstr(&out), named[i].names);
		assert_int_equal(mime_names_find(&names, MIME_NO_PART, SPAN("zzz")), MIME_NO_PART);
		assert_int_equal(mime_names_find(&names, 77, SPAN("a.pdf")), MIME_NO_PART);
		buf_finish(&out);
		mime_names_finish(&names);
		mime_structure_finish(&s);
	}
}

/* Thousands with one name, and sections that are longer than any name may be. */
static void hostile_names(void **state)
{
	static char name[300];
	struct buf text;
	struct mime_structure s;
	struct mime_names names;

	memset(name, 'n', sizeof(name) - 1);
	buf_init(&text, OUT_MAX);
	for (unsigned i = 0; i < MIME_DEPTH_MAX; i++)
		assert_int_equal(buf_append_char(&text, '('), 0);
	for (unsigned i = 0; i < 9000; i++)
		assert_int_equal(buf_printf(&text, "(\"a\" \"b\" (\"name\" \"%s.c\")" NOTHING ")",
					 i % 2 ? name : "x"),
			0);
	for (unsigned i = 0; i < MIME_DEPTH_MAX; i++)
		assert_int_equal(buf_append(&text, " \"m\")", 5), 0);
	parse(buf_cstr(&text), &s);
	assert_int_equal(mime_names_init(&names, &s), 0);
	assert_int_equal(names.sorted_count, 9000);
	for (size_t i = 0; i < names.sorted_count; i++) {
		struct span of = names.of[names.sorted[i]].text;
		assert_in_range(of.n, 3, MIME_FILENAME_MAX);
		assert_memory_equal(of.p + of.n - 2, ".c", 2);
		assert_int_equal(mime_names_find(&names, MIME_NO_PART, of), names.sorted[i]);
	}
	mime_names_finish(&names);
	mime_structure_finish(&s);
	buf_finish(&text);
}

static void no_memory(void **state)
{
	for (size_t i = 0; i < sizeof(named) / sizeof(named[0]); i++) {
		bool failed = true;
		struct mime_structure s;
		parse(named[i].text, &s);
		for (size_t n = 1; failed; n++) {
			struct mime_names names;
			oom_arm(n);
			int err = mime_names_init(&names, &s);
			failed = oom_disarm();
			assert_int_equal(err, failed ? ERR_NOMEM : 0);
			mime_names_finish(&names);
		}
		mime_structure_finish(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shown_parts),
		cmocka_unit_test(sections),
		cmocka_unit_test(part_names),
		cmocka_unit_test(hostile_names),
		cmocka_unit_test(no_memory),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
