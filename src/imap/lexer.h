/* SPDX-License-Identifier: MIT */
/*
 * A cursor over one response: spaces, atoms, quoted strings, literals (in place, as the framer left
 * them: "{5}\r\nhello"), and values of any shape, skipped without recursion. A function that
 * returns false found nothing it could use; where that must end the parse, err says so.
 */
#ifndef IMAP_LEXER_H
#define IMAP_LEXER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

#define LEXER_NESTING_MAX 100

/* Where strings with escapes are unquoted. It is made as large as the response at the first of
 * them, so it never moves while spans point into it. */
struct scratch {
	char *memory;
	size_t cap, used;
};

struct lexer {
	const char *p, *end;
	size_t size; /* of the whole text */
	struct scratch *scratch;
	/* A quoted string did not end: from there on quotes are octets of atoms. That keeps what
	 * stands behind it legible, and the search for its end from being repeated. */
	bool unclosed;
	int err; /* 0, ERR_NOMEM, ERR_PROTOCOL (nested too deeply) */
};

/* A word of a flag list and its bit. */
struct lexer_flag {
	struct span name;
	unsigned bit;
};

void lexer_init(struct lexer *l, struct span text, struct scratch *scratch);

/* The closing quote of a quoted string whose opening quote is before p; NULL when there is none. A
 * quote closes only where something may follow a string: some servers do not escape quotes. */
const char *lexer_quoted_end(const char *p, const char *end);

static inline bool lexer_at(const struct lexer *l, char c)
{
	return l->p < l->end && *l->p == c;
}

static inline bool lexer_take_char(struct lexer *l, char c)
{
	bool there = lexer_at(l, c);

	l->p += there;
	return there;
}

static inline void lexer_skip_spaces(struct lexer *l)
{
	while (lexer_at(l, ' '))
		l->p++;
}

/* True at the end, or at the parenthesis that closes the list around the cursor. */
static inline bool lexer_at_close(const struct lexer *l)
{
	return l->p == l->end || *l->p == ')';
}

/* Up to a space or a parenthesis, perhaps empty. */
struct span lexer_take_atom(struct lexer *l);
/* What is left, without spaces around it. */
struct span lexer_take_rest(struct lexer *l);
/* Digits; false (and nothing consumed) when there are none or they pass max. */
bool lexer_take_number(struct lexer *l, uint64_t max, uint64_t *value);
/* The same, and a space, a closing parenthesis or the end must follow: 12 but not 12.5. */
bool lexer_take_whole(struct lexer *l, uint64_t max, uint64_t *value);
/* A quoted string or a literal. */
bool lexer_take_string(struct lexer *l, struct span *s);
/* A string or an atom. */
bool lexer_take_astring(struct lexer *l, struct span *s);
/* A mailbox name that is followed by a list or by nothing; that makes names legible in which the
 * server forgot to escape quotes, or to quote spaces. */
bool lexer_take_name(struct lexer *l, struct span *s);
/* A hierarchy delimiter: quoted, bare, or NIL (*present false). */
bool lexer_take_delimiter(struct lexer *l, bool *present, char *delimiter);
/* "(" words ")": the bits of those that the table knows. */
bool lexer_take_flags(
	struct lexer *l, const struct lexer_flag *table, size_t count, unsigned *flags);
/* An atom, a string or a list of such; false when there is none or it does not end. */
bool lexer_skip_value(struct lexer *l);
/* The same of a list that may be nested as deeply as it likes. */
bool lexer_skip_nested(struct lexer *l);
/* "[" section "]"; *section is what stands between. */
bool lexer_skip_section(struct lexer *l, struct span *section);

#endif
