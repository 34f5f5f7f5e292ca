/* SPDX-License-Identifier: MIT */
/*
 * Commands go through two lists: `queue` holds what was not (wholly) sent because a synchronizing
 * literal waits for its "+", `flight` what was sent, in order. The session's own commands (login
 * and introduction) are submitted like any other. While a literal waits nothing else is sent, so a
 * "+" always belongs to the first command of the queue, or, during AUTHENTICATE, to the SASL
 * exchange.
 */
#include <stdio.h>

#include "base/error.h"
#include "base/log.h"
#include "base/text.h"
#include "imap/session_private.h"

static void log_sent(struct imap_session *s, const struct imap_command *c)
{
	char text[IMAP_TEXT_MAX];
	size_t n = c->text.len >= 2 ? c->text.len - 2 : 0;

	if (!log_debugging())
		return;
	if (c == &s->login.command && s->state == IMAP_LOGIN)
		log_debug("%s: C: A%u %s", s->options.name, c->tag, s->login.shown);
	else
		log_debug("%s: C: A%u %s", s->options.name, c->tag,
			text_printable((struct span){c->text.data, n}, text, sizeof(text)));
}

/* Sends octets of the command's text up to this offset. */
static void send_text(struct imap_session *s, const struct imap_command *c, size_t end)
{
	size_t n = end - s->sending.octets;

	if (n > 0)
		s->events.send(s->ctx, (struct span){c->text.data + s->sending.octets, n});
	s->sending.octets = end;
}

/* As many octets of the source as there is room for. True when that was all. */
static bool send_source(struct imap_session *s, struct imap_source *source)
{
	struct session_sending *sending = &s->sending;
	char part[IMAP_SOURCE_PART];

	sending->sources = true;
	while (sending->sourced < source->size) {
		if (sending->failed < 0)
			return false;
		uint64_t rest = source->size - sending->sourced;
		size_t room = s->events.room ? s->events.room(s->ctx) : sizeof(part);
		size_t n = room < sizeof(part) ? room : sizeof(part);
		n = rest < n ? (size_t)rest : n;
		ssize_t r = n > 0 ? source->read(source, part, n) : 0;
		if (r == 0)
			return false;
		if (r < 0) {
			sending->failed = (int)r;
			return false;
		}
		s->events.send(s->ctx, (struct span){part, (size_t)r});
		sending->sourced += (uint64_t)r;
	}
	sending->sources = false;
	return true;
}

/* Whether the next synchronizing literal stands there. */
static bool must_wait_at(const struct imap_session *s, const struct imap_command *c, size_t offset)
{
	return s->sending.literals < c->literal_count && c->literals[s->sending.literals] == offset;
}

/* Where sending stops next: at a synchronizing literal, at the source, or at the end. */
static size_t next_stop(const struct imap_session *s, const struct imap_command *c)
{
	size_t end = c->text.len;

	if (s->sending.literals < c->literal_count)
		end = c->literals[s->sending.literals];
	if (c->source && s->sending.sourced < c->source->size && c->source_at < end)
		end = c->source_at;
	return end;
}

/* Sends the first command of the queue as far as can be: up to its next synchronizing literal, or as
 * much of its source as there is room for. True when it is all sent. */
static bool send_some(struct imap_session *s, struct imap_command *c)
{
	char tag[16];

	if (s->sending.octets == 0) {
		int n = snprintf(tag, sizeof(tag), "A%u ", c->tag);
		s->events.send(s->ctx, (struct span){tag, (size_t)n});
		log_sent(s, c);
	}
	for (;;) {
		size_t end = next_stop(s, c);
		send_text(s, c, end);
		if (must_wait_at(s, c, end)) {
			s->sending.waits = true;
			return false;
		}
		if (c->source && end == c->source_at && s->sending.sourced < c->source->size &&
			!send_source(s, c->source))
			return false;
		if (end == c->text.len)
			return true;
	}
}

/* Nothing may be sent between IDLE and DONE, and DONE only after the "+". */
static bool is_held_by_idle(const struct imap_session *s)
{
	const struct imap_pace *pace = s->options.pace;
	const struct session_idle *idle = &s->idle;
	bool done = idle->step == SESSION_IDLE_CONFIRMED && idle->ending;

	if (!idle->command || idle->step == SESSION_IDLE_QUEUED)
		return false;
	return !done || (pace && pace->done_alone);
}

static bool is_held(const struct imap_session *s)
{
	const struct imap_pace *pace = s->options.pace;

	return is_held_by_idle(s) || (pace && pace->one_at_a_time && !list_empty(&s->flight));
}

