/* SPDX-License-Identifier: MIT */
/* What earlier mounts promised, or this one before its mailboxes were known, is taken up from the
 * journal. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/change/intents_private.h"
#include "mail/model/flags.h"

/* Seconds after which an intent is dropped that could not be done. */
#define AGE_MAX ((int64_t)30 * 24 * 3600)

static void drop_row(struct account *a, const struct state_intent *row, const char *why)
{
	log_warning("%s: %.*s/%u: %s: %s", a->options.pool.host, (int)row->mailbox.n,
		row->mailbox.p, row->uid, refusals_not_done((enum intent_verb)row->verb), why);
	state_drop(a->state, row->mailbox, row->uidvalidity, row->uid);
}

struct row_copy {
	struct list link;
	struct state_intent row;
	char texts[];
};

static char *copy_text(char *to, struct span *text)
{
	if (text->n > 0)
		memcpy(to, text->p, text->n);
	text->p = to;
	return to + text->n;
}

static void copy_row(void *ctx, const struct state_intent *row)
{
	struct list *rows = ctx;
	struct row_copy *copy = mem_zalloc(
		sizeof(*copy) + row->mailbox.n + row->target.n + row->argument.n + row->name.n + 1);

	copy->row = *row;
	char *at = copy_text(copy->texts, &copy->row.mailbox);
	at = copy_text(at, &copy->row.target);
	at = copy_text(at, &copy->row.argument);
	copy_text(at, &copy->row.name);
	list_append(rows, &copy->link);
}

/* Not again where the server has been heard and did not say it. */
static void ask_for_uidvalidity(struct promised *p)
{
	if (p->asking || !mailbox_selectable(p->mb) || p->mb->messages.complete)
		return;
	p->unheard = true;
	due_ask(p);
}

/* It was promised, or its mailbox is, where no UIDVALIDITY is known: the messages may be others. */
static bool is_numbered(const struct mailbox *mb, const struct state_intent *row)
{
	return mb->uidvalidity != 0 && row->uidvalidity != 0;
}

static void renew(struct mailbox *mb, struct mailbox *to, const struct state_intent *row)
{
	bool has_diff = row->argument.n > 0 && row->verb != INTENT_REMOVE;
	struct intent *i = intents_new(mb, row->uid, (enum intent_verb)row->verb,
		has_diff ? mem_copy(row->argument.p, row->argument.n) : NULL);

	i->to = mailbox_hold(to);
	i->shown = (struct cache_message){row->uid, row->flags, row->size, row->date};
	i->asked = 0;
	i->replayed = true;
	i->strict = !is_numbered(mb, row);
	i->promised->unnumbered |= row->uidvalidity == 0;
	if (to && row->name.n > 0)
		mb->account->observer.on_moving(mb->account->ctx, mb, &i->shown, to, row->name);
}

static void take_up(struct account *a, const struct state_intent *row)
{
	struct mailbox *mb = tree_by_name(&a->tree, row->mailbox);
	bool moves = row->verb == INTENT_MOVE;
	/* Those that are not subscribed are not seen, and another mount may see them. */
	bool all_are_seen = a->tree.listed && !a->options.subscribed;
	struct mailbox *to = moves ? tree_by_name(&a->tree, row->target) : NULL;

	/* Of a later version: nothing that this one could do by mistake. */
	if (row->verb < INTENT_REMOVE || row->verb > INTENT_FLAGS ||
		(row->verb == INTENT_FLAGS && row->argument.n == 0))
		return;
	if (!mb && all_are_seen)
		drop_row(a, row, "its mailbox is no more");
	else if (mb && is_numbered(mb, row) && mb->uidvalidity != row->uidvalidity)
		drop_row(a, row, "its mailbox was numbered anew (UIDVALIDITY)");
	else if (row->verb == INTENT_COPYING)
		drop_row(a, row, "it may have been copied, which is not known");
	else if (moves && !to && all_are_seen)
		drop_row(a, row, "the mailbox where it was to go is no more");
	else if (row->made + AGE_MAX < time(NULL))
		drop_row(a, row, "it could not be done for too long");
	else if (moves && !to)
		return;
	else if (mb && !mb->uidvalidity && row->uidvalidity)
		ask_for_uidvalidity(intents_promised(mb));
	else if (mb && !mailbox_hidden(mb, row->uid) && !flags_promised(mb, row->uid))
		renew(mb, to, row);
}

/* What could not be taken up since its mailbox is not known yet stays in the journal. */
static void take_up_all(struct account *a)
{
	struct list rows = LIST_INIT(rows);

	state_each(a->state, copy_row, &rows);
	while (!list_empty(&rows)) {
		struct row_copy *copy = list_entry(rows.next, struct row_copy, link);
		list_remove(&copy->link);
		take_up(a, &copy->row);
		free(copy);
	}
}

void intents_go_on(struct account *a)
{
	if (!a->state || a->intents->stopped)
		return;
	take_up_all(a);
	LIST_FOREACH (pos, &a->intents->mailboxes)
		list_entry(pos, struct promised, link)->not_before = 0;
	intents_wake(a->intents, 0);
}

void intents_on_numbered(struct mailbox *mb)
{
	struct promised *p = mb->removal.promised;

	if (!p || !p->unheard || intents_of(mb)->stopped)
		return;
	p->unheard = false;
	take_up_all(mb->account);
}
