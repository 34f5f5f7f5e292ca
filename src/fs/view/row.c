/* SPDX-License-Identifier: MIT */
#include "fs/view/row.h"

#include <inttypes.h>

#include "imap/date.h"
#include "imap/flags.h"
#include "mime/header.h"
#include "mime/names.h"
#include "mime/words.h"

/* --- what both have --- */

static int put_date(int64_t seconds, struct buf *out)
{
	char text[IMAP_DATE_ISO_LENGTH + 1];

	if (!imap_date_iso(seconds, text))
		return buf_append_char(out, '-');
	return buf_append_span(out, span_of(text));
}

/* --- columns --- */

static int put_flags(const struct row_head *h, struct buf *out)
{
	const char columns[6] = {
		h->system & IMAP_FLAG_SEEN ? 'S' : '-',
		h->system & IMAP_FLAG_ANSWERED ? 'R' : '-',
		h->system & IMAP_FLAG_FLAGGED ? 'F' : '-',
		h->system & IMAP_FLAG_DRAFT ? 'D' : '-',
		h->system & IMAP_FLAG_DELETED ? 'T' : '-',
		imap_has_word(h->keywords, SPAN("$Forwarded")) ? 'P' : '-',
	};

	return buf_append(out, columns, sizeof(columns));
}

int row_columns_head(const struct row_head *head, struct buf *out)
{
	int err = buf_printf(out, "%" PRIu32 "\t", head->uid);

	if (err == 0)
		err = head->has_date ? put_date(head->date, out) : buf_append_char(out, '-');
	if (err == 0)
		err = buf_append_char(out, '\t');
	if (err == 0)
		err = put_flags(head, out);
	if (err == 0 && head->has_size)
		return buf_printf(out, "\t%" PRIu64 "\t", head->size);
	return err == 0 ? buf_append_span(out, SPAN("\t-\t")) : err;
}

int row_columns_tail(const struct mime_summary *summary, struct buf *out)
{
	if (!summary)
		return buf_append_span(out, SPAN("-\t-\t-\n"));
	int err = mime_address_first(summary->value[MIME_SUMMARY_FROM], out);

	if (err == 0)
		err = buf_append_char(out, '\t');
	if (err == 0)
		err = mime_words_decode(summary->value[MIME_SUMMARY_SUBJECT], true, out);
	if (err == 0)
		err = buf_append_char(out, '\t');
	if (err == 0)
		err = mime_words_decode(summary->value[MIME_SUMMARY_MESSAGE_ID], true, out);
	return err == 0 ? buf_append_char(out, '\n') : err;
}

/* --- JSON (RFC 8259) --- */

/* A string of what is UTF-8 without control characters. */
static int put_string(struct span s, struct buf *out)
{
	int err = buf_append_char(out, '"');

	while (err == 0 && s.n > 0) {
		size_t n = 0;
		while (n < s.n && s.p[n] != '"' && s.p[n] != '\\')
			n++;
		err = buf_append(out, s.p, n);
		if (err == 0 && n < s.n) {
			const char escaped[2] = {'\\', s.p[n++]};
			err = buf_append(out, escaped, sizeof(escaped));
		}
		s = (struct span){s.p + n, s.n - n};
	}
	return err == 0 ? buf_append_char(out, '"') : err;
}

/* Text as it stands in a header. */
static int put_words(struct span text, struct buf *out)
{
	struct buf decoded;

	buf_init(&decoded, ROW_MAX);
	int err = mime_words_decode(text, true, &decoded);
	if (err == 0)
		err = put_string(buf_span(&decoded), out);
	buf_finish(&decoded);
	return err;
}

static int put_name(const char *name, struct buf *out)
{
	return buf_printf(out, ",\"%s\":", name);
}

/* "Anna <a@b>", or "a@b". */
static int print_address(const struct mime_address *address, struct buf *out)
{
	int err = mime_address_name(address, out);
	bool named = out->len > 0;

	if (err == 0 && named)
		err = buf_append_span(out, SPAN(" <"));
	if (err == 0)
		err = mime_address_mailbox(address, out);
	return err == 0 && named ? buf_append_char(out, '>') : err;
}

