#include "mail/account.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/body.h"
#include "mail/expunge.h"
#include "mail/quota.h"
#include "mail/reap.h"
#include "mail/sizes.h"
#include "mail/sync.h"
#include "mail/watch.h"

/* Milliseconds for which the tree counts as fresh without asking again. */
#define LIST_FRESH 2000

/* --- the pool's events --- */

static void on_listed_first(struct account_wait *w, int err);
static int choose_top(struct account *a);

struct starter {
	struct account_wait wait;
	struct account *account;
};

static void started(struct account *a, int err, const char *text)
{
	void (*on_started)(void *, int, const char *) = a->on_started;

	a->on_started = NULL;
	uv_timer_stop(&a->start_deadline);
	if (on_started)
		on_started(a->ctx, err, text);
}

/* Without the server, but with a cache that knows the account. */
static void start_offline(struct account *a, const char *text)
{
	const struct pool_options *o = &a->options.pool;

	int err = choose_top(a);
	if (err < 0) {
		started(a, err, "the cache does not know this mailbox");
		return;
	}
	if (!o->offline)
		log_warning("%s:%u: %s; showing what the cache holds, read-only, until the server "
			    "is back",
			o->host, o->port, text);
	started(a, 0, NULL);
}

static bool is_outage(int err)
{
	return err == ERR_NET || err == ERR_TIMEOUT || err == ERR_THROTTLED;
}

static void start_without(struct account *a, int err, const char *text)
{
	if (is_outage(err) && a->remembered)
		start_offline(a, text);
	else
		started(a, err, text);
}

/* A server that logs us in, but does not get to the end of its list of mailboxes, is none. */
static void on_start_deadline(uv_timer_t *timer)
{
	struct account *a = timer->data;
	char text[64];

	if (pool_awaits_token(a->pool)) {
		uv_timer_start(timer, on_start_deadline, a->options.pool.timeout, 0);
		return;
	}
	snprintf(text, sizeof(text), "not ready after %llu seconds",
		(unsigned long long)(a->options.pool.timeout / 1000));
	start_without(a, ERR_TIMEOUT, text);
}

static void on_first(void *ctx, int err, const char *text)
{
	struct account *a = ctx;

	if (err < 0 && a->options.pool.offline && !a->remembered)
		text = "offline, and the cache holds nothing of this account";
	if (err < 0) {
		start_without(a, err, text);
		return;
	}
	struct starter *s = mem_zalloc(sizeof(*s));
	s->account = a;
	s->wait.on_wake = on_listed_first;
	list_append(&a->list_waiters, &s->wait.link);
	lister_start(a, true, false);
}

/* What runs beside the filesystem while the server is there. */
static void start_services(struct account *a)
{
	quota_start(a);
	expunge_restore_start(a);
	watch_start(a->watch);
}

/* The server is back: what happened meanwhile shows at once. */
static void on_up(void *ctx)
{
	struct account *a = ctx;

	if (!watch_started(a->watch))
		start_services(a);
	else
		expunge_restore_start(a);
	/* The watching connection may be dead as well, and would not say so. */
	watch_refresh(a->watch);
}

static bool on_refused(void *ctx, struct mailbox *mb, struct span text)
{
	return sync_on_refused(mb, text);
}

static int on_selected(void *ctx, struct mailbox *mb, struct conn *conn)
{
	return sync_on_selected(mb, conn);
}

static bool on_select(
	void *ctx, const struct mailbox *mb, struct span *name, struct buf *parameters)
{
	*name = mb->name;
	return mailbox_selectable(mb) && sync_select_parameters(mb, parameters) == 0;
}

static void on_untagged(void *ctx, struct mailbox *mb, struct conn *conn,
	const struct imap_response *r, uint32_t uid)
{
	sync_on_untagged(mb, conn, r, uid);
}

static void on_batch(void *ctx, struct mailbox *mb)
{
	sync_on_batch(mb);
}

/* --- the mounted subtree --- */

/* The child whose component begins path, up to a delimiter or the end; *rest is what follows. */
static struct mailbox *step(
	struct account *a, struct mailbox *mb, struct span path, struct span *rest)
{
	LIST_FOREACH (pos, &mb->children) {
		struct mailbox *child = list_entry(pos, struct mailbox, sibling);
		struct span c = span_of(child->component);
		if (c.n > path.n || !span_equal(c, (struct span){path.p, c.n}))
			continue;
		*rest = (struct span){path.p + c.n, path.n - c.n};
		if (rest->n == 0)
			return child;
		if (rest->p[0] == '/' ||
			rest->p[0] == (child->has_delimiter ? child->delimiter : '/')) {
			rest->p++;
			rest->n--;
			return child;
		}
	}
	return NULL;
}

