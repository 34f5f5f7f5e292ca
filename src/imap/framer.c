/* SPDX-License-Identifier: MIT */
/*
 * Three states: in a line, in a literal that is gathered, in a literal that is streamed. A line
 * that arrived whole is handed out where it lies; anything else is gathered first. What a line is
 * (FETCH, text for people, else) is only looked at when it ends like a literal, so the rows of a
 * listing cost two memchr each.
 *
 * A quoted string cannot hold a line end, so "{5}" at the end of a line is a literal whatever the
 * quotes before it look like; but in the text of OK, NO, BAD and + it is just text (it may be the
 * name of a mailbox in an error message), unless it stands in a response code.
 */
#include "imap/framer.h"

#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"
#include "base/text.h"
#include "imap/lexer.h"

/* What one very long response needed is not kept for ever. */
#define TEXT_KEEP 65536
/* A prefix is read again for each streamed literal; without a limit a response of many empty ones
 * would cost the square of its length. */
#define STREAMED_MAX 100

enum state { IN_LINE, IN_LITERAL, IN_BODY };

enum nature {
	NOT_KNOWN,
	DATA,
	PROSE, /* text for people: no literals */
	CODE,  /* the same, in a response code that has not ended */
	FETCH,
};

struct imap_framer {
	enum state state;
	enum nature nature;
	struct buf text;   /* the response so far, unless it lies whole in the input */
	size_t segment;    /* where in text the part behind the last literal begins */
	uint64_t left;     /* octets of the literal that have not come yet */
	unsigned depth;    /* of lists, FETCH only */
	unsigned streamed; /* literals in this response */
	bool handed_out;   /* text is to be dropped at the next call */
};

struct imap_framer *imap_framer_create(void)
{
	struct imap_framer *f = calloc(1, sizeof(*f));

	if (f)
		buf_init(&f->text, IMAP_LINE_MAX);
	return f;
}

void imap_framer_destroy(struct imap_framer *f)
{
	if (!f)
		return;
	buf_finish(&f->text);
	free(f);
}

static void start_response(struct imap_framer *f)
{
	if (f->text.cap > TEXT_KEEP)
		buf_finish(&f->text);
	buf_clear(&f->text);
	f->nature = NOT_KNOWN;
	f->segment = 0;
	f->depth = 0;
	f->streamed = 0;
	f->handed_out = false;
}

static int gather_line(struct imap_framer *f, const char *p, size_t n)
{
	int err = buf_append(&f->text, p, n);

	return err == ERR_LIMIT ? ERR_PROTOCOL : err;
}

static bool is_condition(struct span word)
{
	static const struct span words[] = {
		{"OK", 2}, {"NO", 2}, {"BAD", 3}, {"BYE", 3}, {"PREAUTH", 7}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (span_equal_nocase(word, words[i]))
			return true;
	return false;
}

static bool is_fetch(struct span name)
{
	return span_equal_nocase(name, SPAN("FETCH")) || span_equal_nocase(name, SPAN("UIDFETCH"));
}

/* What the response is that begins with line. *rest is the part that decides on literals: of FETCH
 * what stands behind the "(", of a condition the text. */
static enum nature classify(struct span line, struct span *rest)
{
	struct lexer l = {.p = line.p, .end = line.p + line.n};
	enum nature nature = DATA;
	uint64_t seq;

	if (lexer_at(&l, '+'))
		return PROSE;
	bool untagged = lexer_take_char(&l, '*');
	if (!untagged)
		lexer_take_atom(&l);
	lexer_skip_spaces(&l);
	bool numbered = lexer_take_number(&l, UINT32_MAX, &seq);
	lexer_skip_spaces(&l);
	struct span name = lexer_take_atom(&l);
	lexer_skip_spaces(&l);
	if (!numbered && (!untagged || is_condition(name)))
		nature = lexer_at(&l, '[') ? CODE : PROSE;
	else if (numbered && untagged && is_fetch(name) && lexer_take_char(&l, '('))
		nature = FETCH;
	*rest = (struct span){l.p, (size_t)(l.end - l.p)};
	return nature;
}

/* Keeps depth true over s. False when a quoted string does not end: then nobody knows. */
static bool walk_segment(struct imap_framer *f, struct span s)
{
	const char *end = s.p + s.n;

	for (const char *p = s.p; p < end; p++) {
		/* In an atom, quotes and parentheses may be part of it. */
		bool fresh = p == s.p || memchr(" ()[]\"", p[-1], 6);
		if (*p == '"' && fresh) {
			p = lexer_quoted_end(p + 1, end);
			if (!p)
				return false;
		} else if (*p == '(' && (fresh || f->depth <= 1)) {
			f->depth++;
		} else if (*p == ')' && f->depth > 0) {
			f->depth--;
		}
	}
	return true;
}

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_';
}

