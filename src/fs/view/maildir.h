/* SPDX-License-Identifier: MIT */
/* What the files of the Maildir view know of each other. */
#ifndef FS_VIEW_MAILDIR_H
#define FS_VIEW_MAILDIR_H

#include "base/map.h"
#include "fs/op.h"
#include "fs/view/maildir_name.h"

/* The levels of its nodes. */
enum maildir_side { MAILDIR_CUR = 1, MAILDIR_NEWS, MAILDIR_TMP };

/* When the entries of a side last changed, and a hash of them. */
struct maildir_time {
	bool known;
	uint64_t hash;
	int64_t changed; /* seconds since 1970; 0: never seen */
};

/* Of a mailbox: the data of its node. */
struct maildir {
	struct map shown; /* UID -> what the name was made of that the kernel may know */
	struct map moved; /* UID -> the side where a program has put it */
	struct maildir_time times[MAILDIR_TMP];
	uint64_t version; /* names.version of the mailbox when the times were settled */
	bool dirty;       /* they must be settled again */
};

extern const struct view_changing maildir_changing;

struct maildir *maildir_of(struct fs *fs, const struct mailbox *mb);
/* Goes on with `then` when rows and flags of the op's mailbox are known. */
void maildir_know(struct fs_op *op, op_resume *then);
/* The flags of a message, or MAILDIR_NEW. */
unsigned maildir_now(
	struct maildir *m, const struct mailbox *mb, const struct cache_message *message);
/* The UID of what is called so; 0: nothing. */
uint32_t maildir_find(struct fs *fs, struct mailbox *mb, unsigned side, const char *name);
/* A program has put the message there. */
void maildir_note_moved(struct fs *fs, const struct mailbox *mb, uint32_t uid, unsigned side);
/* Whether a name in the directory of a mailbox is one of its sides. */
bool maildir_find_side(struct mailbox *mb, const char *name, unsigned *side);
/* The directories of a mailbox, for a listing of it: positions are LISTING_VIEW and their level. */
bool maildir_put_sides(struct listing *l, const struct mailbox *mb, uint32_t after);

/* --- maildir_change.c: what is in tmp/ --- */

void maildir_lookup_tmp(struct fs_op *op);
void maildir_put_tmp(struct listing *l);

#endif
