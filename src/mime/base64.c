/* SPDX-License-Identifier: MIT */
#include "mime/base64.h"

#define NONE 64
#define PIECE 3072

static unsigned digit_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return (unsigned)(c - 'A');
	if (c >= 'a' && c <= 'z')
		return (unsigned)(c - 'a') + 26;
	if (c >= '0' && c <= '9')
		return (unsigned)(c - '0') + 52;
	return c == '+' ? 62 : c == '/' ? 63 : NONE;
}

void mime_base64_init(struct mime_base64 *b)
{
	*b = (struct mime_base64){0};
}

/* Whole groups without anything between them, which is nearly all there is. Returns the octets
 * taken. */
static size_t take_groups(struct span in, char *to, size_t room, size_t *made)
{
	size_t at = 0;

	for (; in.n - at >= 4 && room - *made >= 3; at += 4) {
		unsigned a = digit_value(in.p[at]), b = digit_value(in.p[at + 1]);
		unsigned c = digit_value(in.p[at + 2]), d = digit_value(in.p[at + 3]);
		if ((a | b | c | d) & NONE)
			break;
		to[(*made)++] = (char)(a << 2 | b >> 4);
		to[(*made)++] = (char)(b << 4 | c >> 2);
		to[(*made)++] = (char)(c << 6 | d);
	}
	return at;
}

/* The octets that the digits of a group give; fewer than four of them give fewer. */
static size_t put_group(const struct mime_base64 *b, char *to)
{
	uint32_t bits = b->bits << 6 * (4 - b->digits);
	size_t n = b->digits ? b->digits - 1 : 0;

	for (size_t i = 0; i < n; i++)
		to[i] = (char)(bits >> (16 - 8 * i));
	return n;
}

/* One octet, beside the fast path. Returns what it completed. */
static size_t take_octet(struct mime_base64 *b, char c, char *to)
{
	unsigned value = digit_value(c);

	if (c == '=' && b->digits >= 2 && b->digits + ++b->pads >= 4) {
		size_t n = put_group(b, to);
		b->digits = 0;
		b->ended = true;
		return n;
	}
	if (value == NONE)
		return 0;
	b->pads = 0;
	b->bits = b->bits << 6 | value;
	if (++b->digits < 4)
		return 0;
	size_t n = put_group(b, to);
	b->digits = 0;
	b->bits = 0;
	return n;
}

int mime_base64_feed(struct mime_base64 *b, struct span in, struct buf *out)
{
	char piece[PIECE];
	size_t at = 0;
	int err = 0;

	while (at < in.n && !b->ended && err == 0) {
		size_t made = 0;
		while (at < in.n && !b->ended && PIECE - made >= 3) {
			if (b->digits == 0)
				at += take_groups(
					(struct span){in.p + at, in.n - at}, piece, PIECE, &made);
			if (at < in.n && PIECE - made >= 3)
				made += take_octet(b, in.p[at++], piece + made);
		}
		err = buf_append(out, piece, made);
	}
	return err;
}

int mime_base64_end(struct mime_base64 *b, struct buf *out)
{
	char last[3];
	size_t n = b->ended ? 0 : put_group(b, last);

	b->ended = true;
	return buf_append(out, last, n);
}

/* The octets of the first line, of digits alone, and of its end; 0: it does not end here. */
static size_t first_line(struct span first, size_t *end)
{
	size_t n = 0;

	while (n < first.n && digit_value(first.p[n]) != NONE)
		n++;
	if (first.n - n >= 2 && first.p[n] == '\r' && first.p[n + 1] == '\n')
		*end = 2;
	else if (n < first.n && first.p[n] == '\n')
		*end = 1;
	else
		return 0;
	return n;
}

bool mime_base64_foretell(struct span first, struct span last, uint64_t octets, uint64_t *size)
{
	size_t end = 0, pads = 0, line = first_line(first, &end);

	if (line == 0 || octets < first.n || octets < last.n)
		return false;
	while (last.n > 0 && (last.p[last.n - 1] == '\n' || last.p[last.n - 1] == '\r')) {
		last.n--;
		octets--;
	}
	while (last.n > 0 && last.p[last.n - 1] == '=') {
		last.n--;
		pads++;
	}
	if (last.n == 0 || pads > 2 || digit_value(last.p[last.n - 1]) == NONE)
		return false;
	/* Every line but the last has its end. */
	uint64_t digits = octets - octets / (line + end) * end;
	*size = digits / 4 * 3 - pads;
	return digits % 4 == 0;
}
