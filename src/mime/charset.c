/* SPDX-License-Identifier: MIT */
#include "mime/charset.h"

#include <errno.h>
#include <stdlib.h>

#include "base/error.h"
#include "mime/utf8.h"

#define LABEL_MAX 32
#define PIECE 4096

/* What iconv calls them, from MIME_IBM866 on. Where makers of mail programs have added characters to
 * a standard, their charset. */
static const char *const iconv_names[MIME_ENCODING_COUNT] = {
	[MIME_IBM866] = "IBM866",
	[MIME_ISO_8859_2] = "ISO-8859-2",
	[MIME_ISO_8859_3] = "ISO-8859-3",
	[MIME_ISO_8859_4] = "ISO-8859-4",
	[MIME_ISO_8859_5] = "ISO-8859-5",
	[MIME_ISO_8859_6] = "ISO-8859-6",
	[MIME_ISO_8859_7] = "ISO-8859-7",
	[MIME_ISO_8859_8] = "ISO-8859-8",
	[MIME_ISO_8859_8_I] = "ISO-8859-8",
	[MIME_ISO_8859_10] = "ISO-8859-10",
	[MIME_ISO_8859_13] = "ISO-8859-13",
	[MIME_ISO_8859_14] = "ISO-8859-14",
	[MIME_ISO_8859_15] = "ISO-8859-15",
	[MIME_ISO_8859_16] = "ISO-8859-16",
	[MIME_KOI8_R] = "KOI8-R",
	[MIME_KOI8_U] = "KOI8-U",
	[MIME_MACINTOSH] = "MACINTOSH",
	[MIME_WINDOWS_874] = "CP874",
	[MIME_WINDOWS_1250] = "CP1250",
	[MIME_WINDOWS_1251] = "CP1251",
	[MIME_WINDOWS_1253] = "CP1253",
	[MIME_WINDOWS_1254] = "CP1254",
	[MIME_WINDOWS_1255] = "CP1255",
	[MIME_WINDOWS_1256] = "CP1256",
	[MIME_WINDOWS_1257] = "CP1257",
	[MIME_WINDOWS_1258] = "CP1258",
	[MIME_X_MAC_CYRILLIC] = "MAC-CYRILLIC",
	[MIME_GB18030] = "GB18030",
	[MIME_BIG5] = "BIG5-HKSCS",
	[MIME_EUC_JP] = "EUC-JP-MS",
	[MIME_ISO_2022_JP] = "ISO-2022-JP",
	[MIME_SHIFT_JIS] = "CP932",
	[MIME_EUC_KR] = "UHC",
	[MIME_ISO_2022_KR] = "ISO-2022-KR",
	[MIME_UTF_16BE] = "UTF-16BE",
	[MIME_UTF_16LE] = "UTF-16LE",
};

/* 0x80 to 0x9f; the others are as in ISO 8859-1. 0: none. */
static const uint16_t windows_1252[32] = {0x20ac, 0, 0x201a, 0x0192, 0x201e, 0x2026, 0x2020, 0x2021,
	0x02c6, 0x2030, 0x0160, 0x2039, 0x0152, 0, 0x017d, 0, 0, 0x2018, 0x2019, 0x201c, 0x201d,
	0x2022, 0x2013, 0x2014, 0x02dc, 0x2122, 0x0161, 0x203a, 0x0153, 0, 0x017e, 0x0178};

static int compare_label(const void *key, const void *element)
{
	const struct span *text = key;
	const struct mime_label *label = element;
	size_t n = text->n < label->text.n ? text->n : label->text.n;
	int order = memcmp(text->p, label->text.p, n);

	return order ? order : (text->n > label->text.n) - (text->n < label->text.n);
}

static bool is_around(char c)
{
	return (unsigned char)c <= ' ' || c == '"' || c == '\'';
}

enum mime_encoding mime_charset_lookup(struct span label)
{
	char lower[LABEL_MAX];

	while (label.n > 0 && is_around(label.p[0]))
		label = (struct span){label.p + 1, label.n - 1};
	while (label.n > 0 && is_around(label.p[label.n - 1]))
		label.n--;
	if (label.n == 0 || label.n > LABEL_MAX)
		return MIME_US_ASCII;
	for (size_t i = 0; i < label.n; i++) {
		char c = label.p[i];
		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c + 'a' - 'A') : c;
	}
	struct span key = {lower, label.n};
	const struct mime_label *found = bsearch(
		&key, mime_labels, mime_label_count, sizeof(mime_labels[0]), compare_label);
	return found ? found->encoding : MIME_US_ASCII;
}

/* What the machine's iconv does not know is as good as not labelled. */
static int open_iconv(struct mime_charset *c)
{
	c->cd = iconv_open("UTF-8", iconv_names[c->encoding]);
	c->has_cd = c->cd != (iconv_t)-1;
	if (c->has_cd)
		return 0;
	if (errno == ENOMEM)
		return ERR_NOMEM;
	c->encoding = MIME_WINDOWS_1252;
	return 0;
}

