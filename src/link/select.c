/* SPDX-License-Identifier: MIT */
/*
 * Selecting a mailbox. SELECT and EXAMINE are never pipelined with anything but MYRIGHTS of the same
 * mailbox, so that no command can ever run in another mailbox than the one it was meant for.
 *
 * A server may take minutes to open a large mailbox (to make an index of it, or to bring it from
 * where it is kept). Cut short, it would begin anew each time, and never be done: one such mailbox
 * at a time is waited for, beside connections that serve the others.
 */
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "link/private.h"

static void note_rights(struct pool_selected *s, struct span rights)
{
	bool has_rights = rights.n > 0;

	s->has_rights = true;
	s->can_delete = has_rights && memchr(rights.p, 't', rights.n) &&
			memchr(rights.p, 'e', rights.n);
	/* RFC 2086 servers have one right for both. */
	if (has_rights && memchr(rights.p, 'd', rights.n))
		s->can_delete = true;
}

static uint32_t number_of(const struct imap_response *r)
{
	return r->number <= UINT32_MAX ? (uint32_t)r->number : 0;
}

void select_note(struct conn *c, const struct imap_response *r)
{
	struct pool_selected *s = &c->view.selected;

	if (r->kind == IMAP_MYRIGHTS)
		note_rights(s, r->words);
	if (r->kind != IMAP_CONDITION && r->kind != IMAP_TAGGED)
		return;
	if (r->code == IMAP_CODE_UIDVALIDITY) {
		s->uidvalidity = number_of(r);
	} else if (r->code == IMAP_CODE_CLOSED) {
		s->is_alone = true;
	} else if (r->code == IMAP_CODE_UIDNEXT) {
		s->uidnext = number_of(r);
	} else if (r->code == IMAP_CODE_HIGHESTMODSEQ) {
		s->highestmodseq = r->number;
	} else if (r->code == IMAP_CODE_PERMANENTFLAGS) {
		s->has_permanentflags = true;
		s->permanentflags = r->flags;
	} else if (r->code == IMAP_CODE_READ_ONLY) {
		s->readonly = s->writable;
	}
}

void select_forget(struct conn *c)
{
	struct pool_selected *s = &c->view.selected;

	*s = (struct pool_selected){.writable = s->writable, .asked = s->asked};
}

/* A mailbox may have died while it was being selected. */
static int tell_owner(struct conn *c, struct mailbox *mailbox)
{
	const struct pool *p = c->pool;

	if (!mailbox || p->events.is_dead(mailbox))
		return ERR_STALE;
	return p->events.on_selected(p->ctx, mailbox, c);
}

bool select_settle(struct conn *c, int err)
{
	struct mailbox *mailbox = c->view.mailbox;

	conn_set_state(c, CONN_READY);
	if (c->view.selected.uidnext > 0 && c->view.selected.uidnext - 1 > c->view.told)
		c->view.told = c->view.selected.uidnext - 1;
	if (err == 0)
		err = tell_owner(c, mailbox);
	if (err == 0)
		return true;
	c->view.mailbox = NULL;
	if (mailbox)
		pool_fail_waiting(c->pool, mailbox, err, UINT64_MAX);
	return false;
}

/* One of the commands was answered, or never will be. */
static void select_answered(struct conn *c)
{
	if (--c->selecting.pending > 0)
		return;
	if (c->state == CONN_DEAD || c->state == CONN_CLOSING)
		return;
	/* Who waits for the mailbox goes on waiting, for another connection. */
	if (c->selecting.outcome == IMAP_LOST)
		c->view.mailbox = NULL;
	else
		select_settle(c, c->selecting.error);
	pool_run_soon(c->pool);
}

static bool is_looked_into(const struct conn *c, struct span text)
{
	const struct pool_events *events = &c->pool->events;

	return events->on_refused && events->on_refused(c->pool->ctx, c->view.mailbox, text);
}

static const char *path_of(const struct conn *c)
{
	const struct pool_events *events = &c->pool->events;

	return events->path ? events->path(c->view.mailbox) : "a mailbox";
}

/* A mailbox that is no more is no trouble: the next LIST will say so, or it has died meanwhile. */
static void tell_refused(const struct conn *c, const struct imap_result *result)
{
	const struct span text = result->response->text;

	if (result->err == 0 || result->err == ERR_NO_MAILBOX || !c->view.mailbox ||
		is_looked_into(c, text))
		return;
	if (!c->pool->options.quiet)
		log_warning("cannot select %s: %.*s", path_of(c), (int)text.n, text.p);
}

static void select_on_done(struct imap_command *command, const struct imap_result *result)
{
	struct conn *c = list_entry(command, struct conn, selecting.command);
	const struct trouble_of of = {.mailbox = c->view.mailbox};

	c->selecting.error = result->err;
	c->selecting.outcome = result->outcome;
	if (result->outcome == IMAP_LOST) {
		conn_blame(c, &of);
	} else {
		trouble_clear(&c->pool->trouble, &of);
		select_note(c, result->response);
		tell_refused(c, result);
	}
	select_answered(c);
}

/* Whatever the answer: SELECT decides. */
static void select_on_rights(struct imap_command *command, const struct imap_result *result)
{
	select_answered(list_entry(command, struct conn, selecting.rights));
}

