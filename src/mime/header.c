/* SPDX-License-Identifier: MIT */
#include "mime/header.h"

#include "base/error.h"
#include "mime/words.h"

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct span trim(struct span s)
{
	while (s.n > 0 && is_space(s.p[0]))
		s = (struct span){s.p + 1, s.n - 1};
	while (s.n > 0 && is_space(s.p[s.n - 1]))
		s.n--;
	return s;
}

static size_t line_length(struct span s)
{
	const char *end = s.n ? memchr(s.p, '\n', s.n) : NULL;

	return end ? (size_t)(end - s.p) + 1 : s.n;
}

static bool is_empty_line(struct span s)
{
	return s.n > 0 && (s.p[0] == '\n' || (s.n > 1 && s.p[0] == '\r' && s.p[1] == '\n'));
}

/* A line with those that go on with it. */
static struct span take_folded(struct span *header)
{
	size_t n = line_length(*header);

	while (n < header->n && (header->p[n] == ' ' || header->p[n] == '\t'))
		n += line_length((struct span){header->p + n, header->n - n});
	struct span folded = {header->p, n};
	*header = (struct span){header->p + n, header->n - n};
	return folded;
}

static bool split_field(struct span folded, struct mime_field *field)
{
	const char *colon = memchr(folded.p, ':', line_length(folded));

	if (!colon)
		return false;
	field->name = trim((struct span){folded.p, (size_t)(colon - folded.p)});
	field->value = trim((struct span){colon + 1, folded.n - (size_t)(colon - folded.p) - 1});
	return field->name.n > 0;
}

bool mime_header_next(struct span *header, struct mime_field *field)
{
	while (header->n > 0 && !is_empty_line(*header))
		if (split_field(take_folded(header), field))
			return true;
	return false;
}

struct span mime_header_find(struct span header, struct span name)
{
	struct mime_field field;

	while (mime_header_next(&header, &field))
		if (span_equal_nocase(field.name, name))
			return field.value;
	return (struct span){0};
}

size_t mime_header_length(struct span message)
{
	struct span rest = message;

	while (rest.n > 0 && !is_empty_line(rest)) {
		size_t n = line_length(rest);
		rest = (struct span){rest.p + n, rest.n - n};
	}
	return message.n - rest.n + line_length(rest);
}

/* The octets of the quoted string or comment that s begins with, up to where it ends or the octets
 * do. */
static size_t skip_quoted(struct span s)
{
	size_t n = 1;

	while (n < s.n && s.p[n] != '"')
		n += s.p[n] == '\\' && n + 1 < s.n ? 2 : 1;
	return n < s.n ? n + 1 : s.n;
}

static size_t skip_comment(struct span s)
{
	size_t n = 0, depth = 0;

	do {
		if (s.p[n] == '\\' && n + 1 < s.n)
			n++;
		else if (s.p[n] == '(')
			depth++;
		else if (s.p[n] == ')')
			depth--;
		n++;
	} while (n < s.n && depth > 0);
	return n;
}

/* The octets of what s begins with, which is one token as far as lists of addresses go. */
static size_t skip_token(struct span s)
{
	if (s.p[0] == '"')
		return skip_quoted(s);
	if (s.p[0] == '(')
		return skip_comment(s);
	return s.p[0] == '\\' && s.n > 1 ? 2 : 1;
}

/* One member of a list, up to what parts it from the next. */
static size_t read_member(struct span s, struct mime_address *a)
{
	size_t n = 0, begin = 0, angle = 0;
	bool in_angle = false, has_angle = false;

	*a = (struct mime_address){0};
	while (n < s.n && (in_angle || (s.p[n] != ',' && s.p[n] != ';'))) {
		size_t width = skip_token((struct span){s.p + n, s.n - n});
		if (s.p[n] == '(' && width > 2)
			a->comment = (struct span){s.p + n + 1, width - 2};
		else if (s.p[n] == '<' && !has_angle) {
			in_angle = has_angle = true;
			angle = n + 1;
			a->name = trim((struct span){s.p + begin, n - begin});
		} else if (s.p[n] == '>' && in_angle) {
			in_angle = false;
			a->mailbox = trim((struct span){s.p + angle, n - angle});
		} else if (s.p[n] == ':' && !has_angle) {
			begin = n + 1;
		}
		n += width;
	}
	if (in_angle)
		a->mailbox = trim((struct span){s.p + angle, n - angle});
	else if (!has_angle)
		a->mailbox = trim((struct span){s.p + begin, n - begin});
	return n;
}

bool mime_address_next(struct span *list, struct mime_address *address)
{
	while (list->n > 0) {
		size_t n = read_member(*list, address);
		size_t taken = n < list->n ? n + 1 : n;
		*list = (struct span){list->p + taken, list->n - taken};
		if (address->name.n > 0 || address->mailbox.n > 0)
			return true;
	}
	return false;
}

/* What of an address is wanted. */
enum spelling { PHRASE, MAILBOX, COMMENT };

/* Appends s without quotes and escapes. Of white space one space is left, in a mailbox none; comments
 * are left out where they are comments. */
static int unquote(struct span s, enum spelling spelling, struct buf *out)
{
	bool in_quotes = false;
	int err = 0;

	for (size_t i = 0; i < s.n && err == 0; i++) {
		if (s.p[i] == '(' && !in_quotes && spelling != COMMENT) {
			i += skip_comment((struct span){s.p + i, s.n - i}) - 1;
			continue;
		}
		if (s.p[i] == '"' && spelling != COMMENT) {
			in_quotes = !in_quotes;
			continue;
		}
		if (s.p[i] == '\\' && i + 1 < s.n)
			i++;
		if (!is_space(s.p[i]))
			err = buf_append_char(out, s.p[i]);
		else if (spelling != MAILBOX && out->len > 0 && out->data[out->len - 1] != ' ')
			err = buf_append_char(out, ' ');
	}
	while (out->len > 0 && out->data[out->len - 1] == ' ')
		buf_truncate(out, out->len - 1);
	return err;
}

static int append_decoded(struct span s, enum spelling spelling, struct buf *out)
{
	struct buf plain;

	buf_init(&plain, s.n);
	int err = unquote(s, spelling, &plain);
	if (err == 0)
		err = mime_words_decode(buf_span(&plain), true, out);
	buf_finish(&plain);
	return err;
}

int mime_address_name(const struct mime_address *address, struct buf *out)
{
	size_t before = out->len;
	int err = append_decoded(address->name, PHRASE, out);

	if (err < 0 || out->len > before)
		return err;
	return append_decoded(address->comment, COMMENT, out);
}

int mime_address_mailbox(const struct mime_address *address, struct buf *out)
{
	return append_decoded(address->mailbox, MAILBOX, out);
}

int mime_address_first(struct span list, struct buf *out)
{
	struct mime_address address;
	size_t before = out->len;

	if (!mime_address_next(&list, &address))
		return 0;
	int err = mime_address_name(&address, out);
	if (err < 0 || out->len > before)
		return err;
	return mime_address_mailbox(&address, out);
}
