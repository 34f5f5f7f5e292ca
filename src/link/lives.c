/* SPDX-License-Identifier: MIT */
/*
 * What follows when a connection comes up, ends a task, or is lost: for the line, for those who
 * wait, for the next attempt, and for what people are told.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "link/private.h"

/* Milliseconds that a connection should last, and how many in a row may not. */
#define SHORT_LIFE 5000
#define SHORT_LIVES 4
/* Milliseconds for which a server's word that it wants fewer connections is believed. */
#define FEWER_TIME (10 * 60 * 1000)

/* --- it is ready --- */

/* For the status, which is written as it is. */
static char *printable_words(const char *words)
{
	size_t size = strlen(words) + 4;
	char *out = mem_zalloc(size);

	text_printable(span_of(words), out, size);
	return out;
}

static void tell_pool_up(const struct pool *p)
{
	if (p->first_told && p->events.on_up)
		p->events.on_up(p->ctx);
}

/* news: the server was away. */
static void tell_up(struct pool *p, bool news)
{
	LIST_FOREACH (pos, &p->line->pools)
		if (news)
			tell_pool_up(list_entry(pos, struct pool, in_line));
	pool_run_all_soon(p);
}

/* What people are told of a line that is up, and what it has learnt by being down. */
static void note_line(struct pool *p, bool was_told)
{
	if (was_told)
		log_notice("%s: connected again", p->options.host);
	if (line_learn_pace(p->line))
		log_notice("%s: it falls silent over commands that come before the one ahead is "
			   "answered; going on with one command at a time%s",
			p->options.host, p->line->pace.one_at_a_time ? "" : " after IDLE");
}

static void forget_troubles(struct line *line)
{
	LIST_FOREACH (pos, &line->pools)
		list_entry(pos, struct pool, in_line)->trouble = (struct trouble){0};
}

/* Others fell silent, but this one, which had something to do meanwhile and so was not asked to confirm
 * that it is alive, has done it. Who is told of it may end the very task: so that comes in a turn of its own. */
static void note_answer(struct pool *p)
{
	bool was_told = p->line->told;

	if (!line_answered(p->line, uv_now(p->loop)))
		return;
	note_line(p, was_told && !p->line->told);
	LIST_FOREACH (pos, &p->line->pools)
		list_entry(pos, struct pool, in_line)->owes_up = true;
	pool_run_all_soon(p);
}

void lives_tell_owed(struct pool *p)
{
	bool owed = p->owes_up;

	p->owes_up = false;
	if (owed)
		tell_pool_up(p);
}

/* The only connection: the line may be another than before, or the server was restarted. Beside
 * others the line may be busy, so that this one's round trip was longer. */
static void note_speed(struct pool *p, const struct conn *c)
{
	bool only = pool_conn_count(p) == 1;
	uint64_t round_trip = c->speed.round_trip;

	if (only) {
		p->speed.width = (struct width){0};
		p->limit = (struct pool_limit){.max = p->options.connections};
	}
	if (round_trip != 0 &&
		(only || p->speed.round_trip == 0 || round_trip < p->speed.round_trip))
		p->speed.round_trip = round_trip;
}

static void note_server(struct pool_server *server, const struct imap_session *s)
{
	server->capabilities = imap_session_capabilities(s);
	server->login = imap_session_login_name(s);
	server->binding_refused |= imap_session_binding_refused(s);
	server->enabled = 0;
	free(server->words);
	server->words = printable_words(imap_session_capability_words(s));
	for (uint32_t bit = 1; bit; bit <<= 1)
		if (imap_session_enabled(s, bit))
			server->enabled |= bit;
}

static void tell_first(struct pool *p, const struct conn *c)
{
	p->first_told = true;
	if (p->options.compress == POOL_COMPRESS_ON && !c->wire.deflated && !p->options.quiet)
		log_notice("%s: goes on without COMPRESS=DEFLATE, which the server %s",
			p->options.host, p->server.compress_refused ? "refused" : "does not offer");
	if (p->events.on_first)
		p->events.on_first(p->ctx, 0, NULL);
}

