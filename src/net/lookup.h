/*
 * Looking up a host name, each in a thread of its own: a resolver that does not answer holds up
 * neither the threads that others need nor the end of the program, as libuv's own lookup does,
 * which cannot be given up.
 */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <netdb.h>
#include <uv.h>

struct net_lookup;

/* Once, from the loop. status: 0, or libuv's code; addresses are the receiver's, for freeaddrinfo.
 * The lookup is gone then. */
typedef void net_lookup_cb(void *ctx, int status, struct addrinfo *addresses);

/* host and service are copied. 0, or libuv's code, and then no callback follows. */
int net_lookup_start(struct net_lookup **lookup, uv_loop_t *loop, const char *host,
	const char *service, net_lookup_cb *on_done, void *ctx);
/* No callback follows. NULL is fine. */
void net_lookup_cancel(struct net_lookup *l);

#endif
