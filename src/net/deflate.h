/* SPDX-License-Identifier: MIT */
/*
 * RFC 4978: both directions of a connection as raw deflate streams. What comes out of one step is
 * bounded by the caller, whatever the server's octets would expand to.
 */
#ifndef NET_DEFLATE_H
#define NET_DEFLATE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/span.h"
#include "net/failure.h"

struct net_deflate;

/* first is what the server has already sent compressed; it is copied. NULL when out of memory. */
struct net_deflate *net_deflate_create(struct span first);
void net_deflate_destroy(struct net_deflate *d);

/* Appends data, compressed and complete for the reader, to out. 0 or an error. */
int net_deflate_pack(
	struct net_deflate *d, struct span data, struct buf *out, struct net_failure *f);

/* Gives the next compressed octets, which must stay where they are until net_deflate_unpack
 * returned 0; only then there may be more. */
void net_deflate_feed(struct net_deflate *d, struct span data);
/* Octets written to out (at most size), 0 when all that was fed is used up, or an error. */
ssize_t net_deflate_unpack(struct net_deflate *d, char *out, size_t size, struct net_failure *f);

#endif
