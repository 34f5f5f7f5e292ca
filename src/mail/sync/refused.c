/* SPDX-License-Identifier: MIT */
/*
 * When a mailbox cannot be selected. Another client may have deleted or renamed it, and not all
 * servers say so in a code: whether LIST still names it decides, and who waits is told that.
 */
#include "mail/sync/private.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"

/* LISTs that are waited for: one that was under way, one over any connection, one over a new one.
 */
#define LISTS_MAX 3

static void finish_refused(struct sync *s)
{
	const struct mailbox *mb = s->mb;

	if (s->refusal.text && !mb->dead && s->refusal.err != ERR_NO_MAILBOX)
		log_warning("%s: cannot select %s: %s", mb->account->options.pool.host,
			mailbox_path(mb), s->refusal.text);
	sync_finish(s, s->refusal.err);
}

static void look_for_mailbox(struct sync *s)
{
	struct account *a = s->mb->account;

	sync_set_step(s, SYNC_WAIT);
	/* An old session may name for ever what was: a newer one is asked. */
	if (s->refusal.lists++ == 0)
		lister_doubt(a);
	/* One that was asked for earlier may name it still. */
	s->refusal.list_is_old = s->refusal.lists == 1 && lister_is_running(a);
	lister_list(a, &s->refusal.listed, true);
}

/* It was refused under a name that it does not have any more: we renamed it meanwhile. */
static bool is_renamed(const struct sync *s)
{
	return s->refusal.name && !span_equal(span_of(s->refusal.name), s->mb->name);
}

void sync_on_relisted(struct lister_wait *w, int err)
{
	struct sync *s = list_entry(w, struct sync, refusal.listed);
	struct account *a = s->mb->account;

	if (s->mb->dead || !mailbox_selectable(s->mb)) {
		sync_finish(s, ERR_NO_MAILBOX);
	} else if (is_renamed(s)) {
		s->refusal.lists = 0;
		sync_queue(s);
	} else if (err == 0 && (s->refusal.list_is_old || lister_is_running(a)) &&
		   s->refusal.lists < LISTS_MAX) {
		look_for_mailbox(s);
	} else {
		lister_note_vain(a);
		finish_refused(s);
	}
}

void sync_on_fail(struct pool_task *t, int err)
{
	struct sync *s = list_entry(t, struct sync, task);
	struct account *a = s->mb->account;
	bool refused = err == ERR_NO_MAILBOX || err == ERR_REFUSED;
	/* Else LIST-STATUS would cause a check of the mailbox, whose refusal would cause a LIST, and
	 * so on for ever. */
	bool ask = !lister_is_vain(a);

	s->refusal.err = err;
	free(s->refusal.name);
	s->refusal.name = mem_printf("%.*s", (int)s->mb->name.n, s->mb->name.p);
	if (err == ERR_THROTTLED)
		sync_retry_later(s);
	else if (refused && ask && !s->mb->dead && !a->on_stopped)
		look_for_mailbox(s);
	else
		finish_refused(s);
}

bool sync_on_refused(struct mailbox *mb, struct span text)
{
	struct sync *s = mb->freshness.sync;

	if (!s)
		return false;
	free(s->refusal.text);
	s->refusal.text = mem_printf("%.*s", (int)text.n, text.p);
	return true;
}
