/* SPDX-License-Identifier: MIT */
/* What libfuse calls for each request of the kernel; their userdata is the struct fs. */
#ifndef FS_OPERATIONS_H
#define FS_OPERATIONS_H

#include "fs/fuse.h"

extern const struct fuse_lowlevel_ops fs_operations;

#endif
