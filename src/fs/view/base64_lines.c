/* SPDX-License-Identifier: MIT */
#include "fs/view/base64_lines.h"

#include <stddef.h>

static bool is_digit(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
	       c == '+' || c == '/';
}

static size_t digits_at(struct span s)
{
	size_t n = 0;

	while (n < s.n && is_digit(s.p[n]))
		n++;
	return n;
}

bool base64_lines_begin(struct base64_lines *l, struct span head)
{
	size_t digits = digits_at(head);
	struct span rest = {head.p + digits, head.n - digits};

	if (digits == 0 || digits % 4 != 0 || rest.n < 2)
		return false;
	l->line = (uint32_t)digits;
	l->stride = l->line + (rest.p[0] == '\r' && rest.p[1] == '\n' ? 2 : 1);
	return rest.p[0] == '\n' || (rest.p[0] == '\r' && rest.p[1] == '\n');
}

bool base64_lines_end(struct base64_lines *l, struct span tail, uint64_t octets)
{
	unsigned pads = 0;

	while (tail.n > 0 && (tail.p[tail.n - 1] == '\r' || tail.p[tail.n - 1] == '\n'))
		tail.n--, octets--;
	while (tail.n > pads && tail.p[tail.n - 1 - pads] == '=')
		pads++;
	uint64_t lines = octets / l->stride, rest = octets % l->stride;
	uint64_t digits = lines * l->line + rest;
	if (tail.n == 0 || pads > 2 || rest == 0 || rest > l->line || digits % 4 != 0)
		return false;
	l->encoded = octets;
	l->size = digits / 4 * 3 - pads;
	return true;
}

bool base64_lines_are(const struct base64_lines *l, struct span octets, uint64_t at)
{
	while (octets.n > 0 && at < l->encoded) {
		uint64_t left = l->encoded - at;
		size_t digits = digits_at(octets);
		bool is_last = left <= l->line;
		if (is_last) {
			while (digits < octets.n && octets.p[digits] == '=' && digits < left)
				digits++;
			return digits == left;
		}
		if (digits != l->line || octets.n < l->stride || octets.p[l->stride - 1] != '\n' ||
			(l->stride - l->line == 2 && octets.p[l->line] != '\r'))
			return false;
		octets = (struct span){octets.p + l->stride, octets.n - l->stride};
		at += l->stride;
	}
	return true;
}
