/* SPDX-License-Identifier: MIT */
#include "imap/flags.h"

#include "imap/parse.h"

static const struct lexer_flag message_flags[] = {
	{{"\\Seen", 5}, IMAP_FLAG_SEEN},
	{{"\\Answered", 9}, IMAP_FLAG_ANSWERED},
	{{"\\Flagged", 8}, IMAP_FLAG_FLAGGED},
	{{"\\Deleted", 8}, IMAP_FLAG_DELETED},
	{{"\\Draft", 6}, IMAP_FLAG_DRAFT},
	{{"\\Recent", 7}, IMAP_FLAG_RECENT},
	{{"\\*", 2}, IMAP_FLAG_ANY},
};
#define FLAG_COUNT (sizeof(message_flags) / sizeof(message_flags[0]))

bool parse_message_flags(struct lexer *l, unsigned *flags)
{
	return lexer_take_flags(l, message_flags, FLAG_COUNT, flags);
}

unsigned imap_flag_of(struct span word)
{
	for (size_t i = 0; i < FLAG_COUNT; i++)
		if (span_equal_nocase(word, message_flags[i].name))
			return message_flags[i].bit;
	return 0;
}

static bool has_any(struct span word, const char *octets)
{
	for (size_t i = 0; i < word.n; i++)
		if ((unsigned char)word.p[i] <= ' ' || word.p[i] == 0x7f ||
			strchr(octets, word.p[i]))
			return true;
	return false;
}

bool imap_is_keyword(struct span word)
{
	for (size_t i = 0; i < word.n; i++)
		if ((unsigned char)word.p[i] >= 0x80)
			return false;
	return word.n > 0 && !has_any(word, "(){%*\"\\]");
}

bool imap_keyword_next(struct span *words, struct span *word)
{
	while (imap_word_next(words, word))
		if (word->n > 0 && word->p[0] != '\\' && !has_any(*word, "(){\""))
			return true;
	return false;
}

bool imap_has_word(struct span words, struct span word)
{
	struct span w;

	while (imap_word_next(&words, &w))
		if (span_equal_nocase(w, word))
			return true;
	return false;
}

int imap_keyword_compare(struct span a, struct span b)
{
	int order = strncasecmp(a.p, b.p, a.n < b.n ? a.n : b.n);

	return order ? order : (a.n > b.n) - (a.n < b.n);
}

int imap_flags_print(struct buf *out, unsigned flags, struct span keywords)
{
	bool any = false;
	int err = 0;

	for (size_t i = 0; i < FLAG_COUNT && err == 0; i++) {
		if (!(flags & message_flags[i].bit))
			continue;
		if (any)
			err = buf_append_char(out, ' ');
		if (err == 0)
			err = buf_append_span(out, message_flags[i].name);
		any = true;
	}
	if (err == 0 && any && keywords.n > 0)
		err = buf_append_char(out, ' ');
	return err == 0 ? buf_append_span(out, keywords) : err;
}
