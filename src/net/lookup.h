/* SPDX-License-Identifier: MIT */
/* Looking up a host name: a question, see there. */
#ifndef NET_LOOKUP_H
#define NET_LOOKUP_H

#include <netdb.h>
#include <uv.h>

struct net_question;

/* Once, from the loop. status: 0, or libuv's code; addresses are the receiver's, for freeaddrinfo.
 * The question is gone then. */
typedef void net_lookup_cb(void *ctx, int status, struct addrinfo *addresses);

/* host and service are copied. 0, or libuv's code, and then no callback follows.
 * net_question_cancel gives it up. */
int net_lookup_start(struct net_question **lookup, uv_loop_t *loop, const char *host,
	const char *service, net_lookup_cb *on_done, void *ctx);

#endif
