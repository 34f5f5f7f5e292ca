/* SPDX-License-Identifier: MIT */
/* What is known of large providers: where their IMAP servers are, and what surprises their users.
 * It is never asked for how to talk to a server; only names and hints come from here. */
#ifndef APP_ACCOUNTS_PRESETS_H
#define APP_ACCOUNTS_PRESETS_H

#include <stdbool.h>

struct preset {
	const char *provider;
	const char *domains; /* of addresses, between blanks, with a blank at both ends */
	const char *host;    /* NULL: there is no IMAP server that anybody could reach */
	bool local_part;     /* the user is what stands before the '@', not the whole address */
	const char *login;   /* how to log in, or what to do instead */
	const char *rm;      /* what rm does there; NULL: what it does everywhere */
	const char *limits;  /* NULL: none is known */
};

/* That of an address's domain, that of a host. NULL: there is none. */
const struct preset *preset_of_domain(const char *domain);
const struct preset *preset_of_host(const char *host);
/* The i-th; NULL behind the last. */
const struct preset *preset_at(unsigned i);

#endif