void lives_on_ready(struct conn *c)
{
	struct pool *p = c->pool;
	bool was_down = p->line->backoff.failures > 0, was_told = p->line->told;
	bool news = line_ready(p->line, uv_now(p->loop));
	bool again = c->ready_at != 0, first = !p->first_told;

	c->ready_at = uv_now(p->loop);
	note_line(p, was_told);
	if (was_down)
		forget_troubles(p->line);
	if (again) {
		tell_up(p, news);
		return;
	}
	note_speed(p, c);
	note_server(&p->server, c->session);
	if (!first || !p->events.on_first)
		tell_up(p, news);
	if (first)
		tell_first(p, c);
	pool_run_soon(p);
}

void lives_on_end(struct conn *c, const struct pool_task *t)
{
	const struct trouble_of of = place_trouble_of(t);
	struct pool *p = c->pool;

	if (imap_session_state(c->session) != IMAP_DEAD) {
		trouble_clear(&p->trouble, &of);
		/* The watching one ends its task where it is to watch another mailbox, before it
		 * was of use. */
		if (!p->options.quiet)
			p->lives = (struct backoff){0};
		note_answer(p);
		line_was_useful(p->line, uv_now(p->loop), p->options.timeout);
	} else if (uv_now(p->loop) < t->granted_at + SHORT_LIFE) {
		conn_blame(c, &of);
	}
}

/* --- it is lost --- */

/* Of all pools. */
static bool any_ready(const struct line *line)
{
	LIST_FOREACH (pos, &line->pools)
		if (pool_ready_count(list_entry(pos, struct pool, in_line)) > 0)
			return true;
	return false;
}

bool lives_is_trying(const struct line *line)
{
	LIST_FOREACH (pos, &line->pools) {
		const struct pool *p = list_entry(pos, struct pool, in_line);
		LIST_FOREACH (at, &p->conns) {
			const struct conn *c = list_entry(at, struct conn, link);
			if (c->state != CONN_DEAD && !c->ready_at)
				return true;
		}
	}
	return false;
}

void lives_go_down(struct pool *p, int err, const char *text)
{
	line_failed(p->line, err, text, false, uv_now(p->loop), 0, (uint32_t)random());
	p->line->told = true;
}

/* A server that takes us in and throws us out again would have us log in for ever. The first times
 * are forgiven: lines break. */
static void note_short_life(struct pool *p, const struct conn *c)
{
	uint64_t now = uv_now(p->loop);

	/* One that served somebody was of use; the watching one serves only itself. */
	if (now >= c->ready_at + SHORT_LIFE)
		p->lives = (struct backoff){0};
	else if (!c->tasks.granted_at || p->options.quiet || c->blame.any)
		backoff_failed(&p->lives, ERR_NET, SHORT_LIVES, now, (uint32_t)random());
}

/* Something was under way when it was lost, and may be the reason. */
static void note_trouble(struct pool *p, const struct conn *c, const char *text)
{
	const struct trouble_of *of = &c->blame.of;
	unsigned times = trouble_note(&p->trouble, of, uv_now(p->loop), (uint32_t)random());

	char message[32] = "";

	if (times != TROUBLES_TOLD)
		return;
	if (of->uid)
		snprintf(message, sizeof(message), "message %u of ", of->uid);
	log_warning("%s: the connection was lost %u times in a row over %s%s%s: %s; trying again "
		    "now and then",
		p->options.host, times, message, of->mailbox ? "the mailbox " : "the same command",
		of->mailbox ? p->events.path(of->mailbox) : "", text);
}

