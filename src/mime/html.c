/* SPDX-License-Identifier: MIT */
/*
 * Every octet is looked at once, in the state that the table at the end has for it; runs of text, and
 * of what is dropped, are taken at once. Nothing is kept but what stands in the struct.
 */
#include "base/error.h"
#include "mime/html_private.h"
#include "mime/utf8.h"

enum state {
	TEXT,
	REFERENCE,
	TAG_OPEN,
	END_TAG_OPEN,
	TAG_NAME,
	BEFORE_ATTRIBUTE,
	ATTRIBUTE_NAME,
	AFTER_ATTRIBUTE,
	BEFORE_VALUE,
	VALUE_QUOTED,
	VALUE_BARE,
	MARKUP,      /* "<!" */
	MARKUP_DASH, /* "<!-" */
	COMMENT,
	BOGUS, /* "<?", "<!x", "</1": up to ">" */
	DROPPED,
	DROPPED_OPEN,
	DROPPED_SLASH,
	DROPPED_NAME,
};

void mime_html_init(struct mime_html *h)
{
	*h = (struct mime_html){.state = TEXT};
	buf_init(&h->value, MIME_HTML_TARGET_MAX);
	buf_init(&h->listed, MIME_HTML_LINKS_MAX);
}

void mime_html_finish(struct mime_html *h)
{
	buf_finish(&h->value);
	buf_finish(&h->listed);
}

/* The reference is whole, or is none: what it stands for, then what is left of it. */
static int put_reference(struct mime_html *h, struct buf *out)
{
	struct span s = {h->reference, h->reference_n};
	char text[4];
	size_t length = 0;
	struct span decoded = html_decode_reference(s, false, text, &length);
	int err = html_put_text(h, decoded, out);

	if (decoded.n == 0)
		length = 0;
	h->state = TEXT;
	return err ? err : html_put_text(h, (struct span){s.p + length, s.n - length}, out);
}

/* At ">". */
static int end_tag(struct mime_html *h, struct buf *out)
{
	h->dropped = NULL;
	int err = html_apply_tag(h, out);
	h->state = h->dropped ? DROPPED : TEXT;
	return err;
}

static void begin_tag(struct mime_html *h, bool is_end_tag)
{
	h->name_n = 0;
	h->attribute_n = 0;
	h->is_end_tag = is_end_tag;
	h->slash = false;
	h->value_cut = false;
	buf_clear(&h->value);
	h->state = TAG_NAME;
}

/* A name that is longer than any known has its last octet replaced, and is equal to none. */
static void add_to_name(char name[16], size_t *n, char c)
{
	if (*n < 16)
		name[(*n)++] = html_lower(c);
	else
		name[15] = '\0';
}

static bool is_wanted_attribute(const struct mime_html *h)
{
	struct span name = {h->name, h->name_n}, attribute = {h->attribute, h->attribute_n};

	if (h->value.len > 0 || h->is_end_tag)
		return false;
	return (span_equal(name, SPAN("a")) && span_equal(attribute, SPAN("href"))) ||
	       (span_equal(name, SPAN("img")) && span_equal(attribute, SPAN("alt")));
}

static int add_to_value(struct mime_html *h, char c)
{
	/* attribute_n 0: not wanted. */
	if (h->attribute_n == 0 || h->value_cut)
		return 0;
	int err = buf_append_char(&h->value, c);
	h->value_cut = err == ERR_LIMIT;
	return h->value_cut ? 0 : err;
}

/* States: each takes the octet c. */

static int in_text(struct mime_html *h, char c, struct buf *out)
{
	if (c == '<') {
		h->state = TAG_OPEN;
		return 0;
	}
	if (c != '&')
		return html_put_text(h, (struct span){&c, 1}, out);
	h->reference[0] = c;
	h->reference_n = 1;
	h->state = REFERENCE;
	return 0;
}

