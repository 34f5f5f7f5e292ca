/* SPDX-License-Identifier: MIT */
/*
 * From a host name to a connected socket: resolves, then tries the addresses in the resolver's
 * order, the next one 250 ms after the one before (RFC 8305) or as soon as that one fails; the
 * first to connect wins. There is no deadline here: the caller cancels.
 */
#ifndef NET_CONNECT_H
#define NET_CONNECT_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#include "net/failure.h"

struct net_connect;

/* Once, from the loop: fd is the caller's from then on, or it is -1 and failure says why. The
 * net_connect is gone for the caller. */
typedef void net_connect_cb(void *ctx, int fd, const struct net_failure *failure);

/* window: octets that the server may have on their way to us; 0: the kernel sees to it. NULL when it
 * cannot even start; then failure says why and no callback follows. */
struct net_connect *net_connect_start(uv_loop_t *loop, const char *host, uint16_t port,
	unsigned window, net_connect_cb *on_done, void *ctx, struct net_failure *failure);
/* No callback follows; the memory is freed from the loop. NULL is fine. */
void net_connect_cancel(struct net_connect *c);
/* Whether the name is resolved, to say what was being waited for. */
bool net_connect_resolved(const struct net_connect *c);

#endif
