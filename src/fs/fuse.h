/* SPDX-License-Identifier: MIT */
/* libfuse's low-level interface, in the one version that all of fs/ is written for. */
#ifndef FS_FUSE_H
#define FS_FUSE_H

#define FUSE_USE_VERSION 314
#include <fuse_lowlevel.h>

#endif
