/* SPDX-License-Identifier: MIT */
/*
 * Octets go through the writer first, so that all that is looked at, and counted, is what is sent.
 * The header is read octet by octet, the rest by whole parts.
 */
#include "mail/change/letter.h"

#include "base/error.h"
#include "imap/date.h"

/* Octets that are written at once. */
#define PART 4096

static const char from_word[] = "From ";
#define FROM_LENGTH (sizeof(from_word) - 1)

enum { AT_NAME, AT_SPACE, AT_VALUE, AT_BODY };

/* --- writing --- */

/* Octets of the mbox line, or of what looks like one so far. Returns how many it took. */
static size_t take_beginning(
	struct letter_writer *w, struct span octets, char *out, size_t *written)
{
	size_t used = 0;

	while (w->from < FROM_LENGTH && used < octets.n && octets.p[used] == from_word[w->from]) {
		w->from++;
		used++;
	}
	if (w->from == FROM_LENGTH) {
		w->skips = w->mbox = true;
		w->from++;
	} else if (used < octets.n && w->from < FROM_LENGTH) {
		memcpy(out, from_word, w->from);
		*written += w->from;
		w->from = FROM_LENGTH + 1;
	}
	return used;
}

size_t letter_write(struct letter_writer *w, struct span octets, char *out)
{
	size_t n = 0, i = 0;

	if (w->from <= FROM_LENGTH)
		i = take_beginning(w, octets, out, &n);
	if (w->skips) {
		const char *lf = memchr(octets.p + i, '\n', octets.n - i);
		if (!lf)
			return n;
		w->skips = false;
		i = (size_t)(lf + 1 - octets.p);
	}
	for (; i < octets.n; i++) {
		if (octets.p[i] == '\n' && !w->cr)
			out[n++] = '\r';
		out[n++] = octets.p[i];
		w->cr = octets.p[i] == '\r';
	}
	return n;
}

/* --- the header --- */

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static bool is_named(const struct letter *l, struct span name)
{
	return l->name_length == name.n && memcmp(l->name, name.p, name.n) == 0;
}

static struct span trimmed(struct span s)
{
	while (s.n > 0 && *s.p == ' ') {
		s.p++;
		s.n--;
	}
	while (s.n > 0 && s.p[s.n - 1] == ' ')
		s.n--;
	return s;
}

/* What stands behind the last semicolon (RFC 5322 section 3.6.7). */
static void note_received(struct letter *l, struct span value)
{
	const char *semicolon = value.n ? memrchr(value.p, ';', value.n) : NULL;

	l->received = true;
	if (!semicolon)
		return;
	size_t skipped = (size_t)(semicolon + 1 - value.p);
	struct span date = {semicolon + 1, value.n - skipped};
	l->has_received_date = imap_date_parse(date, &l->received_date);
}

/* A field is over. */
static void note_field(struct letter *l)
{
	struct span value = trimmed((struct span){l->value, l->value_length});

	if (is_named(l, SPAN("received")) && !l->received)
		note_received(l, value);
	else if (is_named(l, SPAN("date")) && !l->has_date)
		l->has_date = imap_date_parse(value, &l->date);
	else if (is_named(l, SPAN("message-id")) && !l->id[0] && value.n < sizeof(l->id))
		memcpy(l->id, value.p, value.n);
	l->name_length = l->value_length = 0;
}

/* When it is full the last half of it stays: dates are at the end. */
static void put_value(struct letter *l, char c)
{
	const size_t half = sizeof(l->value) / 2;

	if (l->value_length == sizeof(l->value)) {
		memmove(l->value, l->value + half, half);
		l->value_length = half;
	}
	l->value[l->value_length++] = c == '\t' || c == '\r' ? ' ' : c;
}

static void refuse(struct letter *l, const char *reason)
{
	if (!l->reason)
		l->reason = reason;
}

static void first_line_is_none(struct letter *l)
{
	if (!l->told)
		refuse(l, "does not begin with a header field as messages do (\"From: ...\")");
	l->told = true;
}

static bool is_usual(char c)
{
	return (lower(c) >= 'a' && lower(c) <= 'z') || (c >= '0' && c <= '9') || c == '-' ||
	       c == '_' || c == '.';
}

