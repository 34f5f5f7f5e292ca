/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/oom.h"
#include "../support/random.h"
#include "base/error.h"
#include "convert.h"
#include "mime/entities.h"
#include "mime/html.h"
#include "mime/utf8.h"

static const struct {
	const char *in, *out;
} known[] = {
	{"", ""},
	{" \n ", ""},
	{"plain", "plain\n"},
	{"  two \r\n\t words ", "two words\n"},
	/* Elements. */
	{"<p>one</p>\n<p>two<br>three</P>four", "one\n\ntwo\nthree\n\nfour\n"},
	{"<div>one</div><div><br></div><DIV CLASS=x>two</DIV>", "one\n\ntwo\n"},
	{"<br><br>one<br/><br /><br><br>two<br>", "one\n\ntwo\n"},
	{"in<b>vo</b>ice <i> x</i> <unknownandverylongelement>y", "invoice x y\n"},
	{"<ul><li>one<li> two</ul>end", "* one\n* two\n\nend\n"},
	{"<table><tr><td>1</td><td>2</td></tr><tr><th>3<th>4</table>5", "1 2\n3 4\n5\n"},
	{"a<pre>\n  b\n\n\n   c\td </pre>e  f", "a\n\n  b\n\n   c\td \ne f\n"},
	{"<pre>a\r\nb</pre></pre> c  d", "a\nb\nc d\n"},
	{"<img src=x alt=\"a &lt;logo&gt;\"> <img alt=''><img src=y>.", "a <logo> .\n"},
	{"<img alt='two\r\nlines '>.<noframes>no <i>frames</i></noframes>",
		"two lines.no frames\n"},
	/* What vanishes. */
	{"<html><head><title>T &amp; t</title><style>p{}</style><meta x></head><body>b", "b\n"},
	{"a<script>if (1<2) '</b>' </scripty> </script >b", "ab\n"},
	{"a<STYLE><!-- </p> < </ --></Style\n>b<style>x</style", "ab\n"},
	{"a<title/>b<style />c", "abc\n"},
	{"a<!-- b > -- c -->d<!-->e<!--->f<!-- --!>g<!-x>h<!>i<!-- - -- x--- >y", "adefghi\n"},
	{"<!DOCTYPE html>a<?xml?>b<![if mso]>c<![endif]></>d</ x>e", "abcde\n"},
	{"<!--[if mso]>no<![endif]-->yes", "yes\n"},
	/* What is no tag. */
	{"a < b <3 <> <", "a < b <3 <> <\n"},
	{"x </", "x </\n"},
	{"x <b", "x\n"},
	{"<a\0b>", ""},
	/* Attributes. */
	{"<p title='>' data-x=\">\" y=z/>a", "a\n"},
	{"<p =x a = 'b' c/d>a</p e='>'>b", "a\n\nb\n"},
	{"<p a=b'\">a", "a\n"},
	/* References. */
	{"&lt;b&gt; &amp;amp; &quot; &#65;&#x42;&#X43 &euro;", "<b> &amp; \" ABC \xe2\x82\xac\n"},
	{"&copy &notit; &notin; &nosuch; & &; &# &#; &#x; a&b",
		"\xc2\xa9 \xc2\xacit; \xe2\x88\x89 &nosuch; & &; &# &#; &#x; a&b\n"},
	{"&#0;&#xd800;&#x110000;&#99999999999;",
		"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\n"},
	{"&#128;&#x99;&#27;&#13;x", "\xe2\x82\xac\xe2\x84\xa2 x\n"},
	{"a&nbsp;b\xc2\xa0"
	 "c&nbsp;&nbsp;d",
		"a b c d\n"},
	{"&CounterClockwiseContourIntegral;&fjlig;&amp", "\xe2\x88\xb3"
							 "fj&\n"},
	{"&amp&lt<b>x</b>&gt", "&<x>\n"},
	{"&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;",
		"&aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa;\n"},
	/* What is not seen. */
	{"in&shy;vo\xe2\x80\x8bice\xef\xbb\xbf!\xcd\x8f", "invoice!\n"},
	{"gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80", "gr\xc3\xbc\xc3\x9f \xf0\x9f\x98\x80\n"},
	{"a\xff"
	 "b\xe2\x82<c>\xe2\x82",
		"a\xef\xbf\xbd"
		"b\xef\xbf\xbd\xef\xbf\xbd\n"},
	/* Links. */
	{"<a href=\"http://x/?a=1&amp;b=2&copy=3\">here</a>, <A HREF=http://y/>there</A>.",
		"here[1], there[2].\n\n[1] http://x/?a=1&b=2&copy=3\n[2] http://y/\n"},
	{"<a href='#top'>a</a><a name=x>b</a><a href=''>c</a><a>d</a></a>", "abcd\n"},
	{"<a href=u>one <a href=v>two", "one[1] two[2]\n\n[1] u\n[2] v\n"},
	{"x<div><a href=u><img></a></div>y", "x\n[1]\ny\n\n[1] u\n"},
	{"<a href=' u\r\nv\tw\x01 '>x</a>", "x[1]\n\n[1] uv w \n"},
	{"<a href=u href=v>x</a></a href=w>", "x[1]\n\n[1] u\n"},
	{"<a href=u></a>", "[1]\n\n[1] u\n"},
	{"<a data-href=u hrefs=v>x</a>", "x\n"},
	{"<a href='&b&gt;&gt=&gt'>x</a>", "x[1]\n\n[1] &b>&gt=>\n"},
};

