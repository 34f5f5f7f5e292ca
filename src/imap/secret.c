/* SPDX-License-Identifier: MIT */
#include "imap/secret.h"

#define SHOWN_MAX 4096

static const char *find_within(struct span text, struct span s)
{
	return s.n > 0 && text.n > 0 ? memmem(text.p, text.n, s.p, s.n) : NULL;
}

static bool is_word(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

static bool has_word(struct span text, struct span word)
{
	struct span rest = text;
	const char *at;

	while ((at = find_within(rest, word))) {
		const char *end = at + word.n;
		bool begins = at == text.p || !is_word(at[-1]) || !is_word(at[0]);
		bool ends = end == text.p + text.n || !is_word(*end) || !is_word(end[-1]);
		if (begins && ends)
			return true;
		rest = (struct span){at + 1, (size_t)(text.p + text.n - at) - 1};
	}
	return false;
}

static bool has_piece(struct span text, struct span wire)
{
	size_t n = wire.n < SECRET_PIECE ? wire.n : SECRET_PIECE;

	for (size_t i = 0; n > 0 && i + n <= text.n; i++)
		if (find_within(wire, (struct span){text.p + i, n}))
			return true;
	return false;
}

bool secret_is_repeated(struct span text, struct span password, struct span wire)
{
	if (text.n > SHOWN_MAX)
		text.n = SHOWN_MAX;
	return has_word(text, password) || has_piece(text, wire);
}
