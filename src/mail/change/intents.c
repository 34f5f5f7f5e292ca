/* SPDX-License-Identifier: MIT */
/* Promises, and who may take them back. Who drains is told when nothing is left. */
#include <stdlib.h>
#include <time.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/change/intents_private.h"
#include "mail/change/private.h"
#include "mail/model/flagdiff.h"
#include "mail/model/flags.h"

static bool timer_runs(const struct intents *all)
{
	return uv_is_active((const uv_handle_t *)&all->timer);
}

/* Milliseconds since the timer was started, where it is overdue. */
static uint64_t stood_still(const struct intents *all)
{
	uint64_t now = uv_now(all->account->loop);

	return now > all->due + INTENTS_LATE ? now - all->set : 0;
}

uint64_t intents_now(const struct intents *all)
{
	uint64_t now = uv_now(all->account->loop);

	return timer_runs(all) ? now - stood_still(all) : now;
}

static void give_time_to(struct intent *i, uint64_t lost)
{
	if (i->given == INTENTS_GIVEN_MAX)
		return;
	i->given++;
	i->asked += lost;
}

/* The time in which we stood still does not count. */
static void give_time(struct intents *all)
{
	uint64_t lost = stood_still(all);

	if (lost == 0)
		return;
	all->due = uv_now(all->account->loop);
	LIST_FOREACH (pos, &all->mailboxes)
		LIST_FOREACH (node, &list_entry(pos, struct promised, link)->waiting)
			give_time_to(list_entry(node, struct intent, link), lost);
}

static void intents_on_timer(uv_timer_t *timer);

void intents_wake(struct intents *all, uint64_t delay)
{
	if (all->stopped || (timer_runs(all) && delay > 0))
		return;
	if (timer_runs(all))
		give_time(all);
	all->set = uv_now(all->account->loop);
	all->due = all->set + delay;
	uv_timer_start(&all->timer, intents_on_timer, delay, 0);
}

/* --- the mailbox's --- */

struct intents *intents_of(const struct mailbox *mb)
{
	return mb->account->intents;
}

struct promised *intents_promised(struct mailbox *mb)
{
	struct promised *p = mb->removal.promised;

	if (p)
		return p;
	p = mb->removal.promised = mem_zalloc(sizeof(*p));
	p->mb = mailbox_hold(mb);
	list_init(&p->waiting);
	list_init(&p->sent);
	list_init(&p->known.link);
	list_append(&intents_of(mb)->mailboxes, &p->link);
	return p;
}

static void free_promised(struct promised *p)
{
	list_remove(&p->link);
	list_remove(&p->known.link);
	p->mb->removal.promised = NULL;
	mailbox_release(p->mb);
	free(p);
}

bool intents_are_done(const struct promised *p)
{
	return list_empty(&p->waiting) && list_empty(&p->sent);
}

struct state_intent intents_row(const struct mailbox *mb, uint32_t uid, enum intent_verb verb,
	const struct mailbox *to, const struct cache_message *shown, const char *diff)
{
	return (struct state_intent){.mailbox = mb->name,
		.uidvalidity = mb->uidvalidity,
		.uid = uid,
		.verb = verb,
		.target = to ? to->name : SPAN(""),
		.argument = diff ? span_of(diff) : SPAN(""),
		.made = time(NULL),
		.size = shown->size,
		.date = shown->date,
		.flags = shown->flags & CACHE_MESSAGE_FLAGS};
}

struct intent *intents_find(const struct list *intents, uint32_t uid)
{
	LIST_FOREACH (pos, intents) {
		struct intent *i = list_entry(pos, struct intent, link);
		if (i->change.uid == uid)
			return i;
	}
	return NULL;
}

/* --- one intent --- */

/* The entry shows or not from now on. The kernel is told by who changed it there, or by us. */
static void show_again(struct mailbox *mb, uint32_t uid)
{
	mailbox_unhide(mb, uid);
	if (mb->dead || !mailbox_find(mb, uid))
		return;
	mailbox_touch(mb);
	mb->account->observer.on_directory_changed(mb->account->ctx, mb);
}

static void free_intent(struct intent *i)
{
	list_remove(&i->link);
	intents_of(i->promised->mb)->count--;
	i->promised->superseded -= i->superseded;
	mailbox_release(i->to);
	free(i->diff);
	free(i);
}

