/* SPDX-License-Identifier: MIT */
/*
 * Escaping writes into an array of one component and notes where it may be cut. Unescaping is
 * lenient and then checked by escaping again: what comes out different was not canonical.
 */
#include "mail/model/names.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "imap/utf7.h"

enum {
	MARK_LENGTH = 2,  /* of "%~" */
	HASH_DIGITS = 16, /* of a 64-bit hash */
	CUT_LENGTH = NAME_MAX - MARK_LENGTH - HASH_DIGITS,
};

static const struct span mark = {"%~", MARK_LENGTH};

struct component {
	char octets[NAME_MAX];
	size_t len;
	size_t cut;  /* the last boundary at which it may be cut */
	bool longer; /* it did not fit */
};

/* Appends octets that are kept or lost together. */
static void put_octets(struct component *c, const char *octets, size_t n)
{
	if (c->longer || n > NAME_MAX - c->len) {
		c->longer = true;
		return;
	}
	memcpy(c->octets + c->len, octets, n);
	c->len += n;
	if (c->len <= CUT_LENGTH)
		c->cut = c->len;
}

/* At most four octets: one character. */
static void put_escaped(struct component *c, struct span character)
{
	static const char digits[] = "0123456789ABCDEF";
	char escaped[3 * 4];

	for (size_t i = 0; i < character.n; i++) {
		unsigned char octet = (unsigned char)character.p[i];
		escaped[3 * i] = '%';
		escaped[3 * i + 1] = digits[octet >> 4];
		escaped[3 * i + 2] = digits[octet & 15];
	}
	put_octets(c, escaped, 3 * character.n);
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool is_hex_escape(struct span s)
{
	return s.n >= 3 && s.p[0] == '%' && hex_digit(s.p[1]) >= 0 && hex_digit(s.p[2]) >= 0;
}

static bool is_mark(struct span s)
{
	return s.n >= MARK_LENGTH && memcmp(s.p, mark.p, MARK_LENGTH) == 0;
}

/* Whether the character of n octets that rest starts with must be escaped. */
static bool is_special(struct span rest, size_t n)
{
	unsigned char first = (unsigned char)rest.p[0];

	if (n == 2) /* U+0080 to U+009F */
		return first == 0xc2 && (unsigned char)rest.p[1] < 0xa0;
	if (n > 2)
		return false;
	return first < 0x20 || first >= 0x7f || first == '/' || is_hex_escape(rest) ||
	       is_mark(rest);
}

static bool is_dots(struct span s)
{
	return span_equal(s, SPAN(".")) || span_equal(s, SPAN(".."));
}

/* By this name the mount itself is asked: a mailbox must not stand before it. */
static bool is_control(struct span s)
{
	return span_equal(s, SPAN(".imapfs"));
}

static void put_text(struct component *c, struct span text)
{
	bool dots = is_dots(text);

	if (is_control(text)) {
		put_escaped(c, (struct span){text.p, 1});
		text.p++;
		text.n--;
	}
	while (text.n > 0 && !c->longer) {
		size_t n = text_utf8_sequence(text);
		if (dots || is_special(text, n))
			put_escaped(c, (struct span){text.p, n});
		else
			put_octets(c, text.p, n);
		text.p += n;
		text.n -= n;
	}
}

static void put_raw(struct component *c, struct span octets)
{
	put_octets(c, mark.p, mark.n);
	for (; octets.n > 0 && !c->longer; octets.p++, octets.n--) {
		if (is_special(octets, 1))
			put_escaped(c, (struct span){octets.p, 1});
		else
			put_octets(c, octets.p, 1);
	}
}

/* FNV-1a. It has to stay the same for ever: cut names are seen by backups. */
static uint64_t hash_level(struct span s)
{
	uint64_t h = UINT64_C(0xcbf29ce484222325);

	for (size_t i = 0; i < s.n; i++)
		h = (h ^ (unsigned char)s.p[i]) * UINT64_C(0x100000001b3);
	return h;
}

static void cut_component(struct component *c, struct span level)
{
	char digits[HASH_DIGITS + 1];

	snprintf(digits, sizeof(digits), "%016" PRIx64, hash_level(level));
	c->len = c->cut;
	c->longer = false;
	put_octets(c, mark.p, mark.n);
	put_octets(c, digits, HASH_DIGITS);
}

static bool is_utf8(struct span s)
{
	while (s.n > 0) {
		size_t n = text_utf8_sequence(s);
		if (n == 0)
			return false;
		s.p += n;
		s.n -= n;
	}
	return true;
}

/* Appends the text of a level; ERR_INVALID when it is none. */
static int decode(struct span level, bool utf8, struct buf *text)
{
	if (!utf8)
		return imap_utf7_decode(level, text);
	return is_utf8(level) ? buf_append_span(text, level) : ERR_INVALID;
}

static int make_component(struct span level, bool utf8, struct component *c)
{
	struct buf text;

	*c = (struct component){.len = 0};
	/* Three octets of base64 are at most one of UTF-16's units, thus three octets of UTF-8. */
	buf_init(&text, 2 * level.n);
	int err = decode(level, utf8, &text);
	if (err == 0 && text.len > 0)
		put_text(c, buf_span(&text));
	else if (err == 0 || err == ERR_INVALID)
		put_raw(c, level);
	buf_finish(&text);
	if (err < 0 && err != ERR_INVALID)
		return err;
	if (c->longer)
		cut_component(c, level);
	return 0;
}

int names_component(struct span level, bool utf8, struct buf *out)
{
	struct component c;
	int err = make_component(level, utf8, &c);

	return err < 0 ? err : buf_append(out, c.octets, c.len);
}

static size_t unescape_octets(struct span s, char out[NAME_MAX])
{
	size_t len = 0;

	while (s.n > 0) {
		size_t n = is_hex_escape(s) ? 3 : 1;
		out[len++] = n == 3 ? (char)(hex_digit(s.p[1]) << 4 | hex_digit(s.p[2])) : s.p[0];
		s.p += n;
		s.n -= n;
	}
	return len;
}

static int make_level(struct span component, bool utf8, struct buf *level)
{
	char octets[NAME_MAX];

	if (is_mark(component)) {
		component.p += MARK_LENGTH;
		component.n -= MARK_LENGTH;
		return buf_append(level, octets, unescape_octets(component, octets));
	}
	struct span text = {octets, unescape_octets(component, octets)};
	if (!utf8)
		return imap_utf7_encode(text, level);
	return buf_append_span(level, text);
}

int names_level(struct span component, bool utf8, struct buf *out)
{
	struct component again;
	struct buf level;

	if (component.n == 0 || component.n > NAME_MAX)
		return ERR_INVALID;
	/* One octet of text is at most five of modified UTF-7 ("&AAE-"). */
	buf_init(&level, (size_t)NAME_MAX * 5);
	int err = make_level(component, utf8, &level);
	if (err == 0)
		err = make_component(buf_span(&level), utf8, &again);
	if (err == 0 && !span_equal((struct span){again.octets, again.len}, component))
		err = ERR_INVALID;
	if (err == 0)
		err = buf_append_span(out, buf_span(&level));
	buf_finish(&level);
	return err;
}

bool names_is_inbox(struct span level)
{
	return span_equal_nocase(level, SPAN("INBOX"));
}

bool names_uid(struct span component, struct span suffix, uint32_t *uid)
{
	uint64_t value;

	if (component.n <= suffix.n)
		return false;
	struct span number = {component.p, component.n - suffix.n};
	struct span end = {component.p + number.n, suffix.n};
	if (!span_equal(end, suffix) || number.p[0] == '0' ||
		!text_parse_number(number, UINT32_MAX, &value))
		return false;
	*uid = (uint32_t)value;
	return true;
}

size_t names_format_uid(uint32_t uid, struct span suffix, char out[NAME_MAX + 1])
{
	int n = snprintf(
		out, NAME_MAX + 1, "%" PRIu32 "%.*s", uid, (int)suffix.n, suffix.n ? suffix.p : "");

	return (size_t)n;
}
