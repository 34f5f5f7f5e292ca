/* SPDX-License-Identifier: MIT */
#include "mime/utf8.h"

/* The octets that may follow a lead: how many, and the bounds of the first of them, which exclude
 * overlong forms, surrogates and what is beyond U+10FFFF. */
struct follow {
	unsigned count;
	unsigned char low, high;
};

static struct follow follow_of(unsigned char lead)
{
	if (lead < 0xc2 || lead > 0xf4)
		return (struct follow){0, 0, 0};
	if (lead < 0xe0)
		return (struct follow){1, 0x80, 0xbf};
	if (lead < 0xf0)
		return (struct follow){2, lead == 0xe0 ? 0xa0 : 0x80, lead == 0xed ? 0x9f : 0xbf};
	return (struct follow){3, lead == 0xf0 ? 0x90 : 0x80, lead == 0xf4 ? 0x8f : 0xbf};
}

int mime_utf8_look(struct span s)
{
	unsigned char lead = (unsigned char)s.p[0];

	if (lead < 0x80)
		return 1;
	struct follow f = follow_of(lead);
	if (f.count == 0)
		return -1;
	for (unsigned i = 1; i <= f.count; i++) {
		if (i == s.n)
			return 0;
		unsigned char c = (unsigned char)s.p[i];
		if (c < f.low || c > f.high)
			return -(int)i;
		f.low = 0x80;
		f.high = 0xbf;
	}
	return (int)f.count + 1;
}

uint32_t mime_utf8_value(struct span s)
{
	unsigned char lead = (unsigned char)s.p[0];

	if (lead < 0x80)
		return lead;
	unsigned count = follow_of(lead).count;
	uint32_t c = lead & (0x3fu >> count);
	for (unsigned i = 1; i <= count; i++)
		c = c << 6 | ((unsigned char)s.p[i] & 0x3f);
	return c;
}

size_t mime_utf8_encode(uint32_t c, char s[4])
{
	static const unsigned char marks[] = {0, 0, 0xc0, 0xe0, 0xf0};

	if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		c = 0xfffd;
	size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
	for (size_t i = n; i-- > 1; c >>= 6)
		s[i] = (char)(0x80 | (c & 0x3f));
	s[0] = (char)(marks[n] | c);
	return n;
}

int mime_utf8_append(struct buf *out, uint32_t c)
{
	char s[4];

	return buf_append(out, s, mime_utf8_encode(c, s));
}

size_t mime_utf8_ascii(struct span s)
{
	size_t n = 0;
	uint64_t word;

	for (; s.n - n >= sizeof(word); n += sizeof(word)) {
		memcpy(&word, s.p + n, sizeof(word));
		if (word & UINT64_C(0x8080808080808080))
			break;
	}
	while (n < s.n && (unsigned char)s.p[n] < 0x80)
		n++;
	return n;
}

bool mime_utf8_is_control(uint32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || c == 0x61c || c == 0x200e || c == 0x200f ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x2069);
}

int mime_utf8_append_plain(struct buf *out, struct span s)
{
	size_t from = 0, at = 0;
	int err = 0;

	if (s.n == 0)
		return 0;
	while (at < s.n && err == 0) {
		struct span rest = {s.p + at, s.n - at};
		int n = mime_utf8_look(rest);
		size_t width = n > 0 ? (size_t)n : 1;
		if (n > 0 && !mime_utf8_is_control(mime_utf8_value(rest))) {
			at += width;
			continue;
		}
		err = buf_append(out, s.p + from, at - from);
		if (err == 0)
			err = buf_append_char(out, ' ');
		at += width;
		from = at;
	}
	return err ? err : buf_append(out, s.p + from, at - from);
}
