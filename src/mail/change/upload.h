/* SPDX-License-Identifier: MIT */
/*
 * The insides of an append, for append.c (its course), spool.c (the file), and look.c (whether it
 * came to be there):
 *
 *   check    a thread reads the whole file: whether it is a message, its size as sent
 *   status   where the mailbox's UIDNEXT is not known, or what it takes: STATUS
 *   send     APPEND; the octets follow from the file as the connection takes them
 *   look     when the connection was lost behind the whole of it, or the server did not say
 *            under which UID it is: what there is at or above the old UIDNEXT
 */
#ifndef MAIL_CHANGE_UPLOAD_H
#define MAIL_CHANGE_UPLOAD_H

#include "imap/session.h"
#include "link/pool.h"
#include "link/retry.h"
#include "mail/change/append.h"
#include "mail/change/letter.h"

/* Octets of the file that are read at once. */
#define SPOOL_PART ((size_t)32 * 1024)
/* Messages that are looked at, beyond which nothing is known. */
#define LOOK_MAX 64

/* The file, read ahead of the connection. */
struct spool {
	int fd;
	uint64_t offset;             /* octets of the file that were read */
	uint64_t left;               /* octets that are still to be given */
	uint64_t sum, whole_sum;     /* of those that were given; of all as they were checked */
	struct letter_writer writer; /* from those of the file to those that are sent */
	char raw[SPOOL_PART];
	uint64_t read_at; /* the offset that the thread reads at */
	int err;          /* it cannot be read, or is not what it was */
	ssize_t came;     /* into raw, by the thread; -1: it failed */
	char sent[LETTER_WRITTEN(SPOOL_PART)];
	size_t from, to; /* of sent: not given yet */
};

/* A message that may be ours. */
struct look_row {
	uint32_t uid;
	bool alike; /* of the same size */
	bool ours;  /* and the same octets */
	bool named; /* it has the same Message-ID, or none can be told */
	bool read;  /* it was looked at */
};

struct look {
	struct pool_task task;
	struct imap_command rows_command, whole_command, head_command;
	unsigned pending;
	bool lost; /* the connection */
	int err;
	struct look_row rows[LOOK_MAX];
	size_t count;
	bool too_many;
	struct look_row *reading; /* whose octets arrive; NULL: nobody's */
	struct letter letter;     /* of them */
	struct retry retry;
};

struct upload {
	struct list link;      /* the account's appends */
	struct append *append; /* NULL: canceled */
	struct account *account;
	struct mailbox *mb; /* held */
	uv_work_t work;
	bool working; /* a thread reads */
	bool over;    /* freed when the thread has read */
	struct letter letter;
	uint64_t seed; /* of the letter's sum */
	struct spool spool;
	struct imap_source source;
	struct pool_task task;
	struct imap_command status, command;
	struct retry retry;
	bool has_date;
	int64_t date;
	bool lost;            /* the connection that it was sent over */
	bool asked;           /* STATUS was answered */
	bool selects;         /* the server wants the mailbox selected for writing, or not at all */
	uint32_t uidnext;     /* before it was sent: it is not below; 0: not known */
	uint32_t uidvalidity; /* as STATUS said; 0: not known */
	uint64_t most;        /* octets that this mailbox takes */
	bool sent;            /* the whole of it, once: it may be there */
	bool again;           /* and was sent again since */
	uint32_t uid;         /* as APPENDUID said */
	char text[APPEND_REASON_MAX];
	struct look look;
};

/* --- append.c --- */

/* Frees it, and tells how it ended. */
void upload_end(struct upload *u, int err);
/* What was looked for after the whole was sent; uid 0: it was not found, and err says whether that means
 * that it is not there. copies: how often it is there. */
void upload_on_looked(struct upload *u, int err, uint32_t uid, unsigned copies);

/* --- spool.c --- */

/* For a thread: reads all of the file, and looks at it. 0, ERR_INVALID, or ERR_IO. */
int spool_check(int fd, struct letter *l);
/* From the beginning, as it was checked. */
void spool_begin(struct spool *s, const struct letter *l, uint64_t seed);
/* The next octets, at most n: how many, 0 when a thread must read first (spool_read, then
 * spool_take), or ERR_IO when it cannot be read or is not what was checked: its last octets are not
 * given then. */
ssize_t spool_give(struct spool *s, char *out, size_t n);
void spool_read(struct spool *s);
void spool_take(struct spool *s);

/* --- look.c --- */

/* Asks what there is at or above u->uidnext; upload_on_looked follows. */
void look_start(struct upload *u);
void look_finish(struct upload *u);

#endif
