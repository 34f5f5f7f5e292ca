/* SPDX-License-Identifier: MIT */
/*
 * The client's side of one IMAP connection as a state machine, pure: octets and the time go in,
 * octets and events come out. It greets, asks for TLS, logs in, introduces itself and then carries
 * commands, pipelined, matching tagged responses to them and mapping sequence numbers to UIDs in
 * the strict order of responses.
 *
 * Events are made from imap_session_feed, _tls_done, _token, _tick, _go_on and _fail only, never from
 * _submit. The session must not be destroyed from an event.
 */
#ifndef IMAP_SESSION_H
#define IMAP_SESSION_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"
#include "imap/capability.h"
#include "imap/command.h"
#include "imap/response.h"
#include "imap/sasl.h"

enum imap_session_state {
	IMAP_GREETING,     /* nothing received yet */
	IMAP_CAPABILITIES, /* asked, before STARTTLS or login */
	IMAP_STARTTLS,     /* asked */
	IMAP_TLS,          /* the handshake is under way, see on_starttls */
	IMAP_LOGIN,        /* AUTHENTICATE or LOGIN sent */
	IMAP_INTRODUCTION, /* CAPABILITY again, ID, ENABLE */
	IMAP_READY,
	IMAP_LOGOUT, /* asked; the server's close is no error any more */
	IMAP_DEAD,   /* on_closed was called */
};

/* What the server does not bear. Some stall on a command that comes before the one ahead of it is
 * answered, or throw it away. */
struct imap_pace {
	bool one_at_a_time; /* a command is sent when nothing is under way */
	bool done_alone;    /* nothing is sent behind DONE before IDLE has ended */
};

/* What a command was sent behind that was not answered yet; a set. */
enum imap_behind {
	IMAP_BEHIND_COMMAND = 1 << 0,
	IMAP_BEHIND_DONE = 1 << 1,
};

struct imap_session_options {
	const char *name; /* of this connection in logs; must outlive the session */
	const char *host;
	uint16_t port;
	struct imap_login_as login;
	bool starttls;    /* required before anything else */
	bool tls;         /* the login goes over TLS, from the start or by STARTTLS */
	uint64_t timeout; /* milliseconds without any octet, while one is due, or since the start
				 without a login, after which the server is dead */
	const struct imap_pace *pace; /* NULL: it bears all. May change at any time */
};

struct imap_session_events {
	/* These octets go to the server (copy them). */
	void (*send)(void *ctx, struct span octets);
	/* Optional. How many octets of a source may be given to send now; imap_session_go_on is
	 * called when it is more. */
	size_t (*room)(void *ctx);
	/* The OK to STARTTLS was read: start TLS; `buffered` octets came behind it (must be none);
	 * then call imap_session_tls_done. */
	void (*on_starttls)(void *ctx, size_t buffered);
	/* The answer to COMPRESS was read. agreed: all that follows is deflated, rest too, which
	 * came behind it. */
	void (*on_compress)(void *ctx, bool agreed, struct span rest);
	/* A token is wanted: call imap_session_token or imap_session_fail, later. Once, and once
	 * more with refused when the server did not take that one. */
	void (*on_token)(void *ctx, bool refused);
	/* Logged in, commands may be submitted. */
	void (*on_ready)(void *ctx);
	/* Untagged data and conditions, once ready. uid is that of an EXPUNGE or FETCH, as said or
	 * as mapped; 0: unknown. */
	void (*on_untagged)(void *ctx, const struct imap_response *r, uint32_t uid);
	/* Optional. A SELECT or EXAMINE that was sent behind other commands, or had to wait until it
	 * could be sent, is now the first that is not answered: what comes from now on is of the
	 * mailbox that it names, or still of the one before. */
	void (*on_selecting)(void *ctx, struct imap_command *c);
	/* A BODY[...] literal: begin (uid may be 0), data as it comes, end. The FETCH row follows by
	 * on_untagged. */
	void (*on_body_begin)(
		void *ctx, const struct imap_fetch *prefix, uint32_t uid, uint64_t size);
	void (*on_body_data)(void *ctx, struct span octets);
	void (*on_body_end)(void *ctx);
	/* The end, once, after all submitted commands were completed with the same err (those that
	 * could not be built with their own). text is one printable line. */
	void (*on_closed)(void *ctx, int err, const char *text);
};

struct imap_session;

/* NULL when out of memory. options is copied, but not what it points at. */
struct imap_session *imap_session_create(const struct imap_session_options *options,
	const struct imap_session_events *events, void *ctx, uint64_t now);
/* No events. Commands still submitted are forgotten (their owners must have been completed by
 * imap_session_fail). NULL is fine. */
