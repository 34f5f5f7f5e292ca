/* SPDX-License-Identifier: MIT */
/*
 * FETCH rows: items in any order, each read by the handler that the table names, unknown ones
 * skipped. What is wrong with one value costs that value; the cursor stays where the next item can
 * be found. Only a BODY[...] that stands inline is given up when the rest of the row makes no sense,
 * because then it is not sure where its octets ended.
 */
#include "imap/parse.h"

#include "base/error.h"
#include "base/text.h"
#include "imap/date.h"
#include "imap/framer.h"

struct item {
	struct span name;
	void (*take)(struct lexer *l, struct imap_fetch *f);
};

static void take_uid(struct lexer *l, struct imap_fetch *f);
static void take_size(struct lexer *l, struct imap_fetch *f);
static void take_internaldate(struct lexer *l, struct imap_fetch *f);
static void take_flags(struct lexer *l, struct imap_fetch *f);
static void take_modseq(struct lexer *l, struct imap_fetch *f);
static void take_emailid(struct lexer *l, struct imap_fetch *f);
static void take_structure(struct lexer *l, struct imap_fetch *f);
static void skip_item(struct lexer *l, struct imap_fetch *f);

/* In the order in which servers mostly send them. */
static const struct item items[] = {
	{{"UID", 3}, take_uid},
	{{"RFC822.SIZE", 11}, take_size},
	{{"INTERNALDATE", 12}, take_internaldate},
	{{"FLAGS", 5}, take_flags},
	{{"MODSEQ", 6}, take_modseq},
	{{"EMAILID", 7}, take_emailid},
	{{"BODYSTRUCTURE", 13}, take_structure},
	{{"BODY", 4}, skip_item},
};
#define ITEM_COUNT (sizeof(items) / sizeof(items[0]))

static bool is_key_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '.' || c == '-' || c == '_' || c == '/';
}

static struct span take_key(struct lexer *l)
{
	const char *start = l->p;

	while (l->p < l->end && is_key_char(*l->p))
		l->p++;
	return (struct span){start, (size_t)(l->p - start)};
}

static const struct item *find_item(struct span key)
{
	for (size_t i = 0; i < ITEM_COUNT; i++)
		if (span_equal_nocase(key, items[i].name))
			return &items[i];
	return NULL;
}

/* Is the next thing the name of an item, so that the value before it is missing? */
static bool at_item(const struct lexer *l)
{
	struct lexer ahead = *l;

	return find_item(take_key(&ahead)) != NULL;
}

static bool take_nil(struct lexer *l)
{
	struct lexer ahead = *l;

	if (!span_equal_nocase(lexer_take_atom(&ahead), SPAN("NIL")))
		return false;
	l->p = ahead.p;
	return true;
}

/* Skips a value that cannot be used, unless it is missing. */
static void skip_bad(struct lexer *l)
{
	if (!lexer_at_close(l) && !at_item(l))
		lexer_skip_value(l);
}

/* A plain decimal. "4MODSEQ" is a number and the next item without a space between them, "4k" is
 * neither. */
static bool take_decimal(struct lexer *l, uint64_t max, uint64_t *value)
{
	const char *start = l->p;
	struct span s;

	if (lexer_at(l, '"'))
		return lexer_take_string(l, &s) && text_parse_number(s, max, value);
	if (lexer_take_number(l, max, value)) {
		if (lexer_at_close(l) || lexer_at(l, ' ') || at_item(l))
			return true;
		l->p = start;
	}
	skip_bad(l);
	return false;
}

static void take_uid(struct lexer *l, struct imap_fetch *f)
{
	uint64_t uid;

	/* The first stays: it is the one that was known when a body began. */
	if (take_decimal(l, UINT32_MAX, &uid) && f->uid == 0)
		f->uid = (uint32_t)uid;
}

static void take_size(struct lexer *l, struct imap_fetch *f)
{
	f->has_size = take_decimal(l, INT64_MAX, &f->size);
	if (!f->has_size)
		f->size = 0;
}

static void take_internaldate(struct lexer *l, struct imap_fetch *f)
{
	struct span s;

	if (lexer_take_string(l, &s))
		f->has_date = imap_date_parse(s, &f->date);
	else
		skip_bad(l);
}

