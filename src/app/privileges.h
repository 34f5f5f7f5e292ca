/* SPDX-License-Identifier: MIT */
/*
 * What the process gives up: at its start what it never needs, after mounting what it needed for
 * that.
 */
#ifndef APP_PRIVILEGES_H
#define APP_PRIVILEGES_H

#include <stddef.h>

/* There are three standard streams, no core and no debugger of the user's own gets at the secrets,
 * and what was inherited, descriptors and the service manager's variables, is not passed on to the
 * programs that we run. */
void privileges_begin(void);
/* Root becomes this user, with his groups and his home directory, for good; who is him already stays
 * what he is. 0, or ERR_INVALID and one line in error. */
int privileges_become(const char *name, char *error, size_t size);
/* From now on nothing that this thread starts can gain privileges by a set-user-ID program, as
 * fusermount3 is one: unmounting is left to the guardian. */
void privileges_drop(void);

#endif
