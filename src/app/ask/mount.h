/* SPDX-License-Identifier: MIT */
/* Asking a mount that is there. */
#ifndef APP_ASK_MOUNT_H
#define APP_ASK_MOUNT_H

#include <limits.h>
#include <stdbool.h>

#include "base/buf.h"

/* Octets of the longest answer. */
#define ASK_MAX ((size_t)8 << 20)

/* Appends what the daemon says in a file of its hidden directory. Returns an exit status, and has
 * logged why when it is not EXIT_STATUS_OK. */
int ask_mount(const char *mountpoint, const char *file, struct buf *out);

/* The same without a word: 0 or errno. */
int ask_try(const char *mountpoint, const char *file, struct buf *out);

/* The directory above all that is in the same filesystem as this one, which is absolute and without links. False: that
 * is the root. */
bool ask_find_mount(const char *real, char mount[PATH_MAX]);

#endif
