/* SPDX-License-Identifier: MIT */
#include "mime/params.h"

#include <stdlib.h>
#include <uninorm.h>

#include "base/error.h"
#include "base/text.h"
#include "mime/charset.h"
#include "mime/qp.h"
#include "mime/utf8.h"
#include "mime/words.h"

/* What is longer is cut before it is looked at closely. */
#define NAME_LOOK 4096
#define EXTENSION_MAX 32

struct piece {
	bool there, extended;
	struct span value;
};

struct parameter {
	struct piece whole; /* name* */
	struct piece plain; /* name */
	size_t count;       /* of pieces: the last that is there, and one */
	struct piece pieces[MIME_PARAMS_PIECES];
};

/* Sorts one parameter in by what stands behind the name: nothing, "*", "*3" or "*3*". The first of
 * each is taken. */
static void sort_in(struct parameter *p, struct span suffix, struct span value)
{
	struct piece *piece = suffix.n == 0 ? &p->plain : &p->whole;
	bool extended = suffix.n > 0 && suffix.p[suffix.n - 1] == '*';
	uint64_t number;

	if (suffix.n > 1) {
		struct span digits = {suffix.p + 1, suffix.n - 1 - extended};
		if (!text_parse_number(digits, MIME_PARAMS_PIECES - 1, &number))
			return;
		piece = &p->pieces[number];
		if (p->count <= number)
			p->count = number + 1;
	}
	if (!piece->there)
		*piece = (struct piece){true, extended, value};
}

static void find_parameter(
	const struct mime_param *params, size_t count, struct span name, struct parameter *p)
{
	*p = (struct parameter){0};
	for (size_t i = 0; i < count; i++) {
		struct span key = params[i].name;
		if (key.n < name.n || !span_equal_nocase((struct span){key.p, name.n}, name))
			continue;
		struct span suffix = {key.p + name.n, key.n - name.n};
		if (suffix.n == 0 || suffix.p[0] == '*')
			sort_in(p, suffix, params[i].value);
	}
}

static int append_percent(struct span s, struct buf *out)
{
	int err = 0;

	for (size_t i = 0; i < s.n && err == 0; i++) {
		char c = s.p[i];
		int high = i + 2 < s.n ? mime_qp_digit(s.p[i + 1]) : -1;
		int low = i + 2 < s.n ? mime_qp_digit(s.p[i + 2]) : -1;
		if (c == '%' && high >= 0 && low >= 0) {
			c = (char)(high << 4 | low);
			i += 2;
		}
		err = buf_append_char(out, c);
	}
	return err;
}

/* Takes "charset'language'" off the value; without both quotes there is no charset. */
static struct span take_charset(struct span *value)
{
	const char *first = value->n ? memchr(value->p, '\'', value->n) : NULL;
	size_t n = first ? (size_t)(first - value->p) : 0;
	const char *second = first ? memchr(first + 1, '\'', value->n - n - 1) : NULL;

	if (!second)
		return (struct span){0};
	struct span charset = {value->p, n};
	n = (size_t)(second - value->p) + 1;
	*value = (struct span){value->p + n, value->n - n};
	return charset;
}

static int convert(struct span octets, struct span charset, struct buf *out)
{
	struct mime_charset c;
	int err = mime_charset_init(&c, charset);

	if (err < 0)
		return err;
	err = mime_charset_feed(&c, octets, out);
	if (err == 0)
		err = mime_charset_end(&c, out);
	mime_charset_finish(&c);
	return err;
}

/* A piece that is not extended, among others that are: its percent signs are no escapes. */
static int append_literal(struct span s, struct buf *out)
{
	int err = 0;

	for (size_t i = 0; i < s.n && err == 0; i++)
		err = s.p[i] == '%' ? buf_append(out, "%25", 3) : buf_append_char(out, s.p[i]);
	return err;
}

/* What says its charset, and has octets as "%C3". */
static int append_extended(struct span value, bool has_charset, struct buf *out)
{
	struct span charset = {0};
	struct buf octets;

	if (has_charset)
		charset = take_charset(&value);
	buf_init(&octets, value.n);
	int err = append_percent(value, &octets);
	if (err == 0)
		err = convert(buf_span(&octets), charset, out);
	buf_finish(&octets);
	return err;
}

/* Joins the pieces up to the first that is missing, before anything in them is decoded: senders cut
 * escapes in two. */
