/* SPDX-License-Identifier: MIT */
/*
 * Where the readers of a mailbox are who follow no order: near each other, as threads that share the
 * messages of a directory, or everywhere, as who reads them shuffled. Told only of reads that had
 * to wait for the server. A person who opens a few messages by hand is neither.
 */
#ifndef MAIL_READ_READERS_H
#define MAIL_READ_READERS_H

#include "mail/model/mailbox.h"

/* So many messages, of which two have at most READERS_APART others between them and the third, are
 * read near each other. */
#define READERS_NEAR 3
#define READERS_APART 64
/* So many are read everywhere. */
#define READERS_EVERYWHERE 7
/* Milliseconds after which a read tells nothing any more. */
#define READERS_MEMORY ((uint64_t)10 * 1000)

enum readers_are {
	READERS_ARE_FEW,
	READERS_ARE_NEAR,       /* this one and others, or most */
	READERS_ARE_EVERYWHERE, /* in this mailbox */
};

/* All zero is the beginning. */
struct readers {
	struct {
		uint32_t uid; /* 0: none */
		uint64_t at;  /* uv_now */
	} recent[READERS_EVERYWHERE];
	unsigned next; /* to be replaced */
};

/* The message had to be waited for. */
enum readers_are readers_note(struct readers *r, struct mailbox *mb, uint32_t uid, uint64_t now);
/* Whether there are at most so many messages from one to the other. */
bool readers_are_near(struct mailbox *mb, uint32_t a, uint32_t b, uint32_t apart);

#endif
