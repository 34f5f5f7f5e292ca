/* SPDX-License-Identifier: MIT */
#include "imap/command.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "imap/capability.h"

/* Octets of a literal with LITERAL- (RFC 7888 section 5). */
#define LITERAL_MINUS_MAX 4096

void imap_command_init(struct imap_command *c, bool literal_plus, imap_command_done *on_done)
{
	*c = (struct imap_command){.literal_plus = literal_plus, .on_done = on_done};
	list_init(&c->link);
	buf_init(&c->text, IMAP_COMMAND_MAX);
}

void imap_command_finish(struct imap_command *c)
{
	buf_finish(&c->text);
}

void imap_command_begin(struct imap_command *c, bool literal_plus, imap_command_done *on_done)
{
	imap_command_finish(c);
	imap_command_init(c, literal_plus, on_done);
}

static void note_build_error(struct imap_command *c, int err)
{
	if (err < 0 && c->build_error == 0)
		c->build_error = err;
}

void imap_command_add_args(struct imap_command *c, const char *format, va_list args)
{
	char text[2048]; /* what is formatted is short; names and literals go around it */

	int n = vsnprintf(text, sizeof(text), format, args);
	if (n < 0 || (size_t)n >= sizeof(text))
		note_build_error(c, ERR_LIMIT);
	else
		note_build_error(c, buf_append(&c->text, text, (size_t)n));
}

void imap_command_add(struct imap_command *c, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	imap_command_add_args(c, format, args);
	va_end(args);
}

/* Quoted strings hold 7-bit text without CR, LF and NUL. */
static bool quotable(struct span s)
{
	if (s.n > 512)
		return false;
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < 0x20 || (unsigned char)s.p[i] >= 0x7f)
			return false;
	return true;
}

static void begin_literal(struct imap_command *c, uint64_t size, bool plus)
{
	imap_command_add(c, "{%" PRIu64 "%s}\r\n", size, plus ? "+" : "");
	if (plus)
		return;
	if (c->literal_count == IMAP_COMMAND_LITERALS)
		note_build_error(c, ERR_LIMIT);
	else
		c->literals[c->literal_count++] = c->text.len;
}

static void add_literal(struct imap_command *c, struct span s)
{
	begin_literal(c, s.n, c->literal_plus);
	note_build_error(c, buf_append_span(&c->text, s));
}

bool imap_literal_is_free(uint32_t capabilities, uint64_t size)
{
	return (capabilities & IMAP_CAP_LITERAL_PLUS) ||
	       ((capabilities & IMAP_CAP_LITERAL_MINUS) && size <= LITERAL_MINUS_MAX);
}

void imap_command_add_source(struct imap_command *c, struct imap_source *source, bool plus)
{
	if (c->source) {
		note_build_error(c, ERR_INVALID);
		return;
	}
	begin_literal(c, source->size, plus);
	c->source = source;
	c->source_at = c->text.len;
}

void imap_command_add_string(struct imap_command *c, struct span s)
{
	if (!quotable(s)) {
		add_literal(c, s);
		return;
	}
	note_build_error(c, buf_append_char(&c->text, '"'));
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			note_build_error(c, buf_append_char(&c->text, '\\'));
		note_build_error(c, buf_append_char(&c->text, s.p[i]));
	}
	note_build_error(c, buf_append_char(&c->text, '"'));
}

/* Exchange throttles with a BAD that says nothing in a code. */
static bool sounds_throttled(struct span text)
{
	static const struct span words[] = {{"not connected", 13}, {"hrottl", 6}, {"oo many", 7}};

	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (memmem(text.p, text.n, words[i].p, words[i].n))
			return true;
	return false;
}

/* What codes of NO and BAD mean. */
static const struct {
	enum imap_code code;
	int err;
} meanings[] = {
	{IMAP_CODE_THROTTLED, ERR_THROTTLED},
	{IMAP_CODE_LIMIT, ERR_THROTTLED},
	{IMAP_CODE_UNAVAILABLE, ERR_THROTTLED},
	{IMAP_CODE_INUSE, ERR_THROTTLED},
	{IMAP_CODE_NOPERM, ERR_DENIED},
	{IMAP_CODE_AUTHORIZATIONFAILED, ERR_DENIED},
	{IMAP_CODE_READ_ONLY, ERR_READONLY},
	{IMAP_CODE_NONEXISTENT, ERR_NO_MAILBOX},
	{IMAP_CODE_OVERQUOTA, ERR_QUOTA},
	{IMAP_CODE_TOOBIG, ERR_TOO_LARGE},
};

int imap_condition_error(const struct imap_response *r)
{
	/* Nobody may take it for all that was asked (RFC 9738 section 3.1). */
	if (r->kind == IMAP_TAGGED && r->condition == IMAP_OK && r->code == IMAP_CODE_MESSAGELIMIT)
		return ERR_PARTIAL;
	if (r->condition == IMAP_OK || r->condition == IMAP_PREAUTH)
		return 0;
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].code == r->code)
			return meanings[i].err;
	return r->text.n && sounds_throttled(r->text) ? ERR_THROTTLED : ERR_REFUSED;
}
