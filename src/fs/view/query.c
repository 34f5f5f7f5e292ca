/* SPDX-License-Identifier: MIT */
#include "fs/view/query.h"

#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "imap/response.h"
#include "mime/fold.h"
#include "mime/words.h"

#define FIELD_MAX (1u << 20)

struct word {
	struct span key; /* "from"; empty: none */
	struct span text;
	bool not, quoted;
};

/* --- words --- */

/* "%2F" is a slash. */
static int decode(struct span name, struct buf *out)
{
	int err = 0;

	while (err == 0 && name.n > 0) {
		bool slash = name.n >= 3 &&
			     span_equal_nocase((struct span){name.p, 3}, SPAN("%2f"));
		size_t n = slash ? 3 : 1;
		if ((unsigned char)*name.p < 0x20 || *name.p == 0x7f)
			return ERR_INVALID;
		err = buf_append_char(out, slash ? '/' : *name.p);
		name = (struct span){name.p + n, name.n - n};
	}
	return err;
}

static struct span skip_spaces(struct span s)
{
	while (s.n > 0 && *s.p == ' ')
		s = (struct span){s.p + 1, s.n - 1};
	return s;
}

static size_t key_length(struct span s)
{
	size_t n = 0;

	while (n < s.n && ((s.p[n] >= 'a' && s.p[n] <= 'z') || (s.p[n] >= 'A' && s.p[n] <= 'Z')))
		n++;
	return n > 0 && n < s.n && s.p[n] == ':' ? n : 0;
}

/* Up to a space or, where it begins with a quote, the next one. ERR_INVALID: that does not come. */
static int take_text(struct span *s, struct word *w)
{
	char end = s->n > 0 && *s->p == '"' ? '"' : ' ';

	w->quoted = end == '"';
	*s = (struct span){s->p + w->quoted, s->n - w->quoted};
	const char *at = s->n ? memchr(s->p, end, s->n) : NULL;
	if (w->quoted && !at)
		return ERR_INVALID;
	w->text = (struct span){s->p, at ? (size_t)(at - s->p) : s->n};
	size_t taken = w->text.n + (at != NULL);
	*s = (struct span){s->p + taken, s->n - taken};
	return w->quoted && s->n > 0 && *s->p != ' ' ? ERR_INVALID : 0;
}

/* IMAP's keys are all that stands behind the word, or is in quotes. */
static int take_word(struct span *s, struct word *w)
{
	*w = (struct word){0};
	if (s->n > 1 && *s->p == '-') {
		w->not = true;
		*s = (struct span){s->p + 1, s->n - 1};
	}
	size_t n = key_length(*s);
	if (n > 0) {
		w->key = (struct span){s->p, n};
		*s = (struct span){s->p + n + 1, s->n - n - 1};
	}
	if (span_equal_nocase(w->key, SPAN("imap"))) {
		w->text = *s;
		*s = (struct span){s->p + s->n, 0};
		return 0;
	}
	return take_text(s, w);
}

/* --- terms --- */

static bool take_digits(struct span *s, size_t n, int *value)
{
	*value = 0;
	if (s->n < n)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s->p[i] < '0' || s->p[i] > '9')
			return false;
		*value = *value * 10 + (s->p[i] - '0');
	}
	*s = (struct span){s->p + n, s->n - n};
	return true;
}

static bool take_dash(struct span *s)
{
	bool there = s->n > 0 && *s->p == '-';

	*s = (struct span){s->p + there, s->n - there};
	return there;
}

/* "2026", "2026-11" or "2026-11-21": when that begins, UTC. */
static bool read_date(struct span s, int64_t *seconds)
{
	int year, month = 1, day = 1;

	if (!take_digits(&s, 4, &year))
		return false;
	if (take_dash(&s) && !take_digits(&s, 2, &month))
		return false;
	if (take_dash(&s) && !take_digits(&s, 2, &day))
		return false;
	struct tm tm = {.tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day};
	*seconds = timegm(&tm);
	return s.n == 0 && month >= 1 && month <= 12 && day >= 1 && day <= 31;
}

