/* SPDX-License-Identifier: MIT */
/* What html.c (the tokenizer), html_text.c, html_reference.c and html_element.c share. */
#ifndef MIME_HTML_PRIVATE_H
#define MIME_HTML_PRIVATE_H

#include <stddef.h>

#include "mime/html.h"

static inline bool html_is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static inline bool html_is_letter(char c)
{
	return (c | 0x20) >= 'a' && (c | 0x20) <= 'z';
}

static inline bool html_is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static inline char html_lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
}

/* --- html_text.c: 0, ERR_NOMEM or ERR_LIMIT --- */

/* Text in which nothing is to be looked for any more. */
int html_put_text(struct mime_html *h, struct span s, struct buf *out);
/* Whole characters that are seen, behind the line ends and the space that wait. */
int html_put(struct mime_html *h, struct span s, struct buf *out);
int html_flush_waiting(struct mime_html *h, struct buf *out);
/* At least so many line ends wait now. */
void html_break_line(struct mime_html *h, unsigned least);
/* One more, up to an empty line. */
void html_add_break(struct mime_html *h);

/* --- html_reference.c --- */

/* The character that s, which begins with "&", refers to, and the length of the reference; an empty
 * span: it refers to none. In an attribute "&copy=" is part of an address. */
struct span html_decode_reference(struct span s, bool in_attribute, char text[4], size_t *length);

/* --- html_element.c --- */

/* What the tag that ended does to the text around it. Sets h->dropped where contents begin that vanish. */
int html_apply_tag(struct mime_html *h, struct buf *out);
/* Puts the mark of the link that is open, if there is one. */
int html_close_link(struct mime_html *h, struct buf *out);

#endif
