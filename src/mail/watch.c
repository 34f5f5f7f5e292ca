/*
 * One task that never ends holds the watching connection. Its modes:
 *
 *   NOTIFY   one command, then the server speaks: STATUS for a mailbox whose messages changed, LIST
 * for names. A NOOP every two minutes proves that the line lives. IDLE     on the mailbox in use,
 * renewed before servers end it; another mailbox in use ends the task and starts it again there.
 *   POLL     no connection.
 *
 * Beside it a timer looks at everything: LIST, with STATUS where the server gives it along, else
 * STATUS for each mailbox that was listed. With NOTIFY too: it may not cover all mailboxes.
 *
 * Dovecot 2.3 reads NOTIFY's news of names from an index that a rename or delete does not write,
 * only the next LIST by anybody. NOOP and IDLE do not help, so while names are used we do that
 * LIST.
 */
#include "mail/watch.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/poll.h"
#include "mail/sync.h"
#include "mail/trust.h"

/* Milliseconds for which a mailbox that was listed or read stays in use, though another one is
 * read. */
#define USE_LASTS 10000
#define IDLE_RENEW (9 * 60 * 1000)
#define NOTIFY_PROOF (2 * 60 * 1000)
/* Milliseconds after which a mailbox that is listed again is looked at all the same, beside the
 * answer: where the server has not told of anything yet, and where it has. */
#define VERIFY_UNPROVED 1000
#define VERIFY_PROVED 10000
/* Milliseconds after which a name in use is worth a LIST. With the second for which the kernel
 * keeps the name of a mailbox it is no more than two until a change shows. */
#define NAMES_FRESH 900
#define NOTIFY                                                                                     \
	"NOTIFY SET STATUS (personal (MessageNew MessageExpunge MailboxName SubscriptionChange))"

enum watch_mode { WATCH_POLL, WATCH_NOTIFY, WATCH_IDLE };

struct watch {
	struct account *account;
	struct pool *pool;
	struct pool_task task;
	struct imap_command command;
	enum watch_mode mode;
	bool queued, granted; /* the task */
	bool started, stopping;
	struct mailbox *in_use;
	uint64_t used_at;    /* uv_now: when it was listed or read last */
	uint32_t generation; /* of connections */
	uint64_t live_since; /* uv_now; 0: nothing is watched */
	struct trust trust;
	uv_timer_t judge; /* runs while it may still tell of what was found */
	uv_timer_t renew; /* of IDLE, or NOOP */
	uv_timer_t refresh;
	void (*on_stopped)(void *ctx);
	void *ctx;
};

static void enqueue(struct watch *w);

/* --- the task --- */

static void not_live(struct watch *w)
{
	w->live_since = 0;
	uv_timer_stop(&w->renew);
}

static void end_task(struct watch *w)
{
	not_live(w);
	pool_end(&w->task);
	w->granted = false;
}

static void on_fail(struct pool_task *t, int err)
{
	struct watch *w = list_entry(t, struct watch, task);

	w->queued = false;
	not_live(w);
	/* The mailbox is no more, or cannot be selected: whatever is used next will be watched. */
	if (err != ERR_CANCELED)
		w->in_use = NULL;
}

static void on_lost(struct pool_task *t, int err)
{
	struct watch *w = list_entry(t, struct watch, task);

	end_task(w);
	enqueue(w);
}

static void submit(struct watch *w, const char *text,
	void (*on_done)(struct imap_command *, const struct imap_result *), bool idle)
{
	imap_command_finish(&w->command);
	imap_command_init(&w->command, false, on_done);
	w->command.idle = idle;
	imap_command_add(&w->command, "%s\r\n", text);
	pool_submit(&w->task, &w->command);
}

static void on_noop_done(struct imap_command *c, const struct imap_result *result)
{
	struct watch *w = list_entry(c, struct watch, command);

	if (result->response)
		return;
	end_task(w);
	enqueue(w);
}

