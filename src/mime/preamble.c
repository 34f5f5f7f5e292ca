/* SPDX-License-Identifier: MIT */
#include "mime/preamble.h"

#include <string.h>

#define DASHES 2

void mime_preamble_init(struct mime_preamble *p, struct span boundary)
{
	*p = (struct mime_preamble){0};
	if (boundary.n <= MIME_BOUNDARY_MAX)
		p->boundary = boundary;
}

static char delimiter_at(const struct mime_preamble *p, size_t i)
{
	return i < DASHES ? '-' : p->boundary.p[i - DASHES];
}

/* What was held back is text. */
static int let_go(struct mime_preamble *p, struct buf *out)
{
	size_t dashes = p->matched < DASHES ? p->matched : DASHES;
	int err = buf_append(out, "--", dashes);

	if (err == 0)
		err = buf_append(out, p->boundary.p, p->matched - dashes);
	p->matched = 0;
	return err;
}

/* The rest of a line, with its end if that is there. */
static int pass_line(struct mime_preamble *p, struct span *in, struct buf *out)
{
	const char *end = memchr(in->p, '\n', in->n);
	size_t n = end ? (size_t)(end - in->p) + 1 : in->n;
	int err = buf_append(out, in->p, n);

	p->differs = !end;
	*in = (struct span){in->p + n, in->n - n};
	return err;
}

int mime_preamble_feed(struct mime_preamble *p, struct span in, struct buf *out)
{
	int err = 0;

	if (p->boundary.n == 0)
		return buf_append_span(out, in);
	while (in.n > 0 && !p->ended && err == 0) {
		if (p->differs) {
			err = pass_line(p, &in, out);
		} else if (in.p[0] == delimiter_at(p, p->matched)) {
			p->ended = ++p->matched == p->boundary.n + DASHES;
			in = (struct span){in.p + 1, in.n - 1};
		} else {
			err = let_go(p, out);
			p->differs = true;
		}
	}
	return err;
}

int mime_preamble_end(struct mime_preamble *p, struct buf *out)
{
	return p->ended ? 0 : let_go(p, out);
}