int mime_charset_init(struct mime_charset *c, struct span label)
{
	*c = (struct mime_charset){.encoding = mime_charset_lookup(label)};
	buf_init(&c->held, MIME_CHARSET_LOOK);
	if (c->encoding == MIME_US_ASCII)
		c->encoding = MIME_WINDOWS_1252;
	if (c->encoding >= MIME_GB18030 && c->encoding != MIME_UTF_16) {
		int err = open_iconv(c);
		if (err < 0)
			return err;
	}
	c->unsure = c->encoding != MIME_UTF_8 && c->encoding < MIME_GB18030;
	return 0;
}

void mime_charset_finish(struct mime_charset *c)
{
	if (c->has_cd)
		iconv_close(c->cd);
	c->has_cd = false;
	buf_finish(&c->held);
}

/* The characters and the mistakes that s begins with, up to the end or to a beginning of a character
 * there. Returns the octets taken. */
static size_t take_valid(struct mime_charset *c, struct span s, struct buf *out, int *err)
{
	size_t at = 0;

	while (at < s.n && *err == 0) {
		struct span rest = {s.p + at, s.n - at};
		size_t ascii = mime_utf8_ascii(rest);
		int n = ascii ? (int)ascii : mime_utf8_look(rest);
		if (n == 0)
			break;
		bool is_mark = !c->begun && n == 3 && memcmp(rest.p, "\xef\xbb\xbf", 3) == 0;
		c->begun = true;
		if (ascii)
			*err = buf_append(out, rest.p, ascii);
		else if (n < 0)
			*err = buf_append_span(out, MIME_REPLACEMENT);
		else if (!is_mark)
			*err = buf_append(out, rest.p, (size_t)n);
		at += ascii ? ascii : (size_t)abs(n);
	}
	return at;
}

static int append_1252(struct span s, struct buf *out)
{
	size_t at = 0;
	int err = 0;

	while (at < s.n && err == 0) {
		struct span rest = {s.p + at, s.n - at};
		size_t ascii = mime_utf8_ascii(rest);
		if (ascii > 0) {
			err = buf_append(out, rest.p, ascii);
			at += ascii;
			continue;
		}
		unsigned char octet = (unsigned char)s.p[at++];
		uint32_t value = octet < 0xa0 ? windows_1252[octet - 0x80] : octet;
		err = mime_utf8_append(out, value ? value : 0xfffd);
	}
	return err;
}

/* As take_valid, by iconv. */
static size_t take_iconv(struct mime_charset *c, struct span s, struct buf *out, int *err)
{
	char piece[PIECE];
	char *from = (char *)s.p;
	size_t left = s.n;
	bool cut = false;

	while (left > 0 && !cut && *err == 0) {
		char *to = piece;
		size_t room = PIECE;
		size_t done = iconv(c->cd, &from, &left, &to, &room);
		int why = done == (size_t)-1 ? errno : 0;
		*err = buf_append(out, piece, PIECE - room);
		if (why == EILSEQ && *err == 0) {
			*err = buf_append_span(out, MIME_REPLACEMENT);
			from++;
			left--;
		}
		cut = why == EINVAL;
	}
	return s.n - left;
}

/* Two octets that may be a byte order mark. */
static size_t take_order(struct mime_charset *c, struct span s, int *err)
{
	if (s.n < 2)
		return 0;
	bool big = memcmp(s.p, "\xfe\xff", 2) == 0;
	bool little = memcmp(s.p, "\xff\xfe", 2) == 0;
	c->encoding = big ? MIME_UTF_16BE : MIME_UTF_16LE;
	*err = open_iconv(c);
	return big || little ? 2 : 0;
}

/* As much of s as can be converted now. */
static size_t take_sure(struct mime_charset *c, struct span s, struct buf *out, int *err)
{
	size_t taken = 0;

	if (c->encoding == MIME_UTF_16) {
		taken = take_order(c, s, err);
		if (c->encoding == MIME_UTF_16)
			return 0;
	}
	struct span rest = {s.p + taken, s.n - taken};
	if (c->encoding == MIME_UTF_8)
		taken += take_valid(c, rest, out, err);
	else if (c->has_cd)
		taken += take_iconv(c, rest, out, err);
	else if (*err == 0) {
		*err = append_1252(rest, out);
		taken = s.n;
	}
	return taken;
}

/* No character has more octets than there is room for. */
static void keep_rest(struct mime_charset *c, struct span s)
{
	c->rest_n = s.n < sizeof(c->rest) ? s.n : sizeof(c->rest);
	memcpy(c->rest, s.p, c->rest_n);
}