static void on_notify_done(struct imap_command *c, const struct imap_result *result)
{
	struct watch *w = list_entry(c, struct watch, command);

	if (result->err == 0) {
		w->live_since = uv_now(w->account->loop);
		uv_timer_again(&w->renew);
		return;
	}
	end_task(w);
	if (result->response) {
		log_debug("NOTIFY refused: going on with IDLE");
		w->mode = pool_capabilities(w->pool) & IMAP_CAP_IDLE ? WATCH_IDLE : WATCH_POLL;
	}
	enqueue(w);
}

static void on_idle_done(struct imap_command *c, const struct imap_result *result)
{
	struct watch *w = list_entry(c, struct watch, command);

	end_task(w);
	if (result->err < 0 && result->response) {
		log_debug("IDLE refused: going on with polling");
		w->mode = WATCH_POLL;
	}
	enqueue(w);
}

static void on_conn(struct pool_task *t)
{
	struct watch *w = list_entry(t, struct watch, task);

	w->queued = false;
	w->granted = true;
	w->generation++;
	trust_begin(&w->trust);
	/* Another came into use while this one waited for the connection. */
	if (w->mode == WATCH_IDLE && w->task.mailbox != w->in_use) {
		end_task(w);
		enqueue(w);
		return;
	}
	if (w->mode == WATCH_NOTIFY)
		submit(w, NOTIFY, on_notify_done, false);
	else
		submit(w, "IDLE", on_idle_done, true);
	uv_timer_start(&w->renew, w->renew.timer_cb,
		w->mode == WATCH_NOTIFY ? NOTIFY_PROOF : IDLE_RENEW,
		w->mode == WATCH_NOTIFY ? NOTIFY_PROOF : 0);
}

/* Also for IDLE: the "+" makes no event, but what was selected just before is known to be as
 * checked. */
static bool live(const struct watch *w)
{
	if (!w->granted)
		return false;
	return w->mode == WATCH_IDLE ? pool_tells(&w->task) : w->live_since != 0;
}

/* --- whether it tells in time --- */

/* Whether the watching connection is to tell of the mailbox. */
static bool tells_of(const struct watch *w, const struct mailbox *mb)
{
	if (!live(w))
		return false;
	if (w->mode == WATCH_IDLE)
		return w->task.mailbox == mb && w->in_use == mb;
	return mb->watched == w->generation;
}

static void on_judge(uv_timer_t *timer)
{
	struct watch *w = timer->data;

	bool was_late = w->trust.late;
	bool renew = trust_is_overdue(&w->trust, uv_now(w->account->loop));
	if (w->trust.late && !was_late)
		log_debug("the server tells too late of what happens: asking");
	if (renew && w->granted)
		pool_drop(&w->task, "it tells too late of what happens");
}

/* ahead: of what is not known yet. */
static void told(struct watch *w, struct mailbox *mb, bool ahead)
{
	trust_told(&w->trust, mb->id, uv_now(w->account->loop));
	mb->told_ahead = ahead;
}

void watch_checked(struct watch *w, struct mailbox *mb, uint64_t before, bool found)
{
	bool ahead = mb->told_ahead;

	mb->told_ahead = false;
	/* What happened before it was set up is none of its business. */
	if (!found || !w || before == 0 || !tells_of(w, mb) ||
		(w->live_since && before < w->live_since))
		return;
	trust_found(&w->trust, mb->id, ahead, uv_now(w->account->loop));
	if (w->trust.awaited && !uv_is_active((uv_handle_t *)&w->judge) && !w->stopping)
		uv_timer_start(&w->judge, on_judge, TRUST_PATIENCE, 0);
}

void watch_verify(struct watch *w, struct mailbox *mb)
{
	uint64_t now = uv_now(w->account->loop);

	if (!mailbox_selectable(mb) || mb->sync || !mb->complete || !mb->loaded ||
		pool_is_unsure(w->account->pool) || !tells_of(w, mb) ||
		now < mb->checked + (w->trust.proved ? VERIFY_PROVED : VERIFY_UNPROVED))
		return;
	mb->verifying = true;
	sync_start(mb);
}

static void prove(struct watch *w)
{
	if (w->live_since)
		submit(w, "NOOP", on_noop_done, false);
	else
		submit(w, NOTIFY, on_notify_done, false);
}