/* An octet at a line's beginning or in a field's name. */
static void take_name(struct letter *l, char c)
{
	if (l->line == 0 && (c == ' ' || c == '\t') && l->told) {
		l->at = AT_VALUE;
		put_value(l, ' ');
		return;
	}
	if (l->line == 0)
		note_field(l);
	if (c == ':' && l->line > 0) {
		l->told = true;
		l->at = AT_VALUE;
	} else if (c == ' ' || c == '\t') {
		l->at = AT_SPACE;
	} else if (l->told ? c > ' ' && c < 0x7f : is_usual(c)) {
		if (l->name_length < sizeof(l->name))
			l->name[l->name_length] = lower(c);
		l->name_length++;
		return;
	} else {
		l->at = AT_SPACE;
		l->name_length = 0;
	}
	if (l->at == AT_SPACE && l->name_length == 0)
		first_line_is_none(l);
}

/* Behind a name there may be space before the colon (RFC 5322 section 4.5). */
static void take_space(struct letter *l, char c)
{
	if (c == ':' && l->name_length > 0) {
		l->told = true;
		l->at = AT_VALUE;
	} else if (c != ' ' && c != '\t') {
		first_line_is_none(l);
		l->name_length = 0;
	}
}

static void end_line(struct letter *l)
{
	if (l->line == 0) {
		note_field(l);
		l->at = AT_BODY;
	} else if (l->at != AT_VALUE) {
		l->at = AT_NAME;
		l->name_length = 0;
	} else {
		l->at = AT_NAME;
	}
	if (!l->told)
		first_line_is_none(l);
	l->line = 0;
}

static void take_within(struct letter *l, char c)
{
	if (l->at == AT_NAME)
		take_name(l, c);
	else if (l->at == AT_SPACE)
		take_space(l, c);
	else
		put_value(l, c);
	l->line++;
}

static void take_header(struct letter *l, char c)
{
	if (l->cr && c != '\n')
		take_within(l, '\r');
	l->cr = c == '\r';
	if (c == '\n')
		end_line(l);
	else if (c != '\r')
		take_within(l, c);
}

/* --- all of it --- */

/* In what was an mbox file the line "From " behind an empty one begins another message. */
static void look_for_second(struct letter *l, struct span sent)
{
	for (size_t i = 0; i < sent.n; i++) {
		char c = sent.p[i];
		if (c == '\r')
			continue;
		if (c == '\n') {
			/* FROM_LENGTH + 1: the line has begun, and is no such one. */
			l->empty_line = l->second == 0;
			l->second = 0;
			continue;
		}
		if (l->second < FROM_LENGTH && c == from_word[l->second])
			l->second++;
		else
			l->second = FROM_LENGTH + 1;
		if (l->second == FROM_LENGTH && l->empty_line)
			refuse(l, "is an mbox of several messages: put them in one by one");
	}
}

/* FNV-1a. */
uint64_t letter_sum(uint64_t sum, struct span octets)
{
	for (size_t i = 0; i < octets.n; i++)
		sum = (sum ^ (unsigned char)octets.p[i]) * 0x100000001b3;
	return sum;
}

static void look(struct letter *l, struct span sent)
{
	size_t i = 0;

	if (sent.n == 0)
		return;
	l->size += sent.n;
	l->sum = letter_sum(l->sum, sent);
	l->nul |= memchr(sent.p, '\0', sent.n) != NULL;
	if (l->writer.mbox)
		look_for_second(l, sent);
	while (i < sent.n && l->at != AT_BODY)
		take_header(l, sent.p[i++]);
}

void letter_feed(struct letter *l, struct span octets)
{
	char out[LETTER_WRITTEN(PART)];

	while (octets.n > 0) {
		size_t n = octets.n < PART ? octets.n : PART;
		size_t written = letter_write(&l->writer, (struct span){octets.p, n}, out);
		look(l, (struct span){out, written});
		octets = (struct span){octets.p + n, octets.n - n};
	}
}

int letter_end(struct letter *l)
{
	if (l->at != AT_BODY && l->told)
		note_field(l);
	if (l->size == 0 && (l->writer.mbox || l->writer.from == 0))
		refuse(l, "is empty");
	if (!l->told)
		first_line_is_none(l);
	if (l->nul)
		l->reason = "has NUL bytes, so that it is no message";
	return l->reason ? ERR_INVALID : 0;
}

bool letter_date(const struct letter *l, int64_t *date)
{
	*date = l->has_received_date ? l->received_date : l->date;
	return l->has_received_date || l->has_date;
}
