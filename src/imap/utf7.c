/* SPDX-License-Identifier: MIT */
/*
 * Modified UTF-7: printable ASCII stands for itself, "&-" for "&", and everything else is UTF-16 in
 * base64 without padding and with "," for "/", between "&" and "-". Names come as runs of one or
 * the other.
 */
#include "imap/utf7.h"

#include <stdint.h>

#include "base/error.h"
#include "base/text.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+,";

static bool is_plain(char c)
{
	return c >= 0x20 && c <= 0x7e;
}

static int digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == ',' ? 63 : -1;
}

static int append_utf8(struct buf *out, uint32_t c)
{
	char s[4];
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

	for (size_t i = n; i-- > 1; c >>= 6)
		s[i] = (char)(0x80 | (c & 0x3f));
	s[0] = (char)(lead[n] | c);
	return buf_append(out, s, n);
}

/* One UTF-16 unit. *high is the high surrogate that waits for its other half, or 0. */
static int append_unit(struct buf *out, uint32_t unit, uint32_t *high)
{
	bool is_low = unit >= 0xdc00 && unit <= 0xdfff;

	if (is_low != (*high != 0))
		return ERR_INVALID;
	if (is_low) {
		unit = 0x10000 + ((*high - 0xd800) << 10) + (unit - 0xdc00);
		*high = 0;
	} else if (unit >= 0xd800 && unit <= 0xdbff) {
		*high = unit;
		return 0;
	} else if (unit < 0x80 && is_plain((char)unit)) {
		return ERR_INVALID;
	}
	return append_utf8(out, unit);
}

/* The base64 between "&" and "-". */
static int decode_shifted(struct span s, struct buf *out)
{
	uint32_t bits = 0, high = 0;
	unsigned have = 0;

	for (size_t i = 0; i < s.n; i++) {
		int value = digit_value(s.p[i]);
		if (value < 0)
			return ERR_INVALID;
		bits = (bits << 6 | (uint32_t)value) & 0x3fffff;
		have += 6;
		if (have < 16)
			continue;
		have -= 16;
		int err = append_unit(out, bits >> have & 0xffff, &high);
		if (err < 0)
			return err;
	}
	/* What is left is padding: less than a digit, all zero. */
	bool canonical = have < 6 && (bits & ((1u << have) - 1)) == 0 && high == 0;
	return canonical ? 0 : ERR_INVALID;
}

static size_t plain_run(struct span s)
{
	size_t n = 0;

	while (n < s.n && is_plain(s.p[n]) && s.p[n] != '&')
		n++;
	return n;
}

/* Takes "&...-" off *s. *shifted says whether base64 ended right before it, and then after it. */
static int decode_shift(struct span *s, struct buf *out, bool *shifted)
{
	const char *minus = memchr(s->p, '-', s->n);

	if (!minus)
		return ERR_INVALID;
	struct span inner = {s->p + 1, (size_t)(minus - s->p) - 1};
	/* The encoder would have gone on in the first. */
	if (inner.n > 0 && *shifted)
		return ERR_INVALID;
	*shifted = inner.n > 0;
	s->n -= inner.n + 2;
	s->p = minus + 1;
	return inner.n ? decode_shifted(inner, out) : buf_append_char(out, '&');
}

int imap_utf7_decode(struct span name, struct buf *out)
{
	size_t before = out->len;
	bool shifted = false;
	int err = 0;

	while (err == 0 && name.n > 0) {
		size_t n = plain_run(name);
		if (n > 0) {
			shifted = false;
			err = buf_append(out, name.p, n);
			name.p += n;
			name.n -= n;
		} else if (*name.p == '&') {
			err = decode_shift(&name, out, &shifted);
		} else {
			err = ERR_INVALID;
		}
	}
	if (err < 0)
		buf_truncate(out, before);
	return err;
}

struct base64 {
	struct buf *out;
	uint32_t bits;
	unsigned have;
};

static int put_unit(struct base64 *b, uint32_t unit)
{
	b->bits = b->bits << 16 | unit;
	b->have += 16;
	while (b->have >= 6) {
		b->have -= 6;
		int err = buf_append_char(b->out, alphabet[b->bits >> b->have & 0x3f]);
		if (err < 0)
			return err;
	}
	return 0;
}

static int put_character(struct base64 *b, uint32_t c)
{
	if (c < 0x10000)
		return put_unit(b, c);
	c -= 0x10000;
	int err = put_unit(b, 0xd800 + (c >> 10));
	return err < 0 ? err : put_unit(b, 0xdc00 + (c & 0x3ff));
}

static uint32_t code_point(const char *p, size_t n)
{
	static const unsigned char mask[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
	uint32_t c = (unsigned char)p[0] & mask[n];

	for (size_t i = 1; i < n; i++)
		c = c << 6 | ((unsigned char)p[i] & 0x3f);
	return c;
}

/* Takes characters that need encoding off *text, at least one. */
static int encode_shifted(struct span *text, struct buf *out)
{
	struct base64 b = {.out = out};
	int err = buf_append_char(out, '&');

	while (err == 0 && text->n > 0 && !is_plain(*text->p)) {
		size_t n = text_utf8_sequence(*text);
		err = n ? put_character(&b, code_point(text->p, n)) : ERR_INVALID;
		text->p += n;
		text->n -= n;
	}
	if (err == 0 && b.have > 0)
		err = buf_append_char(out, alphabet[b.bits << (6 - b.have) & 0x3f]);
	return err < 0 ? err : buf_append_char(out, '-');
}

int imap_utf7_encode(struct span text, struct buf *out)
{
	size_t before = out->len;
	int err = 0;

	while (err == 0 && text.n > 0) {
		size_t n = plain_run(text);
		if (n > 0) {
			err = buf_append(out, text.p, n);
		} else if (*text.p == '&') {
			n = 1;
			err = buf_append_span(out, SPAN("&-"));
		} else {
			err = encode_shifted(&text, out);
		}
		text.p += n;
		text.n -= n;
	}
	if (err < 0)
		buf_truncate(out, before);
	return err;
}
