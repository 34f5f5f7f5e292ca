/* SPDX-License-Identifier: MIT */
/* See dump.h. */
#include "dump.h"

#include <inttypes.h>
#include <stdlib.h>

#include "imap/flags.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char *const conditions[] = {"OK", "NO", "BAD", "BYE", "PREAUTH"};
#define NAME(id) [IMAP_CODE_##id] = #id
/* By name, so that a new code cannot shift the others. */
static const char *const codes[] = {NAME(NONE), NAME(OTHER), NAME(ALERT), NAME(ALREADYEXISTS),
	NAME(APPENDUID), NAME(AUTHENTICATIONFAILED), NAME(AUTHORIZATIONFAILED), NAME(CANNOT),
	NAME(CAPABILITY), NAME(CLOSED), NAME(COPYUID), NAME(EXPIRED), NAME(HIGHESTMODSEQ),
	NAME(INUSE), NAME(LIMIT), NAME(MESSAGELIMIT), NAME(NOMODSEQ), NAME(NONEXISTENT),
	NAME(NOPERM), NAME(NOTIFICATIONOVERFLOW), NAME(OVERQUOTA), NAME(PERMANENTFLAGS),
	NAME(PRIVACYREQUIRED), [IMAP_CODE_READ_ONLY] = "READ-ONLY",
	[IMAP_CODE_READ_WRITE] = "READ-WRITE", NAME(SERVERBUG), NAME(THROTTLED), NAME(TOOBIG),
	NAME(TRYCREATE), NAME(UIDNEXT), NAME(UIDNOTSTICKY), NAME(UIDVALIDITY), NAME(UNAVAILABLE),
	NAME(UNSEEN)};
static const char *const message_flags[] = {
	"seen", "answered", "flagged", "deleted", "draft", "recent", "any"};
static const char *const list_flags[] = {"noselect", "nonexistent", "noinferiors", "subscribed",
	"haschildren", "hasnochildren", "all", "archive", "drafts", "flagged", "junk", "sent",
	"trash", "important"};
static const char *const bodies[] = {"absent", "nil", "inline", "streamed"};

static void put(struct buf *out, const char *text)
{
	if (buf_append_span(out, span_of(text)) < 0)
		abort();
}

static void put_number(struct buf *out, const char *name, uint64_t value)
{
	if (buf_printf(out, " %s=%" PRIu64, name, value) < 0)
		abort();
}

void dump_octets(struct buf *out, struct span s)
{
	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		int err = c >= 0x20 && c < 0x7f ? buf_append_char(out, (char)c)
						: buf_printf(out, "\\x%02x", c);
		if (err < 0)
			abort();
	}
}

static void put_span(struct buf *out, const char *name, struct span s)
{
	put(out, " ");
	put(out, name);
	put(out, "=[");
	dump_octets(out, s);
	put(out, "]");
}

static void put_optional(struct buf *out, const char *name, bool has, uint64_t value)
{
	if (has)
		put_number(out, name, value);
}

static void put_flags(struct buf *out, const char *const *names, size_t count, unsigned flags)
{
	const char *comma = "";

	put(out, " flags=");
	for (size_t i = 0; i < count; i++) {
		if (!(flags & 1u << i))
			continue;
		put(out, comma);
		put(out, names[i]);
		comma = ",";
	}
}

static void put_delimiter(struct buf *out, bool has, char delimiter)
{
	if (has)
		put_span(out, "delimiter", (struct span){&delimiter, 1});
}

static void dump_condition(struct buf *out, const struct imap_response *r)
{
	put(out, " ");
	put(out, conditions[r->condition]);
	if (r->code != IMAP_CODE_NONE) {
		put(out, " code=");
		put(out, codes[r->code]);
		put_span(out, "args", r->code_args);
		put_optional(out, "number", r->number > 0, r->number);
		put_optional(out, "uids", r->uids.uidvalidity > 0, r->uids.count);
	}
	if (r->code == IMAP_CODE_PERMANENTFLAGS)
		put_flags(out, message_flags, COUNT(message_flags), r->flags);
	put_span(out, "text", r->text);
}

static void dump_tagged(struct buf *out, const struct imap_response *r)
{
	put_span(out, "tag", r->tag);
	dump_condition(out, r);
}

static void dump_words(struct buf *out, const struct imap_response *r)
{
	if (r->earlier)
		put(out, " earlier");
	put_span(out, "words", r->words);
	put_optional(out, "count", r->esearch_count > 0, r->esearch_count);
	put_optional(out, "min", r->esearch_min > 0, r->esearch_min);
	put_optional(out, "max", r->esearch_max > 0, r->esearch_max);
}

static void dump_text(struct buf *out, const struct imap_response *r)
{
	put_span(out, "text", r->text);
}

static void dump_seq(struct buf *out, const struct imap_response *r)
{
	put_number(out, "seq", r->seq);
}

static void put_keywords(struct buf *out, struct span words)
{
	struct span word;

	while (imap_keyword_next(&words, &word))
		put_span(out, "keyword", word);
}