/* Makes the server speak: if it does not, the session's timeout ends the connection. */
static void renew(struct watch *w)
{
	if (!w->granted)
		return;
	if (w->mode == WATCH_IDLE)
		pool_end_idle(&w->task);
	else if (list_empty(&w->command.link))
		prove(w);
}

static void on_renew(uv_timer_t *timer)
{
	renew(timer->data);
}

/* The server gave up telling: it is asked again with the next proof of life, and meanwhile polled.
 */
static void on_overflow(struct watch *w)
{
	log_debug("the server stopped NOTIFY");
	w->live_since = 0;
	if (w->mode == WATCH_NOTIFY)
		poll_start(w->account);
}

/* Dovecot 2.3 names mailboxes in UTF-8 here, where LIST has modified UTF-7: "a&-b" is the mailbox
 * of that raw name, "a&b" to people, or from Dovecot that which people know as "a&-b". The numbers
 * of one must not be taken for the other's, its UIDVALIDITY least of all. */
static bool is_ambiguous(struct span name)
{
	return name.n > 0 && memchr(name.p, '&', name.n);
}

/* SET STATUS makes the server begin with a STATUS of each mailbox that it watches: that may not be
 * all (shared ones are not personal). */
static void on_status(struct watch *w, const struct imap_status_data *status)
{
	struct mailbox *raw = account_by_name(w->account, status->name);
	struct mailbox *text = account_by_text(w->account, status->name);
	struct mailbox *mb = raw ? raw : text;

	if (is_ambiguous(status->name)) {
		if (raw)
			poll_on_hint(raw);
		if (text && text != raw)
			poll_on_hint(text);
		/* Which one it is that the server watches is not known. */
		if (raw && text && raw != text)
			return;
	}
	if (!mb)
		return;
	mb->watched = w->generation;
	if (is_ambiguous(status->name)) {
		told(w, mb, true);
		return;
	}
	bool older = status->has_uidnext && status->has_messages &&
		     (status->uidnext < mb->uidnext ||
			     (status->uidnext == mb->uidnext &&
				     status->messages > mailbox_count(mb)));
	poll_on_status(w->account, w->task.conn, status);
	/* It may have another in its place now. */
	if (!mb->dead && !older)
		told(w, mb, !sync_agrees_with_status(mb));
}

/* What the LIST under way has said may be older. */
static void names_changed(struct account *a)
{
	if (a->lister)
		a->list_again = true;
	else
		lister_start(a, true, true);
}

static void on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct watch *w = list_entry(t, struct watch, task);

	if (r->kind == IMAP_STATUS)
		on_status(w, &r->status);
	else if (r->kind == IMAP_LIST)
		names_changed(w->account);
	else if (r->kind == IMAP_CONDITION && r->code == IMAP_CODE_NOTIFICATIONOVERFLOW)
		on_overflow(w);
}

static void enqueue(struct watch *w)
{
	if (w->stopping || w->queued || w->granted || w->mode == WATCH_POLL)
		return;
	if (w->mode == WATCH_IDLE && !w->in_use)
		return;
	w->task.mailbox = w->mode == WATCH_IDLE ? w->in_use : NULL;
	w->task.access = w->mode == WATCH_IDLE ? POOL_READ : POOL_NO_MAILBOX;
	w->task.deadline = UINT64_MAX;
	w->queued = true;
	pool_start(w->pool, &w->task);
}

/* --- the pool's events --- */

static int on_selected(void *ctx, struct mailbox *mb, struct conn *conn)
{
	int err = sync_on_selected(mb, conn);

	if (err == 0 && mb->news && mb->complete)
		sync_start(mb);
	return err;
}

static bool on_select(
	void *ctx, const struct mailbox *mb, struct span *name, struct buf *parameters)
{
	*name = mb->name;
	return mailbox_selectable(mb);
}

static void on_pool_untagged(void *ctx, struct mailbox *mb, struct conn *conn,
	const struct imap_response *r, uint32_t uid)
{
	bool news = r->kind == IMAP_EXISTS ? r->seq > mailbox_count(mb)
					   : r->kind == IMAP_EXPUNGE && uid == 0;

	if (!mb->dead && (news || r->kind == IMAP_EXPUNGE || r->kind == IMAP_VANISHED))
		told(ctx, mb, news);
	sync_on_untagged(mb, conn, r, uid);
}

