/* SPDX-License-Identifier: MIT */
/*
 * One task that never ends holds the watching connection. Its modes:
 *
 *   NOTIFY  One command, then the server speaks: STATUS for a mailbox whose messages changed, LIST
 *           for names. A NOOP every two minutes confirms that the line lives.
 *   IDLE    On the mailbox in use, renewed before servers end it. When another mailbox comes into
 *           use, the task ends and starts again there.
 *   POLL    No connection.
 *
 * Beside it a timer looks at everything: LIST, with STATUS where the server gives it along, else
 * STATUS for each mailbox that was listed. With NOTIFY too: it may not cover all mailboxes.
 *
 * Dovecot 2.3 reads NOTIFY's news of names from an index that a rename or delete does not write,
 * only the next LIST by anybody does. NOOP and IDLE do not help, so while names are used
 * watch_use_names does that LIST.
 *
 * This file has the connection; what comes over it is for heard.c.
 */
#include "mail/sync/watch_private.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/sync/lister.h"
#include "mail/sync/statuses.h"
#include "mail/sync/sync.h"

/* Milliseconds for which a mailbox that was listed or read stays in use, though another one is
 * read. */
#define USE_LASTS 10000
/* Milliseconds. RFC 2177 lets an IDLE last 29 minutes; not all servers are that patient. */
#define IDLE_RENEW (9 * 60 * 1000)
/* Milliseconds from one NOOP to the next. */
#define NOTIFY_CONFIRM (2 * 60 * 1000)
/* Milliseconds after which a name in use is worth a LIST. With the second for which the kernel
 * keeps the name of a mailbox it is no more than two until a change shows. */
#define NAMES_FRESH 900
#define NOTIFY                                                                                     \
	"NOTIFY SET STATUS (personal (MessageNew MessageExpunge%s MailboxName "                    \
	"SubscriptionChange))"

static void queue_watch(struct watch *w);

/* --- the states --- */

static void set_watch_state(struct watch *w, enum watch_state state)
{
	static const char *const names[] = {"resting", "queued", "setting up", "telling"};

	if (w->state == state)
		return;
	log_debug("watching: %s -> %s", names[w->state], names[state]);
	w->state = state;
}

bool watch_holds(const struct watch *w)
{
	return w->state == WATCH_SETTING_UP || w->state == WATCH_TELLING;
}

/* IDLE is live before its "+", which makes no event: what was selected just before is known to be
 * as it was checked. */
static bool is_live(const struct watch *w)
{
	return w->state == WATCH_TELLING && (w->mode != WATCH_IDLE || pool_tells(&w->task));
}

bool watch_tells_of(const struct watch *w, const struct mailbox *mb)
{
	if (!is_live(w))
		return false;
	if (w->mode == WATCH_IDLE)
		return w->task.mailbox == mb && w->in_use == mb;
	return mb->freshness.watched.by == w->generation;
}

/* --- the task --- */

static void end_task(struct watch *w)
{
	uv_timer_stop(&w->renew);
	pool_end(&w->task);
	set_watch_state(w, WATCH_RESTING);
}

static void begin_again(struct watch *w)
{
	end_task(w);
	queue_watch(w);
}

static void watch_on_fail(struct pool_task *t, int err)
{
	struct watch *w = list_entry(t, struct watch, task);

	set_watch_state(w, WATCH_RESTING);
	/* The mailbox is no more, or cannot be selected: whatever is used next will be watched. */
	if (err != ERR_CANCELED)
		w->in_use = NULL;
}

static void watch_on_lost(struct pool_task *t, int err)
{
	begin_again(list_entry(t, struct watch, task));
}

static void watch_on_noop_done(struct imap_command *c, const struct imap_result *result)
{
	struct watch *w = list_entry(c, struct watch, command);

	if (result->outcome == IMAP_LOST)
		begin_again(w);
	else
		watch_want_flags(w);
}

static void watch_on_notify_done(struct imap_command *c, const struct imap_result *result)
{
	struct watch *w = list_entry(c, struct watch, command);

	if (result->outcome == IMAP_DONE) {
		w->agreed_at = uv_now(w->account->loop);
		w->flags.agreed_at = w->flags.asked ? uv_hrtime() : 0;
		set_watch_state(w, WATCH_TELLING);
		uv_timer_again(&w->renew);
		watch_want_flags(w);
		return;
	}
	end_task(w);
	if (result->outcome != IMAP_LOST && w->flags.asked) {
		log_debug("NOTIFY of flags refused: going on without");
		w->flags.refused = true;
	} else if (result->outcome != IMAP_LOST) {
		log_debug("NOTIFY refused: going on with IDLE");
		w->mode = pool_capabilities(w->pool) & IMAP_CAP_IDLE ? WATCH_IDLE : WATCH_POLL;
	}
	queue_watch(w);
}