/* Does s end with "BODY[...]" or "BODY[...]<...>" that is the whole name of an item? A digit before it
 * is the end of a value from a server that forgot the space. */
static bool ends_with_body(struct span s)
{
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	if (s.n > 0 && s.p[s.n - 1] == '>') {
		while (s.n > 0 && s.p[s.n - 1] != '<' && s.p[s.n - 1] != ' ')
			s.n--;
		if (s.n > 0)
			s.n--;
	}
	if (s.n == 0 || s.p[s.n - 1] != ']')
		return false;
	while (s.n > 0 && s.p[s.n - 1] != '[')
		s.n--;
	if (s.n < 5 || !span_equal_nocase((struct span){s.p + s.n - 5, 5}, SPAN("BODY[")))
		return false;
	return s.n == 5 || !is_name_char(s.p[s.n - 6]);
}

struct literal {
	size_t at; /* of its '{' or '~' in the line */
	uint64_t size;
};

/*
 * Is the end of the line the head of a literal? 1: it is; 0: it is not; ERR_PROTOCOL: it must be
 * one, but its length has no meaning, so nobody knows where it ends.
 */
static int find_literal(struct span line, size_t segment, struct literal *literal)
{
	size_t end = line.n - 1; /* of the '}' */
	size_t open = end;

	while (open > segment && (memchr("0123456789+-. ", line.p[open - 1], 14)))
		open--;
	if (open == segment || line.p[--open] != '{')
		return 0;
	literal->at = open;
	if (open > segment && line.p[open - 1] == '~')
		literal->at--;
	else if (open > segment && !memchr(" ()[]>\"", line.p[open - 1], 7))
		return 0;
	struct span digits = {line.p + open + 1, end - open - 1};
	if (digits.n > 0 && digits.p[digits.n - 1] == '+')
		digits.n--;
	return text_parse_number(digits, INT64_MAX, &literal->size) ? 1 : ERR_PROTOCOL;
}

/* Learns what the part of the line before the literal at n says. True when a literal may follow. */
static bool read_segment(struct imap_framer *f, struct span line, size_t n, bool *body)
{
	struct span part = {line.p + f->segment, n - f->segment};

	if (f->nature == NOT_KNOWN)
		f->nature = classify((struct span){line.p, n}, &part);
	*body = false;
	if (f->nature == CODE && part.n > 0 && memchr(part.p, ']', part.n))
		f->nature = PROSE;
	if (f->nature == FETCH) {
		f->depth += f->segment == 0;
		*body = walk_segment(f, part) && f->depth == 1 && ends_with_body(part);
	}
	return f->nature != PROSE;
}

/* The line, gathered in text as far as its '{', goes on with a literal. */
static int start_literal(
	struct imap_framer *f, const struct literal *literal, bool body, struct imap_frame *frame)
{
	f->left = literal->size;
	if (!body) {
		f->state = IN_LITERAL;
		if (f->left > IMAP_LINE_MAX - f->text.len)
			return ERR_PROTOCOL;
		f->segment = f->text.len;
		return 0;
	}
	if (++f->streamed > STREAMED_MAX)
		return ERR_PROTOCOL;
	buf_truncate(&f->text, literal->at);
	f->state = IN_BODY;
	*frame = (struct imap_frame){IMAP_FRAME_BODY_BEGIN, buf_span(&f->text), literal->size};
	return 0;
}