static void on_batch(void *ctx, struct mailbox *mb)
{
	sync_on_batch(mb);
}

/* --- */

static void on_refresh(uv_timer_t *timer)
{
	struct watch *w = timer->data;

	/* What it finds then shows as soon as the server is back. */
	if (!pool_is_unsure(w->account->pool))
		poll_start(w->account);
}

struct watch *watch_create(struct account *a)
{
	static const struct pool_events events = {.on_selected = on_selected,
		.on_select = on_select,
		.on_untagged = on_pool_untagged,
		.on_batch = on_batch};
	struct watch *w = mem_zalloc(sizeof(*w));
	struct pool_options options = a->options.pool;

	options.connections = 1;
	options.quiet = true;
	w->account = a;
	w->pool = pool_create_beside(a->pool, &options, &events, w);
	w->task = (struct pool_task){
		.on_conn = on_conn,
		.on_fail = on_fail,
		.on_lost = on_lost,
		.on_untagged = on_untagged,
		.patient = true,
	};
	list_init(&w->task.link);
	imap_command_init(&w->command, false, NULL);
	uv_timer_init(a->loop, &w->judge);
	uv_timer_init(a->loop, &w->renew);
	uv_timer_init(a->loop, &w->refresh);
	w->judge.data = w->renew.data = w->refresh.data = w;
	w->renew.timer_cb = on_renew;
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
	uv_timer_start(&w->refresh, on_refresh, refresh, refresh);
	w->started = true;
	enqueue(w);
}

bool watch_started(const struct watch *w)
{
	return w->started;
}

static void on_timer_closed(uv_handle_t *handle)
{
	struct watch *w = handle->data;

	if (handle == (uv_handle_t *)&w->refresh)
		w->on_stopped(w->ctx);
}

static void on_pool_shut_down(void *ctx)
{
	struct watch *w = ctx;

	uv_close((uv_handle_t *)&w->judge, NULL);
	uv_close((uv_handle_t *)&w->renew, NULL);
	uv_close((uv_handle_t *)&w->refresh, on_timer_closed);
}

void watch_stop(struct watch *w, void (*on_done)(void *ctx), void *ctx)
{
	w->stopping = true;
	w->on_stopped = on_done;
	w->ctx = ctx;
	pool_shutdown(w->pool, on_pool_shut_down);
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
	if (w->granted)
		pool_end_idle(&w->task);
	else
		enqueue(w);
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
	if (w->granted && w->mode == WATCH_IDLE)
		pool_end_idle(&w->task);
}

void watch_each_mailbox(const struct watch *w, void (*f)(void *ctx, struct mailbox *mb), void *ctx)
{
	if (w->in_use)
		f(ctx, w->in_use);
	pool_each_mailbox(w->pool, f, ctx);
}

void watch_refresh(struct watch *w)
{
	renew(w);
	poll_start(w->account);
}

bool watch_covers(const struct watch *w, const struct mailbox *mb, uint64_t since)
{
	return !w->trust.late && tells_of(w, mb) &&
	       (w->mode == WATCH_IDLE || since >= w->live_since);
}

bool watch_has_names(const struct watch *w)
{
	return !w->started || w->mode == WATCH_NOTIFY;
}

void watch_use_names(struct watch *w, bool known)
{
	struct account *a = w->account;

	if (w->started && watch_has_names(w) && !a->lister && !pool_is_unsure(a->pool) &&
		uv_now(a->loop) >= a->listed + NAMES_FRESH)
		lister_start(a, false, !known);
}

bool watch_owns(const struct watch *w, const struct conn *conn)
{
	return w && w->granted && w->task.conn == conn;
}

struct pool *watch_pool(const struct watch *w)
{
	return w->pool;
}

const char *watch_mode(const struct watch *w)
{
	if (!live(w))
		return "polling";
	if (w->trust.late)
		return w->mode == WATCH_NOTIFY ? "NOTIFY (late; asking)" : "IDLE (late; asking)";
	return w->mode == WATCH_NOTIFY ? "NOTIFY" : "IDLE";
}
