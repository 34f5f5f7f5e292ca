/* SPDX-License-Identifier: MIT */
/*
 * Carries out a step (struct step): sends what it sends, for as much of its set as one command
 * takes, until all of the set was sent and answered, and then lets it decide. Knows no step.
 */
#include "base/error.h"
#include "base/log.h"
#include "mail/change/private.h"

/* --- pieces of the set --- */

/* The next of todo, as much as one command takes: by its length, and by what the server does at
 * once (MESSAGELIMIT). */
static void take_piece(struct changes *c)
{
	uint32_t limit = pool_message_limit(c->mb->account->pool);
	uint64_t most = c->now.most ? c->now.most : UINT64_MAX;

	uidset_cut(&c->now.todo, limit && limit < most ? limit : most, &c->now.piece);
}

static void send_next_piece(struct changes *c)
{
	c->now.sent = 0;
	c->now.err = 0;
	c->now.lost = false;
	c->now.silent = false;
	take_piece(c);
	c->now.step->send(c);
}

/* The server did the piece in part only (MESSAGELIMIT): it is to be sent again in smaller ones.
 * False when that is of no use. */
static bool split_piece(struct changes *c)
{
	struct uidset *todo = &c->now.todo, rest = {0};
	uint64_t n = uidset_size(&c->now.piece);

	if (n < 2)
		return false;
	c->now.most = n / 2;
	uidset_copy(&rest, todo);
	uidset_copy(todo, &c->now.piece);
	for (size_t i = 0; i < rest.count; i++)
		uidset_add(todo, rest.ranges[i].first, rest.ranges[i].last);
	uidset_sort(todo);
	uidset_finish(&rest);
	return true;
}

/* --- from step to step --- */

void step_set(struct changes *c, const struct step *step)
{
	log_debug("change in %s: %s -> %s", c->mb->component, c->now.step->name, step->name);
	c->now.step = step;
}

void step_go_over(struct changes *c, const struct step *step, const struct uidset *set)
{
	step_set(c, step);
	uidset_copy(&c->now.todo, set);
	uidset_clear(&c->now.found);
	c->now.searched = c->now.again = false;
	send_next_piece(c);
}

void step_go(struct changes *c, const struct step *step)
{
	static const struct uidset none;

	step_go_over(c, step, &none);
}

/* All that was sent for the piece has been answered. */
static void piece_done(struct changes *c)
{
	if (c->now.lost && c->now.step->on_lost)
		c->now.step->on_lost(c);
	if (c->now.lost)
		queue_on_lost(c, c->now.err);
	else if (c->mb->dead)
		/* The UIDs may be other messages now. */
		queue_on_dead(c);
	else if (c->now.err == ERR_PARTIAL && split_piece(c))
		send_next_piece(c);
	else if (c->now.err < 0)
		c->now.step->refused(c);
	else if (!c->now.silent && c->now.todo.count > 0)
		send_next_piece(c);
	else
		c->now.step->ok(c);
}

void step_expect(struct changes *c)
{
	c->now.pending++;
}

void step_answered(struct changes *c, int err)
{
	if (err < 0 && c->now.err == 0)
		c->now.err = err;
	if (--c->now.pending == 0)
		piece_done(c);
}

/* --- commands --- */

/* The server does not know the command. One that will not carry it out now says NO. */
static bool is_unknown(const struct imap_result *result)
{
	return result->outcome == IMAP_REFUSED && result->err == ERR_REFUSED &&
	       result->response->condition == IMAP_BAD;
}

/* A command that was sent behind this one was answered, so this one will not be any more. */
static void pass_by(struct changes *c, struct slot *slot)
{
	if (slot->done)
		return;
	pool_abandon(&c->task, &slot->command);
	c->now.silent = true;
	c->now.pending--;
}

static void tell_copyuid(struct changes *c, const struct imap_response *r)
{
	if (r && r->code == IMAP_CODE_COPYUID && r->uids.uidvalidity && c->now.step->on_copyuid)
		c->now.step->on_copyuid(c, &r->uids);
}