/* Octets, or so many k, M or G of 1024. */
static bool read_size(struct span s, int64_t *octets)
{
	static const char units[] = "kMG";
	unsigned shift = 0;
	int64_t value = 0;
	size_t n = 0;

	for (; n < s.n && s.p[n] >= '0' && s.p[n] <= '9'; n++) {
		if (value > INT64_MAX >> 40)
			return false;
		value = value * 10 + (s.p[n] - '0');
	}
	for (unsigned i = 0; n > 0 && n + 1 == s.n && i < 3; i++)
		if ((s.p[n] | 0x20) == (units[i] | 0x20))
			shift = 10 * (i + 1);
	*octets = value << shift;
	return n > 0 && (n == s.n || shift > 0);
}

static const struct {
	const char *name;
	unsigned set, unset;
} states[] = {
	{"unread", 0, IMAP_FLAG_SEEN},
	{"unseen", 0, IMAP_FLAG_SEEN},
	{"read", IMAP_FLAG_SEEN, 0},
	{"seen", IMAP_FLAG_SEEN, 0},
	{"flagged", IMAP_FLAG_FLAGGED, 0},
	{"answered", IMAP_FLAG_ANSWERED, 0},
	{"replied", IMAP_FLAG_ANSWERED, 0},
	{"draft", IMAP_FLAG_DRAFT, 0},
	{"deleted", IMAP_FLAG_DELETED, 0},
};

static bool read_state(struct span word, struct query_term *t)
{
	for (size_t i = 0; i < sizeof(states) / sizeof(states[0]); i++) {
		if (!span_equal_nocase(word, span_of(states[i].name)))
			continue;
		t->set |= states[i].set;
		t->unset |= states[i].unset;
		return true;
	}
	return false;
}

/* "unread,flagged": all of them. */
static bool read_states(struct span s, struct query_term *t)
{
	bool ok = true;

	do {
		const char *comma = s.n ? memchr(s.p, ',', s.n) : NULL;
		size_t n = comma ? (size_t)(comma - s.p) : s.n, taken = n + (comma != NULL);
		ok = read_state((struct span){s.p, n}, t);
		s = (struct span){s.p + taken, s.n - taken};
	} while (ok && s.n > 0);
	return ok;
}

/* Keys that can be nothing but what stands there: printable, with quotes and parentheses that end, and
 * without literals. */
static bool is_harmless(struct span s)
{
	bool quoted = false;
	int depth = 0;

	for (size_t i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];
		if (c < 0x20 || c >= 0x7f || (!quoted && (c == '{' || c == '}')))
			return false;
		if (quoted && c == '\\') {
			if (i + 1 == s.n || (s.p[i + 1] != '"' && s.p[i + 1] != '\\'))
				return false;
			i++;
		} else if (c == '"')
			quoted = !quoted;
		else if (!quoted)
			depth += (c == '(') - (c == ')');
		if (depth < 0)
			return false;
	}
	return !quoted && depth == 0 && s.n > 0;
}

static const struct {
	const char *key;
	enum query_kind kind;
} keys[] = {
	{"from", QUERY_FROM},
	{"to", QUERY_TO},
	{"cc", QUERY_CC},
	{"subject", QUERY_SUBJECT},
	{"list", QUERY_LIST},
	{"id", QUERY_ID},
	{"since", QUERY_SINCE},
	{"before", QUERY_BEFORE},
	{"larger", QUERY_LARGER},
	{"smaller", QUERY_SMALLER},
	{"is", QUERY_IS},
	{"has", QUERY_HAS_ATTACHMENT},
	{"body", QUERY_BODY},
	{"text", QUERY_TEXT},
	{"imap", QUERY_IMAP},
	{"gmail", QUERY_GMAIL},
};

static bool find_key(struct span key, enum query_kind *kind)
{
	*kind = QUERY_ANY;
	if (key.n == 0)
		return true;
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		*kind = keys[i].kind;
		if (span_equal_nocase(key, span_of(keys[i].key)))
			return true;
	}
	return false;
}

