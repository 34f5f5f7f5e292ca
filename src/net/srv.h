/* SPDX-License-Identifier: MIT */
/*
 * Which server a domain names for its IMAP (RFC 6186, RFC 8314 section 5.1): the SRV record of
 * _imaps._tcp. What comes was not authenticated.
 */
#ifndef NET_SRV_H
#define NET_SRV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <uv.h>

struct net_question;

struct net_srv {
	bool found; /* there is a record */
	bool none;  /* and it says that there is no such service (RFC 2782: the target is ".") */
	uint16_t port;
	char host[256]; /* lower case, without a dot at its end */
};

/* Once, from the loop; srv is valid during the call. Whatever went wrong, none was found. */
typedef void net_srv_cb(void *ctx, const struct net_srv *srv);

/* domain is copied. 0, or libuv's code, and then no callback follows. net_question_cancel gives it
 * up. */
int net_srv_start(struct net_question **question, uv_loop_t *loop, const char *domain,
	net_srv_cb *on_done, void *ctx);

/* The best record of an answer of the DNS, n octets: of the lowest priority the greatest weight. */
void net_srv_parse(const unsigned char *answer, size_t n, struct net_srv *srv);

#endif
