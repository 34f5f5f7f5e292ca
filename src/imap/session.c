/*
 * Commands go through two lists: `queue` holds what was not (wholly) sent because a synchronizing
 * literal waits for its "+", `flight` what was sent, in order. The session's own commands (login
 * and introduction) are submitted like any other. While a literal waits nothing else is sent, so a
 * "+" always belongs to the first command of the queue, or, during AUTHENTICATE, to the SASL
 * exchange.
 */
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

#define TEXT_MAX 512
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

static void forget_all(struct list *commands)
{
	while (!list_empty(commands))
		list_remove(commands->next);
}

void imap_session_destroy(struct imap_session *s)
{
	if (!s)
		return;
	forget_all(&s->queue);
	forget_all(&s->flight);
	forget_all(&s->unbuilt);
	imap_login_finish(s);
	buf_finish(&s->capability_words);
	imap_framer_destroy(s->framer);
	imap_parser_destroy(s->parser);
	imap_seqmap_destroy(s->seqmap);
	free(s);
}

/* --- sending --- */

static void log_sent(struct imap_session *s, const struct imap_command *c)
{
	char text[TEXT_MAX];
	size_t n = c->text.len >= 2 ? c->text.len - 2 : 0;

	if (!log_debugging())
		return;
	if (c == &s->login.command && s->state == IMAP_LOGIN)
		log_debug("%s: C: A%u %s", s->options.name, c->tag, s->login.shown);
	else
		log_debug("%s: C: A%u %s", s->options.name, c->tag,
			text_printable((struct span){c->text.data, n}, text, sizeof(text)));
}

/* Sends the first command of the queue up to its next synchronizing literal. True when it is all
 * sent. */
static bool send_some(struct imap_session *s, struct imap_command *c)
{
	char tag[16];

	if (s->sent == 0) {
		int n = snprintf(tag, sizeof(tag), "A%u ", c->tag);
		s->events.send(s->ctx, (struct span){tag, (size_t)n});
		log_sent(s, c);
	}
	size_t end = s->literals_sent < c->literal_count ? c->literals[s->literals_sent]
							 : c->text.len;
	s->events.send(s->ctx, (struct span){c->text.data + s->sent, end - s->sent});
	s->sent = end;
	return end == c->text.len && s->literals_sent == c->literal_count;
}

/* Nothing may be sent between IDLE and DONE, and DONE only after the "+". */
static bool is_held_by_idle(const struct imap_session *s)
{
	const struct imap_pace *pace = s->options.pace;
	bool done = s->idle_confirmed && s->idle_ending;

	return s->idle && s->idle_sent && !(done && !(pace && pace->done_alone));
}

static bool is_held(const struct imap_session *s)
{
	const struct imap_pace *pace = s->options.pace;

	return is_held_by_idle(s) || (pace && pace->one_at_a_time && !list_empty(&s->flight));
}

static void note_behind(struct imap_session *s, struct imap_command *c)
{
	bool done = s->idle && s->idle_sent;
	bool alone = list_empty(&s->flight);

	c->behind = alone ? 0 : done ? IMAP_BEHIND_DONE : IMAP_BEHIND_COMMAND;
	c->at_once = !alone && s->sent_at == s->now;
	s->sent_at = s->now;
}

static void send_done(struct imap_session *s)
{
	s->events.send(s->ctx, SPAN("DONE\r\n"));
	s->sent_at = s->now;
}

static void pump(struct imap_session *s)
{
	while (!s->literal_wait && !imap_session_over(s) && !list_empty(&s->queue) && !is_held(s)) {
		struct imap_command *c = list_entry(s->queue.next, struct imap_command, link);
		if (!send_some(s, c)) {
			s->literal_wait = true;
			return;
		}
		s->sent = 0;
		s->literals_sent = 0;
		note_behind(s, c);
		s->idle_sent |= c == s->idle;
		list_remove(&c->link);
		list_append(&s->flight, &c->link);
	}
}

void imap_session_submit(struct imap_session *s, struct imap_command *c, uint64_t now)
{
	if (s->pending == 0)
		s->active = s->moved = now;
	s->now = now;
	s->pending++;
	/* A task may still hold a connection that has just ended. */
	if (s->state == IMAP_DEAD && c->build_error == 0)
		c->build_error = ERR_NET;
	if (c->build_error < 0) {
		list_append(&s->unbuilt, &c->link);
		return;
	}
	/* DONE and the command leave together. */
	imap_session_end_idle(s, now);
	if (c->idle) {
		s->idle = c;
		s->idle_sent = s->idle_confirmed = s->idle_ending = false;
	}
	c->tag = ++s->last_tag;
	list_append(&s->queue, &c->link);
	pump(s);
}