static void ask_rights(struct conn *c, struct span name)
{
	imap_command_begin(&c->selecting.rights, conn_literal_plus(c), select_on_rights);
	imap_command_add(&c->selecting.rights, "MYRIGHTS ");
	imap_command_add_string(&c->selecting.rights, name);
	imap_command_add(&c->selecting.rights, "\r\n");
	c->selecting.pending++;
	imap_session_submit(c->session, &c->selecting.rights, conn_now(c));
}

bool select_build(struct conn *c, struct imap_command *command, struct mailbox *mailbox,
	bool writable, imap_command_done *on_done)
{
	struct buf parameters;
	struct span name;

	buf_init(&parameters, 256);
	bool ok = c->pool->events.on_select(c->pool->ctx, mailbox, &name, &parameters);
	if (ok) {
		imap_command_begin(command, conn_literal_plus(c), on_done);
		command->selects = true;
		imap_command_add(command, writable ? "SELECT " : "EXAMINE ");
		imap_command_add_string(command, name);
		imap_command_add(command, "%s\r\n", buf_cstr(&parameters));
	}
	buf_finish(&parameters);
	return ok;
}

static void ask_rights_of(struct conn *c, const struct mailbox *mailbox)
{
	struct buf parameters;
	struct span name;

	buf_init(&parameters, 256);
	if (c->pool->events.on_select(c->pool->ctx, mailbox, &name, &parameters))
		ask_rights(c, name);
	buf_finish(&parameters);
}

/* They are a list, behind the name. */
static bool has_parameters(const struct imap_command *command)
{
	size_t n = command->text.len;

	return n > 4 && memcmp(command->text.data + n - 4, "))\r\n", 4) == 0;
}

int select_begin(struct conn *c, struct mailbox *mailbox, bool writable, uint32_t uid)
{
	c->next.mailbox = NULL;
	if (!select_build(c, &c->selecting.command, mailbox, writable, select_on_done))
		return ERR_NO_MAILBOX;
	conn_set_state(c, CONN_SELECTING);
	c->view.selected = (struct pool_selected){
		.writable = writable,
		.asked = uv_hrtime(),
		.resyncs = has_parameters(&c->selecting.command),
		.is_alone = !c->view.mailbox,
	};
	c->view.mailbox = mailbox;
	c->view.told = uid;
	c->selecting.pending = 1;
	imap_session_submit(c->session, &c->selecting.command, conn_now(c));
	if (writable && (imap_session_capabilities(c->session) & IMAP_CAP_ACL))
		ask_rights_of(c, mailbox);
	return 0;
}

void select_next(struct conn *c, struct mailbox *mailbox, bool writable, uint32_t uid)
{
	c->next.mailbox = mailbox;
	c->next.writable = writable;
	c->next.uid = uid;
}

/* --- a mailbox that takes long to be selected --- */

bool select_is_slow(const struct conn *c)
{
	return c->state == CONN_SELECTING && conn_now(c) >= c->state_at + c->pool->options.timeout;
}

/* So it is not the line, nor all of the server. */
static bool others_are_heard(const struct conn *c)
{
	LIST_FOREACH (pos, &c->pool->line->pools) {
		const struct pool *p = list_entry(pos, struct pool, in_line);
		LIST_FOREACH (at, &p->conns) {
			const struct conn *d = list_entry(at, struct conn, link);
			if (d != c && d->state != CONN_DEAD && d->ready_at &&
				conn_now(c) < d->wire.heard_at + c->pool->options.timeout)
				return true;
		}
	}
	return false;
}

/* Of all that select, the one that began first. */
static bool selects_longest(const struct conn *c)
{
	bool before = true;

	LIST_FOREACH (pos, &c->pool->conns) {
		const struct conn *d = list_entry(pos, struct conn, link);
		before &= d != c;
		if (d->state == CONN_SELECTING && d != c &&
			(d->state_at < c->state_at || (d->state_at == c->state_at && before)))
			return false;
	}
	return true;
}

/* Has another connection confirm that the line is well: one that rests, or one more. */
static void confirm_line(struct conn *c)
{
	struct pool *p = c->pool;

	LIST_FOREACH (pos, &p->conns) {
		struct conn *d = list_entry(pos, struct conn, link);
		if (conn_is_free(d) && !d->next.mailbox) {
			if (conn_now(c) >= d->wire.heard_at + p->options.timeout / 2)
				noop_send(d);
			return;
		}
	}
	if (pool_ready_count(p) == 1 && pool_conn_count(p) == 1 && pool_may_connect(p, NULL))
		pool_connect(p);
}

void select_tick(struct conn *c)
{
	struct pool *p = c->pool;
	uint64_t timeout = p->options.timeout;
	bool patient = c->state == CONN_SELECTING && p->limit.max > 1 && selects_longest(c);

	if (patient && conn_now(c) >= c->state_at + timeout / 2)
		confirm_line(c);
	patient = patient && !line_is_doubted(p->line) && others_are_heard(c);
	imap_session_set_patience(c->session, patient ? CONN_PATIENCE * timeout : timeout);
	/* Whatever it says meanwhile. */
	if (c->state == CONN_SELECTING && conn_now(c) >= c->state_at + CONN_PATIENCE * timeout)
		conn_fail(c, ERR_TIMEOUT, "a mailbox takes too long to be selected");
}
