/* SPDX-License-Identifier: MIT */
/* Messages that somebody has open: as any file they stay what they are for him when they are removed. */
#ifndef FS_OPENED_H
#define FS_OPENED_H

#include <sys/stat.h>

#include "fs/fuse.h"

struct fs;

/* One descriptor more, and one less. is: what it is like; NULL: not known. */
void opened_add(struct fs *fs, fuse_ino_t ino, const struct stat *is);
void opened_drop(struct fs *fs, fuse_ino_t ino);
/* The kernel is told that it is like this. */
void opened_note(struct fs *fs, fuse_ino_t ino, const struct stat *is);
/* What it was told last; NULL: nobody has it open, or that is not known. */
const struct stat *opened_find(const struct fs *fs, fuse_ino_t ino);
void opened_finish(struct fs *fs);

#endif