void imap_session_abandon(struct imap_session *s, struct imap_command *c)
{
	s->abandoned[s->abandoned_next++ % IMAP_ABANDONED] = c->tag;
	list_remove(&c->link);
	s->pending--;
}

static bool is_abandoned(const struct imap_session *s, uint64_t tag)
{
	for (unsigned i = 0; i < IMAP_ABANDONED; i++)
		if (tag != 0 && s->abandoned[i] == tag)
			return true;
	return false;
}

void imap_session_end_idle(struct imap_session *s, uint64_t now)
{
	if (!s->idle || s->idle_ending)
		return;
	s->idle_ending = true;
	s->active = s->moved = s->now = now;
	if (s->idle_confirmed)
		send_done(s);
}

bool imap_session_is_idle(const struct imap_session *s)
{
	return s->idle && s->idle_confirmed && !s->idle_ending;
}

bool imap_session_binding_refused(const struct imap_session *s)
{
	return s->login.binding_refused;
}

bool imap_session_tells(const struct imap_session *s)
{
	return imap_session_is_idle(s) && !s->idle_lags;
}

void imap_session_logout(struct imap_session *s)
{
	if (s->state == IMAP_DEAD || s->state == IMAP_LOGOUT)
		return;
	if (s->state == IMAP_READY && !s->literal_wait)
		s->events.send(s->ctx, imap_session_is_idle(s) ? SPAN("DONE\r\nA0 LOGOUT\r\n")
							       : SPAN("A0 LOGOUT\r\n"));
	imap_session_set_state(s, IMAP_LOGOUT);
}

void imap_session_forget_mailbox(struct imap_session *s)
{
	s->selecting = true;
	imap_seqmap_clear(s->seqmap);
}

/* --- the end --- */

static void complete(struct imap_session *s, struct imap_command *c, int err,
	const struct imap_response *response)
{
	struct imap_result result = {.err = err, .response = response};

	/* What IDLE told last is of the mailbox before, also when SELECT was sent behind it. */
	if (c == s->idle && s->selecting)
		imap_seqmap_clear(s->seqmap);
	else
		s->selecting = false;
	if (c == s->idle)
		s->idle = NULL;
	if (response && c->at_once)
		s->borne |= c->behind;
	list_remove(&c->link);
	s->pending--;
	c->on_done(c, &result);
}

static void complete_all(struct imap_session *s, struct list *commands, int err)
{
	while (!list_empty(commands))
		complete(s, list_entry(commands->next, struct imap_command, link), err, NULL);
}

/* Half a command must not be sent. The owner hears of it here, not within submit. */
static void complete_unbuilt(struct imap_session *s)
{
	while (!list_empty(&s->unbuilt)) {
		struct imap_command *c = list_entry(s->unbuilt.next, struct imap_command, link);
		complete(s, c, c->build_error, NULL);
	}
}

void imap_session_fail(struct imap_session *s, int err, const char *text)
{
	if (s->state == IMAP_DEAD)
		return;
	imap_session_set_state(s, IMAP_DEAD);
	complete_all(s, &s->flight, err);
	complete_all(s, &s->queue, err);
	complete_unbuilt(s);
	s->events.on_closed(s->ctx, err, text);
}

/* Some servers repeat a command that they did not like. */
static bool repeats_secret(const struct imap_session *s, struct span text)
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
	char printable[TEXT_MAX / 2], text[TEXT_MAX];

	if (repeats_secret(s, server_text))
		server_text = SPAN("...");
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

	complete_unbuilt(s);
	if (imap_session_owes(s) && s->state == IMAP_READY && now >= s->moved + most) {
		snprintf(text, sizeof(text), "nothing but OK for %llu seconds",
			(unsigned long long)(most / 1000));
		imap_session_fail(s, ERR_TIMEOUT, text);
		return;
	}
	bool silent = now >= s->active + s->patience;
	/* One that drips octets says nothing by them. */
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

/* --- receiving --- */

/* Also after LOGOUT: what is under way must not be completed without its data. */
static bool tells(const struct imap_session *s)
{
	return s->state == IMAP_READY || (s->state == IMAP_LOGOUT && s->was_ready);
}

static void log_received(struct imap_session *s, struct span line)
{
	char text[TEXT_MAX];

	if (log_debugging() && repeats_secret(s, line))
		log_debug("%s: S: ...", s->options.name);
	else if (log_debugging())
		log_debug("%s: S: %s", s->options.name, text_printable(line, text, sizeof(text)));
}

