/* SPDX-License-Identifier: MIT */
#include "fs/inode.h"

#include "fs/filesystem.h"

fuse_ino_t inode_of_directory(const struct fs *fs, const struct mailbox *mb)
{
	return mb == fs->account->tree.top ? FUSE_ROOT_ID : (fuse_ino_t)mb->id << 32;
}

fuse_ino_t inode_of_message(const struct mailbox *mb, uint32_t uid)
{
	return (fuse_ino_t)mb->id << 32 | uid;
}

struct mailbox *inode_resolve(const struct fs *fs, fuse_ino_t ino, uint32_t *uid)
{
	*uid = 0;
	if (ino == FUSE_ROOT_ID)
		return fs->account->tree.top;
	if (ino >> 32 == 0)
		return NULL;
	*uid = (uint32_t)ino;
	struct mailbox *mb = tree_mailbox(&fs->account->tree, (uint32_t)(ino >> 32));
	return mb && !mb->dead ? mb : NULL;
}