static int in_reference(struct mime_html *h, char c, struct buf *out)
{
	bool goes_on = html_is_letter(c) || html_is_digit(c) || c == ';' ||
		       (c == '#' && h->reference_n == 1);
	int err = 0;

	if (goes_on)
		h->reference[h->reference_n++] = c;
	if (!goes_on || c == ';' || h->reference_n == sizeof(h->reference))
		err = put_reference(h, out);
	return err || goes_on ? err : in_text(h, c, out);
}

static int in_tag_open(struct mime_html *h, char c, struct buf *out)
{
	if (html_is_letter(c)) {
		begin_tag(h, false);
		add_to_name(h->name, &h->name_n, c);
		return 0;
	}
	h->state = c == '/' ? END_TAG_OPEN : c == '!' ? MARKUP : c == '?' ? BOGUS : TEXT;
	if (h->state != TEXT)
		return 0;
	int err = html_put_text(h, SPAN("<"), out);
	return err ? err : in_text(h, c, out);
}

static int in_end_tag_open(struct mime_html *h, char c, struct buf *out)
{
	(void)out;
	h->state = c == '>' ? TEXT : BOGUS;
	if (html_is_letter(c)) {
		begin_tag(h, true);
		add_to_name(h->name, &h->name_n, c);
	}
	return 0;
}

static int in_before_attribute(struct mime_html *h, char c, struct buf *out)
{
	if (c == '>')
		return end_tag(h, out);
	h->state = BEFORE_ATTRIBUTE;
	h->slash = c == '/';
	if (html_is_space(c) || c == '/')
		return 0;
	h->attribute_n = 0;
	add_to_name(h->attribute, &h->attribute_n, c);
	h->state = ATTRIBUTE_NAME;
	return 0;
}

static int in_tag_name(struct mime_html *h, char c, struct buf *out)
{
	if (html_is_space(c) || c == '/' || c == '>')
		return in_before_attribute(h, c, out);
	add_to_name(h->name, &h->name_n, c);
	return 0;
}

static int in_after_attribute(struct mime_html *h, char c, struct buf *out)
{
	if (html_is_space(c)) {
		h->state = AFTER_ATTRIBUTE;
		return 0;
	}
	if (c != '=')
		return in_before_attribute(h, c, out);
	h->state = BEFORE_VALUE;
	return 0;
}

static int in_attribute_name(struct mime_html *h, char c, struct buf *out)
{
	if (html_is_space(c) || c == '/' || c == '>' || c == '=')
		return in_after_attribute(h, c, out);
	add_to_name(h->attribute, &h->attribute_n, c);
	return 0;
}

static int in_value_quoted(struct mime_html *h, char c, struct buf *out)
{
	(void)out;
	if (c != h->quote)
		return add_to_value(h, c);
	h->state = BEFORE_ATTRIBUTE;
	return 0;
}

static int in_value_bare(struct mime_html *h, char c, struct buf *out)
{
	if (html_is_space(c) || c == '>') {
		h->slash = false;
		return in_before_attribute(h, c, out);
	}
	return add_to_value(h, c);
}

static int in_before_value(struct mime_html *h, char c, struct buf *out)
{
	if (html_is_space(c))
		return 0;
	if (!is_wanted_attribute(h))
		h->attribute_n = 0;
	h->quote = c;
	h->state = c == '"' || c == '\'' ? VALUE_QUOTED : VALUE_BARE;
	return h->state == VALUE_BARE ? in_value_bare(h, c, out) : 0;
}

static int in_bogus(struct mime_html *h, char c, struct buf *out)
{
	(void)out;
	h->state = c == '>' ? TEXT : BOGUS;
	return 0;
}

static int in_markup(struct mime_html *h, char c, struct buf *out)
{
	if (c != '-')
		return in_bogus(h, c, out);
	h->state = MARKUP_DASH;
	return 0;
}

static int in_markup_dash(struct mime_html *h, char c, struct buf *out)
{
	if (c != '-')
		return in_bogus(h, c, out);
	h->state = COMMENT;
	h->dashes = 2;
	return 0;
}