void intents_doubt_flags(struct mailbox *mb, uint32_t uid)
{
	struct cache_message *m = mailbox_find(mb, uid);

	if (!mb->dead && m && flags_promised(mb, uid))
		flags_doubt(mb, m);
}

void intents_end(struct intent *i)
{
	struct promised *p = i->promised;
	struct mailbox *mb = p->mb;
	uint32_t uid = i->change.uid;
	bool hidden = i->verb != INTENT_FLAGS, last = !i->superseded;

	free_intent(i);
	if (!last)
		return;
	state_drop(mb->account->state, mb->name, mb->uidvalidity, uid);
	if (p->unnumbered)
		state_drop(mb->account->state, mb->name, 0, uid);
	if (hidden)
		intents_doubt_flags(mb, uid);
	flags_promise(mb, uid, NULL);
	if (hidden)
		show_again(mb, uid);
}

void intents_tell_moved(const struct intent *i, int err)
{
	struct account *a = i->promised->mb->account;

	if (i->verb == INTENT_MOVE)
		a->observer.on_moved(a->ctx, i->promised->mb, i->change.uid, i->to,
			err < 0 ? 0 : i->change.new_uid, err);
}

/* --- sending --- */

static void free_done(struct intents *all)
{
	LIST_FOREACH_SAFE (pos, &all->mailboxes) {
		struct promised *p = list_entry(pos, struct promised, link);
		if (intents_are_done(p) && !p->asking && (p->err == 0 || p->mb->dead))
			free_promised(p);
	}
}

/* Sends what is due, tells those who wait, and sees to it that it is called again. */
static void intents_on_timer(uv_timer_t *timer)
{
	struct intents *all = timer->data;
	bool waits = false;

	if (all->stopped)
		return;
	give_time(all);
	LIST_FOREACH_SAFE (pos, &all->mailboxes) {
		struct promised *p = list_entry(pos, struct promised, link);
		if (!pool_is_down(all->account->pool))
			due_send(p);
		waits |= !list_empty(&p->waiting);
	}
	if (waits)
		intents_wake(all, INTENTS_HOLD / 3);
	drains_end(all);
	free_done(all);
}

/* --- asking --- */

bool intents_are_doubtful(const struct mailbox *mb, const struct verb *verb)
{
	return mb->removal.doubted == verb;
}

/* The flags that are to be changed when all of this is promised; malloc'ed, or NULL. A message that
 * is to be removed needs none. */
static char *diff_with(const struct mailbox *mb, uint32_t uid, const struct intent_ask *ask)
{
	const char *before = ask->verb == INTENT_REMOVE ? NULL : flags_promised(mb, uid);
	const char *now = ask->verb == INTENT_FLAGS ? ask->diff : NULL;
	struct buf both;

	if (!before || !now)
		return before || now ? mem_strdup(now ? now : before) : NULL;
	buf_init(&both, 8 * FLAGS_TEXT_MAX);
	bool ok = flagdiff_merge(span_of(before), span_of(now), &both) == 0;
	char *text = mem_strdup(ok ? buf_cstr(&both) : now);
	buf_finish(&both);
	return text;
}

/* Only flags are promised of what is not hidden. What waits is replaced; what is under way goes on,
 * and the new one follows. */
static void supersede(struct mailbox *mb, uint32_t uid)
{
	struct promised *p = mb->removal.promised;
	struct intent *i;

	if (!p || !flags_promised(mb, uid))
		return;
	if ((i = intents_find(&p->waiting, uid)))
		free_intent(i);
	if ((i = intents_find(&p->sent, uid)) && !i->superseded) {
		i->superseded = true;
		p->superseded++;
	}
}

struct intent *intents_new(struct mailbox *mb, uint32_t uid, enum intent_verb verb, char *diff)
{
	struct promised *p = intents_promised(mb);
	struct intent *i = mem_zalloc(sizeof(*i));

	i->promised = p;
	i->change.uid = uid;
	i->verb = verb;
	i->diff = diff;
	i->asked = uv_now(mb->account->loop);
	list_append(&p->waiting, &i->link);
	intents_of(mb)->count++;
	if (diff) {
		flags_follow(mb);
		flags_promise(mb, uid, diff);
	}
	if (verb != INTENT_FLAGS)
		mailbox_hide(mb, uid, i);
	return i;
}

