/* SPDX-License-Identifier: MIT */
/* Mounting and its end. */
#ifndef FS_MOUNT_H
#define FS_MOUNT_H

#include "fs/fuse.h"

struct fs;

/* A session that is mounted, or NULL and why in error. */
struct fuse_session *mount_session(struct fs *fs, char *error, size_t size);
/* Ends the connection, and takes the mount away if it is what is at the mountpoint. */
void mount_end(struct fs *fs);

#endif