static void note_sent(struct imap_session *s, struct imap_command *c)
{
	bool done = s->idle.command && s->idle.step != SESSION_IDLE_QUEUED;
	bool alone = list_empty(&s->flight);

	c->behind = alone ? 0 : done ? IMAP_BEHIND_DONE : IMAP_BEHIND_COMMAND;
	c->at_once = !alone && s->sent_at == s->now;
	s->sent_at = s->now;
	c->sent = true;
}

void imap_session_send_done(struct imap_session *s)
{
	s->events.send(s->ctx, SPAN("DONE\r\n"));
	s->sent_at = s->now;
}

/* What is told behind DONE is known to be of no mailbox any more. */
static bool is_first(const struct imap_session *s, const struct imap_command *c)
{
	const struct list *first = s->flight.next;

	return first == &c->link ||
	       (s->idle.command && first == &s->idle.command->link && first->next == &c->link);
}

void imap_session_pump(struct imap_session *s, const struct imap_command *submitted)
{
	while (!s->sending.waits && !imap_session_over(s) && !list_empty(&s->queue) &&
		!is_held(s)) {
		struct imap_command *c = list_entry(s->queue.next, struct imap_command, link);
		if (!send_some(s, c))
			return;
		s->sending = (struct session_sending){0};
		note_sent(s, c);
		if (c == s->idle.command)
			s->idle.step = SESSION_IDLE_SENT;
		list_remove(&c->link);
		list_append(&s->flight, &c->link);
		if (c->selects && is_first(s, c))
			imap_session_begin_selected(s, c, c != submitted);
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
	if (c->idle)
		s->idle = (struct session_idle){.command = c};
	c->tag = ++s->last_tag;
	list_append(&s->queue, &c->link);
	imap_session_pump(s, c);
}

bool imap_session_is_sending(const struct imap_session *s)
{
	return s->sending.sources && !imap_session_over(s);
}

void imap_session_go_on(struct imap_session *s, uint64_t now)
{
	if (!imap_session_is_sending(s))
		return;
	s->active = s->moved = s->now = now;
	imap_session_pump(s, NULL);
	imap_session_check_source(s);
}

void imap_session_note_taken(struct imap_session *s, uint64_t now)
{
	s->active = s->moved = now;
}

void imap_session_note_held(struct imap_session *s, uint64_t passed)
{
	s->active += passed;
	s->moved += passed;
	s->born += passed;
}

void imap_session_abandon(struct imap_session *s, struct imap_command *c)
{
	s->abandoned[s->abandoned_next++ % IMAP_ABANDONED] = c->tag;
	list_remove(&c->link);
	s->pending--;
}

void imap_session_end_idle(struct imap_session *s, uint64_t now)
{
	if (!s->idle.command || s->idle.ending)
		return;
	s->idle.ending = true;
	s->active = s->moved = s->now = now;
	if (s->idle.step == SESSION_IDLE_CONFIRMED)
		imap_session_send_done(s);
}

bool imap_session_is_idle(const struct imap_session *s)
{
	return s->idle.command && s->idle.step == SESSION_IDLE_CONFIRMED && !s->idle.ending;
}

bool imap_session_tells(const struct imap_session *s)
{
	return imap_session_is_idle(s) && !s->idle.lags;
}

void imap_session_send_logout(struct imap_session *s)
{
	s->logout_waits = false;
	s->events.send(s->ctx, SPAN("A0 LOGOUT\r\n"));
}

void imap_session_logout(struct imap_session *s)
{
	if (s->state == IMAP_DEAD || s->state == IMAP_LOGOUT)
		return;
	bool ready = s->state == IMAP_READY && !s->sending.waits && !s->sending.sources;
	imap_session_set_state(s, IMAP_LOGOUT);
	if (!ready)
		return;
	/* Else it is said when the server has confirmed or refused IDLE. */
	s->logout_waits = s->idle.command && s->idle.step == SESSION_IDLE_SENT;
	if (imap_session_is_idle(s))
		s->events.send(s->ctx, SPAN("DONE\r\n"));
	if (!s->logout_waits)
		imap_session_send_logout(s);
}

void imap_session_adopt(
	struct imap_session *s, struct imap_command *foreseen, struct imap_command *c)
{
	c->tag = foreseen->tag;
	c->behind = foreseen->behind;
	c->at_once = foreseen->at_once;
	list_insert_before(&foreseen->link, &c->link);
	list_remove(&foreseen->link);
}