static void watch_on_idle_done(struct imap_command *c, const struct imap_result *result)
{
	struct watch *w = list_entry(c, struct watch, command);

	end_task(w);
	if (result->outcome == IMAP_REFUSED || result->outcome == IMAP_BUSY) {
		log_debug("IDLE refused: going on with polling");
		w->mode = WATCH_POLL;
	}
	queue_watch(w);
}

/* Changed flags are told of by a STATUS with HIGHESTMODSEQ (RFC 5465 section 5.3). */
static bool should_tell_flags(const struct watch *w)
{
	return w->account->wants_flags && !w->flags.refused &&
	       (pool_capabilities(w->pool) & IMAP_CAP_CONDSTORE);
}

static void send_notify(struct watch *w)
{
	w->flags.asked = should_tell_flags(w);
	pool_send(&w->task, &w->command, watch_on_notify_done, NOTIFY,
		w->flags.asked ? " FlagChange" : "");
}

static void send_idle(struct watch *w)
{
	imap_command_finish(&w->command);
	imap_command_init(&w->command, false, watch_on_idle_done);
	w->command.idle = true;
	imap_command_add(&w->command, "IDLE\r\n");
	pool_submit(&w->task, &w->command);
	set_watch_state(w, WATCH_TELLING);
}

static void watch_on_conn(struct pool_task *t)
{
	struct watch *w = list_entry(t, struct watch, task);

	set_watch_state(w, WATCH_SETTING_UP);
	w->generation++;
	trust_begin(&w->trust);
	/* Another came into use while this one waited for the connection. */
	if (w->mode == WATCH_IDLE && w->task.mailbox != w->in_use) {
		begin_again(w);
		return;
	}
	if (w->mode == WATCH_NOTIFY) {
		send_notify(w);
		uv_timer_start(&w->renew, w->renew.timer_cb, NOTIFY_CONFIRM, NOTIFY_CONFIRM);
	} else {
		send_idle(w);
		uv_timer_start(&w->renew, w->renew.timer_cb, IDLE_RENEW, 0);
	}
}

static void queue_watch(struct watch *w)
{
	if (w->stopping || w->state != WATCH_RESTING || w->mode == WATCH_POLL)
		return;
	if (w->mode == WATCH_IDLE && !w->in_use)
		return;
	w->task.mailbox = w->mode == WATCH_IDLE ? w->in_use : NULL;
	w->task.access = w->mode == WATCH_IDLE ? POOL_READ : POOL_NO_MAILBOX;
	w->task.deadline = UINT64_MAX;
	set_watch_state(w, WATCH_QUEUED);
	pool_start(w->pool, &w->task);
}

/* Makes the server speak: if it does not, the session's timeout ends the connection. */
static void renew_watch(struct watch *w)
{
	if (!watch_holds(w))
		return;
	if (w->mode == WATCH_IDLE)
		pool_end_idle(&w->task);
	else if (!list_empty(&w->command.link))
		return;
	else if (w->state == WATCH_TELLING)
		pool_send(&w->task, &w->command, watch_on_noop_done, "NOOP");
	else
		send_notify(w);
}

static void watch_on_renew(uv_timer_t *timer)
{
	renew_watch(timer->data);
}

void watch_on_overflow(struct watch *w)
{
	log_debug("the server stopped NOTIFY");
	if (w->mode != WATCH_NOTIFY)
		return;
	set_watch_state(w, WATCH_SETTING_UP);
	statuses_start(w->account);
}

/* --- the pool's events --- */

static int watch_on_selected(void *ctx, struct mailbox *mb, struct conn *conn)
{
	int err = sync_on_selected(mb, conn);

	if (err == 0 && mb->freshness.news && mb->messages.complete)
		sync_start(mb);
	return err;
}

static bool watch_on_select(
	void *ctx, const struct mailbox *mb, struct span *name, struct buf *parameters)
{
	*name = mb->name;
	return mailbox_selectable(mb);
}

static void watch_on_batch(void *ctx, struct mailbox *mb)
{
	sync_on_batch(mb);
}

/* --- from the beginning to the end --- */

static void watch_on_refresh(uv_timer_t *timer)
{
	struct watch *w = timer->data;

	/* When the server is back everything is looked at anyway. */
	if (!pool_is_unsure(w->account->pool))
		statuses_start(w->account);
}

struct watch *watch_create(struct account *a)
{
	static const struct pool_events events = {
		.on_selected = watch_on_selected,
		.on_select = watch_on_select,
		.on_untagged = heard_on_pool_untagged,
		.on_batch = watch_on_batch,
		.is_dead = mailbox_is_dead,
		.path = mailbox_path,
	};
	struct watch *w = mem_zalloc(sizeof(*w));
	struct pool_options options = a->options.pool;

