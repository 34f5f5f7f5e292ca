/* SPDX-License-Identifier: MIT */
/* What the targets of mime/ share. */
#ifndef FUZZ_MIME_H
#define FUZZ_MIME_H

#include "base/buf.h"
#include "fuzz.h"
#include "mime/utf8.h"

#define FUZZ_OUT_MAX (16u << 20)

static inline void check_utf8(struct span s)
{
	while (s.n > 0) {
		int n = mime_utf8_look(s);
		CHECK(n > 0);
		s = (struct span){s.p + n, s.n - (size_t)n};
	}
}

/* Takes the first line off s, and its end; all of s when there is none. */
static inline struct span take_line(struct span *s)
{
	const char *end = s->n ? memchr(s->p, '\n', s->n) : NULL;
	size_t n = end ? (size_t)(end - s->p) : s->n;
	struct span line = {s->p, n};

	n += end != NULL;
	*s = (struct span){s->p + n, s->n - n};
	return line;
}

#endif
