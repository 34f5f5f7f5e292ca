/* SPDX-License-Identifier: MIT */
/*
 * Drafts: files that were made in a mailbox's directory and are not mail yet, or only just are.
 *
 * What is written is spooled (spool.h). When the process that opened the file closes it, it is
 * stored on the server, and close(2) waits for that: it is the only moment at which every program
 * looks at an error. Under a scratch name (scratch.h) it waits for its rename instead. What could not
 * be stored, is no message, or was left by a program that was killed stays as it is, under its name,
 * until somebody renames it, which stores it, or removes it.
 *
 * Once stored it is a message, and its name is the message's given name (given.h). The draft stays
 * for the descriptors that are open, and, for a while, for the process that wrote it: that one finds
 * it under its name, and may write it again, which stores the new and removes the old message.
 * Everybody else finds the message.
 *
 *   draft.c        the table of drafts, names, attributes
 *   draft_io.c     creating, opening, reading, writing
 *   draft_store.c  flush, release, rename: how it becomes a message
 *   draft_flags.c  the flags that the message is to have
 *   draft_before.c what it was, when it is written again
 *   draft_same.c   whether it is the message already that its name stands for
 */
#ifndef FS_DRAFT_H
#define FS_DRAFT_H

#include "base/buf.h"
#include "base/list.h"
#include "fs/fuse.h"
#include "fs/process.h"
#include "fs/rename.h"
#include "fs/spool.h"
#include "mail/change/append.h"
#include "mail/change/copy.h"
#include "mail/change/letter.h"
#include "mail/read/body.h"

struct fs;
struct fs_op;
typedef void op_resume(struct fs_op *op, int err);

/* Inodes of drafts: mailbox id 0, and this bit. */
#define DRAFT_INODES ((fuse_ino_t)1 << 31)

/* The handle of a descriptor that can write; others have 0. */
#define DRAFT_WRITER 1

enum draft_state {
	DRAFT_WRITTEN, /* or being written */
	DRAFT_STORING, /* the server is being asked */
	DRAFT_STORED,  /* it is the message `uid` */
	DRAFT_REFUSED, /* it could not be stored */
	DRAFT_KILLED,  /* who wrote it was killed */
	DRAFT_LEFT,    /* by an earlier mount */
};

struct draft;
struct draft_wait;
typedef void draft_on_wake(struct draft_wait *w, int err);

/* Who waits until the draft is stored, or not; or until nothing is written to its file any more. */
struct draft_wait {
	struct list link;
	draft_on_wake *on_wake; /* once, from the loop; err is 0 or why it is not stored */
};

/* 0: the same; ERR_GONE: another one, or none; ERR_IO, or what happened to the connection. */
typedef void draft_same_done(struct draft *d, int err);

/* A comparison with a message: see draft_same.c. */
struct draft_same {
	struct letter_writer writer;
	struct body_read read;
	uint64_t file; /* octets of the spool that were read */
	char *octets;  /* owned; as they would be sent */
	size_t n, from;
	draft_same_done *on_done;
};

struct draft {
	struct list link; /* drafts.all, the oldest first */
	struct fs *fs;
	fuse_ino_t ino;
	enum draft_state state;
	struct mailbox *mb; /* held */
	char *name;         /* owned */
	bool apart; /* in tmp/ of its mailbox's Maildir, and not in its directory, until it is stored */
	bool named; /* else it was removed, and lives for its descriptors alone */
	bool outrun; /* another took the name while it was being written: it is stored all the same */
	struct spool_place place; /* its octets */
	unsigned opens;           /* descriptors */
	unsigned jobs;            /* of the spool, under way */
	unsigned writing;         /* those that write; perhaps nobody waits for them any more */
	int fd;                   /* of the spool's file; -1 while nothing is done with it */

	/* What was written, and by whom. */
	struct process writer; /* who opened it for writing last */
	uint64_t changes;      /* counts writes */
	uint64_t tried;        /* changes, when it was last tried to store it */
	unsigned unwritten;    /* writes that have not succeeded: with one it is not whole */
	int error;             /* the errno of one of them; 0: not known */
	bool dated;            /* somebody has set its time */
	struct timespec mtime;
	char *flags; /* owned; that the message is to have; NULL: none */

	/* Instead of octets in the spool: a whole message. */
	struct mailbox *source; /* held; NULL: none */
	uint32_t source_uid;

	/* What it became, or why not. */
	uint32_t uid; /* 0: none, or not known which */
	bool found; /* `uid` was there before, or is another writer's: not this draft's to replace */
	bool taken_over;    /* another process writes it, since it is being stored for its writer */
	bool redated;       /* it was stored again for its date alone */
	bool reflagged;     /* its flags were to be others since it was stored */
	uint64_t stored_at; /* uv_now */
	uint32_t namesake;  /* a message that its name stood for, in mb; 0: none */
	uint32_t former;    /* one that came in under its name; 0: none, or it is another */
	char reason[256];   /* one line; "": none */

