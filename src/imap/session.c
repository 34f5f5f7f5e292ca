/* SPDX-License-Identifier: MIT */
/* A session's life: made, logged in (login.c), ended. See session_send.c and session_receive.c. */
#include "imap/session.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "imap/framer.h"
#include "imap/login.h"
#include "imap/seqmap.h"
#include "imap/secret.h"
#include "imap/session_private.h"

#define CAPABILITY_WORDS_MAX 4000
/* Timeouts for which a server may say nothing but untagged OKs ("still at it": RFC 9585, and
 * others without a code). */
#define OKS_MAX 10

static const char *state_name(enum imap_session_state state)
{
	static const char *const names[] = {
		[IMAP_GREETING] = "greeting",
		[IMAP_CAPABILITIES] = "capabilities",
		[IMAP_STARTTLS] = "starttls",
		[IMAP_TLS] = "tls",
		[IMAP_LOGIN] = "login",
		[IMAP_INTRODUCTION] = "introduction",
		[IMAP_READY] = "ready",
		[IMAP_LOGOUT] = "logout",
		[IMAP_DEAD] = "dead",
	};

	return names[state];
}

void imap_session_set_state(struct imap_session *s, enum imap_session_state state)
{
	log_debug("%s: %s -> %s", s->options.name, state_name(s->state), state_name(state));
	s->state = state;
	s->was_ready |= state == IMAP_READY;
}

struct imap_session *imap_session_create(const struct imap_session_options *options,
	const struct imap_session_events *events, void *ctx, uint64_t now)
{
	struct imap_session *s = calloc(1, sizeof(*s));

	if (!s)
		return NULL;
	s->options = *options;
	s->events = *events;
	s->ctx = ctx;
	s->born = s->active = s->moved = now;
	s->patience = options->timeout;
	list_init(&s->queue);
	list_init(&s->flight);
	list_init(&s->unbuilt);
	buf_init(&s->capability_words, CAPABILITY_WORDS_MAX);
	imap_login_init(s);
	s->framer = imap_framer_create();
	s->parser = imap_parser_create();
	s->seqmap = imap_seqmap_create();
	if (!s->framer || !s->parser || !s->seqmap ||
		!buf_reserve(&s->capability_words, CAPABILITY_WORDS_MAX)) {
		imap_session_destroy(s);
		return NULL;
	}
	return s;
}

static void forget_commands(struct list *commands)
{
	while (!list_empty(commands))
		list_remove(commands->next);
}

void imap_session_destroy(struct imap_session *s)
{
	if (!s)
		return;
	forget_commands(&s->queue);
	forget_commands(&s->flight);
	forget_commands(&s->unbuilt);
	imap_login_finish(s);
	buf_finish(&s->capability_words);
	imap_framer_destroy(s->framer);
	imap_parser_destroy(s->parser);
	imap_seqmap_destroy(s->seqmap);
	free(s);
}

/* --- the end --- */

void imap_session_begin_selected(struct imap_session *s, struct imap_command *c, bool tell)
{
	s->selecting = true;
	imap_seqmap_clear(s->seqmap);
	if (tell && s->events.on_selecting)
		s->events.on_selecting(s->ctx, c);
}

static enum imap_outcome outcome_of(int err, const struct imap_response *response)
{
	if (!response)
		return IMAP_LOST;
	switch (err) {
	case 0:
		return IMAP_DONE;
	case ERR_PARTIAL:
		return IMAP_PARTIAL;
	case ERR_THROTTLED:
		return IMAP_BUSY;
	default:
		return IMAP_REFUSED;
	}
}

void imap_session_complete(struct imap_session *s, struct imap_command *c, int err,
	const struct imap_response *response)
{
	struct imap_result result = {outcome_of(err, response), err, response};

	/* What IDLE told last is of the mailbox before, also when SELECT was sent behind it. */
	if (c == s->idle.command && s->selecting)
		imap_seqmap_clear(s->seqmap);
	else if (response)
		s->selecting = false;
	if (c == s->idle.command)
		s->idle = (struct session_idle){0};
	if (response && c->at_once)
		s->borne |= c->behind;
	list_remove(&c->link);
	s->pending--;
	c->on_done(c, &result);
	if (!response || s->selecting || list_empty(&s->flight))
		return;
	struct imap_command *next = list_entry(s->flight.next, struct imap_command, link);
	if (next->selects)
		imap_session_begin_selected(s, next, true);
}

static void complete_all(struct imap_session *s, struct list *commands, int err)
{
	while (!list_empty(commands))
		imap_session_complete(
			s, list_entry(commands->next, struct imap_command, link), err, NULL);
}

void imap_session_complete_unbuilt(struct imap_session *s)
{
	while (!list_empty(&s->unbuilt)) {
		struct imap_command *c = list_entry(s->unbuilt.next, struct imap_command, link);
		imap_session_complete(s, c, c->build_error, NULL);
	}
}

void imap_session_fail(struct imap_session *s, int err, const char *text)
{
	if (s->state == IMAP_DEAD)
		return;
	imap_session_set_state(s, IMAP_DEAD);
	complete_all(s, &s->flight, err);
	complete_all(s, &s->queue, err);
	imap_session_complete_unbuilt(s);
	s->events.on_closed(s->ctx, err, text);
}

