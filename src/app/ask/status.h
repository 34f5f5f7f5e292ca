/* SPDX-License-Identifier: MIT */
/* What a mount says of itself, for people and for programs. Each returns an exit status. */
#ifndef APP_ASK_STATUS_H
#define APP_ASK_STATUS_H

#include "base/buf.h"
#include "base/span.h"

int status_print(const char *mountpoint);
/* As one object of JSON. */
int status_print_json(const char *mountpoint);
/* Again each second, with the rates on the line, until the mount is gone or SIGINT comes. */
int status_watch(const char *mountpoint);

/* The lines "KEY: VALUE" as JSON: a member for each key, whose value is a string, or an array of
 * them where the key may stand in several lines. Returns buf's errors. */
int status_to_json(struct span text, struct buf *out);

#endif
