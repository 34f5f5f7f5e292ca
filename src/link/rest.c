/* SPDX-License-Identifier: MIT */
/*
 * IDLE on a connection that nobody has wanted anything of for a while: so the server tells it at
 * once of what happens in its mailbox. Whoever wants something next ends the IDLE with the command,
 * and loses no turn by it.
 */
#include "base/error.h"
#include "base/log.h"
#include "link/private.h"

/* Milliseconds without a task. */
#define REST_AFTER 500
/* Milliseconds of IDLE for which the end of a connection is taken for its fault, how often in a row,
 * and for how long there is none then. */
#define REST_SHORT 5000
#define REST_LOSSES 3
#define REST_PAUSE ((uint64_t)60 * 60 * 1000)

/* The connection was lost. Nothing was heard since IDLE was sent, or the end came at once: that is
 * what the server does to IDLE. Where it does so again and again there is none for a while: it only
 * spares a second or two, and a login costs more. */
static void note_lost(const struct conn *c)
{
	struct pool_rest *rest = &c->pool->rest;
	uint64_t since = c->rest.since;

	if (c->wire.heard_at >= since && conn_now(c) >= since + REST_SHORT)
		return;
	if (++rest->losses < REST_LOSSES)
		return;
	log_debug("connections are lost over IDLE: those for data do without");
	rest->losses = 0;
	rest->from = conn_now(c) + REST_PAUSE;
}

static void rest_on_done(struct imap_command *command, const struct imap_result *result)
{
	struct conn *c = list_entry(command, struct conn, rest.command);

	c->rest.under_way = false;
	if (result->outcome == IMAP_LOST) {
		if (result->err != ERR_CANCELED)
			note_lost(c);
		return;
	}
	c->pool->rest.losses = 0;
	c->pool->rest.refused |= result->outcome != IMAP_DONE;
	/* What was said so far is of the mailbox before. */
	if (c->state == CONN_SELECTING)
		select_forget(c);
}

static bool may_rest(const struct conn *c)
{
	const struct pool_rest *rest = &c->pool->rest;

	return !rest->refused && conn_now(c) >= rest->from && conn_is_free(c) && c->view.mailbox &&
	       !c->rest.under_way && !c->next.mailbox &&
	       (imap_session_capabilities(c->session) & IMAP_CAP_IDLE);
}

/* False: too early. */
static bool begin_rest(struct conn *c)
{
	if (!may_rest(c))
		return true;
	if (conn_now(c) < c->tasks.granted_at + REST_AFTER)
		return false;
	c->rest.under_way = true;
	c->rest.since = conn_now(c);
	imap_command_begin(&c->rest.command, false, rest_on_done);
	c->rest.command.idle = true;
	imap_command_add(&c->rest.command, "IDLE\r\n");
	imap_session_submit(c->session, &c->rest.command, conn_now(c));
	return true;
}

static void rest_on_timer(uv_timer_t *timer)
{
	struct pool *p = timer->data;
	bool all = true;

	LIST_FOREACH_SAFE (pos, &p->conns)
		all &= begin_rest(list_entry(pos, struct conn, link));
	if (!all)
		uv_timer_start(timer, rest_on_timer, REST_AFTER, 0);
	tick_set(p);
}

void rest_later(struct pool *p)
{
	uv_timer_t *timer = &p->rest.timer;
	const uv_handle_t *handle = (const uv_handle_t *)timer;

	if (!p->rest.refused && !uv_is_closing(handle) && !uv_is_active(handle))
		uv_timer_start(timer, rest_on_timer, REST_AFTER, 0);
}

void rest_init(struct pool *p)
{
	uv_timer_init(p->loop, &p->rest.timer);
	p->rest.timer.data = p;
	/* A pool that only watches is in IDLE by its task. */
	p->rest.refused = p->options.quiet;
}

void rest_close(struct pool *p)
{
	uv_close((uv_handle_t *)&p->rest.timer, NULL);
}