static void on_bye(struct imap_session *s, const struct imap_response *r)
{
	if (s->state == IMAP_LOGOUT)
		return;
	int err = imap_condition_error(r) == ERR_THROTTLED ? ERR_THROTTLED : ERR_NET;
	imap_session_fail_with(s, err, "the server said BYE", r->text);
}

/* Each UID is a message less (RFC 7162 section 3.2.10). More than there are make no sense: then
 * nothing is known of the numbers any more. */
static void on_vanished(struct imap_session *s, struct span set)
{
	uint32_t first, last;

	while (imap_set_next(&set, &first, &last)) {
		if (last - first >= imap_seqmap_exists(s->seqmap)) {
			imap_seqmap_clear(s->seqmap);
			return;
		}
		imap_seqmap_vanish(s->seqmap, first, last);
	}
}

/* The session keeps what it must know of untagged data, its owner sees all of it afterwards. */
static void on_untagged(struct imap_session *s, const struct imap_response *r)
{
	uint32_t uid = 0;
	bool valid = true;

	switch ((int)r->kind) {
	case IMAP_CONDITION:
		if (r->condition == IMAP_BYE) {
			on_bye(s, r);
			return;
		}
		if (r->code == IMAP_CODE_CAPABILITY)
			imap_login_on_capability(s, r->code_args);
		break;
	case IMAP_CAPABILITY:
		imap_login_on_capability(s, r->words);
		break;
	case IMAP_ENABLED:
		s->enabled |= imap_capability_parse(r->words);
		break;
	case IMAP_EXISTS:
		if (s->selecting)
			imap_seqmap_clear(s->seqmap);
		imap_seqmap_set_exists(s->seqmap, r->seq);
		break;
	case IMAP_EXPUNGE:
		uid = imap_seqmap_expunge(s->seqmap, r->seq, &valid);
		break;
	case IMAP_FETCH:
		if (r->fetch.uid && imap_seqmap_learn(s->seqmap, r->fetch.seq, r->fetch.uid) < 0) {
			imap_session_fail(s, ERR_NOMEM, error_text(ERR_NOMEM));
			return;
		}
		uid = r->fetch.uid ? r->fetch.uid : imap_seqmap_uid(s->seqmap, r->fetch.seq);
		break;
	case IMAP_VANISHED:
		if (!r->earlier)
			on_vanished(s, r->words);
		break;
	}
	if (valid && tells(s))
		s->events.on_untagged(s->ctx, r, uid);
}

static void on_tagged(struct imap_session *s, const struct imap_response *r)
{
	uint64_t tag;

	if (r->tag.n < 2 || r->tag.p[0] != 'A' ||
		!text_parse_number((struct span){r->tag.p + 1, r->tag.n - 1}, UINT32_MAX, &tag)) {
		imap_session_fail_with(
			s, ERR_PROTOCOL, "the server answered a tag that was never sent", r->tag);
		return;
	}
	if (tag == 0 && s->state == IMAP_LOGOUT)
		return;
	LIST_FOREACH (pos, &s->flight) {
		struct imap_command *c = list_entry(pos, struct imap_command, link);
		if (c->tag == tag) {
			complete(s, c, imap_condition_error(r), r);
			pump(s);
			return;
		}
	}
	if (is_abandoned(s, tag))
		return;
	/* A command that waits for its literal may be refused by NO or BAD in place of "+". */
	struct imap_command *first = list_empty(&s->queue)
					     ? NULL
					     : list_entry(s->queue.next, struct imap_command, link);
	if (s->literal_wait && first && first->tag == tag && r->condition != IMAP_OK) {
		s->literal_wait = false;
		s->sent = 0;
		s->literals_sent = 0;
		complete(s, first, imap_condition_error(r), r);
		pump(s);
		return;
	}
	imap_session_fail_with(
		s, ERR_PROTOCOL, "the server answered a tag that was never sent", r->tag);
}

static void on_continue(struct imap_session *s, const struct imap_response *r)
{
	if (s->literal_wait) {
		s->literal_wait = false;
		s->literals_sent++;
		pump(s);
	} else if (s->idle) {
		s->idle_confirmed = true;
		/* Courier without FAM looks once a minute, and says so by the lack of ENHANCED. */
		s->idle_lags = span_equal(r->text, SPAN("entering idle mode"));
		if (s->idle_ending)
			send_done(s);
		pump(s);
	} else if (s->state == IMAP_LOGIN) {
		imap_login_on_challenge(s, r->text);
	}
}

/* Where, behind a row that was left without its end, the answer to a command begins: it must not be
 * lost with the row. Only a tag that is owed counts. */
