/* SPDX-License-Identifier: MIT */
/* Requests that wait: each has a deadline, and is answered once. */
#ifndef FS_OP_H
#define FS_OP_H

#include "fs/draft.h"
#include "fs/fuse.h"
#include "fs/notify.h"
#include "fs/view.h"
#include "mail/change/changes.h"
#include "mail/change/mailboxes.h"
#include "mail/change/intents.h"
#include "mail/parts/facts.h"
#include "mail/parts/seek.h"
#include "mail/parts/section.h"
#include "mail/read/body.h"
#include "mail/size/prove.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/lister.h"

struct fs;
struct xattr;

struct fs_op;

/* How a wait ends: 0 or an error. */
typedef void op_resume(struct fs_op *op, int err);

enum op_waits_for {
	OP_WAITS_FOR_NOTHING,
	OP_WAITS_FOR_MAILBOX, /* a check of the mailbox */
	OP_WAITS_FOR_NAMES,   /* LIST */
	OP_WAITS_FOR_READ,    /* octets of the message */
	OP_WAITS_FOR_PROOF,   /* of the message's size */
	OP_WAITS_FOR_FLAGS,   /* of the message */
	OP_WAITS_FOR_FACTS,   /* of the message, or of all */
	OP_WAITS_FOR_SEEK,    /* what the server finds */
	OP_WAITS_FOR_CHANGE,  /* of the message, to be done */
	OP_WAITS_FOR_FOLDER,  /* a change of mailboxes */
	OP_WAITS_FOR_DRAIN,   /* until what was promised is done */
	OP_WAITS_FOR_KERNEL,  /* to be told of the inode */
	OP_WAITS_FOR_JOB,     /* of the spool */
	OP_WAITS_FOR_DRAFT,   /* to be stored */
	OP_WAITS_FOR_SECTION, /* octets of a part */
	OP_WAITS_FOR_TURN,    /* of the loop */
};

/* RENAME of a directory: both parents, what moves, and what it replaces. */
#define OP_LOCKS 4

/* A request that cannot be answered at once. */
struct fs_op {
	struct list link; /* fs.ops */
	struct fs *fs;
	fuse_req_t req;
	const char *name; /* for logs */

	uint64_t started;        /* uv_hrtime */
	uint64_t created;        /* uv_now */
	uint64_t deadline;       /* uv_now */
	uint64_t interrupted_at; /* uv_now; 0: not */
	bool vain;               /* what it waited for last did not come, for the line's sake */
	bool inherited;          /* the deadline, see op_inherit */

	/* What it waits for, and then goes on with. */
	enum op_waits_for waits_for;
	union {
		struct mailbox_wait mailbox;
		struct lister_wait names;
		struct body_read read;
		struct proof proof;
		struct flags_wait flags;
		struct facts_wait facts;
		struct seek *seek;
		struct section_read section;
		struct change change;
		struct mailboxes_wait folder;
		struct drain drain;
		struct notify_wait kernel;
		struct spool_job *job; /* while resume is called, too */
		struct draft_wait draft;
		struct list turn; /* fs.turns */
	} wait;
	op_resume *resume;
	struct mailbox *made;  /* while resume is called after a change of mailboxes */
	struct uidset *sought; /* what the server found, while resume is called after a seek */
	const struct body_parts *parts; /* what was read, while resume is called after a read */
	/* Answers, with ERR_TIMEOUT, when the deadline has come. NULL: the answer is ETIMEDOUT. */
	op_resume *expire;
	bool told;             /* in that answer, that it was in vain: it is no warning */
	op_resume *moved;      /* goes on after a move */
	op_resume *known;      /* goes on when enough is known of the mailbox: see fresh.h */
	op_resume *whole;      /* the same, for fresh_whole */
	op_resume *flagged;    /* goes on when all flags are known: see fresh.h */
	op_resume *summed;     /* the same for the summaries */
	op_resume *sized;      /* goes on when the size is found: see find_size.h */
	op_resume *made_ready; /* goes on when octets are made: see view/content.h */
	void (*make)(struct fs_op *op); /* how they are made */
	void *making;                   /* while they are, or NULL */
	void (*unmake)(void *making);   /* frees that */
	op_resume *filled;              /* goes on when a draft has its octets: see draft_io.c */

	/* What the request asked. */
	fuse_ino_t ino;
	fuse_ino_t locked[OP_LOCKS]; /* see op_lock; 0: none */
	struct mailbox *mb;          /* held */
	fuse_ino_t moving; /* the directory whose name the kernel itself takes away, or 0 */
	bool passing;      /* of a lookup: the name is good for this moment only */
	uint32_t uid;
	size_t size;
	uint64_t offset;
	bool plus;
	bool emailid;   /* for flags: it is for the message's EMAILID */
	unsigned term;  /* of a search: that the server is asked for */
	uint64_t come;  /* for fresh.c: how much of what is waited for was there */
	unsigned asked; /* for flags: how often what was to come did not */
	const struct xattr *xattr;
	struct mailbox *to; /* of a rename; held */
	bool given;         /* of a lookup: the name is a given one */
	bool loose;         /* of a lookup: it is not the one that is listed */
	bool without;       /* of a listing: what is not known cannot be had now */
	bool joined;        /* of an opendir: a check that it waits for was under way before */
	struct fuse_file_info fi;
	struct view_at at; /* of a request for a view */
	bool writes;       /* of the opening of a view's file: also for writing */
	bool lookup;       /* of a view's attributes: they are for a LOOKUP */

