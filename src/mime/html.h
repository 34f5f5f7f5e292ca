/* SPDX-License-Identifier: MIT */
/*
 * HTML becomes text, as it arrives: a tokenizer (the states of the HTML standard, section 13.2.5, as
 * far as they decide what is text) and no tree, so that time is linear and memory bounded whatever
 * is sent. Block elements break lines, white space collapses but in pre, characters are decoded;
 * script, style, title and comments vanish. Links are marked [1] behind their text, and listed at the
 * end. What would keep a word from being found is not given out: soft hyphens and characters without
 * width; a no-break space is a space.
 */
#ifndef MIME_HTML_H
#define MIME_HTML_H

#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* A link's target that is longer is not listed, nor are those behind the limit of all. */
#define MIME_HTML_TARGET_MAX 8192
#define MIME_HTML_LINKS_MAX (4u << 20)

struct mime_html {
	/* The tokenizer. */
	unsigned state;
	char name[16]; /* of a tag, lower case; a longer one is cut, and known to nobody */
	size_t name_n;
	bool is_end_tag;
	bool slash; /* the last octet in the tag was "/" */
	char attribute[16];
	size_t attribute_n;
	char quote;         /* around a value */
	struct buf value;   /* of an attribute that counts */
	bool value_cut;     /* it was too long */
	char reference[40]; /* "&" and what follows while it may be a character */
	size_t reference_n;
	const char *dropped; /* the element whose contents vanish */
	unsigned dashes;     /* before a comment's end; 3: "--!" */

	/* The text. */
	char partial[4]; /* the beginning of a character */
	size_t partial_n;
	unsigned preformatted; /* pre elements that are open */
	bool any;              /* something was given out */
	bool space;            /* white space waits */
	unsigned breaks;       /* line ends wait, at most two */

	/* Links. */
	unsigned links;    /* that were listed */
	bool in_link;      /* the last of them is open, and is to be marked */
	bool link_is_bare; /* it has no text so far */
	struct buf listed; /* "[1] target" LF */
};

void mime_html_init(struct mime_html *h);
void mime_html_finish(struct mime_html *h);

/* Takes UTF-8 and appends text with LF at the ends of lines: hardly more than it takes. Returns 0,
 * ERR_NOMEM or ERR_LIMIT (of out), after which h can only be finished. */
int mime_html_feed(struct mime_html *h, struct span in, struct buf *out);
/* Appends what is left, and the list of links. */
int mime_html_end(struct mime_html *h, struct buf *out);

#endif
