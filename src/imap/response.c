/* SPDX-License-Identifier: MIT */
/*
 * Dispatch: what kind of response it is, by tables of names; the parts that read each kind are in
 * condition.c, fetch.c and mailbox.c. Also the two small readers of what stands in `words`.
 */
#include "imap/response.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/text.h"
#include "imap/parse.h"

/* What one very long response needed is not kept for ever. */
#define SCRATCH_KEEP 65536

struct imap_parser {
	struct scratch scratch;
};

struct reply {
	struct span name;
	enum imap_kind kind;
	parse_fn *parse; /* NULL: the name says it all */
	enum imap_condition condition;
};

#define REPLY(name, kind, parse)                                                                   \
	{                                                                                          \
		{name, sizeof(name) - 1}, IMAP_##kind, parse, IMAP_OK                              \
	}
#define CONDITION(name, which)                                                                     \
	{                                                                                          \
		{name, sizeof(name) - 1}, IMAP_CONDITION, parse_condition, IMAP_##which            \
	}

static parse_fn parse_words, parse_search, parse_esearch, parse_vanished;

static const struct reply replies[] = {
	CONDITION("OK", OK),
	CONDITION("NO", NO),
	CONDITION("BAD", BAD),
	CONDITION("BYE", BYE),
	CONDITION("PREAUTH", PREAUTH),
	REPLY("LIST", LIST, parse_list),
	REPLY("STATUS", STATUS, parse_status),
	REPLY("CAPABILITY", CAPABILITY, parse_words),
	REPLY("ENABLED", ENABLED, parse_words),
	REPLY("LSUB", LIST, parse_lsub),
	REPLY("SEARCH", SEARCH, parse_search),
	REPLY("ESEARCH", ESEARCH, parse_esearch),
	REPLY("VANISHED", VANISHED, parse_vanished),
	REPLY("FLAGS", FLAGS, parse_flags),
	REPLY("NAMESPACE", NAMESPACE, parse_namespace),
	REPLY("QUOTA", QUOTA, parse_quota),
	REPLY("QUOTAROOT", QUOTAROOT, parse_quotaroot),
	REPLY("MYRIGHTS", MYRIGHTS, parse_myrights),
};

/* Those with a message number before the name. */
static const struct reply numbered[] = {
	REPLY("FETCH", FETCH, parse_fetch),
	REPLY("UIDFETCH", FETCH, parse_uidfetch),
	REPLY("EXPUNGE", EXPUNGE, NULL),
	REPLY("EXISTS", EXISTS, NULL),
	REPLY("RECENT", RECENT, NULL),
};

#define REPLY_COUNT (sizeof(replies) / sizeof(replies[0]))
#define NUMBERED_COUNT (sizeof(numbered) / sizeof(numbered[0]))

struct imap_parser *imap_parser_create(void)
{
	return calloc(1, sizeof(struct imap_parser));
}

void imap_parser_destroy(struct imap_parser *p)
{
	if (!p)
		return;
	free(p->scratch.memory);
	free(p);
}

static void begin_lexer(struct imap_parser *p, struct lexer *l, struct span text)
{
	if (p->scratch.cap > SCRATCH_KEEP) {
		free(p->scratch.memory);
		p->scratch = (struct scratch){0};
	}
	lexer_init(l, text, &p->scratch);
}

static bool parse_words(struct lexer *l, struct imap_response *r)
{
	r->words = lexer_take_rest(l);
	return true;
}

/* "1 2 3 (MODSEQ 4)": the list at the end is CONDSTORE's. */
static bool parse_search(struct lexer *l, struct imap_response *r)
{
	struct span words = lexer_take_rest(l);
	const char *list = words.n ? memchr(words.p, '(', words.n) : NULL;
	struct lexer numbers = {.p = words.p, .end = list ? list : words.p + words.n};

	r->words = lexer_take_rest(&numbers);
	return true;
}

static void take_esearch_number(struct lexer *l, uint32_t *out)
{
	uint64_t value;

	if (lexer_take_whole(l, UINT32_MAX, &value))
		*out = (uint32_t)value;
	else
		lexer_skip_value(l);
}

static bool parse_esearch(struct lexer *l, struct imap_response *r)
{
	for (;;) {
		lexer_skip_spaces(l);
		if (l->p == l->end)
			return true;
		if (lexer_at(l, '(')) {
			if (!lexer_skip_value(l))
				return false;
			continue;
		}
		struct span name = lexer_take_atom(l);
		lexer_skip_spaces(l);
		if (span_equal_nocase(name, SPAN("ALL")))
			r->words = lexer_take_atom(l);
		else if (span_equal_nocase(name, SPAN("COUNT")))
			take_esearch_number(l, &r->esearch_count);
		else if (span_equal_nocase(name, SPAN("MIN")))
			take_esearch_number(l, &r->esearch_min);
		else if (span_equal_nocase(name, SPAN("MAX")))
			take_esearch_number(l, &r->esearch_max);
		else if (!span_equal_nocase(name, SPAN("UID")) && !lexer_skip_value(l))
			return false;
	}
}

