/* SPDX-License-Identifier: MIT */
#ifndef APP_CHECK_PRIVATE_H
#define APP_CHECK_PRIVATE_H

#include "app/options/options.h"

struct check {
	const struct options *o;
	int status; /* of the first that failed */
};

/* Each prints its line at once. what: one word or two. */
void check_ok(struct check *c, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void check_note(struct check *c, const char *what, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void check_fail(struct check *c, int status, const char *what, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/* local.c: all that is on this machine. */
void check_local(struct check *c);
/* server.c: the server, as long as each step before went well. */
void check_server(struct check *c);
/* facts.c: what the account found when it was logged in. */
struct account;
struct net_tls;
void check_facts(struct check *c, struct account *a, const struct net_tls *tls);

#endif
