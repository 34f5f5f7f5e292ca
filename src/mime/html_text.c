/* SPDX-License-Identifier: MIT */
/* White space collapses, line ends wait until there is text behind them, and what is not seen goes. */
#include <string.h>

#include "mime/html_private.h"
#include "mime/utf8.h"

int html_flush_waiting(struct mime_html *h, struct buf *out)
{
	int err = 0;

	if (h->any && h->breaks > 0)
		err = buf_append(out, "\n\n", h->breaks);
	else if (h->any && h->space)
		err = buf_append_char(out, ' ');
	h->breaks = 0;
	h->space = false;
	h->any = true;
	h->link_is_bare = false;
	return err;
}

int html_put(struct mime_html *h, struct span s, struct buf *out)
{
	int err = h->any && h->breaks == 0 && !h->space && !h->link_is_bare
			  ? 0
			  : html_flush_waiting(h, out);

	return err ? err : buf_append_span(out, s);
}

void html_break_line(struct mime_html *h, unsigned least)
{
	if (h->breaks < least)
		h->breaks = least;
}

void html_add_break(struct mime_html *h)
{
	if (h->breaks < 2)
		h->breaks++;
}

static int put_space(struct mime_html *h, char c, struct buf *out)
{
	if (h->preformatted == 0)
		h->space = true;
	else if (c == '\n')
		html_add_break(h);
	else if (c == ' ' || c == '\t')
		return html_put(h, (struct span){&c, 1}, out);
	return 0;
}

/* Characters that are not seen, and keep a word from being found. */
static bool is_invisible(uint32_t c)
{
	return c == 0xad || c == 0x34f || c == 0x200b || c == 0x2060 || c == 0xfeff;
}

static int put_character(struct mime_html *h, struct span s, struct buf *out)
{
	uint32_t c = mime_utf8_value(s);

	if (is_invisible(c))
		return 0;
	return c == 0xa0 ? put_space(h, ' ', out) : html_put(h, s, out);
}

/* The character, or what is none, that s begins with. Returns the octets taken. */
static size_t put_wide(struct mime_html *h, struct span s, struct buf *out, int *err)
{
	int n = mime_utf8_look(s);

	if (n > 0) {
		*err = put_character(h, (struct span){s.p, (size_t)n}, out);
		return (size_t)n;
	}
	if (n < 0) {
		*err = html_put(h, MIME_REPLACEMENT, out);
		return (size_t)-n;
	}
	memcpy(h->partial, s.p, s.n);
	h->partial_n = s.n;
	return s.n;
}

/* Goes on with a character that was begun. Returns the octets taken. */
static size_t put_rest(struct mime_html *h, struct span s, struct buf *out, int *err)
{
	size_t begun = h->partial_n;
	char both[sizeof(h->partial)];

	memcpy(both, h->partial, begun);
	both[begun] = s.p[0];
	h->partial_n = 0;
	return put_wide(h, (struct span){both, begun + 1}, out, err) > begun ? 1 : 0;
}

static size_t visible_run(struct span s)
{
	size_t n = 0;

	while (n < s.n && s.p[n] > ' ' && s.p[n] < 0x7f)
		n++;
	return n;
}

int html_put_text(struct mime_html *h, struct span s, struct buf *out)
{
	int err = 0;

	while (s.n > 0 && err == 0) {
		size_t n = h->partial_n ? 0 : visible_run(s);
		if (h->partial_n > 0) {
			n = put_rest(h, s, out, &err);
		} else if (n > 0) {
			err = html_put(h, (struct span){s.p, n}, out);
		} else if ((unsigned char)s.p[0] >= 0x80) {
			n = put_wide(h, s, out, &err);
		} else {
			err = put_space(h, s.p[0], out);
			n = 1;
		}
		s = (struct span){s.p + n, s.n - n};
	}
	return err;
}
