/* SPDX-License-Identifier: MIT */
/*
 * With -o seen a message that was read from its first octet to its last gets \Seen, in a moment and
 * together with others (change/intents.h). Only reads that reach us can be counted, so nothing is pushed
 * into the kernel then, and it keeps no message from one open to the next.
 */
#ifndef FS_SEEN_H
#define FS_SEEN_H

#include "fs/fuse.h"
#include "mail/read/body.h"

struct fs;

/* A read was answered with n octets. */
void seen_note(struct fs *fs, fuse_ino_t ino, const struct body_read *read, size_t n);

#endif