static void step_on_done(struct imap_command *command, const struct imap_result *result)
{
	struct slot *slot = list_entry(command, struct slot, command);
	struct changes *c = slot->changes;
	bool lost = result->outcome == IMAP_LOST;

	slot->done = true;
	slot->err = result->err;
	slot->unknown = is_unknown(result);
	slot->stale = result->err < 0 && result->response &&
		      result->response->code == IMAP_CODE_EXPUNGEISSUED;
	c->now.lost |= lost;
	if (!lost)
		tell_copyuid(c, result->response);
	if (!lost && slot->before)
		pass_by(c, slot->before);
	/* MESSAGELIMIT: also a command that only helps is sent again, about fewer messages. */
	bool counts = !slot->helps || lost || result->outcome == IMAP_PARTIAL;
	step_answered(c, counts ? result->err : 0);
}

static struct slot *new_slot(struct changes *c)
{
	struct slot *slot = &c->now.slots[c->now.sent++];

	imap_command_finish(&slot->command);
	*slot = (struct slot){.changes = c};
	imap_command_init(&slot->command, conn_literal_plus(c->task.conn), step_on_done);
	return slot;
}

static void submit_slot(struct changes *c, struct slot *slot)
{
	step_expect(c);
	pool_submit(&c->task, &slot->command);
}

struct slot *step_send(struct changes *c, const char *text)
{
	struct slot *slot = new_slot(c);

	imap_command_add(&slot->command, "%s\r\n", text);
	submit_slot(c, slot);
	return slot;
}

static void add_piece(struct changes *c, struct slot *slot, const char *before)
{
	struct uidset copy = {0};
	struct buf set;

	uidset_copy(&copy, &c->now.piece);
	buf_init(&set, UIDSET_TEXT_MAX);
	uidset_take_text(&copy, &set);
	imap_command_add(&slot->command, "%s %s", before, buf_cstr(&set));
	buf_finish(&set);
	uidset_finish(&copy);
}

struct slot *step_send_piece(struct changes *c, const char *before, const char *after)
{
	struct slot *slot = new_slot(c);

	add_piece(c, slot, before);
	imap_command_add(&slot->command, "%s\r\n", after);
	submit_slot(c, slot);
	return slot;
}

struct slot *step_send_piece_to(struct changes *c, const char *before, struct span name)
{
	struct slot *slot = new_slot(c);

	add_piece(c, slot, before);
	imap_command_add(&slot->command, " ");
	imap_command_add_string(&slot->command, name);
	imap_command_add(&slot->command, "\r\n");
	submit_slot(c, slot);
	return slot;
}

struct slot *step_send_to(
	struct changes *c, const char *before, struct span name, const char *after)
{
	struct slot *slot = new_slot(c);

	imap_command_add(&slot->command, "%s ", before);
	imap_command_add_string(&slot->command, name);
	imap_command_add(&slot->command, "%s\r\n", after);
	submit_slot(c, slot);
	return slot;
}

void step_send_fetch(struct changes *c)
{
	step_send_piece(c, "UID FETCH", " (UID FLAGS)");
}

void step_finish(struct changes *c)
{
	for (unsigned i = 0; i < STEP_COMMANDS; i++)
		imap_command_finish(&c->now.slots[i].command);
	uidset_finish(&c->now.todo);
	uidset_finish(&c->now.piece);
	uidset_finish(&c->now.found);
}

/* --- the pool's task --- */

/* Called while no command is under way, so the cache is waited for. It will call back, and is still
 * waited for, but the connection is not touched again. */
void step_on_lost(struct pool_task *t, int err)
{
	struct changes *c = list_entry(t, struct changes, task);

	pool_end(t);
	c->now.lost = true;
	c->now.err = err;
}

/* A server may repeat itself, but not fill the memory. */
void step_note_found(struct changes *c, const struct uidset *wanted, uint32_t uid)
{
	if (uidset_has(wanted, uid) && c->now.found.count <= OTHERS_MAX)
		uidset_add(&c->now.found, uid, uid);
}

void step_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct changes *c = list_entry(t, struct changes, task);
	const struct step *step = c->now.step;

	if (r->kind == IMAP_CONDITION)
		tell_copyuid(c, r);
	else if (r->kind == IMAP_FETCH && step->on_row)
		step->on_row(c, &r->fetch, uid);
	else if (r->kind == IMAP_STATUS && step->on_status)
		step->on_status(c, r);
	else if ((r->kind == IMAP_SEARCH || r->kind == IMAP_ESEARCH) && step->on_search)
		step->on_search(c, r);
}