static void known_texts(void **state)
{
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		convert_check_text(&convert_html, NULL, known[i].in, known[i].out);
}

static void entities(void **state)
{
	size_t n;

	assert_int_equal(mime_entity_count, 2231);
	for (size_t i = 0; i < mime_entity_count; i++) {
		struct span name = span_of(mime_entities[i].name);
		assert_true(name.n < MIME_ENTITY_MAX);
		assert_true(span_equal(mime_entity_find(name, &n), span_of(mime_entities[i].text)));
		assert_int_equal(n, name.n);
	}
	assert_int_equal(mime_entity_find(SPAN(""), &n).n, 0);
	assert_int_equal(n, 0);
	assert_int_equal(mime_entity_find(SPAN("nosuch;"), &n).n, 0);
	assert_int_equal(mime_entity_find(SPAN("gt\0x;"), &n).n, 1);
	assert_int_equal(mime_entity_find(SPAN("g\0\0\0"), &n).n, 0);
	assert_int_equal(mime_entity_find(SPAN("ampere"), &n).n, 1);
	assert_int_equal(n, 3);
}

/* Targets and lists that are too long are left out, and the text stays. */
static void too_many_links(void **state)
{
	size_t n = MIME_HTML_LINKS_MAX / 8;
	struct buf in, out;

	buf_init(&in, 1u << 30);
	buf_init(&out, 1u << 30);
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_append(&in, "<a href=u>x</a>", 15), 0);
	assert_int_equal(buf_append(&in, "<a href=", 8), 0);
	for (size_t i = 0; i <= MIME_HTML_TARGET_MAX; i++)
		assert_int_equal(buf_append_char(&in, 'v'), 0);
	assert_int_equal(buf_append(&in, ">end</a>", 8), 0);
	convert_in_parts(&convert_html, (struct span){0}, buf_span(&in), 4096, &out);
	assert_null(memmem(out.data, out.len, "vv", 2));
	assert_non_null(memmem(out.data, out.len, "xxxend\n\n[1] u\n", 14));
	assert_true(out.len < in.len + MIME_HTML_LINKS_MAX);
	buf_finish(&in);
	buf_finish(&out);
}

/* Nothing that is sent takes more than a bounded amount of memory besides its text. */
static void bombs(void **state)
{
	static const char *const bombs[] = {"<div>", "<", "&", "<a href=x ", "<!--", "<a ", "&#",
		"</", "<pre>\n", "<li>", "<script>", "<p a='", "&a", " ", "\xe2\x82", "<title><",
		"-->"};

	for (size_t i = 0; i < sizeof(bombs) / sizeof(bombs[0]); i++) {
		struct buf in, out;
		buf_init(&in, 1u << 30);
		buf_init(&out, 1u << 30);
		while (in.len < 300000)
			assert_int_equal(buf_append_span(&in, span_of(bombs[i])), 0);
		oom_arm(0);
		convert_in_parts(&convert_html, (struct span){0}, buf_span(&in), 4096, &out);
		assert_in_range(oom_allocated(), 0, 4 * in.len + 4 * out.len + 65536);
		assert_true(out.len <= 3 * in.len);
		buf_finish(&in);
		buf_finish(&out);
	}
}

/* Pieces of HTML in any order give UTF-8, cut in any way the same. */
static void random_pieces(void **state)
{
	static const char *const pieces[] = {"<", ">", "&", ";", "a", "href", "=", "\"", "'", "/",
		" ", "\n", "<a href=", "</a>", "<p>", "<pre>", "</pre>", "<script>", "</script",
		"<!--", "--", "!", "&amp", "&#", "12", "x", "\xc3\xbc", "\xe2\x80\x8b",
		"<img alt=", "<li>", "<br>", "<title>", "</title>", "&nbsp;", "&shy;"};
	uint64_t random = 3;

	for (int i = 0; i < 3000; i++) {
		struct buf in, out;
		buf_init(&in, 4096);
		buf_init(&out, 65536);
		for (unsigned n = random_below(&random, 20); n > 0; n--)
			assert_int_equal(
				buf_append_span(&in, span_of(pieces[random_below(&random,
							     sizeof(pieces) / sizeof(pieces[0]))])),
				0);
		convert_in_parts(&convert_html, (struct span){0}, buf_span(&in), in.len + 1, &out);
		for (struct span s = buf_span(&out); s.n > 0;) {
			int width = mime_utf8_look(s);
			assert_true(width > 0);
			s = (struct span){s.p + width, s.n - (size_t)width};
		}
		if (in.len > 0)
			convert_check(
				&convert_html, (struct span){0}, buf_span(&in), buf_span(&out));
		buf_finish(&in);
		buf_finish(&out);
	}
}

static void limits(void **state)
{
	convert_check_limits(&convert_html, (struct span){0},
		SPAN("<p>one &amp; two<li> x <pre> y\n z</pre><a href='u&amp;v'>w</a> <img alt=a>"
		     "\xc3\xbc&nbsp;\xff &lt"));
	convert_check_limits(&convert_html, (struct span){0}, SPAN("a <a href=u><br></a>< \xc3"));
	convert_check_limits(&convert_html, (struct span){0}, SPAN("a <"));
	convert_check_limits(&convert_html, (struct span){0}, SPAN("a </"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known_texts),
		cmocka_unit_test(entities),
		cmocka_unit_test(too_many_links),
		cmocka_unit_test(bombs),
		cmocka_unit_test(random_pieces),
		cmocka_unit_test(limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
