/* SPDX-License-Identifier: MIT */
/*
 * Who knows only an address, anna@example.org, is found its server: what was found before, what is
 * known of the provider (presets.h), else example.org itself if it answers on port 993, else what
 * it says in the DNS (RFC 6186). A name from there that lies outside the address's domain must be
 * confirmed on the terminal, once, since the DNS can lie.
 */
#ifndef APP_DISCOVER_DISCOVER_H
#define APP_DISCOVER_DISCOVER_H

#include <stddef.h>

#include "app/options/options.h"

/* Blocks, for 5 s at most but for the question, and is to be called before the program's event loop
 * runs. *source is then what stands in the place of SOURCE, the caller's, or NULL where that names
 * its server itself. Returns 0, or ERR_NET or ERR_CANCELED and one line in error. */
int discover_server(const struct options *o, char **source, char *error, size_t size);

/* What may help when a server cannot be reached, refuses the login, or has no such mailbox: text for the end of the line
 * that says so, or "". The caller's. */
char *discover_hint_connect(const struct options *o);
char *discover_hint_login(const struct options *o);
char *discover_hint_mailbox(const struct options *o);

#endif
