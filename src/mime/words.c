/* SPDX-License-Identifier: MIT */
#include "mime/words.h"

#include "base/error.h"
#include "mime/base64.h"
#include "mime/charset.h"
#include "mime/qp.h"
#include "mime/utf8.h"

/* Where two octets stand behind each other for the first time; NULL: nowhere. */
static const char *find_pair(struct span s, char first, char second)
{
	const char *end = s.p + s.n, *at = s.p;

	while (at < end && (at = memchr(at, first, (size_t)(end - at)))) {
		if (at + 1 < end && at[1] == second)
			return at;
		at++;
	}
	return NULL;
}

/* One "=?charset*language?encoding?text?=". */
struct word {
	struct span charset, text;
	bool base64;
	size_t length; /* of the whole */
};

struct decoder {
	bool plain;
	bool never_ends; /* no "?=" stands behind the cursor any more */
	unsigned charsets;
	struct buf *out;
	struct buf octets; /* of words, decoded, that are one text */
	struct buf text;   /* the UTF-8 of those, or of what is not encoded */
};

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* "charset*language?B?" behind "=?"; language is of RFC 2231 section 5. Returns its length, 0 when
 * it is none. */
static size_t parse_head(struct span s, struct word *w)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != '?' && !is_space(s.p[n]))
		n++;
	if (n == 0 || s.n - n < 3 || s.p[n] != '?' || s.p[n + 2] != '?')
		return 0;
	const char *star = memchr(s.p, '*', n);
	w->charset = (struct span){s.p, star ? (size_t)(star - s.p) : n};
	char encoding = s.p[n + 1] | 0x20;
	w->base64 = encoding == 'b';
	return encoding == 'b' || encoding == 'q' ? n + 3 : 0;
}

/* Whether s begins with a word. */
static bool parse_word(struct decoder *d, struct span s, struct word *w)
{
	if (d->never_ends || s.n < 2 || s.p[0] != '=' || s.p[1] != '?')
		return false;
	size_t head = parse_head((struct span){s.p + 2, s.n - 2}, w);
	if (head == 0)
		return false;
	const char *text = s.p + 2 + head;
	const char *end = find_pair((struct span){text, s.n - 2 - head}, '?', '=');
	d->never_ends = !end;
	if (!end)
		return false;
	w->text = (struct span){text, (size_t)(end - text)};
	w->length = (size_t)(end + 2 - s.p);
	return true;
}

static int append_b(struct span text, struct buf *out)
{
	struct mime_base64 b;

	mime_base64_init(&b);
	int err = mime_base64_feed(&b, text, out);
	return err ? err : mime_base64_end(&b, out);
}

static int append_q(struct span text, struct buf *out)
{
	int err = 0;

	for (size_t i = 0; i < text.n && err == 0; i++) {
		char c = text.p[i];
		int high = i + 2 < text.n ? mime_qp_digit(text.p[i + 1]) : -1;
		int low = i + 2 < text.n ? mime_qp_digit(text.p[i + 2]) : -1;
		if (c == '=' && high >= 0 && low >= 0) {
			c = (char)(high << 4 | low);
			i += 2;
		} else if (c == '_') {
			c = ' ';
		}
		err = buf_append_char(out, c);
	}
	return err;
}

/* Octets of one charset, to the end of the output. */
static int put(struct decoder *d, struct span octets, struct span charset)
{
	struct mime_charset c;
	int err = mime_charset_init(&c, charset);

	if (err < 0)
		return err;
	buf_clear(&d->text);
	struct buf *to = d->plain ? &d->text : d->out;
	err = mime_charset_feed(&c, octets, to);
	if (err == 0)
		err = mime_charset_end(&c, to);
	if (err == 0 && d->plain)
		err = mime_utf8_append_plain(d->out, buf_span(&d->text));
	mime_charset_finish(&c);
	return err;
}

static size_t count_spaces(struct span s)
{
	size_t n = 0;

	while (n < s.n && is_space(s.p[n]))
		n++;
	return n;
}

/* The word w, with which s begins, and those that go on with its text. Returns the octets taken, up
 * to the last of them. */
static size_t put_words(struct decoder *d, struct span s, struct word w, int *err)
{
	struct span charset = w.charset;
	size_t at = 0, spaces = 0;

	if (++d->charsets > MIME_WORDS_CHARSETS)
		charset.n = 0;
	buf_clear(&d->octets);
	do {
		*err = w.base64 ? append_b(w.text, &d->octets) : append_q(w.text, &d->octets);
		at += spaces + w.length;
		spaces = count_spaces((struct span){s.p + at, s.n - at});
	} while (*err == 0 &&
		 parse_word(d, (struct span){s.p + at + spaces, s.n - at - spaces}, &w) &&
		 (span_equal_nocase(w.charset, charset) || charset.n == 0));
	if (*err == 0)
		*err = put(d, buf_span(&d->octets), charset);
	return at;
}

/* What stands between words, without the line ends of folding; others are spaces. */
static int put_raw(struct decoder *d, struct span s)
{
	int err = 0;

	buf_clear(&d->octets);
	for (size_t i = 0; i < s.n && err == 0; i++) {
		char c = s.p[i];
		if (c != '\r' && c != '\n') {
			err = buf_append_char(&d->octets, c);
			continue;
		}
		if (c == '\r' && i + 1 < s.n && s.p[i + 1] == '\n')
			i++;
		if (i + 1 == s.n || (s.p[i + 1] != ' ' && s.p[i + 1] != '\t'))
			err = buf_append_char(&d->octets, ' ');
	}
	return err ? err : put(d, buf_span(&d->octets), (struct span){0});
}

/* Where the next word begins; s.n when there is none. */
static size_t find_word(struct decoder *d, struct span s, struct word *w)
{
	size_t at = 0;

	while (!d->never_ends) {
		const char *mark = find_pair((struct span){s.p + at, s.n - at}, '=', '?');
		if (!mark)
			break;
		at = (size_t)(mark - s.p);
		if (parse_word(d, (struct span){mark, s.n - at}, w))
			return at;
		at += 2;
	}
	return s.n;
}

static int decode(struct decoder *d, struct span s)
{
	bool behind_word = false;
	struct word w;
	int err = 0;

	while (s.n > 0 && err == 0) {
		size_t at = find_word(d, s, &w);
		/* White space between words is none of the text. */
		if (at == s.n || !behind_word || count_spaces(s) < at)
			err = put_raw(d, (struct span){s.p, at});
		s = (struct span){s.p + at, s.n - at};
		if (s.n == 0 || err < 0)
			break;
		size_t taken = put_words(d, s, w, &err);
		s = (struct span){s.p + taken, s.n - taken};
		behind_word = true;
	}
	return err;
}

int mime_words_decode(struct span text, bool plain, struct buf *out)
{
	struct decoder d = {.plain = plain, .out = out};

	/* No text grows but by being converted; the octets of a word are fewer than itself. */
	buf_init(&d.octets, text.n + 1);
	buf_init(&d.text, text.n * 3 + 16);
	int err = decode(&d, text);
	buf_finish(&d.octets);
	buf_finish(&d.text);
	return err;
}
