/* SPDX-License-Identifier: MIT */
#include "imap/capability.h"

#include "base/text.h"
#include "imap/response.h"

static const struct {
	struct span word;
	uint32_t set;
} table[] = {
	{{"ACL", 3}, IMAP_CAP_ACL},
	{{"APPENDLIMIT", 11}, IMAP_CAP_APPENDLIMIT},
	{{"COMPRESS=DEFLATE", 16}, IMAP_CAP_COMPRESS_DEFLATE},
	{{"CONDSTORE", 9}, IMAP_CAP_CONDSTORE},
	{{"ENABLE", 6}, IMAP_CAP_ENABLE},
	{{"ESEARCH", 7}, IMAP_CAP_ESEARCH},
	{{"ID", 2}, IMAP_CAP_ID},
	{{"IDLE", 4}, IMAP_CAP_IDLE},
	{{"IMAP4REV1", 9}, IMAP_CAP_IMAP4REV1},
	{{"IMAP4REV2", 9}, IMAP_CAP_IMAP4REV2 | IMAP_CAP_ENABLE | IMAP_CAP_ESEARCH | IMAP_CAP_IDLE |
				   IMAP_CAP_LIST_STATUS | IMAP_CAP_LITERAL_MINUS | IMAP_CAP_MOVE |
				   IMAP_CAP_NAMESPACE | IMAP_CAP_SASL_IR | IMAP_CAP_UIDPLUS},
	{{"LIST-EXTENDED", 13}, IMAP_CAP_LIST_EXTENDED},
	{{"LIST-STATUS", 11}, IMAP_CAP_LIST_STATUS},
	{{"LITERAL+", 8}, IMAP_CAP_LITERAL_PLUS},
	{{"LITERAL-", 8}, IMAP_CAP_LITERAL_MINUS},
	{{"LOGINDISABLED", 13}, IMAP_CAP_LOGINDISABLED},
	{{"MOVE", 4}, IMAP_CAP_MOVE},
	{{"NAMESPACE", 9}, IMAP_CAP_NAMESPACE},
	{{"NOTIFY", 6}, IMAP_CAP_NOTIFY},
	{{"OBJECTID", 8}, IMAP_CAP_OBJECTID},
	{{"QRESYNC", 7}, IMAP_CAP_QRESYNC | IMAP_CAP_CONDSTORE | IMAP_CAP_ENABLE},
	{{"QUOTA", 5}, IMAP_CAP_QUOTA},
	{{"SASL-IR", 7}, IMAP_CAP_SASL_IR},
	{{"SPECIAL-USE", 11}, IMAP_CAP_SPECIAL_USE},
	{{"STARTTLS", 8}, IMAP_CAP_STARTTLS},
	{{"UIDONLY", 7}, IMAP_CAP_UIDONLY},
	{{"UIDPLUS", 7}, IMAP_CAP_UIDPLUS},
	{{"UTF8=ACCEPT", 11}, IMAP_CAP_UTF8_ACCEPT},
	{{"UTF8=ONLY", 9}, IMAP_CAP_UTF8_ONLY},
};

static bool begins(struct span word, struct span with)
{
	return word.n > with.n && span_equal_nocase((struct span){word.p, with.n}, with);
}

/* The first number that follows this name. */
static bool find_number(struct span words, struct span name, uint64_t max, uint64_t *number)
{
	struct span word;

	while (imap_word_next(&words, &word))
		if (begins(word, name) &&
			text_parse_number(
				(struct span){word.p + name.n, word.n - name.n}, max, number))
			return true;
	return false;
}

uint32_t imap_capability_limit(struct span words)
{
	uint64_t limit;

	return find_number(words, SPAN("MESSAGELIMIT="), UINT32_MAX, &limit) ? (uint32_t)limit : 0;
}

uint64_t imap_capability_append_limit(struct span words)
{
	uint64_t limit;

	return find_number(words, SPAN("APPENDLIMIT="), INT64_MAX, &limit) ? limit : UINT64_MAX;
}

uint32_t imap_capability_parse(struct span words)
{
	struct span word;
	uint32_t set = imap_capability_limit(words) ? IMAP_CAP_MESSAGELIMIT : 0;

	if (imap_capability_append_limit(words) < UINT64_MAX)
		set |= IMAP_CAP_APPENDLIMIT;
	while (imap_word_next(&words, &word))
		for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++)
			if (span_equal_nocase(word, table[i].word))
				set |= table[i].set;
	return set;
}
