/* SPDX-License-Identifier: MIT */
/*
 * Bodies stand within bodies; which one is open is known by the parents of the parts, so there is no
 * recursion. A body is begun at its "(", and ended, with what may follow in it, at its ")".
 */
#include "imap/bodystructure.h"

#include <stdlib.h>

#include "base/error.h"
#include "imap/lexer.h"

struct parser {
	struct lexer lexer;
	struct mime_structure *s;
	uint32_t open; /* the innermost part that is open, or MIME_NO_PART */
};

static bool skip_value(struct lexer *l)
{
	lexer_skip_spaces(l);
	return lexer_skip_value(l);
}

/* A string or NIL, which is empty; an atom passes for a string. */
static bool take_string(struct lexer *l, struct span *s)
{
	lexer_skip_spaces(l);
	bool bare = !lexer_at(l, '"') && !lexer_at(l, '{');
	if (!lexer_take_astring(l, s))
		return false;
	if (bare && span_equal_nocase(*s, SPAN("NIL")))
		*s = (struct span){0};
	return true;
}

/* "(" name value ... ")", or NIL. */
static int take_pairs(struct parser *p, struct mime_pairs *pairs)
{
	struct lexer *l = &p->lexer;
	struct mime_pairs found = {0};
	struct span name, value;
	int err = 0;

	lexer_skip_spaces(l);
	if (!lexer_take_char(l, '('))
		return skip_value(l) ? 0 : ERR_UNREADABLE;
	for (;;) {
		lexer_skip_spaces(l);
		if (lexer_at_close(l) || err < 0)
			break;
		if (!take_string(l, &name) || !take_string(l, &value))
			return ERR_UNREADABLE;
		err = mime_structure_add_pair(p->s, &found, name, value);
	}
	*pairs = found;
	if (err < 0)
		return err;
	return lexer_take_char(l, ')') ? 0 : ERR_UNREADABLE;
}

/* "(" type pairs ")", or NIL, or a type alone. */
static int take_disposition(struct parser *p, struct mime_part *part)
{
	struct lexer *l = &p->lexer;

	lexer_skip_spaces(l);
	if (!lexer_take_char(l, '('))
		return take_string(l, &part->disposition) ? 0 : ERR_UNREADABLE;
	if (!take_string(l, &part->disposition))
		return ERR_UNREADABLE;
	lexer_skip_spaces(l);
	int err = lexer_at(l, ')') ? 0 : take_pairs(p, &part->disposition_params);
	lexer_skip_spaces(l);
	if (err < 0)
		return err;
	return lexer_take_char(l, ')') ? 0 : ERR_UNREADABLE;
}

static bool at_end(struct lexer *l)
{
	lexer_skip_spaces(l);
	return lexer_at_close(l);
}

/* What may follow in a body: the disposition, and what is of no interest, before and behind it. */
static int take_extension(struct parser *p, struct mime_part *part, unsigned before)
{
	struct lexer *l = &p->lexer;

	for (unsigned i = 0; i < before && !at_end(l); i++)
		if (!skip_value(l))
			return ERR_UNREADABLE;
	int err = at_end(l) ? 0 : take_disposition(p, part);
	while (err == 0 && !at_end(l))
		err = skip_value(l) ? 0 : ERR_UNREADABLE;
	return err;
}

/* Closes the body that is open. */
static int end_body(struct parser *p)
{
	if (!lexer_take_char(&p->lexer, ')'))
		return ERR_UNREADABLE;
	p->open = p->s->parts[p->open].parent;
	return 0;
}

/* What every body has that is no multipart. */
static int take_fields(struct parser *p, struct mime_part *part)
{
	struct lexer *l = &p->lexer;
	struct span ignored;
	uint64_t octets;

	if (!take_string(l, &part->type) || !take_string(l, &part->subtype))
		return ERR_UNREADABLE;
	int err = take_pairs(p, &part->params);
	if (err < 0)
		return err;
	if (!take_string(l, &ignored) || !take_string(l, &ignored) ||
		!take_string(l, &part->encoding))
		return ERR_UNREADABLE;
	lexer_skip_spaces(l);
	if (!lexer_take_whole(l, INT64_MAX, &octets))
		return ERR_UNREADABLE;
	part->octets = octets;
	return 0;
}

