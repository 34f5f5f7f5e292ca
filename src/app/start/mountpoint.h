/* SPDX-License-Identifier: MIT */
/* The directory that is mounted upon, and what it takes to mount: looked at before the login, since
 * who typed a password does not want to hear then that FUSE is missing. Each function
 * returns an exit status, and one line in error when it is not EXIT_STATUS_OK. */
#ifndef APP_START_MOUNTPOINT_H
#define APP_START_MOUNTPOINT_H

#include <stdbool.h>
#include <stddef.h>

/* Whether path is a directory on which nothing is mounted that FUSE serves. Where a daemon just
 * died it waits up to 1.5 s for its guardian. */
int mountpoint_check(const char *path, char *error, size_t size);
/* Whether there are /dev/fuse and, for who is not root, fusermount3. */
int mountpoint_check_fuse(char *error, size_t size);
/* mount -o remount: only ro and rw can be changed, by root. */
int mountpoint_remount(const char *path, bool ro, char *error, size_t size);
/* EXIT_STATUS_MOUNT: a daemon died there. */
int mountpoint_fail_stale(const char *path, char *error, size_t size);

#endif