static struct mailbox *resolve(struct account *a, struct span path)
{
	struct mailbox *mb = a->root;

	while (mb && path.n > 0)
		mb = step(a, mb, path, &path);
	return mb;
}

static int choose_top(struct account *a)
{
	struct mailbox *top = resolve(a, span_of(a->options.mailbox));

	if (!top)
		return ERR_NO_MAILBOX;
	a->top = top;
	return 0;
}

static void on_listed_first(struct account_wait *w, int err)
{
	struct starter *s = list_entry(w, struct starter, wait);
	struct account *a = s->account;
	char text[512] = "";

	free(s);
	if (err < 0) {
		snprintf(text, sizeof(text), "cannot list the mailboxes: %s", error_text(err));
		/* Else it was mounted without, and on_up will do the rest. */
		if (a->on_started)
			start_without(a, err, text);
		return;
	}
	if (a->on_started && (err = choose_top(a)) < 0)
		snprintf(text, sizeof(text), "there is no mailbox %s", a->options.mailbox);
	if (err == 0 && !watch_started(a->watch))
		start_services(a);
	started(a, err, text);
}

/* --- */

struct account *account_create(uv_loop_t *loop, const struct account_options *options,
	struct cache *cache, const struct account_observer *observer, void *ctx)
{
	static const struct pool_events events = {
		on_first, on_up, on_selected, on_refused, on_select, on_untagged, on_batch};
	struct account *a = mem_zalloc(sizeof(*a));

	a->loop = loop;
	a->options = *options;
	a->observer = *observer;
	a->ctx = ctx;
	a->cache = cache;
	list_init(&a->list_waiters);
	map_init(&a->by_id);
	a->pool = pool_create(loop, &a->options.pool, &events, a);
	a->bodies = body_pool_create(a);
	a->watch = watch_create(a);
	a->quota = mem_zalloc(sizeof(*a->quota));
	a->root = a->top = mailbox_create(a, 0, SPAN(""));
	a->root->loaded = a->root->complete = true;
	map_put(&a->by_id, 0, a->root);
	reap_init(a);
	sizes_init(a);
	account_load_tree(a);
	a->remembered = a->root->child_count > 0;
	uv_timer_init(loop, &a->start_deadline);
	a->start_deadline.data = a;
	return a;
}

void account_start(struct account *a, void (*on_started)(void *ctx, int err, const char *text))
{
	a->on_started = on_started;
	/* A second more than the connection has for itself, which knows better what is wrong. */
	uv_timer_start(&a->start_deadline, on_start_deadline, a->options.pool.timeout + 1000, 0);
	pool_connect(a->pool);
}

static void on_watch_stopped(void *ctx)
{
	struct account *a = ctx;
	void (*on_stopped)(void *) = a->on_stopped;

	on_stopped(a->ctx);
}

static void on_pool_shut_down(void *ctx)
{
	struct account *a = ctx;

	watch_stop(a->watch, on_watch_stopped, a);
}

void account_stop(struct account *a, void (*on_done)(void *ctx))
{
	a->on_stopped = on_done;
	uv_close((uv_handle_t *)&a->start_deadline, NULL);
	reap_stop(a);
	pool_shutdown(a->pool, on_pool_shut_down);
}

void account_destroy(struct account *a)
{
	if (!a)
		return;
	account_free_tree(a);
	body_pool_destroy(a->bodies);
	watch_destroy(a->watch);
	pool_destroy(a->pool);
	free(a->quota);
	free(a);
}

struct mailbox *account_mailbox(struct account *a, uint32_t id)
{
	return map_get(&a->by_id, id);
}

uint64_t account_deadline(const struct account *a)
{
	/* Less than an operation of the filesystem may take, so that it can still answer otherwise.
	 */
	return uv_now(a->loop) + a->options.pool.timeout * 3 / 4;
}

void account_list(struct account *a, struct account_wait *w)
{
	list_append(&a->list_waiters, &w->link);
	if (!a->lister)
		lister_start(a, true, false);
}

bool account_fresh_try(struct account *a, struct account_wait *w)
{
	if (a->listed && uv_now(a->loop) < a->listed + LIST_FRESH)
		return true;
	if (pool_is_unsure(a->pool))
		return true;
	/* A login is not waited for. */
	a->list_young |= uv_now(a->loop) >= a->listed_young + a->options.refresh;
	account_list(a, w);
	return false;
}

void account_unwait(struct account_wait *w)
{
	list_remove(&w->link);
}
