/* SPDX-License-Identifier: MIT */
#include "mail/read/keep.h"

#include <stdlib.h>

#include "base/mem.h"
#include "mail/read/keep_private.h"
#include "mail/sync/sync.h"

/* Mailboxes in which nobody waits for what is fetched, at once. */
#define BACKGROUND_MAX 2
/* Milliseconds: who has not asked for so long is gone. */
#define PATIENCE 10000

/* --- turns --- */

static void keeper_on_timer(uv_timer_t *timer)
{
	struct keeper *all = timer->data;
	struct list now = LIST_INIT(now);

	list_splice(&now, &all->runs);
	while (!list_empty(&now)) {
		struct keep *k = list_entry(now.next, struct keep, link);
		list_remove(&k->link);
		list_append(&all->runs, &k->link);
		if (k->step == KEEP_TURN)
			keep_run_go_on(k);
	}
}

void keep_take_turn(struct keep *k, uint64_t delay)
{
	uv_timer_t *timer = &k->keeper->timer;

	k->step = KEEP_TURN;
	if (!uv_is_active((uv_handle_t *)timer) || uv_timer_get_due_in(timer) > delay)
		uv_timer_start(timer, keeper_on_timer, delay, 0);
}

struct keeper *keeper_create(struct account *a, keep_more *more)
{
	struct keeper *all = mem_zalloc(sizeof(*all));

	all->account = a;
	all->more = more;
	list_init(&all->runs);
	list_init(&all->waiting);
	uv_timer_init(a->loop, &all->timer);
	all->timer.data = all;
	return all;
}

static struct keep *keep_of(struct mailbox *mb)
{
	struct keep *k = mb->keeping.keep;

	if (!k) {
		k = mb->keeping.keep = mem_zalloc(sizeof(*k));
		k->mb = mb;
		k->keeper = mb->account->keeper;
		list_init(&k->link);
		list_init(&k->read.link);
	}
	return k;
}

/* --- what waits --- */

static unsigned count_background(const struct keeper *all)
{
	unsigned count = 0;

	LIST_FOREACH (pos, &all->runs)
		count += list_entry(pos, struct keep, link)->background;
	return count;
}

void keep_begin_waiting(struct keeper *all)
{
	if (all->account->on_stopped || list_empty(&all->waiting) ||
		count_background(all) >= BACKGROUND_MAX)
		return;
	struct keep *k = list_entry(all->waiting.next, struct keep, link);
	list_remove(&k->link);
	k->step = KEEP_REST;
	keep_run_begin(k, KEEP_FETCH_NEWS);
}

/* --- who asks --- */

static void note_asker(struct keep *k, pid_t pid)
{
	struct keep_asker *at = &k->askers[0];

	for (size_t i = 0; i < KEEP_ASKERS; i++) {
		struct keep_asker *a = &k->askers[i];
		if (a->asked && a->pid == pid) {
			at = a;
			break;
		}
		if (a->asked < at->asked)
			at = a;
	}
	*at = (struct keep_asker){pid, uv_now(k->mb->account->loop)};
}

static void forget_asker(struct keep *k, pid_t pid)
{
	for (size_t i = 0; i < KEEP_ASKERS; i++)
		if (k->askers[i].pid == pid)
			k->askers[i].asked = 0;
}

bool keep_is_asked(const struct keep *k)
{
	uint64_t now = uv_now(k->mb->account->loop);

	for (size_t i = 0; i < KEEP_ASKERS; i++)
		if (k->askers[i].asked && now <= k->askers[i].asked + PATIENCE)
			return true;
	return false;
}

/* --- from outside --- */

/* Instead of what is under way. */
static void begin_soon(struct keep *k, enum keep_next what)
{
	if (k->step == KEEP_WAIT) {
		list_remove(&k->link);
		k->step = KEEP_REST;
	}
	if (k->step == KEEP_REST) {
		if (what != KEEP_NOTHING)
			keep_run_begin(k, what);
		return;
	}
	k->next = what;
	if (k->step == KEEP_READ)
		body_read_cancel(&k->read);
	if (k->step == KEEP_READ || k->step == KEEP_TURN)
		keep_run_end(k, KEEP_STOPPED, 0);
	else
		k->leave = true;
}

void keep_start(struct mailbox *mb, pid_t asker)
{
	struct keep *k = keep_of(mb);
	/* One in the background begins anew: of that nobody asks how far it is. */
	bool goes_on = k->step != KEEP_REST && !k->background && mb->keeping.kept && !k->leave;

	note_asker(k, asker);
	if (!goes_on)
		begin_soon(k, KEEP_FETCH);
}

void keep_note_asked(struct mailbox *mb, pid_t asker)
{
	if (mb->keeping.keep)
		note_asker(mb->keeping.keep, asker);
}

void keep_pause(struct mailbox *mb, pid_t asker)
{
	struct keep *k = mb->keeping.keep;

	if (!k)
		return;
	forget_asker(k, asker);
	/* What goes on for nobody is not theirs to stop. */
	if (k->step != KEEP_WAIT && !k->background && !keep_is_asked(k))
		begin_soon(k, KEEP_NOTHING);
}

void keep_end(struct mailbox *mb, pid_t asker)
{
	begin_soon(keep_of(mb), KEEP_NO_MORE);
}

void keep_note_rows(struct mailbox *mb)
{
	struct keep *k;

	if (!mb->keeping.whole || !mb->messages.loaded || mb->account->on_stopped)
		return;
	k = keep_of(mb);
	if (k->step == KEEP_REST) {
		list_append(&k->keeper->waiting, &k->link);
		k->step = KEEP_WAIT;
		keep_begin_waiting(k->keeper);
	}
}

static void go_on(void *ctx, uint64_t key, void *value)
{
	struct mailbox *mb = value;
	const struct keep *k = mb->keeping.keep;

	if (k && k->end == KEEP_FAILED && k->background && !mb->dead)
		keep_note_rows(mb);
	/* What came while it was not mounted; and what comes is told of a mailbox that is known. */
	else if (mb->keeping.whole && !mb->messages.loaded && !mb->dead && mailbox_selectable(mb))
		sync_start(mb);
}

void keeper_go_on(struct account *a)
{
	map_each(&a->tree.by_id, go_on, NULL);
}

void keep_forget(struct mailbox *mb)
{
	struct keep *k = mb->keeping.keep;

	if (!k)
		return;
	list_remove(&k->link);
	free(k->missing);
	free(k);
	mb->keeping.keep = NULL;
}

void keeper_stop(struct keeper *all)
{
	LIST_FOREACH_SAFE (pos, &all->waiting)
		begin_soon(list_entry(pos, struct keep, link), KEEP_NOTHING);
	LIST_FOREACH_SAFE (pos, &all->runs)
		begin_soon(list_entry(pos, struct keep, link), KEEP_NOTHING);
	uv_close((uv_handle_t *)&all->timer, NULL);
}

void keeper_destroy(struct keeper *all)
{
	free(all);
}