void imap_session_destroy(struct imap_session *s);

/* Octets from the server, at `now` (milliseconds, any epoch). */
void imap_session_feed(struct imap_session *s, struct span octets, uint64_t now);
/* TLS is there, also implicit TLS, before the greeting. binding is copied. */
void imap_session_tls_done(struct imap_session *s, const struct binding *binding, uint64_t now);
/* The server refused a login bound to TLS, and may have taken one that is not. */
bool imap_session_binding_refused(const struct imap_session *s);
/* The token that on_token asked for; it is copied, and wiped when the login is over. */
void imap_session_token(struct imap_session *s, const char *token, uint64_t now);
/* How long the server may be silent while it owes something, milliseconds: at first the options'
 * timeout. */
void imap_session_set_patience(struct imap_session *s, uint64_t patience);
/* Checks the timeout; to be called about once a second while imap_session_owes. */
void imap_session_tick(struct imap_session *s, uint64_t now);
/* Something is due, from the server or (commands that could not be built) from us. */
bool imap_session_owes(const struct imap_session *s);
/* The stream ended or the owner gives up: completes all commands with err, then on_closed. */
void imap_session_fail(struct imap_session *s, int err, const char *text);

/* Queues a command; it is sent at once unless a literal is being waited for, or is being sent, or the
 * "+" of an IDLE.
 * It ends the IDLE that is under way. on_done comes later, once. In the state READY only. */
void imap_session_submit(struct imap_session *s, struct imap_command *c, uint64_t now);
/* There is room again for the octets of a source, or the source has more: goes on with a command
 * that stopped over it. May make events. */
void imap_session_go_on(struct imap_session *s, uint64_t now);
/* A command stopped over its source. */
bool imap_session_is_sending(const struct imap_session *s);
/* The server's machine has taken octets of ours: it cannot have answered yet, and its silence counts
 * from now. */
void imap_session_note_taken(struct imap_session *s, uint64_t now);
/* For so many milliseconds octets waited on our side: all that it has time for is later by that. */
void imap_session_note_held(struct imap_session *s, uint64_t passed);
/* The server has answered what was sent behind this command, but not it, and will not: on_done is
 * not called any more. Should an answer come all the same it is ignored. */
void imap_session_abandon(struct imap_session *s, struct imap_command *c);
/* Ends the IDLE that is under way, if any; its command completes when the server agrees. */
void imap_session_end_idle(struct imap_session *s, uint64_t now);
/* The server has confirmed that it will tell (the "+" to IDLE). */
bool imap_session_is_idle(const struct imap_session *s);
/* It will tell soon enough that nobody else need look. */
bool imap_session_tells(const struct imap_session *s);
/* Asks for COMPRESS=DEFLATE (RFC 4978); on_compress says how it ended. In the state READY only,
 * with no command under way, and none may be submitted before on_compress. */
void imap_session_compress(struct imap_session *s, uint64_t now);
/* Sends LOGOUT. */
void imap_session_logout(struct imap_session *s);
/* A command takes the place of one with the same text that was submitted before and is not answered
 * yet, whose on_done is not called any more. */
void imap_session_adopt(
	struct imap_session *s, struct imap_command *foreseen, struct imap_command *c);

enum imap_session_state imap_session_state(const struct imap_session *s);
uint32_t imap_session_capabilities(const struct imap_session *s);
/* The same as the server wrote it. Valid until the next event. */
const char *imap_session_capability_words(const struct imap_session *s);
/* How it was logged in, for people: the mechanism, "LOGIN", or "nothing" (PREAUTH). */
const char *imap_session_login_name(const struct imap_session *s);
/* ENABLE was confirmed for it (CONDSTORE, QRESYNC, UTF8_ACCEPT). */
bool imap_session_enabled(const struct imap_session *s, uint32_t capability);
/* Messages in the selected mailbox, as said by EXISTS and EXPUNGE so far. */
uint32_t imap_session_exists(const struct imap_session *s);
/* The UID of a message number, as far as the server said; 0: unknown. */
uint32_t imap_session_uid(const struct imap_session *s, uint32_t seq);
/* The server has begun a response and owes the rest of it. */
bool imap_session_is_midway(const struct imap_session *s);
/* The command was sent before all others that are not completed: servers answer in order, so what
 * does not say what it answers is most likely its. */
bool imap_session_is_next(const struct imap_session *s, const struct imap_command *c);
/* What it has borne since this was asked last: what was sent behind that, in the same moment, was
 * answered. */
unsigned imap_session_take_borne(struct imap_session *s);
/* After the timeout: what was not answered was sent behind that; 0: behind nothing. */
unsigned imap_session_stalled(const struct imap_session *s);

#endif