/* First the character that was begun, with as many octets as any can have; a beginning that gets no
 * end by them is none. */
static size_t finish_rest(struct mime_charset *c, struct span in, struct buf *out, int *err)
{
	char both[2 * sizeof(c->rest)];
	size_t more = sizeof(both) - c->rest_n < in.n ? sizeof(both) - c->rest_n : in.n;
	size_t before = c->rest_n, n = before + more;

	memcpy(both, c->rest, before);
	memcpy(both + before, in.p, more);
	size_t taken = take_sure(c, (struct span){both, n}, out, err);
	if (taken < before) {
		keep_rest(c, (struct span){both + taken, n - taken});
		return more;
	}
	c->rest_n = 0;
	return taken - before;
}

static int feed_sure(struct mime_charset *c, struct span in, struct buf *out)
{
	int err = 0;

	while (in.n > 0 && c->rest_n > 0 && err == 0) {
		size_t taken = finish_rest(c, in, out, &err);
		in = (struct span){in.p + taken, in.n - taken};
	}
	if (in.n == 0 || err < 0)
		return err;
	size_t taken = take_sure(c, in, out, &err);
	if (err == 0 && taken < in.n)
		keep_rest(c, (struct span){in.p + taken, in.n - taken});
	return err;
}

/* It is known now what the text is. */
static int decide(struct mime_charset *c, bool is_utf8, struct buf *out)
{
	int err = 0;

	c->unsure = false;
	if (is_utf8)
		c->encoding = MIME_UTF_8;
	else if (c->encoding != MIME_WINDOWS_1252)
		err = open_iconv(c);
	if (err == 0)
		err = feed_sure(c, buf_span(&c->held), out);
	buf_finish(&c->held);
	return err;
}

/* Whether held may still be UTF-8. */
static bool check_held(struct mime_charset *c)
{
	while (c->checked < c->held.len) {
		struct span rest = {c->held.data + c->checked, c->held.len - c->checked};
		size_t ascii = mime_utf8_ascii(rest);
		int n = ascii ? 1 : mime_utf8_look(rest);
		if (n < 0)
			return false;
		if (n == 0)
			break;
		c->checked += ascii ? ascii : (size_t)n;
	}
	return true;
}

/* Gives out ASCII, but for its last octet: a mark behind it may join it (windows-1258). */
static int put_ascii(struct mime_charset *c, struct span s, struct buf *out)
{
	int err = buf_append(out, c->rest, c->rest_n);

	c->begun = true;
	c->rest[0] = s.p[s.n - 1];
	c->rest_n = 1;
	return err ? err : buf_append(out, s.p, s.n - 1);
}

/* Returns the octets taken: held, or given out because they are ASCII. */
static size_t feed_unsure(struct mime_charset *c, struct span in, struct buf *out, int *err)
{
	size_t ascii = c->held.len ? 0 : mime_utf8_ascii(in);

	if (ascii > 0)
		*err = put_ascii(c, (struct span){in.p, ascii}, out);
	if (*err < 0 || ascii == in.n)
		return ascii;
	*err = buf_append(&c->held, c->rest, c->rest_n);
	c->rest_n = 0;
	size_t room = MIME_CHARSET_LOOK - c->held.len;
	size_t more = in.n - ascii < room ? in.n - ascii : room;
	if (*err == 0)
		*err = buf_append(&c->held, in.p + ascii, more);
	if (*err < 0)
		return 0;
	if (!check_held(c))
		*err = decide(c, false, out);
	else if (c->held.len == MIME_CHARSET_LOOK)
		*err = decide(c, true, out);
	return ascii + more;
}

int mime_charset_feed(struct mime_charset *c, struct span in, struct buf *out)
{
	int err = 0;

	while (c->unsure && in.n > 0 && err == 0) {
		size_t taken = feed_unsure(c, in, out, &err);
		in = (struct span){in.p + taken, in.n - taken};
	}
	return err < 0 || in.n == 0 ? err : feed_sure(c, in, out);
}

int mime_charset_end(struct mime_charset *c, struct buf *out)
{
	char last[64];
	char *to = last;
	size_t room = sizeof(last);
	int err = 0;

	if (c->unsure && c->held.len == 0) {
		err = buf_append(out, c->rest, c->rest_n);
		c->rest_n = 0;
	} else if (c->unsure) {
		err = decide(c, c->checked == c->held.len, out);
	}
	/* A character that was begun, and one that iconv keeps to see whether another joins it. */
	if (err == 0 && c->has_cd) {
		iconv(c->cd, NULL, NULL, &to, &room);
		err = buf_append(out, last, sizeof(last) - room);
	}
	if (err == 0 && c->rest_n > 0)
		err = buf_append_span(out, MIME_REPLACEMENT);
	c->rest_n = 0;
	return err;
}
