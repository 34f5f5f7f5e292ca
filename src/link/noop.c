/* SPDX-License-Identifier: MIT */
/*
 * NOOP, for three reasons: a connection that nothing was heard of has to confirm that it is alive
 * before it gets tasks; one that rests is asked for a sign of life now and then; and one that a task
 * needs is asked to tell of new messages.
 */
#include "link/private.h"

/* --- to confirm that it is alive --- */

static void noop_on_confirmed(struct imap_command *command, const struct imap_result *result)
{
	struct conn *c = list_entry(command, struct conn, noop.command);

	if (result->outcome == IMAP_LOST || c->state != CONN_CONFIRMING)
		return;
	conn_set_state(c, CONN_READY);
	conn_go_on(c);
}

void noop_confirm(struct conn *c)
{
	conn_set_state(c, CONN_CONFIRMING);
	imap_command_begin(&c->noop.command, false, noop_on_confirmed);
	imap_command_add(&c->noop.command, "NOOP\r\n");
	imap_session_submit(c->session, &c->noop.command, conn_now(c));
}

/* --- as a task beside others --- */

/* A server that refuses it had its chance to tell all the same. */
static void noop_on_looked(struct imap_command *command, const struct imap_result *result)
{
	struct conn *c = list_entry(command, struct conn, noop.command);

	if (result->outcome != IMAP_LOST && c->view.asked > c->view.told)
		c->view.told = c->view.asked;
	c->view.asked = 0;
	pool_end(&c->noop.task);
}

static void noop_on_conn(struct pool_task *t)
{
	struct conn *c = list_entry(t, struct conn, noop.task);

	pool_send(t, &c->noop.command, noop_on_looked, "NOOP");
}

void noop_send(struct conn *c)
{
	c->noop.task = (struct pool_task){.on_conn = noop_on_conn};
	list_init(&c->noop.task.link);
	conn_grant(c, &c->noop.task);
}

void noop_keep_alive(struct conn *c)
{
	if (!conn_is_free(c) || c->next.mailbox || conn_now(c) < c->wire.heard_at + NOOP_KEEP_ALIVE)
		return;
	noop_send(c);
}

void noop_look(struct conn *c, uint32_t uid)
{
	/* One that was sent before is answered from before. */
	if (c->noop.task.conn)
		return;
	c->view.asked = uid;
	noop_send(c);
}
