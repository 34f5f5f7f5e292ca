/* SPDX-License-Identifier: MIT */
/* What the server says goes to the command it answers, to the login, and to the owner. */
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "imap/framer.h"
#include "imap/login.h"
#include "imap/secret.h"
#include "imap/seqmap.h"
#include "imap/session_private.h"

static bool is_abandoned(const struct imap_session *s, uint64_t tag)
{
	for (unsigned i = 0; i < IMAP_ABANDONED; i++)
		if (tag != 0 && s->abandoned[i] == tag)
			return true;
	return false;
}

/* Also after LOGOUT: what is under way must not be completed without its data. */
static bool tells(const struct imap_session *s)
{
	return s->state == IMAP_READY || (s->state == IMAP_LOGOUT && s->was_ready);
}

static void log_received(struct imap_session *s, struct span line)
{
	char text[IMAP_TEXT_MAX];

	if (log_debugging() && imap_session_repeats_secret(s, line))
		log_debug("%s: S: " SECRET_MASK, s->options.name);
	else if (log_debugging())
		log_debug("%s: S: %s", s->options.name, text_printable(line, text, sizeof(text)));
}

static void session_on_bye(struct imap_session *s, const struct imap_response *r)
{
	if (s->state == IMAP_LOGOUT)
		return;
	int err = imap_condition_error(r) == ERR_THROTTLED ? ERR_THROTTLED : ERR_NET;
	imap_session_fail_with(s, err, "the server said BYE", r->text);
}

/* Each UID is a message less (RFC 7162 section 3.2.10). More than there are make no sense: then
 * nothing is known of the numbers any more. */
static void session_on_vanished(struct imap_session *s, struct span set)
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

/* False: the session is over. */
static bool note_condition(struct imap_session *s, const struct imap_response *r)
{
	if (r->condition == IMAP_BYE) {
		session_on_bye(s, r);
		return false;
	}
	if (r->code == IMAP_CODE_CAPABILITY)
		imap_login_on_capability(s, r->code_args);
	return true;
}

static void note_exists(struct imap_session *s, uint32_t exists)
{
	if (s->selecting)
		imap_seqmap_clear(s->seqmap);
	imap_seqmap_set_exists(s->seqmap, exists);
}

/* False: the session is over. */
static bool note_row(struct imap_session *s, const struct imap_fetch *row, uint32_t *uid)
{
	if (row->uid && imap_seqmap_learn(s->seqmap, row->seq, row->uid) < 0) {
		imap_session_fail(s, ERR_NOMEM, error_text(ERR_NOMEM));
		return false;
	}
	*uid = row->uid ? row->uid : imap_seqmap_uid(s->seqmap, row->seq);
	return true;
}

/* Keeps what the session must know, and finds the UID that it is about, if any. False: its owner is
 * not to hear of it. */
static bool note_untagged(struct imap_session *s, const struct imap_response *r, uint32_t *uid)
{
	bool valid = true;

	if (r->kind == IMAP_CONDITION)
		return note_condition(s, r);
	if (r->kind == IMAP_FETCH)
		return note_row(s, &r->fetch, uid);
	if (r->kind == IMAP_CAPABILITY)
		imap_login_on_capability(s, r->words);
	else if (r->kind == IMAP_ENABLED)
		s->enabled |= imap_capability_parse(r->words);
	else if (r->kind == IMAP_EXISTS)
		note_exists(s, r->seq);
	else if (r->kind == IMAP_EXPUNGE)
		*uid = imap_seqmap_expunge(s->seqmap, r->seq, &valid);
	else if (r->kind == IMAP_VANISHED && !r->earlier)
		session_on_vanished(s, r->words);
	return valid;
}

static void session_on_untagged(struct imap_session *s, const struct imap_response *r)
{
	uint32_t uid = 0;

	if (note_untagged(s, r, &uid) && tells(s))
		s->events.on_untagged(s->ctx, r, uid);
}

/* It is refused before it was all sent. In the middle of a literal the server still waits for the
 * rest, which nobody has any more. */
static void refuse_first(
	struct imap_session *s, struct imap_command *first, const struct imap_response *r)
{
	bool midway = s->sending.sources;

	s->sending = (struct session_sending){0};
	imap_session_complete(s, first, imap_condition_error(r), r);
	if (midway)
		imap_session_fail(s, ERR_NET, "a message was refused while it was sent");
	else
		imap_session_pump(s, NULL);
}

static void session_on_tagged(struct imap_session *s, const struct imap_response *r)
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
			imap_session_complete(s, c, imap_condition_error(r), r);
			if (s->logout_waits && !s->idle.command)
				imap_session_send_logout(s);
			imap_session_pump(s, NULL);
			return;
		}
	}
	if (is_abandoned(s, tag))
		return;
	/* A command that waits for its literal may be refused by NO or BAD in place of "+", or in the
	 * middle of its source. */
	struct imap_command *first = list_empty(&s->queue)
					     ? NULL
					     : list_entry(s->queue.next, struct imap_command, link);
	bool begun = s->sending.waits || s->sending.sources;
	if (begun && first && first->tag == tag && r->condition != IMAP_OK) {
		refuse_first(s, first, r);
		return;
	}
	imap_session_fail_with(
		s, ERR_PROTOCOL, "the server answered a tag that was never sent", r->tag);
}

static void confirm_idle(struct imap_session *s, struct span text)
{
	/* One that was not sent yet is not meant. */
	if (s->idle.step != SESSION_IDLE_SENT)
		return;
	s->idle.step = SESSION_IDLE_CONFIRMED;
	/* Courier without FAM looks once a minute, and says so by the lack of ENHANCED. */
	s->idle.lags = span_equal(text, SPAN("entering idle mode"));
	if (s->idle.ending || s->logout_waits)
		imap_session_send_done(s);
	if (s->logout_waits)
		imap_session_send_logout(s);
	imap_session_pump(s, NULL);
}

static void session_on_continue(struct imap_session *s, const struct imap_response *r)
{
	if (s->sending.waits) {
		s->sending.waits = false;
		s->sending.literals++;
		imap_session_pump(s, NULL);
	} else if (s->idle.command) {
		confirm_idle(s, r->text);
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

static void session_on_line(struct imap_session *s, struct span line)
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
		session_on_tagged(s, &r);
	else if (r.kind == IMAP_CONTINUE)
		session_on_continue(s, &r);
	else
		session_on_untagged(s, &r);
}

static void session_on_body_begin(struct imap_session *s, const struct imap_frame *frame)
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

static void session_on_frame(struct imap_session *s, const struct imap_frame *frame)
{
	switch (frame->kind) {
	case IMAP_FRAME_MORE:
		break;
	case IMAP_FRAME_LINE:
		session_on_line(s, frame->text);
		break;
	case IMAP_FRAME_BODY_BEGIN:
		session_on_body_begin(s, frame);
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

	imap_session_complete_unbuilt(s);
	imap_session_check_source(s);
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
			imap_session_fail(s, err, "the server's bytes make no sense");
			return;
		}
		octets.p += used;
		octets.n -= used;
		s->rest = octets;
		session_on_frame(s, &frame);
		imap_session_complete_unbuilt(s);
		imap_session_check_source(s);
		/* Whoever switched the stream took the rest. */
		octets = s->rest;
	} while (s->state != IMAP_DEAD && (octets.n > 0 || frame.kind != IMAP_FRAME_MORE));
	if (s->said_more || !s->said_ok)
		s->moved = now;
}