static void take_flags(struct lexer *l, struct imap_fetch *f)
{
	if (!lexer_at(l, '(')) {
		skip_bad(l);
		return;
	}
	const char *start = l->p + 1;
	f->has_flags = parse_message_flags(l, &f->flags);
	f->flag_words = f->has_flags ? (struct span){start, (size_t)(l->p - 1 - start)}
				     : (struct span){0};
}

static void take_modseq(struct lexer *l, struct imap_fetch *f)
{
	struct lexer inner = *l;
	uint64_t value;

	if (!lexer_at(l, '(')) {
		if (take_decimal(l, INT64_MAX, &value))
			f->modseq = value;
		return;
	}
	inner.p++;
	lexer_skip_spaces(&inner);
	if (lexer_take_number(&inner, INT64_MAX, &value)) {
		lexer_skip_spaces(&inner);
		f->modseq = lexer_at_close(&inner) ? value : 0;
	}
	lexer_skip_value(l);
}

static bool is_objectid(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!is_key_char(s.p[i]) || s.p[i] == '.' || s.p[i] == '/')
			return false;
	return s.n > 0 && s.n <= IMAP_OBJECTID_MAX;
}

static void take_emailid(struct lexer *l, struct imap_fetch *f)
{
	struct lexer inner = *l;

	if (!lexer_take_char(&inner, '(')) {
		skip_bad(l);
		return;
	}
	struct span id = lexer_take_atom(&inner);
	f->emailid = is_objectid(id) && lexer_at(&inner, ')') ? id : (struct span){0};
	lexer_skip_value(l);
}

static void take_structure(struct lexer *l, struct imap_fetch *f)
{
	const char *start = l->p;

	if (!lexer_at(l, '('))
		skip_bad(l);
	else if (lexer_skip_nested(l))
		f->structure = (struct span){start, (size_t)(l->p - start)};
}

static void skip_item(struct lexer *l, struct imap_fetch *f)
{
	(void)f;
	skip_bad(l);
}

/* "<0>", or "<0.1024>" from servers that repeat the command. */
static void take_origin(struct lexer *l, struct imap_fetch *f)
{
	f->origin = 0;
	f->has_origin = false;
	if (!lexer_take_char(l, '<'))
		return;
	f->has_origin = lexer_take_number(l, INT64_MAX, &f->origin);
	while (l->p < l->end && *l->p != '>' && *l->p != ' ' && *l->p != ')')
		l->p++;
	lexer_take_char(l, '>');
}

/* The octets were handed out already. Where the announced length was wrong, the rest of the body is
 * what stands here, or the end of the row is missing. */
static void take_streamed(struct lexer *l, struct imap_fetch *f)
{
	f->body_kind = IMAP_BODY_STREAMED;
	if (l->p < l->end && *l->p != ' ' && *l->p != ')')
		l->err = ERR_PROTOCOL;
}

static void take_inline(struct lexer *l, struct imap_fetch *f)
{
	f->body_kind = IMAP_BODY_NIL;
	if (lexer_at_close(l) || take_nil(l) || at_item(l))
		return;
	f->body_kind = lexer_take_astring(l, &f->body) ? IMAP_BODY_INLINE : IMAP_BODY_ABSENT;
}

static void take_body(struct lexer *l, struct imap_fetch *f)
{
	struct imap_fetch other = {0};

	take_origin(l, f);
	lexer_skip_spaces(l);
	if (lexer_take_char(l, IMAP_STREAMED))
		take_streamed(l, f);
	else
		take_inline(l, f->body_kind == IMAP_BODY_STREAMED ? &other : f);
}

/* Of several the first is kept. Where the text ends, behind the name, it is the one whose literal
 * begins. */
static void take_section(struct lexer *l, struct imap_fetch *f, struct span name)
{
	struct imap_fetch it = {0};

	take_body(l, &it);
	if (f->section.name.n == 0 || l->p == l->end)
		f->section = (struct imap_section){
			name, it.body_kind, it.body, it.has_origin, it.origin};
}

static bool has_inline(const struct imap_fetch *f)
{
	return f->body_kind == IMAP_BODY_INLINE || f->section.kind == IMAP_BODY_INLINE;
}

/* An item's name and value. False when what is there is no item, or, behind an inline body, not one
 * that was asked for: it may as well be the body's text behind a quote that was not escaped. */
