/* SPDX-License-Identifier: MIT */
#include "mail/account.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/allowance.h"
#include "mail/read/body.h"
#include "mail/change/append.h"
#include "mail/change/copy.h"
#include "mail/change/changes.h"
#include "mail/change/mailboxes.h"
#include "mail/change/intents.h"
#include "mail/change/owed.h"
#include "mail/change/trash.h"
#include "mail/change/uidplus.h"
#include "mail/parts/along.h"
#include "mail/parts/facts.h"
#include "mail/parts/kept.h"
#include "mail/parts/places.h"
#include "mail/quota.h"
#include "mail/read/across.h"
#include "mail/read/ahead.h"
#include "mail/read/keep.h"
#include "mail/reap.h"
#include "mail/size/prove.h"
#include "mail/size/sizes.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/lister.h"
#include "mail/sync/sync.h"
#include "mail/sync/walk.h"
#include "mail/sync/watch.h"
#include "state/state.h"

/* --- the pool's events --- */

static void account_on_listed(struct lister_wait *w, int err);
static int choose_top(struct account *a);

struct starter {
	struct lister_wait wait;
	struct account *account;
};

static void started(struct account *a, int err, const char *text)
{
	account_on_started *on_started = a->on_started;

	a->on_started = NULL;
	uv_timer_stop(&a->start_deadline);
	if (on_started)
		on_started(a->ctx, err, text);
}

static const char no_trash[] = "there is no mailbox for what is deleted (\\Trash): name one with "
			       "trash=NAME, or mount without delete=trash";

static int check_trash(struct account *a)
{
	bool needed = a->options.delete == DELETE_TRASH && !a->options.readonly;

	return needed && !trash_of(a) ? ERR_NO_MAILBOX : 0;
}

/* Starts without the server, with a cache that knows the account. */
static void start_offline(struct account *a, const char *text)
{
	const struct pool_options *o = &a->options.pool;

	int err = choose_top(a);
	if (err < 0) {
		started(a, err, "the cache does not know this mailbox");
		return;
	}
	if ((err = check_trash(a)) < 0) {
		started(a, err, no_trash);
		return;
	}
	if (!o->offline)
		log_warning("%s:%u: %s; showing what the cache holds until the server is back",
			o->host, o->port, text);
	intents_go_on(a);
	started(a, 0, NULL);
}

static void start_without(struct account *a, int err, const char *text)
{
	if ((error_is_outage(err) || err == ERR_THROTTLED) && a->remembered)
		start_offline(a, text);
	else
		started(a, err, text);
}

/* A server that logs us in, but does not get to the end of its list of mailboxes, is none. */
static void account_on_start_deadline(uv_timer_t *timer)
{
	struct account *a = timer->data;
	uint64_t held = pool_held(a->pool), more = held - a->start_held;
	char text[64];

	if (pool_awaits_token(a->pool))
		more = a->options.pool.timeout;
	a->start_held = held;
	if (more > 0) {
		uv_timer_start(timer, account_on_start_deadline, more, 0);
		return;
	}
	snprintf(text, sizeof(text), "not ready after %llu seconds",
		(unsigned long long)(a->options.pool.timeout / 1000));
	start_without(a, ERR_TIMEOUT, text);
}

static void account_on_first(void *ctx, int err, const char *text)
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
	s->wait.on_wake = account_on_listed;
	lister_list(a, &s->wait, false);
}

/* Starts what runs beside the filesystem while the server is there. */
static void start_services(struct account *a)
{
	quota_start(a);
	changes_restore_start(a);
	mailboxes_restore_start(a);
	intents_go_on(a);
	watch_start(a->watch);
	keeper_go_on(a);
}

/* The server is back: what happened meanwhile shows at once. */
static void account_on_up(void *ctx)
{
	struct account *a = ctx;

	if (!watch_started(a->watch))
		start_services(a);
	else {
		changes_restore_start(a);
		intents_go_on(a);
		keeper_go_on(a);
	}
	/* The watching connection may be dead as well, and would not say so. */
	watch_refresh(a->watch);
}

static bool account_on_refused(void *ctx, struct mailbox *mb, struct span text)
{
	return sync_on_refused(mb, text);
}

static int account_on_selected(void *ctx, struct mailbox *mb, struct conn *conn)
{
	return sync_on_selected(mb, conn);
}

static bool account_on_select(
	void *ctx, const struct mailbox *mb, struct span *name, struct buf *parameters)
{
	*name = mb->name;
	return mailbox_selectable(mb) && sync_select_parameters(mb, parameters) == 0;
}

