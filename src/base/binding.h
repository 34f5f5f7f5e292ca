/* SPDX-License-Identifier: MIT */
/*
 * What ties a login to the TLS connection that it runs in (RFC 5056): octets that both ends of the
 * connection know, and that differ when somebody in between has a TLS connection to each of them.
 */
#ifndef BASE_BINDING_H
#define BASE_BINDING_H

#include <stddef.h>

enum binding_kind {
	BINDING_NONE,
	BINDING_TLS_UNIQUE,   /* RFC 5929, before TLS 1.3 */
	BINDING_TLS_EXPORTER, /* RFC 9266, TLS 1.3 */
};

#define BINDING_MAX 64

struct binding {
	enum binding_kind kind;
	size_t n;
	char octets[BINDING_MAX];
};

#endif
