/* SPDX-License-Identifier: MIT */
/*
 * Finds the responses in the server's octets (RFC 3501 section 2.2.2): a response is a line, and a
 * line may hold literals, which may hold anything. It is pure: it is fed what arrived, however it
 * was cut, and hands out frames.
 *
 * A response is gathered in memory up to IMAP_LINE_MAX octets, literals included. The exception are
 * the literals of `BODY[...]` in a FETCH response: their octets are handed out as they come and are
 * never gathered. In the line handed out at the end, IMAP_STREAMED stands in place of such a
 * literal.
 */
#ifndef IMAP_FRAMER_H
#define IMAP_FRAMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/span.h"

/* SEARCH answers of hundreds of kilobytes on one line are real. */
#define IMAP_LINE_MAX (8u << 20)
/* The octet that stands for a streamed literal in a line. A server cannot send it there itself, as
 * it ends lines; the one behind the head of a literal that is not streamed belongs to that. */
#define IMAP_STREAMED '\n'

enum imap_frame_kind {
	IMAP_FRAME_MORE,       /* everything was consumed, feed more */
	IMAP_FRAME_LINE,       /* text: a whole response without its CRLF */
	IMAP_FRAME_BODY_BEGIN, /* text: the response up to the literal's '{'; size: its announced
				  octets */
	IMAP_FRAME_BODY_DATA,  /* text: the next octets of the literal, at least one */
	IMAP_FRAME_BODY_END,   /* all announced octets have been handed out */
};

struct imap_frame {
	enum imap_frame_kind kind;
	struct span text; /* valid until the next call; it may lie in the octets that were fed */
	uint64_t size;
};

struct imap_framer;

struct imap_framer *imap_framer_create(void); /* NULL: out of memory */
void imap_framer_destroy(struct imap_framer *f);

/*
 * Consumes at most n octets at p and stores how many in *used; call again with the rest until the
 * frame's kind is IMAP_FRAME_MORE. Every call consumes something or hands out a frame. A lone LF is
 * taken as the end of a line (broken servers send it), a lone CR is an octet of the line. Empty
 * lines are skipped. Trailing spaces of a line are dropped. Returns 0, ERR_NOMEM, or ERR_PROTOCOL
 * when a line passes IMAP_LINE_MAX, a literal's length has no meaning or passes 2^63-1, or a response
 * holds over 100 streamed literals; the framer is of no use afterwards.
 */
int imap_framer_feed(
	struct imap_framer *f, const char *p, size_t n, size_t *used, struct imap_frame *frame);

/* A response has begun and has not ended. */
bool imap_framer_is_midway(const struct imap_framer *f);

#endif