static void account_on_untagged(void *ctx, struct mailbox *mb, struct conn *conn,
	const struct imap_response *r, uint32_t uid)
{
	sync_on_untagged(mb, conn, r, uid);
}

static void account_on_batch(void *ctx, struct mailbox *mb)
{
	sync_on_batch(mb);
}

static bool account_may_fetch(void *ctx)
{
	return allowance_is_left(((struct account *)ctx)->allowance);
}

static int choose_top(struct account *a)
{
	struct mailbox *top = tree_by_path(&a->tree, span_of(a->options.mailbox));

	if (!top)
		return ERR_NO_MAILBOX;
	a->tree.top = top;
	return 0;
}

static void account_on_listed(struct lister_wait *w, int err)
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
	else if (a->on_started && (err = check_trash(a)) < 0)
		snprintf(text, sizeof(text), "%s", no_trash);
	if (err == 0 && !watch_started(a->watch))
		start_services(a);
	started(a, err, text);
}

/* --- the tree's notices --- */

static void account_on_directory_changed(struct account *a, struct mailbox *mb)
{
	a->observer.on_directory_changed(a->ctx, mb);
}

static void account_on_directory_gone(struct account *a, struct mailbox *parent, struct mailbox *mb)
{
	a->observer.on_directory_gone(a->ctx, parent, mb);
}

static void account_on_message_gone(struct account *a, struct mailbox *mb, uint32_t uid)
{
	a->observer.on_message_gone(a->ctx, mb, uid);
}

static void account_on_removed(struct mailbox *mb, uint32_t uid)
{
	sync_note_gone(mb, uid);
	body_forget(mb, uid);
	facts_forget(mb, uid);
}

static void account_on_flags_changed(struct mailbox *mb, uint32_t uid)
{
	struct account *a = mb->account;

	if (a->observer.on_flags_changed)
		a->observer.on_flags_changed(a->ctx, mb, uid);
}

static void account_on_rows(struct mailbox *mb)
{
	keep_note_rows(mb);
}

static void account_on_numbered(struct mailbox *mb)
{
	intents_on_numbered(mb);
}

static void account_on_killed(struct mailbox *mb)
{
	intents_forget(mb);
	ahead_forget(mb);
	body_forget_mailbox(mb);
	facts_forget_mailbox(mb);
}

static void account_on_buried(struct account *a, struct mailbox *mb)
{
	watch_forget(a->watch, mb);
	reaper_add(a->reaper, mb);
}

static void account_on_dead(struct account *a, int err)
{
	pool_forget_dead(a->pool, err);
}

static void account_on_renamed(struct account *a, struct mailbox *mb, struct span old)
{
	if (a->state)
		state_rename(a->state, old, mb->name);
	if (a->observer.on_renamed)
		a->observer.on_renamed(a->ctx, mb);
}

static void account_on_freed(struct mailbox *mb)
{
	changes_forget(mb);
	sync_forget(mb);
	flags_ask_forget(mb);
	facts_forget_freed(mb);
	keep_forget(mb);
	prove_forget(mb);
}

static const struct tree_notices notices = {
	.on_directory_changed = account_on_directory_changed,
	.on_directory_gone = account_on_directory_gone,
	.on_message_gone = account_on_message_gone,
	.on_removed = account_on_removed,
	.on_flags_changed = account_on_flags_changed,
	.on_renamed = account_on_renamed,
	.on_rows = account_on_rows,
	.on_numbered = account_on_numbered,
	.on_killed = account_on_killed,
	.on_buried = account_on_buried,
	.on_dead = account_on_dead,
	.on_freed = account_on_freed,
};

/* --- */

/* What comes along with the rows of mailboxes ahead of a walk. */
static void take_riders(struct account *a)
{
	if (a->options.summaries)
		walk_take_riders(a->walk, ALONG_ROWS, along_on_ahead, NULL);
	else
		walk_take_riders(a->walk, UINT32_MAX, across_on_ahead, a->across);
}