static bool take_item(struct lexer *l, struct imap_fetch *f)
{
	struct span key = take_key(l), name = {0};
	bool section = lexer_at(l, '[');

	if (key.n == 0) {
		lexer_skip_value(l);
		return false;
	}
	if (section && !lexer_skip_section(l, &name))
		return false;
	if (section && span_equal_nocase(key, SPAN("BODY"))) {
		bool clean = name.n == 0 || !has_inline(f);
		if (name.n == 0)
			take_body(l, f);
		else
			take_section(l, f, name);
		return clean;
	}
	if (section && lexer_at(l, '<'))
		lexer_take_atom(l);
	lexer_skip_spaces(l);
	const struct item *item = section ? NULL : find_item(key);
	if (item)
		item->take(l, f);
	else if (!lexer_at_close(l))
		return lexer_skip_value(l) && !has_inline(f);
	return true;
}

/* How the items of a row end: with the text, with something behind the parenthesis, as they must.
 */
enum row_end { ROW_OPEN, ROW_JUNK, ROW_CLOSED };

/* The items up to the closing parenthesis. Returns whether all of them made sense. */
static bool take_items(struct lexer *l, struct imap_fetch *f, enum row_end *end)
{
	bool clean = true;

	*end = ROW_JUNK;
	for (;;) {
		lexer_skip_spaces(l);
		if (lexer_at_close(l))
			break;
		const char *before = l->p;
		if (!take_item(l, f))
			clean = false;
		if (l->err || l->p == before)
			return false;
	}
	if (!lexer_take_char(l, ')'))
		*end = ROW_OPEN;
	else if (lexer_take_rest(l).n == 0)
		*end = ROW_CLOSED;
	return clean;
}

/* DavMail leaves a row without its end when it cannot load the message, and goes on with the next
 * response in the same line: no value in it is sure to be of this message. */
static bool is_broken(const struct imap_fetch *f, enum row_end end)
{
	return end == ROW_OPEN && f->body_kind == IMAP_BODY_ABSENT &&
	       f->section.kind != IMAP_BODY_STREAMED;
}

/* What cannot be told to be whole is not given. */
static void drop_unsure(struct imap_fetch *f, bool clean, enum row_end end)
{
	if (end != ROW_CLOSED)
		f->structure = (struct span){0};
	if (clean && end == ROW_CLOSED)
		return;
	if (f->body_kind == IMAP_BODY_INLINE) {
		f->body_kind = IMAP_BODY_ABSENT;
		f->body = (struct span){0};
	}
	if (f->section.kind == IMAP_BODY_INLINE)
		f->section = (struct imap_section){0};
}

static bool parse_row(struct lexer *l, struct imap_response *r)
{
	struct imap_fetch *f = &r->fetch;
	enum row_end end;

	lexer_skip_spaces(l);
	if (!lexer_take_char(l, '('))
		return false;
	bool clean = take_items(l, f, &end);
	bool streamed = f->body_kind == IMAP_BODY_STREAMED || f->section.kind == IMAP_BODY_STREAMED;
	r->broken = is_broken(f, end);
	drop_unsure(f, clean, end);
	if (streamed && end != ROW_CLOSED && l->err == 0)
		l->err = ERR_PROTOCOL;
	return l->err == 0 && !r->broken;
}

bool parse_fetch(struct lexer *l, struct imap_response *r)
{
	r->fetch.seq = r->seq;
	return parse_row(l, r);
}

/* RFC 9586: what would be a message number is the UID. */
bool parse_uidfetch(struct lexer *l, struct imap_response *r)
{
	r->fetch.uid = r->seq;
	r->seq = 0;
	return parse_row(l, r);
}

/* Whether what the text ends with is BODY[], not a section. */
static bool ends_with_whole(struct span s)
{
	while (s.n > 0 && s.p[s.n - 1] != ']')
		s.n--;
	return s.n >= 2 && s.p[s.n - 2] == '[';
}

bool parse_fetch_prefix(struct lexer *l, struct imap_fetch *f)
{
	struct span text = {l->p, (size_t)(l->end - l->p)};
	enum row_end end;

	lexer_skip_spaces(l);
	if (!lexer_take_char(l, '('))
		return false;
	take_items(l, f, &end);
	f->body = (struct span){0};
	f->body_kind = ends_with_whole(text) ? IMAP_BODY_STREAMED : IMAP_BODY_ABSENT;
	if (f->body_kind == IMAP_BODY_STREAMED)
		f->section = (struct imap_section){0};
	else
		f->section.kind = IMAP_BODY_STREAMED;
	return l->err == 0;
}
