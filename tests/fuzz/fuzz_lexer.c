/* SPDX-License-Identifier: MIT */
/*
 * The lexer alone, by itself and in an order that no parser has: the first half of the input are
 * operations, the second the text, a heap block of its own. The cursor never leaves the text and
 * never goes back, and what is given lies in the text or in the scratch.
 */
#include "fuzz.h"

#include <string.h>

#include "base/error.h"
#include "imap/lexer.h"

static const struct lexer_flag flags[] = {
	{{"\\Seen", 5}, 1},
	{{"\\Deleted", 8}, 2},
};

static void check_inside(const struct lexer *l, const char *text, struct span s)
{
	bool in_text = s.p >= text && s.p + s.n <= l->end;
	bool in_scratch = l->scratch->memory && s.p >= l->scratch->memory &&
			  s.p + s.n <= l->scratch->memory + l->scratch->used;

	CHECK(s.n == 0 || in_text || in_scratch);
}

/* Whether the operation gave s. */
static bool operate(struct lexer *l, unsigned operation, struct span *s)
{
	uint64_t number;
	unsigned bits;
	bool present;
	char delimiter;

	switch (operation % 13) {
	case 0:
		lexer_skip_spaces(l);
		return false;
	case 1:
		*s = lexer_take_atom(l);
		return true;
	case 2:
		*s = lexer_take_rest(l);
		return true;
	case 3:
		CHECK(!lexer_take_number(l, UINT32_MAX, &number) || number <= UINT32_MAX);
		return false;
	case 4:
		CHECK(!lexer_take_whole(l, INT64_MAX, &number) || number <= INT64_MAX);
		return false;
	case 5:
		return lexer_take_string(l, s);
	case 6:
		return lexer_take_astring(l, s);
	case 7:
		return lexer_take_name(l, s);
	case 8:
		lexer_take_delimiter(l, &present, &delimiter);
		return false;
	case 9:
		lexer_take_flags(l, flags, sizeof(flags) / sizeof(flags[0]), &bits);
		return false;
	case 10:
		lexer_skip_value(l);
		return false;
	case 11:
		lexer_skip_section(l, s);
		return false;
	default:
		lexer_take_char(l, '(');
		return false;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	size_t operations = size / 2, n = size - operations;
	struct scratch scratch = {0};
	struct lexer l;

	if (n == 0)
		return 0;
	char *text = malloc(n);
	CHECK(text);
	memcpy(text, data + operations, n);
	lexer_init(&l, (struct span){text, n}, &scratch);
	for (size_t i = 0; i < operations && l.err == 0; i++) {
		const char *before = l.p;
		struct span s = {0};
		if (operate(&l, data[i], &s))
			check_inside(&l, text, s);
		CHECK(l.p >= before && l.p <= l.end);
		CHECK(l.err == 0 || l.err == ERR_PROTOCOL);
	}
	free(scratch.memory);
	free(text);
	return 0;
}