struct account *account_create(uv_loop_t *loop, const struct account_options *options,
	struct cache *cache, struct state *state, const struct account_observer *observer,
	void *ctx)
{
	static const struct pool_events events = {
		.on_first = account_on_first,
		.on_up = account_on_up,
		.on_selected = account_on_selected,
		.on_refused = account_on_refused,
		.on_select = account_on_select,
		.on_untagged = account_on_untagged,
		.on_batch = account_on_batch,
		.is_dead = mailbox_is_dead,
		.path = mailbox_path,
		.may_fetch = account_may_fetch,
	};
	struct account *a = mem_zalloc(sizeof(*a));

	a->loop = loop;
	a->options = *options;
	a->observer = *observer;
	a->ctx = ctx;
	a->cache = cache;
	a->state = state;
	a->options.pool.received = &a->received;
	a->allowance = allowance_create(a);
	a->pool = pool_create(loop, &a->options.pool, &events, a);
	a->bodies = body_pool_create(a);
	a->facts = facts_pool_create();
	a->places = places_create();
	a->keeper = keeper_create(a, kept_ask_facts);
	a->across = across_create(a);
	a->uidplus = uidplus_create();
	a->owed = owed_create(a);
	a->mailboxes = mailboxes_create(a);
	a->intents = intents_create(a);
	a->lister = lister_create(a);
	a->watch = watch_create(a);
	a->walk = walk_create(a);
	take_riders(a);
	a->quota = mem_zalloc(sizeof(*a->quota));
	a->reaper = reaper_create(a);
	a->sizes = sizes_create(a->options.sizes, cache);
	list_init(&a->appends);
	list_init(&a->copyings);
	a->tree = (struct tree){.account = a,
		.notices = &notices,
		.loop = loop,
		.cache = cache,
		.host = a->options.pool.host,
		.keeps_cache = a->options.subscribed};
	tree_init(&a->tree);
	a->remembered = a->tree.root->place.child_count > 0;
	uv_timer_init(loop, &a->start_deadline);
	a->start_deadline.data = a;
	return a;
}

void account_start(struct account *a, account_on_started *on_started)
{
	a->on_started = on_started;
	/* A second more than the connection has for itself, which knows better what is wrong. */
	uv_timer_start(
		&a->start_deadline, account_on_start_deadline, a->options.pool.timeout + 1000, 0);
	pool_connect(a->pool);
}

static void account_on_watch_stopped(void *ctx)
{
	struct account *a = ctx;
	account_on_stopped *on_stopped = a->on_stopped;

	on_stopped(a->ctx);
}

static void account_on_pool_shut_down(void *ctx)
{
	struct account *a = ctx;

	watch_stop(a->watch, account_on_watch_stopped, a);
}

static void stop_all(struct account *a)
{
	uv_close((uv_handle_t *)&a->start_deadline, NULL);
	lister_stop(a->lister);
	reaper_stop(a->reaper);
	keeper_stop(a->keeper);
	owed_stop(a->owed);
	intents_stop(a->intents);
	pool_shutdown(a->pool, account_on_pool_shut_down);
}

static void account_on_drained(struct drain *d, int err)
{
	stop_all(list_entry(d, struct account, drain));
}

/* The next mount does the rest. */
static void account_on_drain_deadline(uv_timer_t *timer)
{
	struct account *a = timer->data;

	intents_drain_cancel(&a->drain);
	size_t n = intents_waiting(a);
	log_notice("%s: %zu change%s not done yet; the next mount goes on with %s",
		a->options.pool.host, n, n == 1 ? " is" : "s are", n == 1 ? "it" : "them");
	stop_all(a);
}

void account_stop(struct account *a, account_on_stopped *on_stopped)
{
	int err;

	a->on_stopped = on_stopped;
	a->drain = (struct drain){.kind = DRAIN_AT_END, .on_done = account_on_drained};
	list_init(&a->drain.link);
	if (pool_is_down(a->pool) || pool_is_unsure(a->pool) ||
		intents_drain_try(a, &a->drain, &err)) {
		stop_all(a);
		return;
	}
	uv_timer_start(&a->start_deadline, account_on_drain_deadline, a->options.pool.timeout, 0);
}

void account_destroy(struct account *a)
{
	if (!a)
		return;
	append_forget_all(a);
	copy_forget_all(a);
	intents_destroy(a->intents);
	tree_finish(&a->tree);
	body_pool_destroy(a->bodies);
	facts_pool_destroy(a->facts);
	places_destroy(a->places);
	keeper_destroy(a->keeper);
	across_destroy(a->across);
	uidplus_destroy(a->uidplus);
	owed_destroy(a->owed);
	mailboxes_destroy(a->mailboxes);
	sizes_destroy(a->sizes);
	watch_destroy(a->watch);
	lister_destroy(a->lister);
	walk_destroy(a->walk);
	pool_destroy(a->pool);
	allowance_destroy(a->allowance);
	free(a->quota);
	reaper_destroy(a->reaper);
	free(a);
}

uint64_t account_deadline(const struct account *a)
{
	/* Less than an operation of the filesystem may take, so that it can still answer otherwise.
	 */
	return uv_now(a->loop) + a->options.pool.timeout * 3 / 4;
}
