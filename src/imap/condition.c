/* SPDX-License-Identifier: MIT */
/*
 * OK, NO, BAD, BYE and PREAUTH: a response code in brackets, when there is one, and text for
 * people.
 */
#include "imap/parse.h"

#include <string.h>

#include "base/text.h"

struct code {
	struct span name;
	enum imap_code code;
	uint64_t max; /* of its number, 0: it has none */
};

#define CODE(name, id)                                                                             \
	{                                                                                          \
		{name, sizeof(name) - 1}, IMAP_CODE_##id, 0                                        \
	}
#define NUMBER(name, id, max)                                                                      \
	{                                                                                          \
		{name, sizeof(name) - 1}, IMAP_CODE_##id, max                                      \
	}

static const struct code codes[] = {
	CODE("ALERT", ALERT),
	CODE("ALREADYEXISTS", ALREADYEXISTS),
	CODE("APPENDUID", APPENDUID),
	CODE("AUTHENTICATIONFAILED", AUTHENTICATIONFAILED),
	CODE("AUTHORIZATIONFAILED", AUTHORIZATIONFAILED),
	CODE("CANNOT", CANNOT),
	CODE("CAPABILITY", CAPABILITY),
	CODE("CLOSED", CLOSED),
	CODE("COPYUID", COPYUID),
	CODE("EXPIRED", EXPIRED),
	CODE("EXPUNGEISSUED", EXPUNGEISSUED),
	NUMBER("HIGHESTMODSEQ", HIGHESTMODSEQ, INT64_MAX),
	CODE("INUSE", INUSE),
	CODE("LIMIT", LIMIT),
	CODE("MESSAGELIMIT", MESSAGELIMIT),
	CODE("NOMODSEQ", NOMODSEQ),
	CODE("NONEXISTENT", NONEXISTENT),
	CODE("NOPERM", NOPERM),
	CODE("NOTIFICATIONOVERFLOW", NOTIFICATIONOVERFLOW),
	CODE("OVERQUOTA", OVERQUOTA),
	CODE("PERMANENTFLAGS", PERMANENTFLAGS),
	CODE("PRIVACYREQUIRED", PRIVACYREQUIRED),
	CODE("READ-ONLY", READ_ONLY),
	CODE("READ-WRITE", READ_WRITE),
	CODE("SERVERBUG", SERVERBUG),
	CODE("THROTTLED", THROTTLED),
	CODE("TOOBIG", TOOBIG),
	CODE("TRYCREATE", TRYCREATE),
	NUMBER("UIDNEXT", UIDNEXT, UINT32_MAX),
	CODE("UIDNOTSTICKY", UIDNOTSTICKY),
	NUMBER("UIDVALIDITY", UIDVALIDITY, UINT32_MAX),
	CODE("UNAVAILABLE", UNAVAILABLE),
	NUMBER("UNSEEN", UNSEEN, UINT32_MAX),
};

bool parse_flags(struct lexer *l, struct imap_response *r)
{
	lexer_skip_spaces(l);
	return parse_message_flags(l, &r->flags);
}

/* The bracket that ends a code. Flags and names in it may hold brackets, so those in lists and
 * strings do not count, unless lists or strings do not end. */
static const char *code_end(struct span s)
{
	size_t depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		const char *p = s.p + i;
		if (*p == '"' && (p[-1] == ' ' || p[-1] == '(')) {
			const char *close = lexer_quoted_end(p + 1, s.p + s.n);
			if (!close)
				break;
			i = (size_t)(close - s.p);
		} else if (*p == '(') {
			depth++;
		} else if (*p == ')' && depth > 0) {
			depth--;
		} else if (*p == ']' && depth == 0) {
			return p;
		}
	}
	return memchr(s.p, ']', s.n);
}

/* "1000 23221": how many at most, and the lowest UID of those. */
static void take_message_limit(struct lexer *args, struct imap_response *r)
{
	uint64_t limit;

	if (!lexer_take_number(args, UINT32_MAX, &limit))
		return;
	lexer_skip_spaces(args);
	if (!lexer_take_whole(args, UINT32_MAX, &r->number))
		r->number = 0;
}

static void take_code_args(const struct code *code, struct lexer *args, struct imap_response *r)
{
	if (code->code == IMAP_CODE_MESSAGELIMIT)
		take_message_limit(args, r);
	if (code->max && !lexer_take_whole(args, code->max, &r->number))
		r->number = 0;
	if (code->code == IMAP_CODE_PERMANENTFLAGS && !parse_message_flags(args, &r->flags))
		r->flags = 0;
	if (code->code == IMAP_CODE_APPENDUID || code->code == IMAP_CODE_COPYUID)
		r->uids = imap_uids_parse(r->code_args, code->code == IMAP_CODE_COPYUID);
}

static void take_code(struct lexer *l, struct imap_response *r)
{
	const char *start = l->p + 1;
	const char *end = start < l->end ? code_end((struct span){start, (size_t)(l->end - start)})
					 : NULL;

	if (!end)
		return;
	struct lexer inner = {.p = start, .end = end, .size = l->size, .scratch = l->scratch};
	lexer_skip_spaces(&inner);
	struct span name = lexer_take_atom(&inner);
	struct lexer args = inner;
	r->code_args = lexer_take_rest(&args);
	lexer_skip_spaces(&inner);
	r->code = IMAP_CODE_OTHER;
	for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++) {
		if (!span_equal_nocase(name, codes[i].name))
			continue;
		r->code = codes[i].code;
		take_code_args(&codes[i], &inner, r);
	}
	l->err = inner.err;
	l->p = end + 1;
}

static bool says_throttled(struct span text)
{
	static const struct span word = {"[THROTTLED]", 11};

	while (text.n >= word.n) {
		const char *p = memchr(text.p, '[', text.n - word.n + 1);
		if (!p)
			return false;
		if (span_equal_nocase((struct span){p, word.n}, word))
			return true;
		text.n -= (size_t)(p + 1 - text.p);
		text.p = p + 1;
	}
	return false;
}

bool parse_condition(struct lexer *l, struct imap_response *r)
{
	lexer_skip_spaces(l);
	if (lexer_at(l, '['))
		take_code(l, r);
	r->text = lexer_take_rest(l);
	bool weak = r->code == IMAP_CODE_NONE || r->code == IMAP_CODE_OTHER ||
		    r->code == IMAP_CODE_ALERT;
	if (weak && says_throttled(r->text))
		r->code = IMAP_CODE_THROTTLED;
	return l->err == 0;
}