	/* While it is being stored. */
	struct mailbox *to; /* held */
	char *to_name;      /* owned */
	struct draft_same same;
	struct mailbox_wait check; /* whether that message is still there */
	struct append append;
	struct copy copy;
	struct list waits; /* struct draft_wait */
};

struct drafts;

struct drafts *drafts_create(struct fs *fs);
/* Opens the spool in a directory, and takes over what earlier mounts left; when the account's tree is
 * there. */
void drafts_begin(struct drafts *all, int dir, const char *path);
void drafts_destroy(struct drafts *all);

extern const struct fuse_lowlevel_ops draft_operations;

/* The draft that a name in a directory stands for, for this thread; NULL: none. What is stored is a
 * draft only for the process that wrote it; and the name stands for none for a process that is about to
 * replace the message of that name. */
struct draft *draft_named(struct fs *fs, struct mailbox *mb, const char *name, pid_t thread);
/* Whether its process has written one of those that are here. */
bool draft_is_writer(const struct fs *fs, pid_t thread);
/* The next draft that the directory lists behind this inode, NULL: none. */
struct draft *draft_after(struct fs *fs, struct mailbox *mb, fuse_ino_t ino);
/* The same two for those that are apart. */
struct draft *draft_named_apart(struct fs *fs, const struct mailbox *mb, const char *name);
struct draft *draft_after_apart(struct fs *fs, const struct mailbox *mb, fuse_ino_t ino);
void draft_stat(const struct draft *d, struct stat *st);
/* A row in the status for each that waits for somebody. */
int draft_report(struct fs *fs, struct buf *out);
/* The message is no more, or does not show any more. */
void draft_message_gone(struct fs *fs, const struct mailbox *mb, uint32_t uid);

/* The mailbox has another name: the next mount must find what is left in it. */
void drafts_on_renamed(struct fs *fs, const struct mailbox *mb);

/* CREATE of one that is apart. */
void draft_create_apart(struct fs *fs, fuse_req_t req, struct mailbox *mb, const char *name,
	struct fuse_file_info *fi);
/* The flags that the message is to have, as IMAP writes them. */
void draft_set_flags(struct draft *d, const char *flags);
/* Each answers the request, some time. */
void draft_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	struct fuse_file_info *fi);
void draft_unlink(fuse_req_t req, struct draft *d);
/* The draft of the old name. */
void draft_rename(struct fs *fs, fuse_req_t req, struct draft *d, const struct rename *r);

/* --- for the files of drafts --- */

struct spool *draft_spool(const struct fs *fs);
struct draft *draft_of(struct fs *fs, fuse_ino_t ino);
/* Makes one of a file in the spool; the place becomes its. */
struct draft *draft_add(struct fs *fs, struct mailbox *mb, const struct spool_place *place);
/* Opens its file, if it is not. 0 or an errno. */
int draft_need_file(struct draft *d);
/* Frees it if nothing needs it any more: after each thing that may have been the last. */
void draft_settle(struct draft *d);
/* It is open, and has not been stored since it was made or written. */
bool draft_is_in_the_making(const struct draft *d);
/* There are octets that it was not tried to store, under a name that is not for scratch. */
bool draft_has_news(const struct draft *d);
void draft_unname(struct draft *d);
/* Its octets change. */
void draft_touch(struct draft *d);
/* A write has failed, so that it is never stored, until it is begun anew: the errno; else 0. Says so where
 * that was not said yet. */
int draft_is_broken(struct draft *d);
/* One was stored: it is kept for who wrote it, and others perhaps no more. */
void drafts_keep(struct drafts *all);
/* Begins to store it as `name` in `mb`, which stood for the message `namesake` (0: for none); who
 * waits is told the end. It must not be being stored, and its file must be open. */
void draft_store(struct draft *d, struct mailbox *mb, const char *name, uint32_t namesake);
void draft_wait(struct draft *d, struct draft_wait *w);
/* Tells those who wait. */
void draft_wake(struct draft *d, int err);
/* Whether it would be that message of the mailbox where it is to be stored. */
void draft_same_start(struct draft *d, uint32_t uid, draft_same_done *on_done);
/* Its time was set when it was stored already: true, and it is being stored again, if that is not too
 * late. */
bool draft_store_again(struct draft *d);
/* What it was before it was written again is deleted, as -o delete= says. */
void draft_remove_before(struct draft *d, uint32_t uid);
/* Others of its name are removed, since it has the name now. What another process is writing only loses
 * the name: who closes it hears that it is stored. */
void draft_drop_namesakes(const struct draft *d);
/* Its message was found: no other draft that is this message is to replace it any more. */
void draft_share_found(const struct draft *d);
/* Fetches the octets of the message that it is a copy of, if it is one, for the op's inode. */
void draft_fill(struct fs_op *op, op_resume *filled);
/* Reads all of its octets, which are in the spool, to op->octets; op->ino is the draft's. */
void draft_read_whole(struct fs_op *op, struct draft *d, op_resume *read);
void draft_forget_source(struct draft *d);
void draft_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void draft_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
	size_t size, int flags);
void draft_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
const char *draft_path(const struct draft *d);

#endif