static int put_address(const struct mime_address *address, struct buf *out)
{
	struct buf text;

	buf_init(&text, ROW_MAX);
	int err = print_address(address, &text);
	if (err == 0)
		err = put_string(buf_span(&text), out);
	buf_finish(&text);
	return err;
}

static int put_addresses(const char *name, struct span list, struct buf *out)
{
	struct mime_address address;
	const char *comma = "";
	int err = put_name(name, out);

	if (err == 0)
		err = buf_append_char(out, '[');
	while (err == 0 && mime_address_next(&list, &address)) {
		struct buf text;
		buf_init(&text, ROW_MAX);
		err = print_address(&address, &text);
		/* Some lists have members that are nothing. */
		if (err == 0 && text.len > 0) {
			err = buf_append_span(out, span_of(comma));
			if (err == 0)
				err = put_string(buf_span(&text), out);
			comma = ",";
		}
		buf_finish(&text);
	}
	return err == 0 ? buf_append_char(out, ']') : err;
}

static int put_from(struct span list, struct buf *out)
{
	struct mime_address address;
	int err = put_name("from", out);

	if (err < 0)
		return err;
	return mime_address_next(&list, &address) ? put_address(&address, out)
						  : buf_append_span(out, SPAN("\"\""));
}

static int put_text(const char *name, struct span text, struct buf *out)
{
	int err = put_name(name, out);

	return err == 0 ? put_words(text, out) : err;
}

static bool take_word(struct span *s, struct span *word)
{
	size_t n = 0;

	while (s->n > 0 && (*s->p == ' ' || *s->p == '\t'))
		*s = (struct span){s->p + 1, s->n - 1};
	while (n < s->n && s->p[n] != ' ' && s->p[n] != '\t')
		n++;
	*word = (struct span){s->p, n};
	*s = (struct span){s->p + n, s->n - n};
	return n > 0;
}

/* Words that white space parts. */
static int put_each_word(const char *name, struct span words, struct buf *out)
{
	struct span word;
	const char *comma = "";
	int err = put_name(name, out);

	if (err == 0)
		err = buf_append_char(out, '[');
	while (err == 0 && take_word(&words, &word)) {
		err = buf_append_span(out, span_of(comma));
		if (err == 0)
			err = put_words(word, out);
		comma = ",";
	}
	return err == 0 ? buf_append_char(out, ']') : err;
}

int row_json_head(const struct row_head *head, struct buf *out)
{
	static const struct {
		unsigned flag;
		const char *name;
	} flags[] = {{IMAP_FLAG_SEEN, "\\\\Seen"}, {IMAP_FLAG_ANSWERED, "\\\\Answered"},
		{IMAP_FLAG_FLAGGED, "\\\\Flagged"}, {IMAP_FLAG_DELETED, "\\\\Deleted"},
		{IMAP_FLAG_DRAFT, "\\\\Draft"}};
	const char *comma = "";
	int err = buf_printf(out, "{\"uid\":%" PRIu32, head->uid);

	if (err == 0 && head->has_date) {
		err = buf_append_span(out, SPAN(",\"date\":\""));
		if (err == 0)
			err = put_date(head->date, out);
		if (err == 0)
			err = buf_append_char(out, '"');
	}
	if (err == 0 && head->has_size)
		err = buf_printf(out, ",\"size\":%" PRIu64, head->size);
	if (err == 0)
		err = buf_append_span(out, SPAN(",\"flags\":["));
	for (size_t i = 0; err == 0 && i < sizeof(flags) / sizeof(flags[0]); i++) {
		if (!(head->system & flags[i].flag))
			continue;
		err = buf_printf(out, "%s\"%s\"", comma, flags[i].name);
		comma = ",";
	}
	if (err == 0)
		err = buf_append_char(out, ']');
	return err == 0 ? put_each_word("keywords", head->keywords, out) : err;
}

