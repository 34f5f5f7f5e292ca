/* What session.c and login.c share: the session's insides. No other file includes this. */
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

#define IMAP_ABANDONED 8

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
	size_t sent;            /* octets of the queue's first command */
	unsigned literals_sent; /* of it */
	bool literal_wait;
	struct imap_command *idle; /* IDLE under way */
	bool idle_sent, idle_confirmed, idle_ending, idle_lags;
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
/* imap_session_fail with the server's words behind ours. */
void imap_session_fail_with(
	struct imap_session *s, int err, const char *what, struct span server_text);

#endif
