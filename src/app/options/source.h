/* SPDX-License-Identifier: MIT */
/*
 * SOURCE, the first argument: which account, and what of it, is mounted. Pure.
 *
 *   [user@]host[:mailbox]                        implicit TLS
 *   imaps://[user[;AUTH=*]@]host[:port][/mailbox]   implicit TLS
 *   imap://[user[;AUTH=*]@]host[:port][/mailbox]    STARTTLS required
 *
 * Of the first form, host:993 is the host alone. A URL is percent-decoded (RFC 5092); the first form is taken as it stands. host is a name, an
 * IPv4 address or an IPv6 address in brackets. The user may hold an '@': the last one before the
 * host counts. A password is refused wherever one could stand, and never repeated in the error.
 */
#ifndef APP_OPTIONS_SOURCE_H
#define APP_OPTIONS_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SOURCE_PORT_IMPLICIT 993 /* of IMAP over TLS (RFC 8314) */

enum source_tls {
	SOURCE_TLS_IMPLICIT,
	SOURCE_TLS_STARTTLS,
	SOURCE_TLS_NONE,
};

struct source {
	char *user;    /* UTF-8; NULL: none given */
	char *host;    /* lower case, xn-- if need be, an IPv6 address without its brackets */
	char *mailbox; /* UTF-8, without a slash at its end; NULL: the whole account */
	uint16_t port;
	enum source_tls tls;
	bool port_given;
	bool tls_given; /* by the URL's scheme */
};

/* Returns 0, or ERR_INVALID and one line in error. On success source is to be source_finish'ed. */
int source_parse(const char *text, struct source *source, char *error, size_t size);
void source_finish(struct source *source);

/* Applies -o tls=, with its port where the source names none. ERR_INVALID when that contradicts the
 * URL's scheme. */
int source_set_tls(struct source *source, enum source_tls tls, char *error, size_t size);

#endif