static struct span answer_within(const struct imap_session *s, struct span line)
{
	static const char *const words[] = {"OK", "NO", "BAD"};
	char answer[24];

	LIST_FOREACH (pos, &s->flight) {
		const struct imap_command *c = list_entry(pos, struct imap_command, link);
		for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
			int n = snprintf(answer, sizeof(answer), "A%u %s ", c->tag, words[i]);
			const char *p = memmem(line.p, line.n, answer, (size_t)n);
			if (p)
				return (struct span){p, line.n - (size_t)(p - line.p)};
		}
	}
	return (struct span){0};
}

static void on_line(struct imap_session *s, struct span line)
{
	struct imap_response r;

	log_received(s, line);
	int err = imap_response_parse(s->parser, line, &r);
	if (err == 0 && r.broken && s->state == IMAP_READY) {
		line = answer_within(s, line);
		if (line.n == 0)
			return;
		err = imap_response_parse(s->parser, line, &r);
	}
	if (err < 0) {
		imap_session_fail_with(s, err, "not an IMAP response", line);
		return;
	}
	if (r.kind == IMAP_CONDITION && r.condition == IMAP_OK)
		s->said_ok = true;
	else
		s->said_more = true;
	if (s->state == IMAP_GREETING)
		imap_login_on_greeting(s, &r);
	else if (r.kind == IMAP_TAGGED)
		on_tagged(s, &r);
	else if (r.kind == IMAP_CONTINUE)
		on_continue(s, &r);
	else
		on_untagged(s, &r);
}

static void on_body_begin(struct imap_session *s, const struct imap_frame *frame)
{
	struct imap_fetch prefix;

	s->said_more = true;
	log_received(s, frame->text);
	int err = imap_response_parse_prefix(s->parser, frame->text, &prefix);
	if (err < 0) {
		imap_session_fail(s, err, "a body that belongs to no FETCH");
		return;
	}
	uint32_t uid = prefix.uid ? prefix.uid : imap_seqmap_uid(s->seqmap, prefix.seq);
	if (tells(s))
		s->events.on_body_begin(s->ctx, &prefix, uid, frame->size);
}

static void on_frame(struct imap_session *s, const struct imap_frame *frame)
{
	switch (frame->kind) {
	case IMAP_FRAME_MORE:
		break;
	case IMAP_FRAME_LINE:
		on_line(s, frame->text);
		break;
	case IMAP_FRAME_BODY_BEGIN:
		on_body_begin(s, frame);
		break;
	case IMAP_FRAME_BODY_DATA:
		s->said_more = true;
		if (tells(s))
			s->events.on_body_data(s->ctx, frame->text);
		break;
	case IMAP_FRAME_BODY_END:
		if (tells(s))
			s->events.on_body_end(s->ctx);
		break;
	}
}

void imap_session_feed(struct imap_session *s, struct span octets, uint64_t now)
{
	struct imap_frame frame = {.kind = IMAP_FRAME_MORE};

	complete_unbuilt(s);
	if (s->state == IMAP_DEAD)
		return;
	s->active = now;
	s->now = now;
	s->said_ok = s->said_more = false;
	if (s->state == IMAP_TLS) {
		imap_session_fail(s, ERR_TLS, "the server went on in the clear after STARTTLS");
		return;
	}
	do {
		size_t used = 0;
		int err = imap_framer_feed(s->framer, octets.p, octets.n, &used, &frame);
		if (err < 0) {
			imap_session_fail(s, err, "the server's octets make no sense");
			return;
		}
		octets.p += used;
		octets.n -= used;
		s->rest = octets;
		on_frame(s, &frame);
		complete_unbuilt(s);
		/* Whoever switched the stream took the rest. */
		octets = s->rest;
	} while (s->state != IMAP_DEAD && (octets.n > 0 || frame.kind != IMAP_FRAME_MORE));
	if (s->said_more || !s->said_ok)
		s->moved = now;
}

void imap_session_token(struct imap_session *s, const char *token, uint64_t now)
{
	if (s->state != IMAP_LOGIN || !s->login.waiting)
		return;
	/* It was not the server's time. */
	s->born += now - s->active;
	s->active = s->moved = s->now = now;
	imap_login_on_token(s, span_of(token));
	complete_unbuilt(s);
}

void imap_session_tls_done(struct imap_session *s, const struct binding *binding, uint64_t now)
{
	s->binding = *binding;
	s->active = s->moved = s->now = now;
	imap_login_on_tls(s);
	complete_unbuilt(s);
}

/* --- questions --- */

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
	if (s->idle && s->idle_ending && first == &s->idle->link)
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

unsigned imap_session_pending(const struct imap_session *s)
{
	return s->pending;
}
