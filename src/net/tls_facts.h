/* SPDX-License-Identifier: MIT */
/* What is worth telling of a TLS connection that was made. */
#ifndef NET_TLS_FACTS_H
#define NET_TLS_FACTS_H

#include <gnutls/gnutls.h>
#include <stdint.h>

struct net_tls;

struct net_tls_facts {
	char session[160];   /* version and ciphers, one line; "": there was no connection yet */
	char issuer[160];    /* of the server's certificate: the common name, or all of the name */
	int64_t from, until; /* it is valid, seconds since 1970; 0: not known */
};

/* Of the last handshake that succeeded. */
const struct net_tls_facts *net_tls_facts(const struct net_tls *tls);

/* For tls.c. */
void net_tls_facts_take(gnutls_session_t session, struct net_tls_facts *facts);

#endif
