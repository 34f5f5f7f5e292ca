/* SPDX-License-Identifier: MIT */
/*
 * Names under which messages came to a directory from another mailbox. A move is done a moment later
 * (mail/change/intents.h), under a UID that nobody knows yet; but mv looks at the new name at once. So
 * that name finds the message where it still is, and then where it is now, until the directory is listed
 * again.
 */
#ifndef FS_MOVES_H
#define FS_MOVES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "fs/fuse.h"

struct cache_message;
struct fs;
struct mailbox;
struct moves;

struct moves *moves_create(void);
void moves_destroy(struct moves *moves);

/* Whether messages came to the directory under this name lately, and it was not listed since with another
 * message of this name, whose alone it is then: where the message is now, perhaps in another mailbox. */
bool moves_find(const struct fs *fs, const struct mailbox *mb, const char *name,
	struct mailbox **at, uint32_t *uid);
/* The same, also where it is not known what became of the message: who says this name may mean that one,
 * though another one is called so. */
bool moves_is_passing(const struct fs *fs, const struct mailbox *mb, const char *name);
/* A message that was moved, by the inode that it had: where it is now. Who has it open reads on, and the
 * kernel may know its new name by that inode until it is told to forget it. Else changes nothing. No
 * other message ever has that inode: a mailbox that held messages and is numbered anew has another id. */
void moves_follow(const struct fs *fs, struct mailbox **mb, uint32_t *uid);
/* The directory is listed: what has come to it has its own name from now on. */
typedef bool moves_is_listed(const struct fs *fs, struct mailbox *mb, const char *name);
void moves_on_listed(struct fs *fs, struct mailbox *mb, moves_is_listed *is_listed);
/* See account_observer.on_moving and on_moved. */
void moves_on_moving(struct fs *fs, struct mailbox *from, const struct cache_message *is,
	struct mailbox *to, struct span name);
void moves_on_moved(struct fs *fs, struct mailbox *from, uint32_t uid, struct mailbox *to,
	uint32_t new_uid, int err);

#endif