static int in_comment(struct mime_html *h, char c, struct buf *out)
{
	(void)out;
	if (c == '>' && h->dashes >= 2)
		h->state = TEXT;
	else if (c == '-')
		h->dashes = h->dashes == 0 || h->dashes == 3 ? 1 : 2;
	else
		h->dashes = c == '!' && h->dashes == 2 ? 3 : 0;
	return 0;
}

static int in_dropped(struct mime_html *h, char c, struct buf *out)
{
	(void)out;
	h->state = c == '<' ? DROPPED_OPEN : DROPPED;
	return 0;
}

static int in_dropped_open(struct mime_html *h, char c, struct buf *out)
{
	if (c != '/')
		return in_dropped(h, c, out);
	h->state = DROPPED_SLASH;
	return 0;
}

static int in_dropped_slash(struct mime_html *h, char c, struct buf *out)
{
	if (!html_is_letter(c))
		return in_dropped(h, c, out);
	begin_tag(h, true);
	add_to_name(h->name, &h->name_n, c);
	h->state = DROPPED_NAME;
	return 0;
}

static int in_dropped_name(struct mime_html *h, char c, struct buf *out)
{
	if (html_is_letter(c)) {
		add_to_name(h->name, &h->name_n, c);
		return 0;
	}
	bool ends = html_is_space(c) || c == '/' || c == '>';
	bool same = span_equal((struct span){h->name, h->name_n}, span_of(h->dropped));
	return ends && same ? in_before_attribute(h, c, out) : in_dropped(h, c, out);
}

typedef int state_fn(struct mime_html *h, char c, struct buf *out);

static state_fn *const states[] = {
	[TEXT] = in_text,
	[REFERENCE] = in_reference,
	[TAG_OPEN] = in_tag_open,
	[END_TAG_OPEN] = in_end_tag_open,
	[TAG_NAME] = in_tag_name,
	[BEFORE_ATTRIBUTE] = in_before_attribute,
	[ATTRIBUTE_NAME] = in_attribute_name,
	[AFTER_ATTRIBUTE] = in_after_attribute,
	[BEFORE_VALUE] = in_before_value,
	[VALUE_QUOTED] = in_value_quoted,
	[VALUE_BARE] = in_value_bare,
	[MARKUP] = in_markup,
	[MARKUP_DASH] = in_markup_dash,
	[COMMENT] = in_comment,
	[BOGUS] = in_bogus,
	[DROPPED] = in_dropped,
	[DROPPED_OPEN] = in_dropped_open,
	[DROPPED_SLASH] = in_dropped_slash,
	[DROPPED_NAME] = in_dropped_name,
};

/* The octets of text before the next that is not. */
static size_t text_run(struct span s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] != '<' && s.p[n] != '&')
		n++;
	return n;
}

int mime_html_feed(struct mime_html *h, struct span in, struct buf *out)
{
	size_t at = 0;
	int err = 0;

	while (at < in.n && err == 0) {
		size_t run = 0;
		if (h->state == TEXT) {
			run = text_run((struct span){in.p + at, in.n - at});
			err = html_put_text(h, (struct span){in.p + at, run}, out);
			at += run;
		}
		if (run == 0)
			err = states[h->state](h, in.p[at++], out);
	}
	return err;
}

/* What was begun and got no end is text if it can be: a "<" or a reference. */
static int put_unfinished(struct mime_html *h, struct buf *out)
{
	if (h->state == REFERENCE)
		return put_reference(h, out);
	if (h->state == TAG_OPEN)
		return html_put_text(h, SPAN("<"), out);
	return h->state == END_TAG_OPEN ? html_put_text(h, SPAN("</"), out) : 0;
}

int mime_html_end(struct mime_html *h, struct buf *out)
{
	int err = put_unfinished(h, out);

	h->state = TEXT;
	if (err == 0 && h->partial_n > 0)
		err = html_put(h, MIME_REPLACEMENT, out);
	if (err == 0)
		err = html_close_link(h, out);
	if (err == 0 && h->any)
		err = buf_append_char(out, '\n');
	if (err == 0 && h->listed.len > 0)
		err = buf_append_char(out, '\n');
	return err ? err : buf_append_span(out, buf_span(&h->listed));
}
