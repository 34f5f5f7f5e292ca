/* SPDX-License-Identifier: MIT */
#include "mail/reap.h"

#include <stdlib.h>

#include "base/mem.h"
#include "mail/change/changes.h"
#include "mail/size/prove.h"
#include "mail/sync/sync.h"
#include "mail/sync/watch.h"

/* Milliseconds until those that were still in use are looked at again, and until what else there was
 * of them, such as names that the kernel is to forget, is likely to be freed, too. */
#define AGAIN 2000
/* Mailboxes whose memory is worth to be given back to the machine. */
#define MANY 1000

struct reaper {
	struct account *account;
	struct list dead; /* struct mailbox.place.sibling */
	uv_timer_t timer;
	uint32_t rounds; /* begun: mailbox.used_in of those that were in use in the last one */
	size_t freed;    /* since memory was given back */
};

static void mark(void *ctx, struct mailbox *mb)
{
	const struct reaper *r = ctx;

	mb->used_in = r->rounds;
}

/* Nothing of the mailbox's own goes on, and nobody holds it. What connections and tasks point at was
 * marked in this round. */
static bool is_unused(const struct reaper *r, const struct mailbox *mb)
{
	return mb->used_in != r->rounds && mb->holds == 0 && !sync_is_under_way(mb) &&
	       !mb->reading.ahead && changes_is_idle(mb) && prove_is_idle(mb) &&
	       list_empty(&mb->waiters) && list_empty(&mb->place.children) &&
	       mb->reading.bodies.count == 0;
}

static void reap(struct account *a, struct mailbox *mb)
{
	list_remove(&mb->place.sibling);
	pool_forget_freed(a->pool, mb);
	pool_forget_freed(watch_pool(a->watch), mb);
	tree_free(&a->tree, mb);
}

/* Returns how many were freed. */
static size_t reap_all(struct reaper *r)
{
	struct account *a = r->account;
	size_t freed = 0;

	r->rounds++;
	pool_each_mailbox(a->pool, mark, r);
	watch_each_mailbox(a->watch, mark, r);
	LIST_FOREACH_SAFE (pos, &r->dead) {
		struct mailbox *mb = list_entry(pos, struct mailbox, place.sibling);
		if (!is_unused(r, mb))
			continue;
		reap(a, mb);
		freed++;
	}
	return freed;
}

static void reaper_on_timer(uv_timer_t *timer)
{
	struct reaper *r = timer->data;
	size_t freed = reap_all(r);

	r->freed += freed;
	if (freed == 0 && r->freed >= MANY) {
		mem_give_back();
		/* What waits to be written of them is all over the memory: again behind that. */
		if (cache_is_idle(r->account->cache))
			r->freed = 0;
	}
	if (!list_empty(&r->dead) || r->freed >= MANY)
		uv_timer_start(timer, reaper_on_timer, AGAIN, 0);
}

struct reaper *reaper_create(struct account *a)
{
	struct reaper *r = mem_zalloc(sizeof(*r));

	r->account = a;
	list_init(&r->dead);
	uv_timer_init(a->loop, &r->timer);
	r->timer.data = r;
	return r;
}

void reaper_add(struct reaper *r, struct mailbox *mb)
{
	list_append(&r->dead, &mb->place.sibling);
	if (!uv_is_closing((uv_handle_t *)&r->timer))
		uv_timer_start(&r->timer, reaper_on_timer, 0, 0);
}

void reaper_stop(struct reaper *r)
{
	uv_close((uv_handle_t *)&r->timer, NULL);
}

void reaper_destroy(struct reaper *r)
{
	free(r);
}
