/* SPDX-License-Identifier: MIT */
/*
 * Every function walks forward over the text and none goes back by more than a token, so the cost
 * of a response is linear in its length, whatever the server sends.
 */
#include "imap/lexer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"

typedef bool closes_fn(const char *p, const char *end);

void lexer_init(struct lexer *l, struct span text, struct scratch *scratch)
{
	scratch->used = 0;
	*l = (struct lexer){.size = text.n, .scratch = scratch};
	l->p = text.n ? text.p : "";
	l->end = l->p + text.n;
}

/* May a string end here, p being behind its closing quote? */
static bool closes_value(const char *p, const char *end)
{
	return p == end || *p == ' ' || *p == ')' || *p == '(' || *p == ']';
}

static bool closes_name(const char *p, const char *end)
{
	while (p < end && *p == ' ')
		p++;
	return p == end || *p == '(';
}

static bool is_quoted_escape(const char *p, const char *end)
{
	return *p == '\\' && p + 1 < end && (p[1] == '"' || p[1] == '\\');
}

static const char *find_close(const char *p, const char *end, closes_fn *closes)
{
	for (; p < end; p++) {
		if (is_quoted_escape(p, end))
			p++;
		else if (*p == '"' && closes(p + 1, end))
			return p;
	}
	return NULL;
}

const char *lexer_quoted_end(const char *p, const char *end)
{
	return find_close(p, end, closes_value);
}

/* The strings of a response are distinct parts of it, so together they never need more than its
 * length. */
static char *scratch_take(struct lexer *l, size_t n)
{
	struct scratch *s = l->scratch;

	if (s->used == 0 && s->cap < l->size) {
		char *memory = malloc(l->size);
		if (!memory) {
			l->err = ERR_NOMEM;
			return NULL;
		}
		free(s->memory);
		s->memory = memory;
		s->cap = l->size;
	}
	assert(n <= s->cap - s->used);
	char *room = s->memory + s->used;
	s->used += n;
	return room;
}

static bool unescape_quoted(struct lexer *l, struct span raw, struct span *s)
{
	char *out = scratch_take(l, raw.n);
	size_t n = 0;

	if (!out)
		return false;
	for (size_t i = 0; i < raw.n; i++) {
		if (is_quoted_escape(raw.p + i, raw.p + raw.n))
			i++;
		out[n++] = raw.p[i];
	}
	*s = (struct span){out, n};
	return true;
}

static bool take_quoted(struct lexer *l, closes_fn *closes, struct span *s)
{
	const char *close = find_close(l->p + 1, l->end, closes);

	if (!close) {
		l->unclosed = true;
		return false;
	}
	*s = (struct span){l->p + 1, (size_t)(close - l->p) - 1};
	if (s->n && memchr(s->p, '\\', s->n) && !unescape_quoted(l, *s, s))
		return false;
	l->p = close + 1;
	return true;
}

static bool at_literal(const struct lexer *l)
{
	return lexer_at(l, '{') || (lexer_at(l, '~') && l->p + 1 < l->end && l->p[1] == '{');
}

static bool at_string(const struct lexer *l)
{
	return (lexer_at(l, '"') && !l->unclosed) || at_literal(l);
}

static bool take_literal(struct lexer *l, struct span *s)
{
	struct lexer at = *l;
	uint64_t n;

	lexer_take_char(&at, '~');
	lexer_take_char(&at, '{');
	if (!lexer_take_number(&at, SIZE_MAX, &n))
		return false;
	lexer_take_char(&at, '+');
	if (!lexer_take_char(&at, '}'))
		return false;
	lexer_skip_spaces(&at);
	lexer_take_char(&at, '\r');
	if (!lexer_take_char(&at, '\n') || n > (uint64_t)(at.end - at.p))
		return false;
	*s = (struct span){at.p, (size_t)n};
	l->p = at.p + n;
	return true;
}

struct span lexer_take_atom(struct lexer *l)
{
	const char *start = l->p;

	while (l->p < l->end && *l->p != ' ' && *l->p != '(' && *l->p != ')')
		l->p++;
	return (struct span){start, (size_t)(l->p - start)};
}

/* Inside a list only a space or the end of the list ends an atom: flags hold strange octets. */
static struct span take_member(struct lexer *l)
{
	const char *start = l->p;

	while (l->p < l->end && *l->p != ' ' && *l->p != ')')
		l->p++;
	return (struct span){start, (size_t)(l->p - start)};
}

