/* SPDX-License-Identifier: MIT */
/*
 * Nothing is sent before the hold is over, so what a program removes one by one goes in sets.
 *
 * Flags that are to be changed are not hidden, but show by flags_promise. What is promised of a message
 * after them takes them over, as long as they are not done: a move changes them first, where it is.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/error.h"
#include "mail/change/intents_private.h"
#include "mail/change/private.h"
#include "mail/model/flags.h"
#include "mail/sync/sync.h"

/* Milliseconds until what failed over the line is tried again, when nobody says that it is back. */
#define AGAIN 15000

/* What the next mount would have to do, if this one were killed now. */
static void intent_on_stage(struct change *change)
{
	struct intent *i = list_entry(change, struct intent, change);
	const struct state_intent row = intents_row(i->promised->mb, change->uid,
		change->copied ? INTENT_REMOVE : INTENT_COPYING, i->to, &i->shown, NULL);

	state_put(i->promised->mb->account->state, &row);
}

static bool is_patient(int err)
{
	return error_is_connection(err) || err == ERR_THROTTLED || err == ERR_CANCELED;
}

static void take_refusal(const struct intent *i, enum intent_verb verb, int err)
{
	struct promised *p = i->promised;
	struct mailbox *mb = p->mb;

	refusals_note(mb, i->change.uid, refusals_not_done(verb),
		mb->dead ? refusals_no_mailbox : error_text(err));
	p->err = p->err ? p->err : err;
	if (verb == INTENT_MOVE && !i->to->dead) {
		struct promised *there = intents_promised(i->to);
		there->err = there->err ? there->err : err;
	}
	if (verb == INTENT_FLAGS)
		intents_doubt_flags(mb, i->change.uid);
}

/* It came after others of the same age, or of a later one. */
static void wait_again(struct intent *i)
{
	list_remove(&i->link);
	list_prepend(&i->promised->waiting, &i->link);
	i->sent = false;
}

/* Flags that were changed, or which the server does not want to change, keep no move from being made. */
static bool moves_now(const struct intent *i, int err)
{
	return i->verb == INTENT_MOVE && i->diff && !i->promised->mb->dead &&
	       (err == 0 || err == ERR_REFUSED || err == ERR_DENIED);
}

/* What an earlier mount began may have our mark, and this one found it there. */
static void end_sent(struct intent *i, int err, bool patient)
{
	struct mailbox *mb = i->promised->mb;
	uint32_t uid = i->change.uid;
	bool marked = i->replayed && i->verb == INTENT_REMOVE && err < 0 && !patient;

	if (err < 0 && !patient)
		take_refusal(i, i->verb, err);
	intents_tell_moved(i, err);
	intents_end(i);
	if (marked && !mb->dead && mailbox_find(mb, uid))
		intents_put(
			mb, uid, &(struct intent_ask){.verb = INTENT_FLAGS, .diff = "-\\Deleted"});
}

static void intent_on_done(struct change *change, int err)
{
	struct intent *i = list_entry(change, struct intent, change);
	struct promised *p = i->promised;
	struct mailbox *mb = p->mb;
	bool may_ask = change->unsure && change->target_uidnext;
	bool patient = is_patient(err) && (!change->unsure || may_ask);

	if (change->unsure && !patient)
		err = ERR_UNSURE;
	if (patient)
		p->not_before = uv_now(mb->account->loop) + AGAIN;
	if (patient && !i->superseded) {
		wait_again(i);
	} else if (moves_now(i, err)) {
		if (err < 0)
			take_refusal(i, INTENT_FLAGS, err);
		free(i->diff);
		i->diff = NULL;
		wait_again(i);
		/* At once, so that it shares a command with others whose flags were changed before. */
		if (!intents_of(mb)->stopped)
			due_send(p);
	} else {
		end_sent(i, err, patient);
	}
	intents_wake(intents_of(mb), 0);
}

/* A message that was shown otherwise when it was to be changed, in an earlier mount. */
static bool is_other(const struct intent *i, const struct cache_message *m)
{
	uint32_t unknown = CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN;

	if (i->strict)
		return ((i->shown.flags | m->flags) & unknown) || i->shown.size != m->size ||
		       i->shown.date != m->date;
	return !((i->shown.flags | m->flags) & unknown) && i->shown.size != m->size &&
	       i->shown.date != m->date;
}

