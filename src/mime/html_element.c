/* SPDX-License-Identifier: MIT */
/* What elements, links and images among them, do to the text. */
#include "base/error.h"
#include "mime/html_private.h"
#include "mime/utf8.h"

/* What an element does to the text around it. */
enum effect {
	LINE,      /* begins and ends a line */
	PARAGRAPH, /* with an empty line around it */
	BREAK,
	CELL,
	ITEM,
	PREFORMATTED,
	DROP,
	LINK,
	IMAGE,
};

static const struct element {
	const char *name;
	enum effect effect;
} elements[] = {
	{"a", LINK},
	{"address", LINE},
	{"article", LINE},
	{"aside", LINE},
	{"blockquote", PARAGRAPH},
	{"body", LINE},
	{"br", BREAK},
	{"caption", LINE},
	{"center", LINE},
	{"dd", LINE},
	{"details", LINE},
	{"dir", PARAGRAPH},
	{"div", LINE},
	{"dl", PARAGRAPH},
	{"dt", LINE},
	{"fieldset", LINE},
	{"figcaption", LINE},
	{"figure", LINE},
	{"footer", LINE},
	{"form", LINE},
	{"h1", PARAGRAPH},
	{"h2", PARAGRAPH},
	{"h3", PARAGRAPH},
	{"h4", PARAGRAPH},
	{"h5", PARAGRAPH},
	{"h6", PARAGRAPH},
	{"header", LINE},
	{"hr", PARAGRAPH},
	{"html", LINE},
	{"iframe", DROP},
	{"img", IMAGE},
	{"legend", LINE},
	{"li", ITEM},
	{"listing", PREFORMATTED},
	{"main", LINE},
	{"nav", LINE},
	{"ol", PARAGRAPH},
	{"optgroup", LINE},
	{"option", LINE},
	{"p", PARAGRAPH},
	{"pre", PREFORMATTED},
	{"script", DROP},
	{"section", LINE},
	{"style", DROP},
	{"summary", LINE},
	{"table", LINE},
	{"tbody", LINE},
	{"td", CELL},
	{"textarea", PREFORMATTED},
	{"tfoot", LINE},
	{"th", CELL},
	{"thead", LINE},
	{"title", DROP},
	{"tr", LINE},
	{"ul", PARAGRAPH},
	{"xmp", PREFORMATTED},
};

#define ELEMENT_COUNT (sizeof(elements) / sizeof(elements[0]))

/* Links. */

/* The value of an attribute, decoded, without control characters and spaces around it. Addresses are
 * broken over lines, which then are no part of them. */
static int read_value(struct mime_html *h, bool is_address, struct buf *text)
{
	struct span s = buf_span(&h->value);
	struct buf decoded;
	int err = 0;

	buf_init(&decoded, 2 * MIME_HTML_TARGET_MAX);
	while (s.n > 0 && err == 0) {
		char character[4];
		size_t n = 0;
		struct span found = {0};
		if (s.p[0] == '&')
			found = html_decode_reference(s, true, character, &n);
		if (found.n == 0) {
			n = 1;
			found = (struct span){s.p, n};
		}
		bool breaks = is_address && (found.p[0] == '\r' || found.p[0] == '\n');
		if (!breaks && !(found.p[0] == ' ' && decoded.len == 0))
			err = buf_append_span(&decoded, found);
		s = (struct span){s.p + n, s.n - n};
	}
	while (decoded.len > 0 && html_is_space(decoded.data[decoded.len - 1]))
		buf_truncate(&decoded, decoded.len - 1);
	if (err == 0)
		err = mime_utf8_append_plain(text, buf_span(&decoded));
	buf_finish(&decoded);
	return err;
}

int html_close_link(struct mime_html *h, struct buf *out)
{
	int err = 0;

	if (!h->in_link)
		return 0;
	h->in_link = false;
	if (h->link_is_bare)
		err = html_flush_waiting(h, out);
	h->any = true;
	return err ? err : buf_printf(out, "[%u]", h->links);
}

/* A link that leads out of the message is listed, as long as there is room. */
static int open_link(struct mime_html *h)
{
	struct buf target;

	buf_init(&target, 4 * MIME_HTML_TARGET_MAX);
	int err = read_value(h, true, &target);
	bool leads_out = target.len > 0 && target.data[0] != '#';
	if (err == 0 && leads_out && !h->value_cut) {
		err = buf_printf(
			&h->listed, "[%u] %.*s\n", h->links + 1, (int)target.len, target.data);
		h->in_link = h->link_is_bare = err == 0;
		h->links += h->in_link;
		if (err == ERR_LIMIT)
			err = 0;
	}
	buf_finish(&target);
	return err;
}

/* What stands for an image is text. */
static int put_image(struct mime_html *h, struct buf *out)
{
	struct buf text;

	buf_init(&text, 4 * MIME_HTML_TARGET_MAX);
	int err = read_value(h, false, &text);
	if (err == 0)
		err = html_put_text(h, buf_span(&text), out);
	buf_finish(&text);
	return err;
}

/* Tags. */

static const struct element *find_element(const struct mime_html *h)
{
	struct span name = {h->name, h->name_n};

	for (size_t i = 0; i < ELEMENT_COUNT; i++)
		if (span_equal(name, span_of(elements[i].name)))
			return &elements[i];
	return NULL;
}

static int apply_link(struct mime_html *h, struct buf *out)
{
	int err = html_close_link(h, out);

	return err || h->is_end_tag ? err : open_link(h);
}

static int apply_item(struct mime_html *h, struct buf *out)
{
	html_break_line(h, 1);
	if (h->is_end_tag)
		return 0;
	int err = html_put(h, SPAN("*"), out);
	h->space = true;
	return err;
}

static void apply_preformatted(struct mime_html *h)
{
	html_break_line(h, 1);
	if (!h->is_end_tag)
		h->preformatted++;
	else if (h->preformatted > 0)
		h->preformatted--;
}

static int apply(struct mime_html *h, const struct element *element, struct buf *out)
{
	switch (element->effect) {
	case LINE:
		html_break_line(h, 1);
		return 0;
	case PARAGRAPH:
		html_break_line(h, 2);
		return 0;
	case BREAK:
		html_add_break(h);
		return 0;
	case CELL:
		h->space = true;
		return 0;
	case ITEM:
		return apply_item(h, out);
	case PREFORMATTED:
		apply_preformatted(h);
		return 0;
	case DROP:
		if (!h->is_end_tag && !h->slash)
			h->dropped = element->name;
		return 0;
	case LINK:
		return apply_link(h, out);
	case IMAGE:
		return put_image(h, out);
	}
	return 0;
}

int html_apply_tag(struct mime_html *h, struct buf *out)
{
	const struct element *element = find_element(h);

	return element ? apply(h, element, out) : 0;
}
