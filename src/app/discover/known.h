/* SPDX-License-Identifier: MIT */
/* Servers that were found for addresses, in a file of the state directory: a line for each, the
 * address and the URL. */
#ifndef APP_DISCOVER_KNOWN_H
#define APP_DISCOVER_KNOWN_H

/* The URL that is remembered for the address; NULL: none is. The caller's. */
char *known_find(const char *address);
/* Remembers it. What goes wrong is logged: it is asked for again then. */
void known_add(const char *address, const char *url);
/* Where they are kept. NULL: there is no home directory. The caller's. */
char *known_path(void);

#endif
