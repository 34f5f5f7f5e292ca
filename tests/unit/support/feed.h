/* SPDX-License-Identifier: MIT */
/*
 * Ways to feed a parser: every part lies flush against a page that cannot be read, so one octet too
 * many ends the test; and however the input is cut, the result must be the same.
 */
#ifndef SUPPORT_FEED_H
#define SUPPORT_FEED_H

#include <stddef.h>

#include "base/buf.h"
#include "base/span.h"

/* Room for n octets with the guard page behind it. */
struct guarded {
	char *memory;
	size_t size; /* of the readable part */
};

void guarded_init(struct guarded *g, size_t n);
void guarded_finish(struct guarded *g);
/* Copies s to the end of the room; valid until the next call. */
struct span guarded_place(struct guarded *g, struct span s);

/* Something that takes octets in parts. */
struct feeder {
	void *(*start)(void);
	void (*feed)(void *state, struct span part);
	/* Appends what came of it to result, and frees state. */
	void (*end)(void *state, struct buf *result);
};

/* Feeds input whole, octet by octet and cut in two at each point; fails the test when the results
 * differ. The result is appended to result. */
void feed_all_ways(const struct feeder *f, struct span input, struct buf *result);

/* Calls take for each prefix of input, the whole as the last. */
void feed_prefixes(struct span input, void (*take)(void *ctx, struct span prefix), void *ctx);

#endif
