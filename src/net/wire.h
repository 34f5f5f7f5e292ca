/* SPDX-License-Identifier: MIT */
/*
 * The octets between the socket and the layer above it. TLS reads and writes here and never sees
 * the socket, so it cannot block, and what was received is in one place.
 */
#ifndef NET_WIRE_H
#define NET_WIRE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* One receive, and so the most that on_data is given at once without TLS or deflate. */
enum { NET_WIRE_IN = 64 * 1024 };

struct net_wire {
	struct buf out;  /* for the socket; used with TLS only */
	size_t pos, len; /* in[pos..len] was received and is not yet taken */
	char in[NET_WIRE_IN];
};

static inline bool net_wire_empty(const struct net_wire *w)
{
	return w->pos == w->len;
}

#endif
