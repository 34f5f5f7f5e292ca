/* SPDX-License-Identifier: MIT */
/* All views, as the files of fs/ know them: names, requests, and what the kernel is told. fs/view/ has
 * them, and includes what it needs of fs/; nothing here includes anything of fs/view/. */
#ifndef FS_VIEWS_H
#define FS_VIEWS_H

#include "fs/draft.h"
#include "fs/view.h"

struct contents;
struct views;

struct views *views_create(void);
/* The cache is there: takes up the inodes of earlier mounts. */
void views_begin(struct fs *fs);
void views_destroy(struct views *views);

/* Operations on their inodes. */
extern const struct fuse_lowlevel_ops view_operations;
bool views_have(const struct fs *fs, fuse_ino_t ino);
/* See node_permissions. */
unsigned views_permissions(const struct fs *fs, fuse_ino_t ino);

/* The name, in a directory of mailboxes, is a view's, and the lookup is being answered. */
bool views_find(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name);
/* With layout=maildir: lists what is in a mailbox's directory instead of messages. */
void views_list_maildir(struct listing *l, uint32_t after);
/* Those at the root that are to be listed, behind the one with this number. */
void views_list(struct listing *l, uint32_t after);
/* The same for other requests: the name is a view's, and the request is being answered. */
bool views_unlink(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name);
bool views_make(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name,
	struct fuse_file_info *fi);
/* d: the draft of the old name; NULL: it is none. */
bool views_rename(struct fs *fs, fuse_req_t req, struct draft *d, const struct rename *r);

/* What the account tells: see account_observer. */
void views_on_flags_changed(struct fs *fs, struct mailbox *mb, uint32_t uid);
void views_on_directory_changed(struct fs *fs, struct mailbox *mb);
void views_on_message_gone(struct fs *fs, struct mailbox *mb, uint32_t uid);
void views_on_directory_gone(struct fs *fs, struct mailbox *parent, struct mailbox *mb);
/* The mailbox's directory is being listed. */
void views_on_listed(struct fs *fs, struct mailbox *mb);

/* What was made of views' files, see fs/view/content.h. */
struct contents *contents_create(void);
void contents_destroy(struct contents *all);

#endif