static const struct verb *next_verb(const struct intent *i)
{
	if (i->diff)
		return &change_flags;
	return i->verb == INTENT_MOVE ? &change_move : &change_remove;
}

static void send_intent(struct intent *i)
{
	struct promised *p = i->promised;

	list_remove(&i->link);
	list_append(&p->sent, &i->link);
	i->sent = true;
	i->change = (struct change){.verb = next_verb(i),
		.mb = p->mb,
		.uid = i->change.uid,
		.diff = i->diff,
		.to = i->to,
		.new_uid = i->change.new_uid,
		.copying = i->change.copying,
		.copied = i->change.copied,
		.unsure = i->change.unsure,
		.target_uidnext = i->change.target_uidnext,
		.on_stage = intent_on_stage,
		.on_done = intent_on_done};
	list_init(&i->change.link);
	changes_start(&i->change);
}

static void promised_on_known(struct mailbox_wait *w, int err)
{
	struct promised *p = list_entry(w, struct promised, known);
	struct intents *all = intents_of(p->mb);

	p->asking = false;
	if (err < 0)
		p->not_before = uv_now(all->account->loop) + AGAIN;
	else if (p->unheard)
		intents_go_on(all->account);
	p->unheard = false;
	intents_wake(all, 0);
}

void due_ask(struct promised *p)
{
	p->asking = true;
	p->known = (struct mailbox_wait){.on_wake = promised_on_known};
	sync_start(p->mb);
	mailbox_wait(p->mb, &p->known);
}

/* What the server has not, as far as is known for sure, is done; what is another message is not to
 * be. Otherwise it is sent. */
static void begin_intent(struct intent *i)
{
	struct mailbox *mb = i->promised->mb;
	const struct cache_message *m = mailbox_find(mb, i->change.uid);

	if (!m) {
		intents_tell_moved(i, 0);
		intents_end(i);
	} else if (is_other(i, m)) {
		refusals_note(mb, i->change.uid, refusals_not_done(i->verb),
			"it is another message than was shown");
		intents_doubt_flags(mb, i->change.uid);
		intents_tell_moved(i, ERR_REFUSED);
		intents_end(i);
	} else {
		send_intent(i);
	}
}

/* Whether each that is due is known to be there, or not to be. */
static bool is_known(const struct promised *p)
{
	if (p->mb->messages.loaded && p->mb->messages.complete)
		return true;
	LIST_FOREACH (pos, &p->waiting)
		if (!mailbox_find(p->mb, list_entry(pos, struct intent, link)->change.uid))
			return false;
	return p->mb->messages.loaded;
}

/* Whether flags of the message are being changed already: one after the other. */
static bool must_follow(const struct intent *i)
{
	return i->promised->superseded > 0 && intents_find(&i->promised->sent, i->change.uid);
}

static bool is_young(const struct intent *i)
{
	return i->asked + INTENTS_HOLD > intents_now(intents_of(i->promised->mb));
}

bool due_is_held(const struct intent *i)
{
	if (i->sent || i->verb == INTENT_FLAGS || i->by == 0 || !is_young(i))
		return false;
	return i->by < 0 || kill(i->by, 0) == 0 || errno == EPERM;
}

static bool is_due(const struct intent *i)
{
	return !is_young(i) || drains_want(i);
}

static bool any_is_due(const struct promised *p)
{
	LIST_FOREACH (pos, &p->waiting)
		if (is_due(list_entry(pos, struct intent, link)))
			return true;
	return false;
}

void due_send(struct promised *p)
{
	if (p->asking || uv_now(p->mb->account->loop) < p->not_before || !any_is_due(p))
		return;
	if (!is_known(p)) {
		due_ask(p);
		return;
	}
	LIST_FOREACH_SAFE (pos, &p->waiting) {
		struct intent *i = list_entry(pos, struct intent, link);
		if (is_due(i) && !must_follow(i))
			begin_intent(i);
	}
}
