/* SPDX-License-Identifier: MIT */
/* Directories are made, removed and renamed. Each of these answers its request, some time. */
#ifndef FS_FOLDER_H
#define FS_FOLDER_H

#include "fs/fuse.h"

struct fs;
struct rename;

void folder_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void folder_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void folder_rename(struct fs *fs, fuse_req_t req, const struct rename *r);

#endif
