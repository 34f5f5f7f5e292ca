#include "imap/command.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/error.h"

void imap_command_init(struct imap_command *c, bool literal_plus,
	void (*on_done)(struct imap_command *c, const struct imap_result *result))
{
	*c = (struct imap_command){.literal_plus = literal_plus, .on_done = on_done};
	list_init(&c->link);
	buf_init(&c->text, IMAP_COMMAND_MAX);
}

void imap_command_finish(struct imap_command *c)
{
	buf_finish(&c->text);
}

static void note(struct imap_command *c, int err)
{
	if (err < 0 && c->build_error == 0)
		c->build_error = err;
}

void imap_command_add(struct imap_command *c, const char *format, ...)
{
	char text[2048]; /* what is formatted is short; names and literals go around it */
	va_list args;

	va_start(args, format);
	int n = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (n < 0 || (size_t)n >= sizeof(text))
		note(c, ERR_LIMIT);
	else
		note(c, buf_append(&c->text, text, (size_t)n));
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

static void add_literal(struct imap_command *c, struct span s)
{
	imap_command_add(c, "{%zu%s}\r\n", s.n, c->literal_plus ? "+" : "");
	if (!c->literal_plus) {
		if (c->literal_count == IMAP_COMMAND_LITERALS) {
			note(c, ERR_LIMIT);
			return;
		}
		c->literals[c->literal_count++] = c->text.len;
	}
	note(c, buf_append_span(&c->text, s));
}

void imap_command_add_string(struct imap_command *c, struct span s)
{
	if (!quotable(s)) {
		add_literal(c, s);
		return;
	}
	note(c, buf_append_char(&c->text, '"'));
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			note(c, buf_append_char(&c->text, '\\'));
		note(c, buf_append_char(&c->text, s.p[i]));
	}
	note(c, buf_append_char(&c->text, '"'));
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

int imap_condition_error(const struct imap_response *r)
{
	/* Nobody may take it for all that was asked (RFC 9738 section 3.1). */
	if (r->kind == IMAP_TAGGED && r->condition == IMAP_OK && r->code == IMAP_CODE_MESSAGELIMIT)
		return ERR_PARTIAL;
	if (r->condition == IMAP_OK || r->condition == IMAP_PREAUTH)
		return 0;
	switch ((int)r->code) {
	case IMAP_CODE_THROTTLED:
	case IMAP_CODE_LIMIT:
	case IMAP_CODE_UNAVAILABLE:
	case IMAP_CODE_INUSE:
		return ERR_THROTTLED;
	case IMAP_CODE_NOPERM:
	case IMAP_CODE_AUTHORIZATIONFAILED:
		return ERR_DENIED;
	case IMAP_CODE_READ_ONLY:
		return ERR_READONLY;
	case IMAP_CODE_NONEXISTENT:
		return ERR_NO_MAILBOX;
	default:
		return r->text.n && sounds_throttled(r->text) ? ERR_THROTTLED : ERR_REFUSED;
	}
}
