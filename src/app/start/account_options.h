/* SPDX-License-Identifier: MIT */
/* What the command line says, as the account wants to hear it. */
#ifndef APP_START_ACCOUNT_OPTIONS_H
#define APP_START_ACCOUNT_OPTIONS_H

#include "mail/account.h"
#include "app/options/options.h"

/* out points at what is in o, at password and the others: they must outlive it. tokens, tls: NULL
 * where there are none. */
void account_options_fill(const struct options *o, const char *password,
	struct token_source *tokens, struct net_tls *tls, struct account_options *out);
/* *tls is the caller's; NULL where no TLS is wanted. 0, or ERR_TLS and one line in error. */
int account_options_tls(const struct options *o, struct net_tls **tls, char *error, size_t size);

#endif