/* A body that is no multipart, behind its "(". That of a message stays open for the one in it. */
static int take_single(struct parser *p)
{
	struct lexer *l = &p->lexer;
	struct mime_part part = p->s->parts[p->open];
	int err = take_fields(p, &part);

	if (err < 0)
		return err;
	bool is_message = mime_part_is(&part, SPAN("message"), SPAN("rfc822")) ||
			  mime_part_is(&part, SPAN("message"), SPAN("global"));
	lexer_skip_spaces(l);
	/* An envelope is a list or, as a body that is missing, NIL. */
	if (is_message && !lexer_at_close(l)) {
		if (!skip_value(l))
			return ERR_UNREADABLE;
		lexer_skip_spaces(l);
		part.kind = lexer_at(l, '(') ? MIME_MESSAGE : MIME_LEAF;
	}
	/* Lines, of texts and messages; then a check sum. */
	bool has_lines = is_message || mime_part_is(&part, SPAN("text"), SPAN(""));
	if (part.kind == MIME_LEAF)
		err = take_extension(p, &part, has_lines ? 2 : 1);
	p->s->parts[p->open] = part;
	return err < 0 || part.kind == MIME_MESSAGE ? err : end_body(p);
}

static int begin_body(struct parser *p)
{
	uint32_t part;
	int err = mime_structure_add(p->s, p->open, &part);

	if (err < 0)
		return err;
	lexer_take_char(&p->lexer, '(');
	p->open = part;
	lexer_skip_spaces(&p->lexer);
	if (!lexer_at(&p->lexer, '('))
		return take_single(p);
	p->s->parts[part].kind = MIME_MULTIPART;
	return 0;
}

/* What follows the last part of a multipart, or the one of a message. */
static int take_rest(struct parser *p)
{
	struct mime_part part = p->s->parts[p->open];
	unsigned before = 2; /* lines and a check sum */
	int err = 0;

	if (part.kind == MIME_MULTIPART) {
		part.type = SPAN("multipart");
		before = 0;
		if (!take_string(&p->lexer, &part.subtype))
			return ERR_UNREADABLE;
		if (!at_end(&p->lexer))
			err = take_pairs(p, &part.params);
	}
	if (err == 0)
		err = take_extension(p, &part, before);
	p->s->parts[p->open] = part;
	return err ? err : end_body(p);
}

static int parse(struct parser *p)
{
	struct lexer *l = &p->lexer;
	int err;

	lexer_skip_spaces(l);
	if (!lexer_at(l, '('))
		return ERR_UNREADABLE;
	do {
		const struct mime_part *open = p->open == MIME_NO_PART ? NULL
								       : &p->s->parts[p->open];
		bool full = open && open->kind == MIME_MESSAGE && open->children > 0;
		lexer_skip_spaces(l);
		err = lexer_at(l, '(') && !full ? begin_body(p) : take_rest(p);
	} while (err == 0 && p->open != MIME_NO_PART);
	lexer_skip_spaces(l);
	return err == 0 && l->p != l->end ? ERR_UNREADABLE : err;
}

int imap_bodystructure_parse(struct span text, struct mime_structure *s)
{
	struct scratch scratch = {0};
	struct parser p = {.s = s, .open = MIME_NO_PART};

	mime_structure_init(s);
	s->text = malloc(text.n ? text.n : 1);
	if (!s->text)
		return ERR_NOMEM;
	if (text.n)
		memcpy(s->text, text.p, text.n);
	lexer_init(&p.lexer, (struct span){s->text, text.n}, &scratch);
	int err = parse(&p);
	s->unquoted = scratch.memory;
	return p.lexer.err == ERR_NOMEM ? ERR_NOMEM : err;
}
