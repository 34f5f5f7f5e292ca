/* SPDX-License-Identifier: MIT */
/*
 * One command (RFC 3501 section 6) on its way from the operation that wants it to the server's
 * tagged response. The operation embeds it, builds its text, submits it to a session, and owns it
 * again when on_done is called.
 */
#ifndef IMAP_COMMAND_H
#define IMAP_COMMAND_H

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/buf.h"
#include "base/list.h"
#include "imap/response.h"

#define IMAP_COMMAND_MAX (1u << 20)
/* Synchronizing literals in one command; more cannot be built. */
#define IMAP_COMMAND_LITERALS 4

/* How a command ended. */
enum imap_outcome {
	IMAP_DONE,    /* OK */
	IMAP_PARTIAL, /* OK, but for some of the messages only (MESSAGELIMIT) */
	IMAP_BUSY,    /* NO or BAD, which asks for patience */
	IMAP_REFUSED, /* NO or BAD; the error says which kind */
	IMAP_LOST,    /* never answered: the session ended before, or the command could not be
			 built and was not sent */
};

struct imap_result {
	enum imap_outcome outcome;
	int err; /* 0, ERR_PARTIAL, ERR_THROTTLED, ERR_REFUSED and its finer kinds; of IMAP_LOST
		    what ended the session or could not be built */
	const struct imap_response *response; /* the tagged one; NULL: IMAP_LOST */
};

struct imap_command;
/* It ended, once; the command is its owner's again. */
typedef void imap_command_done(struct imap_command *c, const struct imap_result *result);

/* Where the octets of a literal come from that is too long to be kept in memory; embedded in its
 * owner. */
struct imap_source {
	uint64_t size; /* octets in all */
	/* Copies the next of them to out, n at most, and returns how many; 0: they are not here yet,
	 * and imap_session_go_on is called when they are; or an error: then the connection ends,
	 * for half a literal cannot be taken back. Called while the command is under way and not
	 * wholly sent. */
	ssize_t (*read)(struct imap_source *source, char *out, size_t n);
};

struct imap_command {
	struct list link;                       /* the session's, while submitted */
	struct buf text;                        /* all after the tag, CRLF included */
	size_t literals[IMAP_COMMAND_LITERALS]; /* offsets in text where "+" must be waited for */
	unsigned literal_count;
	bool literal_plus;
	struct imap_source *source; /* of the literal whose octets are not in text; NULL: none */
	size_t source_at;           /* offset in text where they belong */
	bool sent;       /* all of it was given to the connection; set by the session. If not, the
		      server cannot have carried it out */
	bool idle;       /* IDLE (RFC 2177): stays under way until imap_session_end_idle */
	bool selects;    /* SELECT or EXAMINE: sequence numbers start afresh when it is the first
			    that is not answered, and imap_session_events.on_selecting tells */
	unsigned behind; /* what it was sent behind, see enum imap_behind; set by the session */
	bool at_once;    /* and in the same moment */
	int build_error; /* the first error while building; the command is not sent and
				  completes with it */
	uint32_t tag;    /* the number behind the letter; set by the session */
	imap_command_done *on_done;
};

/* literal_plus: the server takes non-synchronizing literals (RFC 7888) of any size. */
void imap_command_init(struct imap_command *c, bool literal_plus, imap_command_done *on_done);
/* The same in the place of one that is over. */
void imap_command_begin(struct imap_command *c, bool literal_plus, imap_command_done *on_done);
/* Frees the text. The command must not be submitted. */
void imap_command_finish(struct imap_command *c);

/* Appends text that needs no quoting. */
void imap_command_add(struct imap_command *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
void imap_command_add_args(struct imap_command *c, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));
/* Appends s as a string (RFC 3501 section 4.3): quoted where that is allowed, else a literal. */
void imap_command_add_string(struct imap_command *c, struct span s);
/* Appends a literal whose octets come from source, one in a command. plus: the server takes a
 * non-synchronizing one of this size, see imap_literal_is_free. */
void imap_command_add_source(struct imap_command *c, struct imap_source *source, bool plus);
/* Whether a literal of so many octets need not wait for "+": with LITERAL+ (RFC 7888) any, with
 * LITERAL- small ones. */
bool imap_literal_is_free(uint32_t capabilities, uint64_t size);

/* The error that a tagged response stands for, 0 for OK. */
int imap_condition_error(const struct imap_response *r);

#endif