/* The one that has it; diff is its from now on. */
static struct intent *place_intent(
	struct mailbox *mb, uint32_t uid, enum intent_verb verb, char *diff)
{
	struct intent *i = mailbox_hidden(mb, uid);

	if (!i) {
		supersede(mb, uid);
		return intents_new(mb, uid, verb, diff);
	}
	i->verb = verb;
	free(i->diff);
	i->diff = diff;
	return i;
}

static int refused_beforehand(const struct mailbox *mb, enum intent_verb verb)
{
	struct account *a = mb->account;
	bool moves = verb == INTENT_MOVE && move_is_there(a);

	if (verb == INTENT_FLAGS || pool_is_down(a->pool) || !pool_capabilities(a->pool) || moves)
		return 0;
	return removals_are_possible(a) ? 0 : ERR_UNSAFE;
}

int intents_put(struct mailbox *mb, uint32_t uid, const struct intent_ask *ask)
{
	const struct cache_message *m = mailbox_find(mb, uid);
	int err = refused_beforehand(mb, ask->verb);

	if (err < 0)
		return err;
	const struct intent *hidden = mailbox_hidden(mb, uid);
	if (hidden && (hidden->sent || ask->verb == INTENT_FLAGS))
		return ERR_INVALID;
	char *diff = diff_with(mb, uid, ask);
	struct state_intent row = intents_row(mb, uid, ask->verb, ask->to, m, diff);
	if (ask->name)
		row.name = span_of(ask->name);
	if ((err = state_put(mb->account->state, &row)) < 0) {
		free(diff);
		return err;
	}
	struct intent *i = place_intent(mb, uid, ask->verb, diff);
	i->promised->unnumbered |= mb->uidvalidity == 0;
	mailbox_release(i->to);
	i->to = mailbox_hold(ask->to);
	i->by = ask->by;
	i->shown = *m;
	if (ask->verb != INTENT_FLAGS)
		mailbox_touch(mb);
	intents_wake(intents_of(mb), INTENTS_HOLD);
	return 0;
}

bool intents_are_begun(const struct mailbox *mb, uint32_t uid)
{
	const struct intent *i = mailbox_hidden(mb, uid);

	return i && i->sent;
}

pid_t intents_removed_by(const struct mailbox *mb, uint32_t uid)
{
	const struct intent *i = mailbox_hidden(mb, uid);

	return i && !i->sent ? i->by : 0;
}

bool intents_take_back(struct mailbox *mb, uint32_t uid, pid_t by)
{
	struct intent *i = mailbox_hidden(mb, uid);

	if (!i || by == 0 || i->by != by)
		return false;
	if (i->sent)
		return false;
	intents_tell_moved(i, ERR_CANCELED);
	intents_end(i);
	intents_wake(intents_of(mb), 0);
	return true;
}

void intents_forget(struct mailbox *mb)
{
	struct promised *p = mb->removal.promised;
	size_t n = 0;

	if (!p)
		return;
	while (!list_empty(&p->waiting)) {
		struct intent *i = list_entry(p->waiting.next, struct intent, link);
		if (n++ == 0)
			refusals_note(
				mb, i->change.uid, refusals_not_done(i->verb), refusals_no_mailbox);
		intents_tell_moved(i, ERR_GONE);
		intents_end(i);
	}
}

/* --- */

struct intents *intents_create(struct account *a)
{
	struct intents *all = mem_zalloc(sizeof(*all));

	all->account = a;
	list_init(&all->mailboxes);
	list_init(&all->drains);
	uv_timer_init(a->loop, &all->timer);
	all->timer.data = all;
	return all;
}

void intents_stop(struct intents *all)
{
	all->stopped = true;
	uv_close((uv_handle_t *)&all->timer, NULL);
}

static void free_all(struct list *intents)
{
	while (!list_empty(intents)) {
		struct intent *i = list_entry(intents->next, struct intent, link);
		if (i->change.mb)
			changes_cancel(&i->change);
		mailbox_unhide(i->promised->mb, i->change.uid);
		free_intent(i);
	}
}

void intents_destroy(struct intents *all)
{
	while (!list_empty(&all->mailboxes)) {
		struct promised *p = list_entry(all->mailboxes.next, struct promised, link);
		free_all(&p->waiting);
		free_all(&p->sent);
		free_promised(p);
	}
	free(all);
}