static bool read_value(struct query_term *t)
{
	switch (t->kind) {
	case QUERY_SINCE:
	case QUERY_BEFORE:
		return read_date(t->text, &t->value);
	case QUERY_LARGER:
	case QUERY_SMALLER:
		return read_size(t->text, &t->value);
	case QUERY_IS:
		return read_states(t->text, t);
	case QUERY_HAS_ATTACHMENT:
		return span_equal_nocase(t->text, SPAN("attachment"));
	case QUERY_IMAP:
		return is_harmless(t->text);
	case QUERY_FROM:
	case QUERY_TO:
	case QUERY_CC:
	case QUERY_SUBJECT:
	case QUERY_LIST:
	case QUERY_ID:
	case QUERY_ANY:
	case QUERY_BODY:
	case QUERY_TEXT:
	case QUERY_GMAIL:
		break;
	}
	return t->text.n > 0 && mime_fold_is_utf8(t->text);
}

/* Compared here: without its case. */
static int fold_text(struct query *q, struct query_term *t)
{
	size_t at = q->folded.len;
	int err = mime_fold(t->text, &q->folded);

	t->folded_at = at;
	t->folded_n = q->folded.len - at;
	return err == 0 && t->folded_n == 0 ? ERR_INVALID : err;
}

static int add_term(struct query *q, const struct word *w, unsigned side)
{
	if (q->count == QUERY_TERMS_MAX)
		return ERR_INVALID;
	struct query_term *t = &q->terms[q->count];
	*t = (struct query_term){.is_not = w->not, .side = side, .text = w->text};
	if (!find_key(w->key, &t->kind) || !read_value(t))
		return ERR_INVALID;
	q->count++;
	return t->kind <= QUERY_ANY ? fold_text(q, t) : 0;
}

static bool is_or(const struct word *w)
{
	return w->key.n == 0 && !w->quoted && !w->not &&span_equal_nocase(w->text, SPAN("or"));
}

static int parse_terms(struct query *q)
{
	struct span s = skip_spaces(buf_span(&q->text));
	unsigned side = 0, before = 0; /* terms so far, of the sides before */
	struct word w;
	int err = 0;

	for (; err == 0 && s.n > 0; s = skip_spaces(s)) {
		err = take_word(&s, &w);
		if (err == 0 && is_or(&w)) {
			err = q->count > before ? 0 : ERR_INVALID;
			before = q->count;
			side++;
		} else if (err == 0) {
			err = add_term(q, &w, side);
		}
	}
	return err == 0 && q->count == before ? ERR_INVALID : err;
}

int query_parse(struct query *q, struct span name)
{
	*q = (struct query){0};
	buf_init(&q->text, name.n);
	buf_init(&q->folded, 16 * name.n);
	if (name.n == 0 || *name.p == '.')
		return ERR_INVALID;
	int err = decode(name, &q->text);
	return err == 0 ? parse_terms(q) : err;
}

void query_finish(struct query *q)
{
	buf_finish(&q->text);
	buf_finish(&q->folded);
}

/* --- what it needs --- */

static bool has_kind(const struct query *q, enum query_kind first, enum query_kind last)
{
	for (unsigned i = 0; i < q->count; i++)
		if (q->terms[i].kind >= first && q->terms[i].kind <= last)
			return true;
	return false;
}

bool query_wants_flags(const struct query *q)
{
	return has_kind(q, QUERY_IS, QUERY_IS);
}

bool query_wants_summary(const struct query *q)
{
	return has_kind(q, QUERY_FROM, QUERY_ANY);
}

bool query_wants_structure(const struct query *q)
{
	return has_kind(q, QUERY_HAS_ATTACHMENT, QUERY_HAS_ATTACHMENT);
}

bool query_is_asked(const struct query_term *t)
{
	return t->kind >= QUERY_BODY;
}

/* --- whether a message meets it --- */

