/* SPDX-License-Identifier: MIT */
#include "fs/node.h"

#include <stdint.h>
#include <unistd.h>

#include "fs/control.h"
#include "fs/dir.h"
#include "fs/draft.h"
#include "fs/file.h"
#include "fs/views.h"

const struct fuse_lowlevel_ops *node_operations(const struct fs *fs, fuse_ino_t ino)
{
	if (ino == FUSE_ROOT_ID)
		return &dir_operations;
	if (ino >> 32 == 0)
		return ino & DRAFT_INODES ? &draft_operations : &control_operations;
	if (views_have(fs, ino))
		return &view_operations;
	return (uint32_t)ino == 0 ? &dir_operations : &file_operations;
}

unsigned node_permissions(const struct fs *fs, fuse_ino_t ino)
{
	const struct fuse_lowlevel_ops *of = node_operations(fs, ino);

	if (of == &view_operations)
		return views_permissions(fs, ino);
	if (of == &control_operations)
		return ino == CONTROL_DIRECTORY ? X_OK : 0;
	if (of == &dir_operations)
		return W_OK | X_OK;
	return of == &draft_operations ? W_OK : 0;
}
