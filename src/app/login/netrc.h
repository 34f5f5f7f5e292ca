/* SPDX-License-Identifier: MIT */
/*
 * A netrc file, as ftp, curl and git read it: words separated by blanks, "machine NAME" and then
 * "login NAME" and "password WORD" in any order, "macdef" up to an empty line. A word may stand in
 * quotes, with \" and \\ in it; a # where a keyword could stand begins a comment. Pure.
 */
#ifndef APP_LOGIN_NETRC_H
#define APP_LOGIN_NETRC_H

#include "base/buf.h"
#include "base/span.h"

/* Appends to password that of user at host: of the first entry of that machine whose login is user,
 * or that has no login. "default" is not used: its password would be told to any host. Nothing is
 * appended when there is none. Returns 0, ERR_INVALID when a quote has no end, or buf's errors. */
int netrc_find(struct span text, const char *host, const char *user, struct buf *password);

#endif
