/* SPDX-License-Identifier: MIT */
#include "base/text.h"

bool text_parse_number(struct span s, uint64_t max, uint64_t *value)
{
	uint64_t v = 0;

	if (s.n == 0)
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		unsigned digit = (unsigned)(s.p[i] - '0');
		if (v > (max - digit) / 10 || digit > max)
			return false;
		v = v * 10 + digit;
	}
	*value = v;
	return true;
}

static bool continues(struct span s, size_t at)
{
	return at < s.n && ((unsigned char)s.p[at] & 0xc0) == 0x80;
}

size_t text_utf8_sequence(struct span s)
{
	if (s.n == 0)
		return 0;
	unsigned char c = (unsigned char)s.p[0];
	unsigned char d = s.n > 1 ? (unsigned char)s.p[1] : 0;
	if (c < 0x80)
		return 1;
	if (c < 0xc2 || c > 0xf4 || !continues(s, 1))
		return 0;
	if (c < 0xe0)
		return 2;
	if (!continues(s, 2))
		return 0;
	if (c < 0xf0) {
		bool overlong = c == 0xe0 && d < 0xa0;
		bool surrogate = c == 0xed && d >= 0xa0;
		return overlong || surrogate ? 0 : 3;
	}
	if (!continues(s, 3) || (c == 0xf0 && d < 0x90) || (c == 0xf4 && d >= 0x90))
		return 0;
	return 4;
}

/* U+2028 and U+2029 end lines; U+202A to U+202E and U+2066 to U+2069 make the rest of one read
 * otherwise than it is. */
static bool turns_lines(struct span s)
{
	unsigned char second = (unsigned char)s.p[1], third = (unsigned char)s.p[2];

	return (unsigned char)s.p[0] == 0xe2 &&
	       ((second == 0x80 && third >= 0xa8 && third <= 0xae) ||
		       (second == 0x81 && third >= 0xa6 && third <= 0xa9));
}

/* The length of the character at the start of s, 1 for an octet that is none; *plain says whether a
 * terminal may have it. */
static size_t look_at(struct span s, bool *plain)
{
	size_t n = text_utf8_sequence(s);

	*plain = n > 1 || (n == 1 && (unsigned char)s.p[0] >= 0x20 && s.p[0] != 0x7f);
	/* C1 control characters, U+0080 to U+009F. */
	if (n == 2 && (unsigned char)s.p[0] == 0xc2 && (unsigned char)s.p[1] < 0xa0)
		*plain = false;
	if (n == 3 && turns_lines(s))
		*plain = false;
	return n ? n : 1;
}

const char *text_printable(struct span s, char *out, size_t size)
{
	size_t used = 0;
	size_t cut = 0; /* where "..." still fits */

	while (s.n > 0) {
		bool plain;
		size_t n = look_at(s, &plain);
		size_t width = plain ? n : 1;
		if (used + width + 1 > size) {
			memcpy(out + cut, "...", 3);
			used = cut + 3;
			break;
		}
		if (plain)
			memcpy(out + used, s.p, n);
		else
			out[used] = '?';
		used += width;
		if (used + 4 <= size)
			cut = used;
		s.p += n;
		s.n -= n;
	}
	out[used] = '\0';
	return out;
}
