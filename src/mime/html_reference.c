/* SPDX-License-Identifier: MIT */
/* "&amp;", "&#65;" and "&#x41;". */
#include "mime/entities.h"
#include "mime/html_private.h"
#include "mime/utf8.h"

static uint32_t number_value(uint32_t value)
{
	/* What is written as a C1 control character means windows-1252 (section 13.2.5.80). */
	static const uint16_t c1[32] = {0x20ac, 0x81, 0x201a, 0x192, 0x201e, 0x2026, 0x2020, 0x2021,
		0x2c6, 0x2030, 0x160, 0x2039, 0x152, 0x8d, 0x17d, 0x8f, 0x90, 0x2018, 0x2019,
		0x201c, 0x201d, 0x2022, 0x2013, 0x2014, 0x2dc, 0x2122, 0x161, 0x203a, 0x153, 0x9d,
		0x17e, 0x178};

	if (value == 0)
		return 0xfffd;
	return value >= 0x80 && value < 0xa0 ? c1[value - 0x80] : value;
}

static int digit_of(char c, bool hex)
{
	if (html_is_digit(c))
		return c - '0';
	char small = html_lower(c);
	return hex && small >= 'a' && small <= 'f' ? small - 'a' + 10 : -1;
}

/* "&#65;" or "&#x41". */
static struct span decode_number(struct span s, char text[4], size_t *length)
{
	bool hex = s.n > 2 && (s.p[2] | 0x20) == 'x';
	size_t n = hex ? 3 : 2, first = n;
	uint32_t value = 0;
	int digit;

	for (; n < s.n && (digit = digit_of(s.p[n], hex)) >= 0; n++)
		if (value <= 0x10ffff)
			value = value * (hex ? 16 : 10) + (uint32_t)digit;
	if (n == first)
		return (struct span){0};
	*length = n + (n < s.n && s.p[n] == ';');
	value = number_value(value);
	return (struct span){text, mime_utf8_encode(value, text)};
}

struct span html_decode_reference(struct span s, bool in_attribute, char text[4], size_t *length)
{
	size_t n;

	if (s.n > 1 && s.p[1] == '#')
		return decode_number(s, text, length);
	struct span found = mime_entity_find((struct span){s.p + 1, s.n - 1}, &n);
	*length = n + 1;
	char next = *length < s.n ? s.p[*length] : '\0';
	bool open = found.n > 0 && s.p[n] != ';';
	if (in_attribute && open && (next == '=' || html_is_letter(next) || html_is_digit(next)))
		return (struct span){0};
	return found;
}
