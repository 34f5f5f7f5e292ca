/* SPDX-License-Identifier: MIT */
#include "mime/readable.h"

#include "base/error.h"
#include "mime/header.h"
#include "mime/utf8.h"
#include "mime/words.h"

/* Octets that go through all steps at once. */
#define STEP 16384
#define TYPE_MAX 256

void mime_transfer_init(struct mime_transfer *t, const struct mime_part *part)
{
	*t = (struct mime_transfer){.encoding = MIME_IDENTITY};
	if (span_equal_nocase(part->encoding, SPAN("base64")))
		t->encoding = MIME_BASE64;
	else if (span_equal_nocase(part->encoding, SPAN("quoted-printable")))
		t->encoding = MIME_QUOTED_PRINTABLE;
	mime_base64_init(&t->base64);
	mime_qp_init(&t->qp);
}

int mime_transfer_feed(struct mime_transfer *t, struct span in, struct buf *out)
{
	if (t->encoding == MIME_BASE64)
		return mime_base64_feed(&t->base64, in, out);
	if (t->encoding == MIME_QUOTED_PRINTABLE)
		return mime_qp_feed(&t->qp, in, out);
	return buf_append_span(out, in);
}

int mime_transfer_end(struct mime_transfer *t, struct buf *out)
{
	if (t->encoding == MIME_BASE64)
		return mime_base64_end(&t->base64, out);
	return t->encoding == MIME_QUOTED_PRINTABLE ? mime_qp_end(&t->qp, out) : 0;
}

/* What stands before the text. */

static int append_field(struct span name, struct span value, struct buf *out)
{
	bool cut = value.n > MIME_READABLE_FIELD_MAX;
	int err = buf_append_span(out, name);

	if (cut)
		value.n = MIME_READABLE_FIELD_MAX;
	if (err == 0)
		err = buf_append(out, ": ", 2);
	if (err == 0)
		err = mime_words_decode(value, true, out);
	if (err == 0 && cut)
		err = buf_append(out, "...", 3);
	return err ? err : buf_append_char(out, '\n');
}

static int append_fields(struct span header, struct buf *out)
{
	static const struct span names[] = {
		{"Date", 4}, {"From", 4}, {"To", 2}, {"Cc", 2}, {"Subject", 7}, {"Message-ID", 10}};
	int err = 0;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct span rest = header;
		struct mime_field field;
		while (err == 0 && mime_header_next(&rest, &field))
			if (span_equal_nocase(field.name, names[i]))
				err = append_field(names[i], field.value, out);
	}
	return err;
}

static int append_word(struct span word, struct buf *out)
{
	char lower[TYPE_MAX];
	size_t n = word.n < TYPE_MAX ? word.n : TYPE_MAX;

	for (size_t i = 0; i < n; i++) {
		char c = word.p[i];
		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c > ' ' && c < 0x7f ? c : '?';
	}
	return buf_append(out, lower, n);
}

static int append_attachment(
	const struct mime_structure *s, uint32_t index, struct span name, struct buf *out)
{
	const struct mime_part *part = &s->parts[index];
	int err = buf_append(out, "Attachment: ", 12);

	if (err == 0)
		err = mime_structure_section(s, index, out);
	if (err == 0)
		err = buf_append_char(out, ' ');
	if (err == 0)
		err = append_word(part->type, out);
	if (err == 0)
		err = buf_append_char(out, '/');
	if (err == 0)
		err = append_word(part->subtype, out);
	if (err == 0)
		err = buf_append_char(out, ' ');
	if (err == 0)
		err = buf_append_span(out, name);
	return err ? err : buf_append_char(out, '\n');
}

static int append_attachments(
	const struct mime_structure *s, const struct mime_names *names, struct buf *out)
{
	int err = 0;

	for (uint32_t i = 0; i < s->count && err == 0; i++)
		if (mime_structure_is_attachment(s, i))
			err = append_attachment(s, i, names->of[i].text, out);
	return err;
}

/* The text. */

static bool is_html(const struct mime_readable *r)
{
	return r->wants == r->shown.html;
}

static bool is_multipart(const struct mime_readable *r)
{
	return r->structure->parts[r->wants].kind == MIME_MULTIPART;
}

/* What comes behind a text that was shown. */
static void want_next(struct mime_readable *r)
{
	r->wants = MIME_NO_PART;
	if (mime_structure_next_shown(r->structure, &r->cursor, &r->shown))
		r->wants = r->shown.plain != MIME_NO_PART ? r->shown.plain : r->shown.html;
}

