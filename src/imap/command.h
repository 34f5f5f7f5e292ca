/*
 * One command (RFC 3501 section 6) on its way from the operation that wants it to the server's
 * tagged response. The operation embeds it, builds its text, submits it to a session, and owns it
 * again when on_done is called.
 */
#ifndef IMAP_COMMAND_H
#define IMAP_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/list.h"
#include "imap/response.h"

#define IMAP_COMMAND_MAX (1u << 20)
/* Synchronizing literals in one command; more cannot be built. */
#define IMAP_COMMAND_LITERALS 4

struct imap_result {
	int err; /* 0 for a tagged OK; ERR_REFUSED and its finer kinds for NO and BAD; else what
		    ended the session */
	const struct imap_response
		*response; /* the tagged response, NULL when the session ended before */
};

struct imap_command {
	struct list link;                       /* the session's, while submitted */
	struct buf text;                        /* all after the tag, CRLF included */
	size_t literals[IMAP_COMMAND_LITERALS]; /* offsets in text where "+" must be waited for */
	unsigned literal_count;
	bool literal_plus;
	bool idle;       /* IDLE (RFC 2177): stays under way until imap_session_end_idle */
	unsigned behind; /* what it was sent behind, see enum imap_behind; set by the session */
	bool at_once;    /* and in the same moment */
	int build_error; /* the first error while building; the command is not sent and
				  completes with it */
	uint32_t tag;    /* the number behind the letter; set by the session */
	void (*on_done)(struct imap_command *c, const struct imap_result *result);
};

/* literal_plus: the server takes non-synchronizing literals (RFC 7888) of any size. */
void imap_command_init(struct imap_command *c, bool literal_plus,
	void (*on_done)(struct imap_command *c, const struct imap_result *result));
/* Frees the text. The command must not be submitted. */
void imap_command_finish(struct imap_command *c);

/* Appends text that needs no quoting. */
void imap_command_add(struct imap_command *c, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
/* Appends s as a string (RFC 3501 section 4.3): quoted where that is allowed, else a literal. */
void imap_command_add_string(struct imap_command *c, struct span s);

/* The error that a tagged response stands for, 0 for OK. */
int imap_condition_error(const struct imap_response *r);

#endif