static int join(const struct piece *pieces, size_t count, struct buf *out)
{
	struct buf text;
	bool extended = false;
	size_t n = 0, total = 0;
	int err = 0;

	for (; n < count && pieces[n].there; n++) {
		extended |= pieces[n].extended;
		total += pieces[n].value.n;
	}
	buf_init(&text, 3 * total);
	for (size_t i = 0; i < n && err == 0; i++) {
		bool literal = extended && !pieces[i].extended;
		err = literal ? append_literal(pieces[i].value, &text)
			      : buf_append_span(&text, pieces[i].value);
	}
	if (err == 0 && extended)
		err = append_extended(buf_span(&text), pieces[0].extended, out);
	else if (err == 0)
		err = mime_words_decode(buf_span(&text), false, out);
	buf_finish(&text);
	return err;
}

int mime_params_get(
	const struct mime_param *params, size_t count, struct span name, struct buf *out)
{
	struct parameter p;

	find_parameter(params, count, name, &p);
	if (p.whole.there)
		return join(&p.whole, 1, out);
	if (p.pieces[0].there)
		return join(p.pieces, p.count, out);
	return join(&p.plain, 1, out);
}

/* What would hide, turn or break a name, or cannot be seen in it. */
static bool is_dropped(uint32_t c)
{
	return mime_utf8_is_control(c) || (c >= 0x200b && c <= 0x200f) || c == 0x34f || c == 0xfeff;
}

static struct span last_component(struct span s)
{
	for (size_t n = s.n; n > 0; n--)
		if (s.p[n - 1] == '/' || s.p[n - 1] == '\\')
			return (struct span){s.p + n, s.n - n};
	return s;
}

static int append_visible(struct span s, struct buf *out)
{
	int err = 0;

	while (s.n > 0 && err == 0) {
		int n = mime_utf8_look(s);
		size_t width = n > 0 ? (size_t)n : 1;
		if (n <= 0)
			err = buf_append_span(out, MIME_REPLACEMENT);
		else if (!is_dropped(mime_utf8_value(s)) &&
			 !(out->len == 0 && strchr(". ", s.p[0])))
			err = buf_append(out, s.p, width);
		s = (struct span){s.p + width, s.n - width};
	}
	return err;
}

size_t mime_filename_extension(struct span name)
{
	for (size_t n = name.n; n > 1 && name.n - n < EXTENSION_MAX; n--)
		if (name.p[n - 1] == '.')
			return n - 1;
	return name.n;
}

size_t mime_filename_cut(struct span s, size_t n)
{
	if (s.n <= n)
		return s.n;
	while (n > 0 && ((unsigned char)s.p[n] & 0xc0) == 0x80)
		n--;
	return n;
}

/* At most max octets, the extension among them. */
static int append_cut(struct span name, size_t max, struct buf *out)
{
	if (name.n == 0)
		return 0;
	size_t dot = mime_filename_extension(name);
	struct span extension = {name.p + dot, name.n - dot};
	size_t stem = mime_filename_cut((struct span){name.p, dot}, max - extension.n);
	int err = buf_append(out, name.p, stem);

	return err ? err : buf_append_span(out, extension);
}

/* Canonically composed (Unicode Standard Annex 15), as names come from keyboards. glibc cannot do
 * it; libunistring is there wherever GnuTLS is. */
static int append_composed(struct span name, struct buf *out)
{
	if (mime_utf8_ascii(name) == name.n)
		return append_cut(name, MIME_FILENAME_MAX, out);
	size_t n = 0;
	uint8_t *composed = u8_normalize(UNINORM_NFC, (const uint8_t *)name.p, name.n, NULL, &n);
	if (!composed)
		return ERR_NOMEM;
	int err = append_cut((struct span){(const char *)composed, n}, MIME_FILENAME_MAX, out);
	free(composed);
	return err;
}

int mime_filename(struct span text, struct buf *out)
{
	struct buf look, visible;

	buf_init(&look, NAME_LOOK);
	buf_init(&visible, 3 * NAME_LOOK);
	int err = append_cut(last_component(text), NAME_LOOK, &look);
	if (err == 0)
		err = append_visible(buf_span(&look), &visible);
	if (err == 0)
		err = append_composed(buf_span(&visible), out);
	buf_finish(&look);
	buf_finish(&visible);
	return err;
}