static void put_section(struct buf *out, const struct imap_section *s)
{
	if (s->name.n == 0)
		return;
	put_span(out, "section", s->name);
	put(out, " ");
	put(out, bodies[s->kind]);
	if (s->kind == IMAP_BODY_INLINE)
		put_span(out, "octets", s->body);
	put_optional(out, "from", s->has_origin, s->origin);
}

static void dump_fetch(struct buf *out, const struct imap_response *r)
{
	const struct imap_fetch *f = &r->fetch;

	put_number(out, "seq", f->seq);
	put_optional(out, "uid", f->uid > 0, f->uid);
	put_optional(out, "size", f->has_size, f->size);
	if (f->has_date && buf_printf(out, " date=%" PRId64, f->date) < 0)
		abort();
	if (f->has_flags)
		put_flags(out, message_flags, COUNT(message_flags), f->flags);
	put_keywords(out, f->flag_words);
	if (f->emailid.n > 0)
		put_span(out, "emailid", f->emailid);
	put_optional(out, "modseq", f->modseq > 0, f->modseq);
	if (f->body_kind != IMAP_BODY_ABSENT) {
		put(out, " body=");
		put(out, bodies[f->body_kind]);
	}
	if (f->body_kind == IMAP_BODY_INLINE)
		put_span(out, "octets", f->body);
	put_optional(out, "origin", f->has_origin, f->origin);
	put_section(out, &f->section);
	if (f->structure.n > 0)
		put_span(out, "structure", f->structure);
}

static void dump_list(struct buf *out, const struct imap_response *r)
{
	if (r->list.lsub)
		put(out, " lsub");
	put_flags(out, list_flags, COUNT(list_flags), r->list.flags);
	put_delimiter(out, r->list.has_delimiter, r->list.delimiter);
	put_span(out, "name", r->list.name);
}

static void dump_status(struct buf *out, const struct imap_response *r)
{
	const struct imap_status_data *s = &r->status;

	put_span(out, "name", s->name);
	put_optional(out, "messages", s->has_messages, s->messages);
	put_optional(out, "uidnext", s->has_uidnext, s->uidnext);
	put_optional(out, "uidvalidity", s->has_uidvalidity, s->uidvalidity);
	put_optional(out, "unseen", s->has_unseen, s->unseen);
	put_optional(out, "highestmodseq", s->has_highestmodseq, s->highestmodseq);
	put_optional(out, "size", s->has_size, s->size);
	put_optional(out, "limit", s->has_append_limit, s->append_limit);
}

static void dump_flags(struct buf *out, const struct imap_response *r)
{
	put_flags(out, message_flags, COUNT(message_flags), r->flags);
}

static void dump_namespace(struct buf *out, const struct imap_response *r)
{
	if (!r->personal.present)
		return;
	put_span(out, "prefix", r->personal.prefix);
	put_delimiter(out, r->personal.has_delimiter, r->personal.delimiter);
}

static void dump_quota(struct buf *out, const struct imap_response *r)
{
	const struct imap_quota *q = &r->quota;

	put_span(out, "root", q->root);
	put_optional(out, "storage", q->has_storage, q->storage_used);
	put_optional(out, "of", q->has_storage, q->storage_limit);
	put_optional(out, "message", q->has_message, q->message_used);
	put_optional(out, "of", q->has_message, q->message_limit);
}

static const struct {
	const char *name;
	void (*dump)(struct buf *out, const struct imap_response *r);
} kinds[] = {
	[IMAP_UNKNOWN] = {"UNKNOWN", NULL},
	[IMAP_TAGGED] = {"TAGGED", dump_tagged},
	[IMAP_CONTINUE] = {"CONTINUE", dump_text},
	[IMAP_CONDITION] = {"CONDITION", dump_condition},
	[IMAP_CAPABILITY] = {"CAPABILITY", dump_words},
	[IMAP_ENABLED] = {"ENABLED", dump_words},
	[IMAP_LIST] = {"LIST", dump_list},
	[IMAP_STATUS] = {"STATUS", dump_status},
	[IMAP_SEARCH] = {"SEARCH", dump_words},
	[IMAP_ESEARCH] = {"ESEARCH", dump_words},
	[IMAP_EXISTS] = {"EXISTS", dump_seq},
	[IMAP_RECENT] = {"RECENT", dump_seq},
	[IMAP_EXPUNGE] = {"EXPUNGE", dump_seq},
	[IMAP_VANISHED] = {"VANISHED", dump_words},
	[IMAP_FETCH] = {"FETCH", dump_fetch},
	[IMAP_FLAGS] = {"FLAGS", dump_flags},
	[IMAP_NAMESPACE] = {"NAMESPACE", dump_namespace},
	[IMAP_QUOTA] = {"QUOTA", dump_quota},
	[IMAP_QUOTAROOT] = {"QUOTAROOT", dump_quota},
	[IMAP_MYRIGHTS] = {"MYRIGHTS", dump_words},
};

void dump_response(struct buf *out, const struct imap_response *r)
{
	put(out, kinds[r->kind].name);
	if (kinds[r->kind].dump)
		kinds[r->kind].dump(out, r);
	put(out, "\n");
}
