#include "mail/reap.h"

#include "mail/expunge.h"
#include "mail/prove.h"
#include "mail/watch.h"

/* Milliseconds until those that were still in use are looked at again. */
#define AGAIN 2000

static void mark(void *ctx, struct mailbox *mb)
{
	const struct account *a = ctx;

	mb->marked = a->reapings;
}

/* Nothing of its own goes on, and nobody has said that he needs it. What connections and tasks
 * point at is marked. */
static bool is_over(const struct account *a, const struct mailbox *mb)
{
	return mb->marked != a->reapings && mb->holds == 0 && !mb->sync && !mb->ahead &&
	       expunge_is_idle(mb) && prove_is_idle(mb) && list_empty(&mb->waiters) &&
	       list_empty(&mb->children) && mb->bodies.count == 0;
}

static void reap(struct account *a, struct mailbox *mb)
{
	list_remove(&mb->sibling);
	pool_forget_freed(a->pool, mb);
	pool_forget_freed(watch_pool(a->watch), mb);
	map_remove(&a->by_id, mb->id);
	cache_forget_mailbox(a->cache, mb->id);
	mailbox_destroy(mb);
}

static void on_reap(uv_timer_t *timer)
{
	struct account *a = timer->data;

	a->reapings++;
	pool_each_mailbox(a->pool, mark, a);
	watch_each_mailbox(a->watch, mark, a);
	LIST_FOREACH_SAFE (pos, &a->dead) {
		struct mailbox *mb = list_entry(pos, struct mailbox, sibling);
		if (is_over(a, mb))
			reap(a, mb);
	}
	if (!list_empty(&a->dead))
		uv_timer_start(timer, on_reap, AGAIN, 0);
}

void reap_init(struct account *a)
{
	list_init(&a->dead);
	uv_timer_init(a->loop, &a->reaper);
	a->reaper.data = a;
}

void reap_later(struct account *a, struct mailbox *mb)
{
	list_append(&a->dead, &mb->sibling);
	if (!uv_is_closing((uv_handle_t *)&a->reaper))
		uv_timer_start(&a->reaper, on_reap, 0, 0);
}

void reap_stop(struct account *a)
{
	uv_close((uv_handle_t *)&a->reaper, NULL);
}