static int put_part(
	const struct mime_structure *s, const struct mime_names *names, uint32_t i, struct buf *out)
{
	const struct mime_part *part = &s->parts[i];
	struct buf type;

	buf_init(&type, ROW_MAX);
	int err = buf_append_span(out, SPAN("{\"section\":\""));
	if (err == 0)
		err = mime_structure_section(s, i, out);
	if (err == 0)
		err = buf_append_span(&type, part->type);
	if (err == 0)
		err = buf_append_char(&type, '/');
	if (err == 0)
		err = buf_append_span(&type, part->subtype);
	if (err == 0)
		err = buf_append_span(out, SPAN("\",\"type\":"));
	if (err == 0)
		err = put_words(buf_span(&type), out);
	if (err == 0)
		err = buf_append_span(out, SPAN(",\"name\":"));
	if (err == 0)
		err = put_string(names->of[i].text, out);
	if (err == 0)
		err = buf_printf(out, ",\"bytes\":%" PRIu64 "}", part->octets);
	buf_finish(&type);
	return err;
}

static int put_parts(const struct mime_structure *s, struct buf *out)
{
	struct mime_names names;
	const char *comma = "";
	int err = mime_names_init(&names, s);

	if (err == 0)
		err = buf_append_span(out, SPAN(",\"parts\":["));
	for (uint32_t i = 0; err == 0 && i < s->count; i++) {
		if (s->parts[i].kind == MIME_MULTIPART)
			continue;
		err = buf_append_span(out, span_of(comma));
		if (err == 0)
			err = put_part(s, &names, i, out);
		comma = ",";
	}
	mime_names_finish(&names);
	return err == 0 ? buf_append_char(out, ']') : err;
}

static int put_summary(const struct mime_summary *summary, struct buf *out)
{
	const struct span *value = summary->value;
	int err = put_from(value[MIME_SUMMARY_FROM], out);

	if (err == 0)
		err = put_addresses("to", value[MIME_SUMMARY_TO], out);
	if (err == 0)
		err = put_addresses("cc", value[MIME_SUMMARY_CC], out);
	if (err == 0)
		err = put_text("subject", value[MIME_SUMMARY_SUBJECT], out);
	if (err == 0)
		err = put_text("message_id", value[MIME_SUMMARY_MESSAGE_ID], out);
	if (err == 0)
		err = put_each_word("in_reply_to", value[MIME_SUMMARY_IN_REPLY_TO], out);
	if (err == 0)
		err = put_each_word("references", value[MIME_SUMMARY_REFERENCES], out);
	if (err == 0)
		err = put_text("list_id", value[MIME_SUMMARY_LIST_ID], out);
	return err == 0 ? put_text("sent", value[MIME_SUMMARY_DATE], out) : err;
}

static int put_no_summary(struct buf *out)
{
	return buf_append_span(
		out, SPAN(",\"from\":null,\"to\":null,\"cc\":null,\"subject\":null,"
			  "\"message_id\":null,\"in_reply_to\":null,\"references\":null,"
			  "\"list_id\":null,\"sent\":null"));
}

static int put_error(bool no_summary, bool no_structure, struct buf *out)
{
	const char *what = no_summary && no_structure ? "header and no structure"
			   : no_summary               ? "header"
						      : "structure";

	return buf_printf(out,
		",\"error\":\"the server gives no %s of this message that makes sense\"", what);
}

int row_json_tail(
	const struct mime_summary *summary, const struct mime_structure *structure, struct buf *out)
{
	int err = summary ? put_summary(summary, out) : put_no_summary(out);

	if (err == 0)
		err = structure ? put_parts(structure, out)
				: buf_append_span(out, SPAN(",\"parts\":null"));
	if (err == 0 && (!summary || !structure))
		err = put_error(!summary, !structure, out);
	return err == 0 ? buf_append_span(out, SPAN("}\n")) : err;
}