int mime_readable_begin(struct mime_readable *r, const struct mime_structure *s,
	const struct mime_names *names, struct span header, struct buf *out)
{
	*r = (struct mime_readable){.structure = s};
	buf_init(&r->octets, 4 * STEP);
	/* Also what a charset holds back until it is sure. */
	buf_init(&r->text, 4 * (STEP + MIME_CHARSET_LOOK));
	want_next(r);
	int err = append_fields(header, out);
	if (err == 0)
		err = append_attachments(s, names, out);
	return err ? err : buf_append_char(out, '\n');
}

static void close_part(struct mime_readable *r)
{
	if (r->begun) {
		mime_charset_finish(&r->charset);
		mime_html_finish(&r->html);
	}
	r->begun = false;
}

void mime_readable_finish(struct mime_readable *r)
{
	close_part(r);
	buf_finish(&r->octets);
	buf_finish(&r->text);
}

uint32_t mime_readable_wants(const struct mime_readable *r)
{
	return r->wants;
}

static int open_part(struct mime_readable *r, struct buf *out)
{
	const struct mime_part *part = &r->structure->parts[r->wants];
	struct span label = mime_structure_param(r->structure, part, SPAN("charset"));

	if (r->begun)
		return 0;
	mime_transfer_init(&r->transfer, part);
	mime_preamble_init(
		&r->preamble, mime_structure_param(r->structure, part, SPAN("boundary")));
	int err = mime_charset_init(&r->charset, label);
	if (err < 0)
		return err;
	mime_html_init(&r->html);
	r->begun = r->blank = true;
	r->has_cr = r->in_line = false;
	return r->any ? buf_append_char(out, '\n') : 0;
}

static bool is_blank(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] > ' ')
			return false;
	return true;
}

/* Appends text with LF for each line end, and without NUL, for which grep would call it binary. */
static int append_lines(struct mime_readable *r, struct span s, struct buf *out)
{
	int err = 0;

	while (s.n > 0 && err == 0) {
		size_t n = 0;
		while (n < s.n && s.p[n] != '\r' && s.p[n] != '\n' && s.p[n] != '\0')
			n++;
		if (n > 0) {
			err = buf_append(out, s.p, n);
			r->has_cr = false;
			r->in_line = true;
		} else {
			n = 1;
			if (s.p[0] == '\0')
				err = buf_append_span(out, MIME_REPLACEMENT);
			else if (s.p[0] == '\r' || !r->has_cr)
				err = buf_append_char(out, '\n');
			r->has_cr = s.p[0] == '\r';
			r->in_line = s.p[0] == '\0';
		}
		s = (struct span){s.p + n, s.n - n};
	}
	return err;
}

/* Gives out the text that has been made of octets. */
static int show(struct mime_readable *r, struct buf *out)
{
	struct span s = buf_span(&r->text);
	int err;

	if (is_html(r)) {
		err = mime_html_feed(&r->html, s, out);
	} else {
		r->blank = r->blank && is_blank(s);
		err = append_lines(r, s, out);
	}
	buf_clear(&r->text);
	return err;
}

/* The octets whose transfer encoding was taken off. */
static int convert(struct mime_readable *r, struct buf *out)
{
	int err = mime_charset_feed(&r->charset, buf_span(&r->octets), &r->text);

	buf_clear(&r->octets);
	return err ? err : show(r, out);
}

static int take_off(struct mime_readable *r, struct span in)
{
	if (is_multipart(r))
		return mime_preamble_feed(&r->preamble, in, &r->octets);
	return mime_transfer_feed(&r->transfer, in, &r->octets);
}

int mime_readable_feed(struct mime_readable *r, struct span in, struct buf *out)
{
	int err = open_part(r, out);

	while (in.n > 0 && err == 0) {
		size_t n = in.n < STEP ? in.n : STEP;
		err = take_off(r, (struct span){in.p, n});
		if (err == 0)
			err = convert(r, out);
		in = (struct span){in.p + n, in.n - n};
	}
	return err;
}

/* Everything that the steps have held back. */
static int drain(struct mime_readable *r, struct buf *out)
{
	int err = is_multipart(r) ? mime_preamble_end(&r->preamble, &r->octets)
				  : mime_transfer_end(&r->transfer, &r->octets);

	if (err == 0)
		err = convert(r, out);
	if (err == 0)
		err = mime_charset_end(&r->charset, &r->text);
	if (err == 0)
		err = show(r, out);
	if (err == 0 && is_html(r))
		err = mime_html_end(&r->html, out);
	else if (err == 0 && r->in_line)
		err = buf_append_char(out, '\n');
	return err;
}

int mime_readable_end_part(struct mime_readable *r, struct buf *out)
{
	int err = open_part(r, out);

	if (err == 0)
		err = drain(r, out);
	close_part(r);
	if (err < 0)
		return err;
	r->any = true;
	if (!is_html(r) && r->blank && r->shown.html != MIME_NO_PART)
		r->wants = r->shown.html;
	else
		want_next(r);
	return 0;
}