/* folded: the text without its case. */
static bool field_has(
	const struct query_message *m, enum mime_summary_field field, struct span folded)
{
	struct buf decoded, text;

	buf_init(&decoded, FIELD_MAX);
	buf_init(&text, FIELD_MAX);
	bool has = mime_words_decode(m->summary.value[field], true, &decoded) == 0 &&
		   mime_fold(buf_span(&decoded), &text) == 0 && text.len > 0 &&
		   memmem(text.data, text.len, folded.p, folded.n) != NULL;
	buf_finish(&decoded);
	buf_finish(&text);
	return has;
}

static bool has_attachment(const struct query_message *m)
{
	for (uint32_t i = 0; m->structure && i < m->structure->count; i++)
		if (mime_structure_is_attachment(m->structure, i))
			return true;
	return false;
}

static bool meets(const struct query *q, const struct query_term *t, const struct query_message *m)
{
	const struct span folded = {q->folded.data + t->folded_at, t->folded_n};
	static const enum mime_summary_field fields[] = {
		[QUERY_FROM] = MIME_SUMMARY_FROM,
		[QUERY_TO] = MIME_SUMMARY_TO,
		[QUERY_CC] = MIME_SUMMARY_CC,
		[QUERY_SUBJECT] = MIME_SUMMARY_SUBJECT,
		[QUERY_LIST] = MIME_SUMMARY_LIST_ID,
		[QUERY_ID] = MIME_SUMMARY_MESSAGE_ID,
	};

	switch (t->kind) {
	case QUERY_FROM:
	case QUERY_TO:
	case QUERY_CC:
	case QUERY_SUBJECT:
	case QUERY_LIST:
	case QUERY_ID:
		return field_has(m, fields[t->kind], folded);
	case QUERY_ANY:
		return field_has(m, MIME_SUMMARY_SUBJECT, folded) ||
		       field_has(m, MIME_SUMMARY_FROM, folded);
	case QUERY_SINCE:
		return m->date >= t->value;
	case QUERY_BEFORE:
		return m->date < t->value;
	case QUERY_LARGER:
		return m->size > (uint64_t)t->value;
	case QUERY_SMALLER:
		return m->size < (uint64_t)t->value;
	case QUERY_IS:
		return (m->flags & t->set) == t->set && !(m->flags & t->unset);
	case QUERY_HAS_ATTACHMENT:
		return has_attachment(m);
	case QUERY_BODY:
	case QUERY_TEXT:
	case QUERY_IMAP:
	case QUERY_GMAIL:
		break;
	}
	return false;
}

/* What must be known for a term. */
static unsigned needs(const struct query_term *t)
{
	static const unsigned of[] = {
		[QUERY_FROM] = QUERY_NO_SUMMARY,
		[QUERY_TO] = QUERY_NO_SUMMARY,
		[QUERY_CC] = QUERY_NO_SUMMARY,
		[QUERY_SUBJECT] = QUERY_NO_SUMMARY,
		[QUERY_LIST] = QUERY_NO_SUMMARY,
		[QUERY_ID] = QUERY_NO_SUMMARY,
		[QUERY_ANY] = QUERY_NO_SUMMARY,
		[QUERY_SINCE] = QUERY_NO_DATE,
		[QUERY_BEFORE] = QUERY_NO_DATE,
		[QUERY_LARGER] = QUERY_NO_SIZE,
		[QUERY_SMALLER] = QUERY_NO_SIZE,
		[QUERY_HAS_ATTACHMENT] = QUERY_NO_STRUCTURE,
	};

	return (size_t)t->kind < sizeof(of) / sizeof(of[0]) ? of[t->kind] : 0;
}

bool query_matches(const struct query *q, const struct query_message *m, const bool *met)
{
	bool ok = true;
	unsigned side = 0;

	for (unsigned i = 0; i < q->count; i++) {
		const struct query_term *t = &q->terms[i];
		if (t->side != side && ok)
			return true;
		if (t->side != side) {
			side = t->side;
			ok = true;
		}
		/* Nothing that may be meant is left out. */
		if (m->unknown & needs(t))
			continue;
		bool is = !ok || (query_is_asked(t) ? met[i] : meets(q, t, m));
		ok = ok && is != t->is_not;
	}
	return ok;
}