static bool parse_vanished(struct lexer *l, struct imap_response *r)
{
	lexer_skip_spaces(l);
	if (lexer_take_char(l, '(')) {
		lexer_skip_spaces(l);
		r->earlier = span_equal_nocase(lexer_take_atom(l), SPAN("EARLIER"));
		lexer_skip_spaces(l);
		if (!r->earlier || !lexer_take_char(l, ')'))
			return false;
	}
	r->words = lexer_take_rest(l);
	return r->words.n > 0;
}

static const struct reply *find_reply(struct span name, const struct reply *table, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (span_equal_nocase(name, table[i].name))
			return &table[i];
	return NULL;
}

/* Reads "5 " of a numbered response. */
static bool take_seq(struct lexer *l, uint32_t *seq)
{
	uint64_t value;

	if (!lexer_take_number(l, UINT32_MAX, &value))
		return false;
	*seq = (uint32_t)value;
	lexer_skip_spaces(l);
	return true;
}

static int parse_untagged(struct lexer *l, struct imap_response *r)
{
	lexer_skip_spaces(l);
	bool has_seq = take_seq(l, &r->seq);
	struct span name = lexer_take_atom(l);
	const struct reply *reply = has_seq ? find_reply(name, numbered, NUMBERED_COUNT)
					    : find_reply(name, replies, REPLY_COUNT);

	if (reply) {
		r->kind = reply->kind;
		r->condition = reply->condition;
		if (reply->parse && !reply->parse(l, r))
			reply = NULL;
	}
	if (!reply)
		*r = (struct imap_response){.kind = IMAP_UNKNOWN, .broken = r->broken};
	return l->err;
}

static bool is_tag(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] <= ' ' || s.p[i] >= 0x7f || strchr("(){%*\"\\", s.p[i]))
			return false;
	return s.n > 0;
}

static int parse_tagged(struct lexer *l, struct imap_response *r)
{
	r->tag = lexer_take_atom(l);
	lexer_skip_spaces(l);
	const struct reply *reply = find_reply(lexer_take_atom(l), replies, REPLY_COUNT);

	if (!is_tag(r->tag) || !reply || reply->kind != IMAP_CONDITION ||
		reply->condition > IMAP_BAD)
		return ERR_PROTOCOL;
	r->kind = IMAP_TAGGED;
	r->condition = reply->condition;
	parse_condition(l, r);
	return l->err;
}

int imap_response_parse(struct imap_parser *p, struct span text, struct imap_response *r)
{
	struct lexer l;

	*r = (struct imap_response){.kind = IMAP_UNKNOWN};
	begin_lexer(p, &l, text);
	if (lexer_take_char(&l, '*'))
		return parse_untagged(&l, r);
	if (!lexer_take_char(&l, '+'))
		return parse_tagged(&l, r);
	r->kind = IMAP_CONTINUE;
	r->text = lexer_take_rest(&l);
	return 0;
}

int imap_response_parse_prefix(struct imap_parser *p, struct span text, struct imap_fetch *f)
{
	struct lexer l;

	*f = (struct imap_fetch){0};
	begin_lexer(p, &l, text);
	if (!lexer_take_char(&l, '*'))
		return ERR_PROTOCOL;
	lexer_skip_spaces(&l);
	if (!take_seq(&l, &f->seq))
		return ERR_PROTOCOL;
	struct span name = lexer_take_atom(&l);
	bool by_uid = span_equal_nocase(name, SPAN("UIDFETCH"));
	if (by_uid) {
		f->uid = f->seq;
		f->seq = 0;
	}
	if ((!by_uid && !span_equal_nocase(name, SPAN("FETCH"))) || !parse_fetch_prefix(&l, f))
		return l.err ? l.err : ERR_PROTOCOL;
	return 0;
}

/* "*" or a number from 1 on. */
static bool take_set_number(struct lexer *l, uint32_t *out)
{
	uint64_t value;

	if (lexer_take_char(l, '*')) {
		*out = UINT32_MAX;
		return true;
	}
	if (!lexer_take_number(l, UINT32_MAX, &value) || value == 0)
		return false;
	*out = (uint32_t)value;
	return true;
}

static bool read_member(struct span member, uint32_t *first, uint32_t *last)
{
	struct lexer l = {.p = member.p, .end = member.p + member.n};

	if (!take_set_number(&l, first))
		return false;
	*last = *first;
	if (lexer_take_char(&l, ':') && !take_set_number(&l, last))
		return false;
	if (*last < *first) {
		uint32_t swap = *first;
		*first = *last;
		*last = swap;
	}
	return l.p == l.end;
}

bool imap_set_next(struct span *set, uint32_t *first, uint32_t *last)
{
	while (set->n > 0) {
		size_t n = 0;
		while (n < set->n && set->p[n] != ',' && set->p[n] != ' ')
			n++;
		struct span member = {set->p, n};
		n += n < set->n;
		set->p += n;
		set->n -= n;
		if (member.n > 0 && read_member(member, first, last))
			return true;
	}
	return false;
}

bool imap_word_next(struct span *words, struct span *word)
{
	if (words->n == 0)
		return false;
	struct lexer l = {.p = words->p, .end = words->p + words->n};
	lexer_skip_spaces(&l);
	word->p = l.p;
	while (l.p < l.end && *l.p != ' ')
		l.p++;
	word->n = (size_t)(l.p - word->p);
	*words = (struct span){l.p, (size_t)(l.end - l.p)};
	return word->n > 0;
}