/* Connections that rest may be dead as well: each has to confirm that it is alive. */
static void doubt_resting(struct line *line)
{
	LIST_FOREACH (pos, &line->pools) {
		struct pool *p = list_entry(pos, struct pool, in_line);
		LIST_FOREACH_SAFE (at, &p->conns) {
			struct conn *c = list_entry(at, struct conn, link);
			if (!conn_is_free(c))
				continue;
			if (line->silences > 1)
				conn_fail(c, ERR_CANCELED, "its like fell silent twice");
			else
				noop_confirm(c);
		}
	}
}

/* One that was ready is lost: another is made at once when it is needed. */
static void note_loss(struct pool *p, const struct conn *c, int err, const char *text)
{
	uint64_t now = uv_now(p->loop);

	log_debug("%s: %s", c->name, text);
	if (err == ERR_CANCELED)
		return;
	line_stalled(p->line, imap_session_stalled(c->session));
	if (err == ERR_TIMEOUT && line_fell_silent(p->line, c->wire.heard_at, now,
					  p->options.timeout, (uint32_t)random())) {
		doubt_resting(p->line);
		return;
	}
	note_short_life(p, c);
	if (c->blame.any)
		note_trouble(p, c, text);
}

/* What somebody who is told of it may do. */
static const char *advice(const struct pool *p, int err)
{
	if (err != ERR_AUTH)
		return "";
	return p->options.login.token ? "; look at what tokencmd prints"
				      : "; if the password was changed, unmount and mount again";
}

static void note_dead(struct pool *p, const struct conn *c, int err, const char *text)
{
	uint64_t now = uv_now(p->loop);
	bool beside = any_ready(p->line);
	char line[256];

	/* It spoke, and would not have one more beside those that are up: it wants fewer
	 * connections. */
	bool refused = !c->wire.lost && (err == ERR_THROTTLED || err == ERR_NET || err == ERR_AUTH);
	if (pool_ready_count(p) > 0 && !c->ready_at && c->wire.heard_at && refused) {
		p->limit.max = pool_ready_count(p);
		p->limit.until = now + FEWER_TIME;
		log_notice("%s: %s; going on with %u connection%s", p->options.host, text,
			p->limit.max, p->limit.max == 1 ? "" : "s");
		if (err != ERR_AUTH)
			return;
	} else if (c->ready_at && err != ERR_THROTTLED && (err != ERR_PROTOCOL || c->blame.any)) {
		note_loss(p, c, err, text);
		return;
	}
	snprintf(line, sizeof(line), "%s%s", text, advice(p, err));
	line_failed(p->line, err, line, beside, now, p->options.timeout, (uint32_t)random());
	/* The line lets a pool that has none try all the same: see line_may_try. */
	if (beside && pool_ready_count(p) == 0)
		backoff_failed(&p->lives, err, 0, now, (uint32_t)random());
	/* The watching one is missed by nobody for a moment. */
	bool news = !p->options.quiet || err == ERR_AUTH || p->line->backoff.failures > 1;
	if (beside || !news || (p->line->told && p->line->backoff.refusals != 1))
		return;
	p->line->told = true;
	log_warning("%s:%u: %s", p->options.host, p->options.port, line);
}

void lives_fail_hopeless(struct pool *p)
{
	int err = line_error(p->line, uv_now(p->loop));

	if (err == 0 || pool_ready_count(p) > 0)
		return;
	/* A login that was refused may be good this time. */
	if (err == ERR_AUTH && lives_is_trying(p->line))
		return;
	pool_fail_waiting(p, NULL, err, UINT64_MAX);
}

void lives_on_dead(struct conn *c, int err, const char *text)
{
	struct pool *p = c->pool;

	if (!p->shutdown.begun) {
		if (!p->first_told && p->events.on_first) {
			p->first_told = true;
			lives_go_down(p, err, text);
			p->events.on_first(p->ctx, err, text);
		} else {
			note_dead(p, c, err, text);
		}
	}
	pool_run_all_soon(p);
}
