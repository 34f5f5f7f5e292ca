/* SPDX-License-Identifier: MIT */
/*
 * Which mount is at a path. What we have mounted may have been taken away lazily, and something
 * else may be mounted there since: that is not ours to unmount.
 */
#ifndef FS_MOUNTED_H
#define FS_MOUNTED_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* A device number may be used again, and so may a mount's number before Linux 6.8; both together
 * hardly. */
struct mounted {
	dev_t dev;
	uint64_t number;
};

/* What is mounted at path, or has it on it. Asks for nothing that a filesystem would be asked for,
 * so it cannot wait for a dead one. */
bool mounted_at(const char *path, struct mounted *m);
bool mounted_is_same(const struct mounted *a, const struct mounted *b);
/* Whether m is what is at path now. */
bool mounted_is_at(const struct mounted *m, const char *path);

#endif
