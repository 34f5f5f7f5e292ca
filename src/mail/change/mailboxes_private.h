/* SPDX-License-Identifier: MIT */
/*
 * The insides of changes of mailboxes. A job goes from step to step; each sends some commands in one
 * turn, hears what LIST and STATUS say of the two names that the job is about, and then decides.
 * mailboxes.c has the jobs and carries out steps; the steps are in make.c, remove.c and rename.c.
 */
#ifndef MAIL_CHANGE_MAILBOXES_PRIVATE_H
#define MAIL_CHANGE_MAILBOXES_PRIVATE_H

#include "base/buf.h"
#include "imap/session.h"
#include "link/pool.h"
#include "link/retry.h"
#include "mail/change/mailboxes.h"

/* Commands of one step. */
#define JOB_COMMANDS 8

struct job_step {
	const char *name; /* for the log */
	void (*send)(struct mailboxes_job *job);
	/* All were answered. */
	void (*done)(struct mailboxes_job *job);
	/* How to go on when the connection was lost meanwhile; NULL: the same step again. */
	const struct job_step *lost;
};

struct job_kind {
	const char *name;
	bool beside; /* several may run beside each other */
	/* It is its turn: sets the names and the first step. 0 or an error, and it ends. */
	int (*begin)(struct mailboxes_job *job);
};

struct job_slot {
	struct imap_command command;
	struct mailboxes_job *job;
	int err;
};

/* What a step heard of a name. */
struct job_heard {
	bool listed;
	uint32_t flags; /* enum imap_list_flag */
	bool has_delimiter;
	char delimiter;
	bool below;   /* there are mailboxes below it */
	bool counted; /* STATUS */
	uint32_t messages;
};

struct mailboxes_job {
	struct list link; /* mailboxes.jobs */
	struct account *account;
	const struct job_kind *kind;
	struct mailboxes_wait *wait; /* NULL: nobody */
	bool begun;

	/* What is asked. */
	struct mailbox *mb, *parent; /* held; NULL: see the kind */
	char *component;             /* owned */
	struct buf name;             /* raw, as it is */
	struct buf other;            /* raw, as it is to be, or is called meanwhile */
	uint32_t encoding;           /* IMAP_LIST_UTF8 or 0 */

	/* The step under way. */
	const struct job_step *step;
	struct pool_task task;
	struct retry retry;
	struct job_slot slots[JOB_COMMANDS];
	unsigned sent, pending;
	int lost; /* why the connection was */
	struct job_heard heard_name, heard_other;
	bool refused;   /* something of this step was */
	char said[256]; /* the first refusal of the last step that had one; for people */

	bool maybe;  /* the answer to a command that changes something was lost */
	bool hidden; /* remove.c: the mailbox may be under its other name */
	bool paused; /* no LIST runs */
	int verdict; /* remove.c: when it is given back */
	/* rename.c: raw names whose subscriptions move, owned, and the next of them. */
	struct span *names;
	size_t name_count, name_room, next;
};

extern const struct job_kind make_kind, remove_kind, rename_kind;

/* --- mailboxes.c --- */

void job_go(struct mailboxes_job *job, const struct job_step *step);
/* For job_step.send: "verb name", "verb name other". */
void job_send(struct mailboxes_job *job, const char *verb, struct span name);
void job_send_two(struct mailboxes_job *job, const char *verb, struct span name, struct span other);
/* LIST of that name, and of what is right below it; STATUS. What is heard is in heard_name and
 * heard_other. */
void job_send_list(struct mailboxes_job *job, struct span name);
void job_send_list_below(struct mailboxes_job *job, struct span name);
void job_send_status(struct mailboxes_job *job, struct span name);
/* How the command that was sent at that place has ended. */
int job_result(const struct mailboxes_job *job, unsigned at);
/* Whoever waits gets this; the job goes on. */
void job_answer(struct mailboxes_job *job, int err, struct mailbox *mb);
/* The same, and it ends. */
void job_end(struct mailboxes_job *job, int err, struct mailbox *mb);
/* One line in the log: what could not be done, and what the server said. */
void job_tell_refused(const struct mailboxes_job *job, const char *what);
/* The job goes to a connection that has nothing of its mailbox selected, nor of what is below. */
void job_avoid_selected(struct mailboxes_job *job);
/* No LIST runs from now until the job's end: it would name what is true for a moment only. */
void job_pause_lists(struct mailboxes_job *job);
/* The heard name is a mailbox, not only a directory above others. */
bool job_is_mailbox(const struct job_heard *heard);

/* --- remove.c --- */

/* Gives the mailboxes of the tree that an interrupted removal left their names back. */
void remove_restore(struct account *a);

#endif