/* Without the CR of its end and the spaces before it. */
static struct span trim_segment(struct span line, size_t segment)
{
	if (line.n > segment && line.p[line.n - 1] == '\r')
		line.n--;
	while (line.n > segment && line.p[line.n - 1] == ' ')
		line.n--;
	return line;
}

/* A line, or the part of one behind a literal, has ended. raw is all of the response, without the
 * LF; it lies in text or still in the input. */
static int end_line(struct imap_framer *f, struct span raw, struct imap_frame *frame)
{
	struct span line = trim_segment(raw, f->segment);
	struct literal literal;
	bool body;

	if (line.n > f->segment && line.p[line.n - 1] == '}') {
		int found = find_literal(line, f->segment, &literal);
		if (found != 0 && read_segment(f, line, literal.at, &body)) {
			if (found < 0)
				return found;
			if (f->text.len == 0 && (found = gather_line(f, raw.p, raw.n)) < 0)
				return found;
			if (!body && (found = gather_line(f, "\n", 1)) < 0)
				return found;
			return start_literal(f, &literal, body, frame);
		}
	}
	f->handed_out = true;
	if (line.n > 0)
		*frame = (struct imap_frame){.kind = IMAP_FRAME_LINE, .text = line};
	else
		start_response(f);
	return 0;
}

static int feed_line(struct imap_framer *f, struct span in, size_t *used, struct imap_frame *frame)
{
	const char *lf = in.n ? memchr(in.p, '\n', in.n) : NULL;

	if (!lf) {
		*used = in.n;
		return gather_line(f, in.p, in.n);
	}
	struct span line = {in.p, (size_t)(lf - in.p)};
	*used = line.n + 1;
	if (line.n > IMAP_LINE_MAX)
		return ERR_PROTOCOL;
	if (f->text.len > 0) {
		int err = gather_line(f, line.p, line.n);
		if (err < 0)
			return err;
		line = buf_span(&f->text);
	}
	return end_line(f, line, frame);
}

static int feed_literal(
	struct imap_framer *f, struct span in, size_t *used, struct imap_frame *frame)
{
	(void)frame;
	*used = f->left < in.n ? (size_t)f->left : in.n;
	int err = gather_line(f, in.p, *used);
	f->left -= *used;
	if (err == 0 && f->left == 0) {
		f->segment = f->text.len;
		f->state = IN_LINE;
	}
	return err;
}

static int feed_body(struct imap_framer *f, struct span in, size_t *used, struct imap_frame *frame)
{
	if (f->left > 0) {
		*used = f->left < in.n ? (size_t)f->left : in.n;
		f->left -= *used;
		if (*used > 0)
			*frame = (struct imap_frame){
				.kind = IMAP_FRAME_BODY_DATA, .text = {in.p, *used}};
		return 0;
	}
	const char mark = IMAP_STREAMED;
	int err = gather_line(f, &mark, 1);
	f->segment = f->text.len;
	f->state = IN_LINE;
	frame->kind = IMAP_FRAME_BODY_END;
	return err;
}

int imap_framer_feed(
	struct imap_framer *f, const char *p, size_t n, size_t *used, struct imap_frame *frame)
{
	static int (*const feed[])(
		struct imap_framer *, struct span, size_t *, struct imap_frame *) = {
		[IN_LINE] = feed_line, [IN_LITERAL] = feed_literal, [IN_BODY] = feed_body};
	struct span in = {p, n};
	int err;

	*used = 0;
	*frame = (struct imap_frame){.kind = IMAP_FRAME_MORE};
	if (f->handed_out)
		start_response(f);
	do {
		size_t step = 0;
		err = feed[f->state](f, in, &step, frame);
		*used += step;
		if (step > 0)
			in = (struct span){in.p + step, in.n - step};
	} while (err == 0 && frame->kind == IMAP_FRAME_MORE && in.n > 0);
	return err;
}

bool imap_framer_is_midway(const struct imap_framer *f)
{
	return f->state != IN_LINE || (f->text.len > 0 && !f->handed_out);
}