struct span lexer_take_rest(struct lexer *l)
{
	lexer_skip_spaces(l);
	struct span s = {l->p, (size_t)(l->end - l->p)};
	l->p = l->end;
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

bool lexer_take_number(struct lexer *l, uint64_t max, uint64_t *value)
{
	const char *p = l->p;

	while (p < l->end && *p >= '0' && *p <= '9')
		p++;
	if (!text_parse_number((struct span){l->p, (size_t)(p - l->p)}, max, value))
		return false;
	l->p = p;
	return true;
}

bool lexer_take_whole(struct lexer *l, uint64_t max, uint64_t *value)
{
	struct lexer at = *l;

	if (!lexer_take_number(&at, max, value) || !(lexer_at_close(&at) || *at.p == ' '))
		return false;
	l->p = at.p;
	return true;
}

bool lexer_take_string(struct lexer *l, struct span *s)
{
	if (!at_string(l))
		return false;
	return lexer_at(l, '"') ? take_quoted(l, closes_value, s) : take_literal(l, s);
}

bool lexer_take_astring(struct lexer *l, struct span *s)
{
	if (at_string(l))
		return lexer_take_string(l, s);
	*s = lexer_take_atom(l);
	return s->n > 0;
}

static bool take_bare_name(struct lexer *l, struct span *s)
{
	const char *start = l->p;
	const char *stop = start; /* behind the last octet that is not a space */

	while (l->p < l->end && !(*l->p == '(' && l->p > stop)) {
		if (*l->p != ' ')
			stop = l->p + 1;
		l->p++;
	}
	*s = (struct span){start, (size_t)(stop - start)};
	return s->n > 0;
}

bool lexer_take_name(struct lexer *l, struct span *s)
{
	if (lexer_at(l, '"'))
		return take_quoted(l, closes_name, s);
	if (at_literal(l) && take_literal(l, s))
		return true;
	return take_bare_name(l, s);
}

bool lexer_take_delimiter(struct lexer *l, bool *present, char *delimiter)
{
	struct span s;

	/* A backslash that was not escaped; by the rules this would be an open string. */
	if (l->end - l->p > 3 && memcmp(l->p, "\"\\\" ", 4) == 0) {
		s = (struct span){l->p + 1, 1};
		l->p += 3;
	} else if (!lexer_take_astring(l, &s)) {
		return false;
	}
	*present = s.n == 1 && s.p[0] != '\0';
	*delimiter = *present ? s.p[0] : '\0';
	return true;
}

static unsigned flag_bit(struct span word, const struct lexer_flag *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal_nocase(word, table[i].name))
			return table[i].bit;
	return 0;
}

bool lexer_take_flags(
	struct lexer *l, const struct lexer_flag *table, size_t count, unsigned *flags)
{
	struct span word;

	if (!lexer_take_char(l, '('))
		return false;
	*flags = 0;
	for (;;) {
		lexer_skip_spaces(l);
		if (lexer_at_close(l))
			break;
		if (!lexer_take_string(l, &word))
			word = take_member(l);
		*flags |= flag_bit(word, table, count);
	}
	return lexer_take_char(l, ')') && l->err == 0;
}

static bool skip_token(struct lexer *l, bool in_list)
{
	struct span s;

	if (lexer_at(l, '"') && !l->unclosed) {
		const char *close = lexer_quoted_end(l->p + 1, l->end);
		if (close) {
			l->p = close + 1;
			return true;
		}
		l->unclosed = true;
	}
	if (at_literal(l) && take_literal(l, &s))
		return true;
	s = in_list ? take_member(l) : lexer_take_atom(l);
	return s.n > 0;
}

static bool skip_lists(struct lexer *l, size_t most)
{
	size_t depth = 0;

	do {
		lexer_skip_spaces(l);
		if (lexer_take_char(l, '(')) {
			if (++depth > most) {
				l->err = ERR_PROTOCOL;
				return false;
			}
		} else if (depth > 0 && lexer_take_char(l, ')')) {
			depth--;
		} else if (lexer_at_close(l) || !skip_token(l, depth > 0)) {
			return false;
		}
	} while (depth > 0);
	return true;
}

bool lexer_skip_value(struct lexer *l)
{
	return skip_lists(l, LEXER_NESTING_MAX);
}

bool lexer_skip_nested(struct lexer *l)
{
	return skip_lists(l, SIZE_MAX);
}

bool lexer_skip_section(struct lexer *l, struct span *section)
{
	struct span s;

	if (!lexer_take_char(l, '['))
		return false;
	const char *start = l->p;
	while (l->p < l->end && *l->p != ']') {
		if (!lexer_take_string(l, &s))
			l->p++;
	}
	*section = (struct span){start, (size_t)(l->p - start)};
	return lexer_take_char(l, ']');
}