bool imap_session_repeats_secret(const struct imap_session *s, struct span text)
{
	const char *password = s->options.login.password;

	if (s->state != IMAP_LOGIN)
		return false;
	return secret_is_repeated(
		       text, span_of(password ? password : ""), buf_span(&s->login.wire)) ||
	       secret_is_repeated(text, buf_span(&s->login.token), (struct span){0});
}

void imap_session_fail_with(
	struct imap_session *s, int err, const char *what, struct span server_text)
{
	char printable[IMAP_TEXT_MAX / 2], text[IMAP_TEXT_MAX];

	if (imap_session_repeats_secret(s, server_text))
		server_text = SPAN(SECRET_MASK);
	text_printable(server_text, printable, sizeof(printable));
	snprintf(text, sizeof(text), "%s%s%s", what, printable[0] ? ": " : "", printable);
	imap_session_fail(s, err, text);
}

bool imap_session_owes(const struct imap_session *s)
{
	/* In IDLE the server owes nothing. */
	return s->state != IMAP_DEAD && (s->pending > (imap_session_is_idle(s) ? 1u : 0u) ||
						(s->state < IMAP_READY && !s->login.waiting));
}

/* The first that was sent behind something is what it stumbled over. */
static unsigned find_stall(const struct imap_session *s)
{
	LIST_FOREACH (pos, &s->flight) {
		const struct imap_command *c = list_entry(pos, struct imap_command, link);
		if (c->behind)
			return c->behind;
	}
	return 0;
}

void imap_session_set_patience(struct imap_session *s, uint64_t patience)
{
	s->patience = patience;
}

void imap_session_tick(struct imap_session *s, uint64_t now)
{
	uint64_t most = OKS_MAX * s->options.timeout;
	char text[128];

	imap_session_complete_unbuilt(s);
	imap_session_check_source(s);
	if (imap_session_owes(s) && s->state == IMAP_READY && now >= s->moved + most) {
		snprintf(text, sizeof(text), "nothing but OK for %llu seconds",
			(unsigned long long)(most / 1000));
		imap_session_fail(s, ERR_TIMEOUT, text);
		return;
	}
	bool silent = now >= s->active + s->patience;
	/* A server that sends an octet now and then is not silent, but does not log us in either. */
	bool late = s->state < IMAP_READY && now >= s->born + s->options.timeout;

	if (!imap_session_owes(s) || s->state == IMAP_TLS || !(silent || late))
		return;
	/* Who speaks TLS from the start waits for us, as we wait for the greeting. */
	bool other_port = silent && s->state == IMAP_GREETING && s->options.starttls;
	snprintf(text, sizeof(text), "%s %llu seconds%s",
		silent ? "no answer for" : "not logged in after",
		(unsigned long long)((silent ? s->patience : s->options.timeout) / 1000),
		other_port ? "; a port for TLS from the start (993) is imaps:// in the source"
			   : "");
	s->stalled = find_stall(s);
	imap_session_fail(s, ERR_TIMEOUT, text);
}

void imap_session_check_source(struct imap_session *s)
{
	if (s->sending.failed < 0)
		imap_session_fail(s, ERR_NET, "a message could not be read while it was sent");
}

/* --- what is not the server's octets --- */

void imap_session_token(struct imap_session *s, const char *token, uint64_t now)
{
	if (s->state != IMAP_LOGIN || !s->login.waiting)
		return;
	/* It was not the server's time. */
	s->born += now - s->active;
	s->active = s->moved = s->now = now;
	imap_login_on_token(s, span_of(token));
	imap_session_complete_unbuilt(s);
}

void imap_session_tls_done(struct imap_session *s, const struct binding *binding, uint64_t now)
{
	s->binding = *binding;
	s->active = s->moved = s->now = now;
	imap_login_on_tls(s);
	imap_session_complete_unbuilt(s);
}

/* --- questions --- */

bool imap_session_binding_refused(const struct imap_session *s)
{
	return s->login.binding_refused;
}

enum imap_session_state imap_session_state(const struct imap_session *s)
{
	return s->state;
}

uint32_t imap_session_capabilities(const struct imap_session *s)
{
	return s->capabilities;
}

const char *imap_session_capability_words(const struct imap_session *s)
{
	return s->capability_words.data ? s->capability_words.data : "";
}

const char *imap_session_login_name(const struct imap_session *s)
{
	if (s->login.mechanism != IMAP_AUTH_ANY)
		return imap_mechanism_name(s->login.mechanism);
	return *s->login.shown ? "LOGIN" : "nothing";
}

bool imap_session_enabled(const struct imap_session *s, uint32_t capability)
{
	return (s->enabled & capability) == capability;
}

uint32_t imap_session_exists(const struct imap_session *s)
{
	return imap_seqmap_exists(s->seqmap);
}

uint32_t imap_session_uid(const struct imap_session *s, uint32_t seq)
{
	return imap_seqmap_uid(s->seqmap, seq);
}

bool imap_session_is_midway(const struct imap_session *s)
{
	return imap_framer_is_midway(s->framer);
}

bool imap_session_is_next(const struct imap_session *s, const struct imap_command *c)
{
	const struct list *first = s->flight.next;

	/* One that was ended owes nothing but its end. */
	if (s->idle.command && s->idle.ending && first == &s->idle.command->link)
		first = first->next;
	return first == &c->link;
}

unsigned imap_session_take_borne(struct imap_session *s)
{
	unsigned borne = s->borne;

	s->borne = 0;
	return borne;
}

unsigned imap_session_stalled(const struct imap_session *s)
{
	return s->stalled;
}