	/* What is to be written; or the answer of a read, when it is known before it may be given.
	 */
	char *octets; /* owned; also the name that a directory is to get */
	size_t n_octets;
	uint64_t done; /* of a draft's octets that are fetched */
	int error;     /* errno; 0: the octets */
};

/* Milliseconds between looks at the deadlines of requests that wait. */
#define OP_TICK 250

/* mb: that it is about; held until the op ends. */
struct fs_op *op_create(
	struct fs *fs, fuse_req_t req, const char *name, fuse_ino_t ino, struct mailbox *mb);

/* It is about another mailbox from now on. */
void op_set_mailbox(struct fs_op *op, struct mailbox *mb);

/* Until the op ends the kernel keeps this directory to it alone: others' requests there inherit what
 * comes of the op, and the notifier tells of names there only when it is over. One that is 0, or
 * locked by this op already, adds nothing. */
void op_lock(struct fs_op *op, fuse_ino_t directory);

/* Each answers the request and frees the op; 0 is success. */
void op_fail(struct fs_op *op, int err);
void op_reply_errno(struct fs_op *op, int error);
/* The request was answered otherwise: logs, frees. */
void op_end(struct fs_op *op);

/*
 * Each begins a wait for something of the op's inode, mailbox or message. resume is called when it
 * is over, once and never from inside; not when the deadline comes first, or an interrupt, or the
 * end of the mount: then the op ends.
 */

/* progress: for new rows too, not only for the end of the check that is under way. */
void op_wait_mailbox(struct fs_op *op, bool progress, op_resume *resume);
/* True: the names of the mailboxes are fresh, there is no need to wait. */
bool op_wait_names(struct fs_op *op, op_resume *resume);
/* read: what body_read_try has not found. */
void op_wait_read(struct fs_op *op, const struct body_read *read, op_resume *resume);
void op_wait_proof(struct fs_op *op, op_resume *resume);
/* Of the message op->uid, or, where that is 0, of all. */
void op_wait_flags(struct fs_op *op, op_resume *resume);
/* Of the message op->uid, or, where that is 0, of all. */
void op_wait_facts(struct fs_op *op, enum fact kind, op_resume *resume);
/* What the server finds in the mailbox is op->sought while resume is called, unless it failed. */
void op_wait_seek(struct fs_op *op, enum seek_as as, struct span text, op_resume *resume);
/* octets: what is to be changed in the flags, as model/flagdiff.h has it. */
void op_wait_store(struct fs_op *op, op_resume *resume);
void op_wait_removal(struct fs_op *op, op_resume *resume);
/* moving: the directory whose name the kernel takes away when it is done, or 0. start begins it: an
 * error, and the op fails with that. */
typedef int op_folder_start(struct fs_op *op, struct mailboxes_wait *w);
void op_wait_folder(struct fs_op *op, fuse_ino_t moving, op_folder_start *start, op_resume *resume);
/* To op->to, with the flags that are promised. */
void op_wait_move(struct fs_op *op, op_resume *resume);
/* What was promised in the op's mailbox, or everywhere where it has none. True: there is nothing to
 * wait for, and *err is the first refusal that nobody was told of. */
bool op_wait_drain(struct fs_op *op, enum drain_kind kind, op_resume *resume, int *err);
/* After notify_is_due. */
void op_wait_kernel(struct fs_op *op, op_resume *resume);
/* read: what section_read_try has not found. */
void op_wait_section(struct fs_op *op, const struct section_read *read, op_resume *resume);
/* For who has much to do: others have their turn first. */
void op_wait_turn(struct fs_op *op, op_resume *resume);
/* Whoever ends the job calls op_job_is_done. */
void op_wait_job(struct fs_op *op, struct spool_job *job, op_resume *resume);
void op_job_is_done(struct spool_job *job);
/* While the draft is being stored. */
void op_wait_draft(struct fs_op *op, struct draft *d, op_resume *resume);

/* Gives the op the deadline of a request for this inode that failed before it, see inherit.h.
 * op_create sees to that for the op's own inode. */
void op_inherit(struct fs_op *op, fuse_ino_t ino);
/* An error when the deadline that it inherited is over: it must not begin to wait. */
int op_overdue(const struct fs_op *op);
/* How the last of several waits for one thing has ended: the outcome of the op depends on it. */
void op_note_wait(struct fs_op *op, int err);

void op_tick(struct fs *fs);
/* Ends all with err. */
void op_fail_all(struct fs *fs, int err);
void op_log(const char *name, fuse_ino_t ino, uint64_t started, int error);

#endif
