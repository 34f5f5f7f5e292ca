/* SPDX-License-Identifier: MIT */
/*
 * Tools that replace a file (tar, cp -f, install, vim) unlink it and then make it anew, or put another
 * in its place. A message is never replaced: its removal by the same process is cancelled, as long as
 * it is not begun (INTENTS_HOLD). And a name by which a message is only read (entry_removes) is free
 * for such a tool as long, when it has unlinked it.
 */
#ifndef FS_HOLD_H
#define FS_HOLD_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/fuse.h"

struct fs;
struct mailbox;

/* Who removes something, for intent_ask.by. Whom we cannot see (another PID namespace, NFS) are taken for
 * one: rather a message stays that was to go. */
pid_t hold_process(fuse_req_t req);
/* Whether who removes something may be about to put another in its place: programs of which that is
 * known, and those that have written files here. Others may as well, but are not held for where their
 * removal is to be answered by the server: see file_unlink. */
bool hold_may_replace(struct fs *fs, fuse_req_t req);
/* The request is about to make something of this name in the directory. If a message was called so,
 * which this process had removed just now, or one that replaces files and comes too late now, it shows
 * again, and its UID is returned; else 0. */
uint32_t hold_take_back(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name);
/* What was being written under this name is stored now. If a message was called so, which a program that
 * replaces files had removed just now, that one comes too late, and the message shows again. */
void hold_keep(const struct fs *fs, struct mailbox *mb, const char *name);
/* Whether this process has removed a message of that name just now. */
bool hold_finds(const struct fs *fs, pid_t thread, struct mailbox *mb, const char *name);
/* The request has unlinked a name that removes nothing. */
void hold_free_name(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name);
/* Whether this process did so just now: then the name finds nothing for it. */
bool hold_is_free(struct fs *fs, pid_t thread, const struct mailbox *mb, const char *name);
void hold_finish(struct fs *fs);

#endif
