/* SPDX-License-Identifier: MIT */
/* What session.c, session_send.c, session_receive.c and login.c share: the session's insides. No other
 * file includes this. */
#ifndef IMAP_SESSION_PRIVATE_H
#define IMAP_SESSION_PRIVATE_H

#include "imap/framer.h"
#include "imap/sasl.h"
#include "imap/seqmap.h"
#include "imap/session.h"

struct imap_login {
	struct imap_command command; /* the one of the current step */
	struct imap_command id, enable;
	struct imap_sasl *sasl;
	enum imap_mechanism mechanism;
	struct buf token;   /* while logging in */
	struct buf wire;    /* what was sent of secrets, as it was sent */
	bool waiting;       /* for a token */
	bool token_refused; /* once; then another is asked for */
	bool binding_refused;
	bool cancelled;   /* the exchange, by us: the server did not prove itself */
	char shown[48];   /* of the command in logs, without its secrets */
	unsigned pending; /* introductory commands under way */
	bool asked;       /* CAPABILITY, since TLS or login */
	bool introduced;
};

/* How far the queue's first command was sent. */
struct session_sending {
	size_t octets;
	unsigned literals; /* synchronizing ones */
	bool waits;        /* for the "+" of one */
	bool sources;      /* it is in the middle of its source */
	uint64_t sourced;  /* octets of the source */
	int failed;        /* the source's error; the session's next event ends it */
};

enum session_idle_step { SESSION_IDLE_QUEUED, SESSION_IDLE_SENT, SESSION_IDLE_CONFIRMED };

/* The IDLE under way. */
struct session_idle {
	struct imap_command *command; /* NULL: none */
	enum session_idle_step step;
	bool ending; /* DONE was sent, or is as soon as it is confirmed */
	bool lags;   /* the server tells late what happens */
};

/* Tags that are remembered of commands that were abandoned. */
#define IMAP_ABANDONED 8
/* Octets of a text that goes into the log. */
#define IMAP_TEXT_MAX 512
/* Octets that are taken from a source at once. */
#define IMAP_SOURCE_PART 16384

struct imap_session {
	struct imap_session_options options;
	struct imap_session_events events;
	void *ctx;
	struct imap_framer *framer;
	struct imap_parser *parser;

	enum imap_session_state state;
	bool was_ready;
	uint64_t born;     /* when the connection was begun */
	uint64_t active;   /* when the server last said something, or was first asked something */
	uint64_t moved;    /* the same, but for untagged OKs, by which nothing is done */
	uint64_t patience; /* how long it may be silent, milliseconds */
	bool said_ok, said_more; /* in the octets under way */
	uint64_t now;            /* of the event under way */
	struct span rest;        /* received behind the frame under way */

	struct list queue, flight;
	struct list unbuilt; /* submitted, but building them had failed */
	unsigned pending;
	uint32_t last_tag;
	uint32_t abandoned[IMAP_ABANDONED]; /* tags that may be answered yet, the last ones */
	unsigned abandoned_next;
	struct session_sending sending;
	bool logout_waits; /* for the server's answer to IDLE */
	struct session_idle idle;
	uint64_t sent_at;        /* of the last octets: a command's, or DONE */
	unsigned borne, stalled; /* see imap_session_take_borne */

	bool has_capabilities;
	struct buf capability_words;
	uint32_t capabilities, enabled;
	uint32_t mechanisms;        /* offered by AUTH= */
	struct binding binding;     /* of the TLS connection */
	struct imap_seqmap *seqmap; /* of the selected mailbox */
	bool selecting; /* SELECT is under way: untagged data may still be of the old one */
	struct imap_login login;
};

/* The login goes no further. */
static inline bool imap_session_over(const struct imap_session *s)
{
	return s->state == IMAP_DEAD || s->state == IMAP_LOGOUT;
}
void imap_session_set_state(struct imap_session *s, enum imap_session_state state);
/* --- session_send.c --- */

/* Sends of the queue what may be sent now. submitted: its owner knows that it is sent; NULL: none. */
void imap_session_pump(struct imap_session *s, const struct imap_command *submitted);
void imap_session_send_done(struct imap_session *s);
void imap_session_send_logout(struct imap_session *s);

/* --- session.c --- */

/* The command is over, and its owner hears of it. response: NULL when there is none. */
void imap_session_complete(struct imap_session *s, struct imap_command *c, int err,
	const struct imap_response *response);
/* Half a command must not be sent. The owner hears of it here, not within submit. */
void imap_session_complete_unbuilt(struct imap_session *s);
/* Servers work in order: all that comes before a command that selects is of the mailbox before. tell:
 * the owner is told that it is this one's turn. */
void imap_session_begin_selected(struct imap_session *s, struct imap_command *c, bool tell);
/* What a source cannot give is not made up for: the server must never have the whole of the command. */
void imap_session_check_source(struct imap_session *s);
/* Text that the server said repeats a secret, as some do with a command that they did not like. */
bool imap_session_repeats_secret(const struct imap_session *s, struct span text);
/* imap_session_fail with the server's words behind ours. */
void imap_session_fail_with(
	struct imap_session *s, int err, const char *what, struct span server_text);

#endif
