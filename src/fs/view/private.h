/* SPDX-License-Identifier: MIT */
/* What the files of views know of each other. */
#ifndef FS_VIEW_PRIVATE_H
#define FS_VIEW_PRIVATE_H

#include "fs/views.h"

/* A row of each in the table of views.c. */
extern const struct view view_index, view_index_jsonl, view_maildir, view_mh, view_named,
	view_search;
extern const struct view view_headers, view_parts, view_text;

/* Where the inode is, and in which mailbox; false: there is no such thing any more. */
bool views_resolve(const struct fs *fs, fuse_ino_t ino, struct view_at *at, struct mailbox **mb);
/* Of a file that is closed; 0: it had none. */
void views_drop_handle(uint64_t handle);
bool views_is_link(struct view_at at);
/* GETATTR or LOOKUP of a symlink, and READLINK. */
void views_stat_link(struct fs_op *op);
void views_answer_link(struct fs_op *op);

#endif
