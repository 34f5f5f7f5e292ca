/* SPDX-License-Identifier: MIT */
/* The two halves of proving: prove.c (what, for whom) and inquiry.c (commands and answers). */
#ifndef MAIL_SIZE_PRIVATE_H
#define MAIL_SIZE_PRIVATE_H

#include "link/retry.h"
#include "mail/size/probe.h"
#include "mail/size/prove.h"

/* A message whose size is to be proved. */
struct unproved {
	struct list link; /* prover.ready, while no command asks for it */
	uint32_t uid;
	struct probe probe;
	struct list proofs; /* struct proof that wait */
	bool sample;
	bool alone; /* a command that named others too was refused */
	struct retry retry;
};

struct prover {
	struct mailbox *mb;
	struct map unproved; /* UID -> struct unproved */
	struct list ready;   /* of them, in the order of UIDs */
	size_t ready_count;
	unsigned commands; /* under way */
	/* Who asks for one message after the other, as ls -l does. */
	uint32_t last;     /* UID that was asked for */
	uint32_t frontier; /* UID that was looked at last, ahead of that one */
	size_t lead;       /* messages that are proved ahead */
	/* The sample. */
	unsigned sampling; /* its messages that are not proved yet */
	bool sample_failed;
};

/* --- inquiry.c --- */

/* Sends commands for what is ready. */
void inquiry_launch(struct prover *p);

/* --- prove.c --- */

/* It is asked for now. */
void prove_take(struct prover *p, struct unproved *u);
/* The one to ask for next: of those that somebody waits for the lowest UID, else of all. */
struct unproved *prove_next(const struct prover *p);
/* It is to be asked for (again). */
void prove_ready(struct prover *p, struct unproved *u);
/* Ends and frees it. */
void prove_end(struct prover *p, struct unproved *u, int err);

#endif
