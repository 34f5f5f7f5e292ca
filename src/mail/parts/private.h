/* SPDX-License-Identifier: MIT */
/* What facts.c, which keeps facts, ask.c and along.c, which get them, and arriving.c, which reads them, know of
 * each other. */
#ifndef MAIL_PARTS_PRIVATE_H
#define MAIL_PARTS_PRIVATE_H

#include "mail/parts/facts.h"

/* Octets of a fact at most; a larger one is none. */
#define FACT_MAX (1u << 20)
/* Facts that are written to the cache together. */
#define FACTS_SAVED_TOGETHER 256u

/* What a FETCH asks for. */
#define FACT_SUMMARY_ITEM "BODY.PEEK[HEADER.FIELDS (" MIME_SUMMARY_NAMES ")]"

struct along;
struct question;

struct fact_row {
	size_t n; /* 0: there is none, or none that makes sense */
	char octets[];
};

/* Those of one kind of a mailbox. */
struct facts {
	struct mailbox *mb;
	enum fact kind;
	struct list lru;  /* the pool's */
	struct map known; /* UID -> struct fact_row */
	size_t octets;
	enum { FACTS_COLD, FACTS_LOADING, FACTS_LOADED } state; /* from the cache */
	struct list waiters;                                    /* struct facts_wait */
	struct question *question;                              /* that is under way, or NULL */
	struct along *riding; /* what comes along with rows, or NULL: never both */
	uint64_t version;
	uint32_t unsaved[FACTS_SAVED_TOGETHER];
	unsigned unsaved_count;
	uint32_t last; /* UID that was asked for last */
	size_t along;  /* messages that the next question may ask for behind a later one */
	bool told;     /* the log has that one is missing */
};

/* The rows of a command: a header, or a structure, in each. */
struct arriving {
	struct facts *f;
	size_t came;         /* that were new, of this command */
	bool believes_empty; /* it was said often enough that a header has no octets */

	/* A header that is arriving. */
	struct mime_summary_builder builder;
	bool begun;
	uint32_t seq; /* of its row */
	bool failed;  /* there was no memory for it */
	bool empty;   /* it has no octets */
};

/* --- facts.c --- */

struct facts *facts_of(struct mailbox *mb, enum fact kind);

/* Whether nothing is known of the message, and it is there. */
bool facts_lacks(const struct facts *f, uint32_t uid);
/* Asks the cache, which has not been asked, or once more, when who waits is to be told by it. */
void facts_load(struct facts *f);
/* It became known: wakes who waits for it. Not one that is known already. */
void facts_note(struct facts *f, uint32_t uid, struct span packed);
/* It cannot be had; why: for the log. */
void facts_note_none(struct facts *f, uint32_t uid, const char *why);
/* The question ended; err below 0: all who wait are woken with it. Else who got what he waited for, and
 * the others are asked for again. */
void facts_answered(struct facts *f, int err);

/* --- ask.c --- */

/* Asks for what is waited for, unless a question is under way. */
void ask_start(struct facts *f);
/* At the end of the process: nobody will answer. */
void ask_forget(struct facts *f);

/* --- along.c --- */

/* The same for what rides along. */
void along_forget(struct facts *f);

/* --- arriving.c --- */

void arriving_init(struct arriving *a, struct facts *f);
void arriving_finish(struct arriving *a);
/* Another command is sent. */
void arriving_begin(struct arriving *a);
/* For the callbacks of the task: see pool_task. */
bool arriving_on_section(struct arriving *a, const struct imap_fetch *prefix, uint64_t size);
void arriving_on_octets(struct arriving *a, struct span octets);
void arriving_on_row(struct arriving *a, const struct imap_response *r, uint32_t uid);

#endif