	options.connections = 1;
	options.quiet = true;
	w->account = a;
	w->pool = pool_create_beside(a->pool, &options, &events, w);
	w->task = (struct pool_task){
		.on_conn = watch_on_conn,
		.on_fail = watch_on_fail,
		.on_lost = watch_on_lost,
		.on_untagged = heard_on_untagged,
		.patient = true,
	};
	list_init(&w->task.link);
	imap_command_init(&w->command, false, NULL);
	uv_timer_init(a->loop, &w->judge);
	uv_timer_init(a->loop, &w->renew);
	uv_timer_init(a->loop, &w->refresh);
	w->judge.data = w->renew.data = w->refresh.data = w;
	w->renew.timer_cb = watch_on_renew;
	return w;
}

void watch_start(struct watch *w)
{
	uint32_t capabilities = pool_capabilities(w->account->pool);
	uint64_t refresh = w->account->options.refresh;

	if (capabilities & IMAP_CAP_NOTIFY)
		w->mode = WATCH_NOTIFY;
	else if (capabilities & IMAP_CAP_IDLE)
		w->mode = WATCH_IDLE;
	uv_timer_start(&w->refresh, watch_on_refresh, refresh, refresh);
	w->started = true;
	queue_watch(w);
}

bool watch_started(const struct watch *w)
{
	return w->started;
}

static void watch_on_timer_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	w->on_stopped(w->ctx);
}

static void watch_on_pool_shut_down(void *ctx)
{
	struct watch *w = ctx;

	uv_close((uv_handle_t *)&w->judge, NULL);
	uv_close((uv_handle_t *)&w->renew, NULL);
	uv_close((uv_handle_t *)&w->refresh, watch_on_timer_closed);
}

void watch_stop(struct watch *w, watch_on_stopped *on_stopped, void *ctx)
{
	w->stopping = true;
	w->on_stopped = on_stopped;
	w->ctx = ctx;
	pool_shutdown(w->pool, watch_on_pool_shut_down);
}

void watch_destroy(struct watch *w)
{
	if (!w)
		return;
	imap_command_finish(&w->command);
	pool_destroy(w->pool);
	free(w);
}

void watch_use(struct watch *w, struct mailbox *mb)
{
	w->used_at = uv_now(w->account->loop);
	if (w->in_use == mb || !mailbox_selectable(mb))
		return;
	w->in_use = mb;
	if (w->mode != WATCH_IDLE)
		return;
	if (watch_holds(w))
		pool_end_idle(&w->task);
	else
		queue_watch(w);
}

void watch_read(struct watch *w, struct mailbox *mb)
{
	if (mb == w->in_use || uv_now(w->account->loop) >= w->used_at + USE_LASTS)
		watch_use(w, mb);
}

void watch_forget(struct watch *w, const struct mailbox *mb)
{
	if (!w || w->in_use != mb)
		return;
	w->in_use = NULL;
	pool_forget_dead(w->pool, ERR_STALE);
	if (watch_holds(w) && w->mode == WATCH_IDLE)
		pool_end_idle(&w->task);
}

void watch_want_flags(struct watch *w)
{
	if (w->mode != WATCH_NOTIFY || w->state != WATCH_TELLING || !should_tell_flags(w) ||
		w->flags.asked || !list_empty(&w->command.link))
		return;
	set_watch_state(w, WATCH_SETTING_UP);
	send_notify(w);
}

/* What IDLE watches was selected before, and it tells of all that came since. */
bool watch_covers_flags(const struct watch *w, const struct mailbox *mb, uint64_t since)
{
	if (w->trust.late || !watch_tells_of(w, mb))
		return false;
	if (w->mode == WATCH_IDLE)
		return conn_selected(w->task.conn)->asked <= since;
	return w->flags.asked && w->flags.agreed_at && w->flags.agreed_at <= since;
}

void watch_each_mailbox(const struct watch *w, mailbox_visit *visit, void *ctx)
{
	if (w->in_use)
		visit(ctx, w->in_use);
	pool_each_mailbox(w->pool, visit, ctx);
}

void watch_refresh(struct watch *w)
{
	renew_watch(w);
	statuses_start(w->account);
}

bool watch_has_names(const struct watch *w)
{
	return !w->started || w->mode == WATCH_NOTIFY;
}

void watch_use_names(struct watch *w, bool known)
{
	struct account *a = w->account;

	if (!w->started || !watch_has_names(w) || lister_is_running(a) || pool_is_unsure(a->pool) ||
		lister_is_fresh(a, NAMES_FRESH))
		return;
	if (!known)
		lister_doubt_older(a, 0);
	lister_start(a, false, !known);
}

bool watch_owns(const struct watch *w, const struct conn *conn)
{
	return w && watch_holds(w) && w->task.conn == conn;
}

struct pool *watch_pool(const struct watch *w)
{
	return w->pool;
}

const char *watch_mode(const struct watch *w)
{
	if (!is_live(w))
		return "polling";
	if (w->trust.late)
		return w->mode == WATCH_NOTIFY ? "NOTIFY (late; asking)" : "IDLE (late; asking)";
	return w->mode == WATCH_NOTIFY ? "NOTIFY" : "IDLE";
}
