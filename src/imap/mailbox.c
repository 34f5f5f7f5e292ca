/* SPDX-License-Identifier: MIT */
/*
 * What servers say about mailboxes: LIST, STATUS, NAMESPACE, quotas and rights.
 */
#include "imap/parse.h"

#include "base/text.h"

static const struct lexer_flag list_flags[] = {
	{{"\\Noselect", 9}, IMAP_LIST_NOSELECT},
	{{"\\NonExistent", 12}, IMAP_LIST_NONEXISTENT},
	{{"\\Noinferiors", 12}, IMAP_LIST_NOINFERIORS},
	{{"\\Subscribed", 11}, IMAP_LIST_SUBSCRIBED},
	{{"\\HasChildren", 12}, IMAP_LIST_HASCHILDREN},
	{{"\\HasNoChildren", 14}, IMAP_LIST_HASNOCHILDREN},
	{{"\\All", 4}, IMAP_LIST_ALL},
	{{"\\Archive", 8}, IMAP_LIST_ARCHIVE},
	{{"\\Drafts", 7}, IMAP_LIST_DRAFTS},
	{{"\\Flagged", 8}, IMAP_LIST_FLAGGED},
	{{"\\Junk", 5}, IMAP_LIST_JUNK},
	{{"\\Sent", 5}, IMAP_LIST_SENT},
	{{"\\Trash", 6}, IMAP_LIST_TRASH},
	{{"\\Important", 10}, IMAP_LIST_IMPORTANT},
};

bool parse_list(struct lexer *l, struct imap_response *r)
{
	struct imap_list *list = &r->list;

	lexer_skip_spaces(l);
	if (!lexer_take_flags(
		    l, list_flags, sizeof(list_flags) / sizeof(list_flags[0]), &list->flags))
		return false;
	lexer_skip_spaces(l);
	if (!lexer_take_delimiter(l, &list->has_delimiter, &list->delimiter))
		return false;
	lexer_skip_spaces(l);
	return lexer_take_name(l, &list->name);
}

bool parse_lsub(struct lexer *l, struct imap_response *r)
{
	r->list.lsub = true;
	return parse_list(l, r);
}

static void take_32(struct lexer *l, bool *has, uint32_t *out)
{
	uint64_t value;

	*has = lexer_take_whole(l, UINT32_MAX, &value);
	*out = *has ? (uint32_t)value : 0;
}

/* Only a value that was not understood needs to be skipped. */
static bool take_status_item(struct lexer *l, struct span name, struct imap_status_data *s)
{
	if (span_equal_nocase(name, SPAN("MESSAGES")))
		take_32(l, &s->has_messages, &s->messages);
	else if (span_equal_nocase(name, SPAN("UIDNEXT")))
		take_32(l, &s->has_uidnext, &s->uidnext);
	else if (span_equal_nocase(name, SPAN("UIDVALIDITY")))
		take_32(l, &s->has_uidvalidity, &s->uidvalidity);
	else if (span_equal_nocase(name, SPAN("UNSEEN")))
		take_32(l, &s->has_unseen, &s->unseen);
	else if (span_equal_nocase(name, SPAN("HIGHESTMODSEQ")))
		s->has_highestmodseq = lexer_take_whole(l, INT64_MAX, &s->highestmodseq);
	else if (span_equal_nocase(name, SPAN("SIZE")))
		s->has_size = lexer_take_whole(l, INT64_MAX, &s->size);
	else if (span_equal_nocase(name, SPAN("APPENDLIMIT")))
		s->has_append_limit = lexer_take_whole(l, INT64_MAX, &s->append_limit);
	return lexer_at(l, ' ') || lexer_at_close(l) || lexer_skip_value(l);
}

bool parse_status(struct lexer *l, struct imap_response *r)
{
	struct imap_status_data *s = &r->status;

	lexer_skip_spaces(l);
	if (!lexer_take_name(l, &s->name))
		return false;
	lexer_skip_spaces(l);
	if (!lexer_take_char(l, '('))
		return false;
	for (;;) {
		lexer_skip_spaces(l);
		if (lexer_at_close(l))
			return true;
		struct span name = lexer_take_atom(l);
		lexer_skip_spaces(l);
		if (!take_status_item(l, name, s))
			return false;
	}
}

bool parse_namespace(struct lexer *l, struct imap_response *r)
{
	struct imap_namespace *ns = &r->personal;

	lexer_skip_spaces(l);
	if (!lexer_take_char(l, '('))
		return span_equal_nocase(lexer_take_atom(l), SPAN("NIL"));
	lexer_skip_spaces(l);
	if (!lexer_take_char(l, '('))
		return lexer_at(l, ')');
	lexer_skip_spaces(l);
	if (!lexer_take_string(l, &ns->prefix))
		return false;
	lexer_skip_spaces(l);
	ns->present = lexer_take_delimiter(l, &ns->has_delimiter, &ns->delimiter);
	return ns->present;
}

/* "STORAGE 10 512" */
static bool take_resource(struct lexer *l, struct imap_quota *q)
{
	struct span name = lexer_take_atom(l);
	uint64_t used, limit;

	lexer_skip_spaces(l);
	if (!lexer_take_number(l, UINT64_MAX, &used))
		return false;
	lexer_skip_spaces(l);
	if (!lexer_take_number(l, UINT64_MAX, &limit))
		return false;
	if (span_equal_nocase(name, SPAN("STORAGE"))) {
		q->has_storage = true;
		q->storage_used = used;
		q->storage_limit = limit;
	} else if (span_equal_nocase(name, SPAN("MESSAGE"))) {
		q->has_message = true;
		q->message_used = used;
		q->message_limit = limit;
	}
	return true;
}

bool parse_quota(struct lexer *l, struct imap_response *r)
{
	lexer_skip_spaces(l);
	/* The empty root is a string; an atom before "(" may be missing altogether. */
	if (!lexer_at(l, '(') && !lexer_take_name(l, &r->quota.root))
		return false;
	lexer_skip_spaces(l);
	if (!lexer_take_char(l, '('))
		return false;
	for (;;) {
		lexer_skip_spaces(l);
		if (lexer_at_close(l))
			return true;
		if (!take_resource(l, &r->quota))
			return false;
	}
}

bool parse_quotaroot(struct lexer *l, struct imap_response *r)
{
	struct span mailbox;

	lexer_skip_spaces(l);
	if (!lexer_take_astring(l, &mailbox))
		return false;
	lexer_skip_spaces(l);
	return l->p == l->end || lexer_take_astring(l, &r->quota.root);
}

bool parse_myrights(struct lexer *l, struct imap_response *r)
{
	struct span mailbox;

	lexer_skip_spaces(l);
	if (!lexer_take_astring(l, &mailbox))
		return false;
	lexer_skip_spaces(l);
	return lexer_take_astring(l, &r->words);
}
