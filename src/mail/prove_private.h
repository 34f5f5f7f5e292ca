/* The two halves of proving: prove.c (what, for whom) and prove_wire.c (commands and answers). */
#ifndef MAIL_PROVE_PRIVATE_H
#define MAIL_PROVE_PRIVATE_H

#include "mail/probe.h"
#include "mail/prove.h"

/* A message whose size is sought. */
struct search {
	struct list link; /* prover.ready, while no command asks for it */
	uint32_t uid;
	struct probe probe;
	struct list proofs; /* struct proof that wait */
	bool sample;
	bool alone;    /* a command that named others too was refused */
	unsigned lost; /* connections */
};

struct prover {
	struct mailbox *mb;
	struct map searches; /* UID -> struct search */
	struct list ready;   /* in the order of UIDs */
	size_t ready_count;
	unsigned commands; /* under way */
	/* Ahead of who asks for one message after the other. */
	uint32_t last;     /* asked for */
	uint32_t frontier; /* the last that was looked at */
	size_t window;     /* messages */
	/* The sample. */
	unsigned sampling;
	bool sample_failed;
};

/* Sends commands for what is ready. */
void prove_launch(struct prover *p);

/* --- for prove_wire.c --- */

/* Takes the search from the ready. */
void prove_take(struct prover *p, struct search *s);
/* The one to ask for next: of those that somebody waits for the lowest UID, else of all. */
struct search *prove_next(const struct prover *p);
/* It is to be asked for (again). */
void prove_ready(struct prover *p, struct search *s);
/* Ends and frees it. */
void prove_end(struct prover *p, struct search *s, int err);

#endif
