/* SPDX-License-Identifier: MIT */
/*
 * LIST: reading the account's tree of mailboxes. One command; with LIST-STATUS its answer also
 * tells which mailboxes changed since they were last looked at. One LIST runs at a time.
 *
 * Not every connection can be believed. A session of Dovecot 2.3 whose list of mailboxes was spoilt
 * may list for ever what was. So it is kept which connection named the mailboxes last, as the
 * number that each gets when it is made: an older one is not believed when it names others, and when
 * there is news of names, all connections that were made before are in doubt, until a newer one has
 * been asked.
 */
#include "mail/sync/lister.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/sync/statuses.h"

/* Milliseconds for which the tree counts as fresh without asking again. */
#define LIST_FRESH 2000
/* Milliseconds for which a LIST is in vain that named a mailbox which cannot be selected. */
#define VAIN_LASTS 2000

struct lister {
	struct account *account;
	struct list waiters; /* struct lister_wait */
	struct pool_task task;
	struct imap_command namespace, list;
	char delimiter;     /* of the personal namespace; 0: not known */
	char personal[128]; /* the same with its prefix, for people */

	/* What was listed. */
	uint64_t listed_at; /* uv_now of the last LIST that succeeded; 0: never */
	uint64_t vain_at;   /* uv_now when one had named a mailbox that was refused; 0: never */
	bool has_status;    /* the last LIST brought the status of each mailbox along */

	/* Who is believed. */
	unsigned named_by; /* the number of the connection that named the mailboxes last */
	uint64_t login_at; /* uv_now when that one was logged in */
	unsigned doubted;  /* what connections up to this number name may be old */
	uv_timer_t relist; /* runs while there can be no newer connection yet */

	/* Names change by what we do ourselves: see lister_pause. */
	unsigned paused;
	bool put_off; /* a LIST was to begin meanwhile */

	/* The LIST under way. */
	bool running;
	bool again; /* names have changed since it began */
	struct {
		unsigned pending; /* commands */
		int err;
		bool status;       /* the status of each mailbox is wanted along */
		bool newer;        /* a connection that is not in doubt was asked for */
		bool overtaken;    /* names have changed by us: it is not believed */
		bool confirming;   /* it is asked for the second time */
		bool named;        /* it named any mailbox */
		bool news;         /* it named one that is not known */
		bool trusted;      /* what it names is what is: see on_row */
		unsigned number;   /* of its connection */
		uint64_t login_at; /* uv_now when that was logged in */
		uint32_t encoding; /* of names: IMAP_LIST_UTF8 or 0 */
	} now;
};

static void wake_all(struct lister *l, int err)
{
	struct list woken = LIST_INIT(woken);

	list_splice(&woken, &l->waiters);
	while (!list_empty(&woken)) {
		struct lister_wait *w = list_entry(woken.next, struct lister_wait, link);
		list_remove(&w->link);
		w->on_wake(w, err);
	}
}

static void queue_list(struct lister *l)
{
	l->task.deadline = account_deadline(l->account);
	l->now.named = l->now.news = false;
	pool_start(l->account->pool, &l->task);
}

/* --- when names may be old --- */

void lister_doubt(struct account *a)
{
	a->lister->doubted = pool_made(a->pool);
}

void lister_doubt_older(struct account *a, uint64_t age)
{
	if (age < POOL_RENEWAL)
		age = POOL_RENEWAL;
	if (uv_now(a->loop) >= a->lister->login_at + age)
		lister_doubt(a);
}

static void lister_on_relist(uv_timer_t *timer)
{
	struct lister *l = timer->data;

	/* The next LIST that comes to its end goes on with it. */
	if (!l->running && !pool_is_unsure(l->account->pool))
		lister_start(l->account, true, true);
}

/* Another LIST, if the one that ended leaves names in doubt: now, or when there can be a newer
 * connection. */
static void follow(struct lister *l)
{
	struct account *a = l->account;
	uint64_t now = uv_now(a->loop), at = pool_renews_at(a->pool);

	if (l->named_by > l->doubted || a->on_stopped || uv_is_active((uv_handle_t *)&l->relist))
		return;
	/* One that is not in doubt was asked for already, in vain. */
	if (l->now.newer || at > now)
		uv_timer_start(&l->relist, lister_on_relist, at > now ? at - now : POOL_RENEWAL, 0);
	else
		lister_start(a, true, true);
}

/* --- the end of a LIST --- */

/* What is not named twice running would be forgotten, its cache and its inode numbers too. */
static bool is_to_be_confirmed(const struct lister *l, bool complete)
{
	return l->now.err == 0 && !l->now.confirming &&
	       (!complete || (l->now.news && !l->now.trusted));
}

static void confirm(struct lister *l)
{
	log_debug("LIST names other mailboxes than before: asking again");
	l->now.confirming = l->now.newer = true;
	l->task.newer_than = l->doubted;
	queue_list(l);
}

static void end_list(struct lister *l)
{
	struct account *a = l->account;

	/* There is always an INBOX. */
	if (l->now.err == 0 && !l->now.named && !a->options.subscribed) {
		log_warning("%s: LIST names no mailbox at all", a->options.pool.host);
		l->now.err = ERR_PROTOCOL;
	}
	if (l->now.err < 0) {
		tree_fail_list(&a->tree);
		return;
	}
	l->listed_at = uv_now(a->loop);
	if (l->now.trusted) {
		l->named_by = l->now.number;
		l->login_at = l->now.login_at;
	}
	tree_end_list(&a->tree);
}

/* Begins anew, for those who wait. */
static void conclude_overtaken(struct lister *l)
{
	int err = l->now.err;

	tree_fail_list(&l->account->tree);
	l->running = false;
	if (err == 0)
		lister_start(l->account, true, l->now.newer);
	else
		wake_all(l, err);
}

static void conclude_list(struct lister *l)
{
	struct account *a = l->account;

	if (l->now.overtaken) {
		conclude_overtaken(l);
		return;
	}
	bool complete = tree_list_is_complete(&a->tree);

	if (l->now.err == 0 && l->listed_at && !l->now.confirming && (l->now.news || !complete))
		lister_doubt(a);
	if (is_to_be_confirmed(l, complete)) {
		confirm(l);
		return;
	}
	end_list(l);
	l->running = false;
	int err = l->now.err;
	if (err == 0 && l->again)
		lister_start(a, true, true);
	else if (err == 0)
		follow(l);
	wake_all(l, err);
}

static void lister_on_fail(struct pool_task *t, int err)
{
	struct lister *l = list_entry(t, struct lister, task);

	l->now.err = err;
	conclude_list(l);
}

static void command_done(struct lister *l)
{
	if (--l->now.pending > 0)
		return;
	pool_end(&l->task);
	conclude_list(l);
}

static void lister_on_namespace_done(struct imap_command *c, const struct imap_result *result)
{
	command_done(list_entry(c, struct lister, namespace));
}

static void lister_on_list_done(struct imap_command *c, const struct imap_result *result)
{
	struct lister *l = list_entry(c, struct lister, list);

	l->now.err = result->err;
	if (result->err < 0 && result->outcome != IMAP_LOST)
		log_warning("%s: LIST refused: %.*s", l->account->options.pool.host,
			(int)result->response->text.n, result->response->text.p);
	command_done(l);
}

/* --- a LIST runs --- */

static void expect_more(struct lister *l)
{
	l->task.progress_by = uv_now(l->account->loop) + l->account->options.pool.timeout;
}

/* What an older connection than the one that named the mailboxes last names newly may be gone: a
 * newer one is asked. */
static void lister_on_row(struct lister *l, const struct imap_list *list)
{
	struct tree *t = &l->account->tree;

	if (l->now.overtaken)
		return;
	bool known = tree_knows_list(
		t, list->name, list->has_delimiter, list->delimiter, list->flags);

	l->now.news |= !known;
	if (known || l->now.trusted)
		tree_add_list(t, list->name, list->has_delimiter, list->delimiter,
			list->flags | l->now.encoding);
}

static void note_namespace(struct lister *l, const struct imap_namespace *personal)
{
	char prefix[96];

	l->delimiter = personal->delimiter;
	text_printable(personal->prefix, prefix, sizeof(prefix));
	snprintf(l->personal, sizeof(l->personal), "\"%s\" \"%c\"", prefix,
		personal->delimiter >= 0x20 && personal->delimiter < 0x7f ? personal->delimiter
									  : '?');
}

const char *lister_namespace(const struct account *a)
{
	return a->lister->personal;
}

static void lister_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct lister *l = list_entry(t, struct lister, task);

	l->now.named |= r->kind == IMAP_LIST;
	if (r->kind == IMAP_LIST || r->kind == IMAP_STATUS)
		expect_more(l);
	if (r->kind == IMAP_NAMESPACE && r->personal.present && r->personal.has_delimiter)
		note_namespace(l, &r->personal);
	else if (r->kind == IMAP_STATUS)
		statuses_on_status(l->account, t->conn, &r->status);
	else if (r->kind == IMAP_LIST)
		lister_on_row(l, &r->list);
}

static void send_list(struct lister *l, uint32_t capabilities)
{
	struct imap_command *c = &l->list;
	bool extended = capabilities & IMAP_CAP_LIST_EXTENDED;
	bool special = capabilities & IMAP_CAP_SPECIAL_USE;
	bool status = l->now.status && (capabilities & IMAP_CAP_LIST_STATUS);

	imap_command_finish(c);
	imap_command_init(c, false, lister_on_list_done);
	if (l->account->options.subscribed)
		imap_command_add(c, extended ? "LIST (SUBSCRIBED) \"\" \"*\"" : "LSUB \"\" \"*\"");
	else
		imap_command_add(c, "LIST \"\" \"*\"");
	l->has_status = extended && status;
	if (extended && (special || status))
		imap_command_add(c, " RETURN (%s%s%s)", special ? "SPECIAL-USE" : "",
			special && status ? " " : "",
			status ? "STATUS (MESSAGES UIDNEXT UIDVALIDITY)" : "");
	imap_command_add(c, "\r\n");
	l->now.pending++;
	pool_submit(&l->task, c);
}

static void lister_on_conn(struct pool_task *t)
{
	struct lister *l = list_entry(t, struct lister, task);
	struct account *a = l->account;
	uint32_t capabilities = pool_capabilities(a->pool);

	expect_more(l);
	l->now.number = pool_number(t);
	l->now.login_at = pool_logged_in_at(t);
	l->now.trusted = l->now.confirming || !l->listed_at || l->now.number >= l->named_by;
	l->now.encoding = pool_enabled(a->pool, IMAP_CAP_UTF8_ACCEPT) ? IMAP_LIST_UTF8 : 0;
	tree_begin_list(&a->tree);
	if ((capabilities & IMAP_CAP_NAMESPACE) && !l->delimiter) {
		l->now.pending++;
		pool_send(t, &l->namespace, lister_on_namespace_done, "NAMESPACE");
	}
	send_list(l, capabilities);
}

void lister_start(struct account *a, bool status, bool newer)
{
	struct lister *l = a->lister;

	/* Nobody would end it. */
	if (a->on_stopped)
		return;
	if (l->paused > 0) {
		l->put_off = true;
		return;
	}
	memset(&l->now, 0, sizeof(l->now));
	l->now.status = status;
	l->now.newer = newer;
	l->running = true;
	l->again = false;
	l->task = (struct pool_task){
		.access = POOL_NO_MAILBOX,
		.newer_than = newer ? l->doubted : 0,
		.on_conn = lister_on_conn,
		.on_fail = lister_on_fail,
		.on_untagged = lister_on_untagged,
	};
	queue_list(l);
}

/* --- for the others --- */

void lister_pause(struct account *a)
{
	a->lister->paused++;
	a->lister->now.overtaken = true;
}

void lister_resume(struct account *a)
{
	struct lister *l = a->lister;

	if (--l->paused > 0 || l->running)
		return;
	if (l->put_off || !list_empty(&l->waiters))
		lister_start(a, true, false);
	l->put_off = false;
}

void lister_list(struct account *a, struct lister_wait *w, bool newer)
{
	if (w)
		list_append(&a->lister->waiters, &w->link);
	if (!a->lister->running)
		lister_start(a, true, newer);
}

void lister_on_news(struct account *a)
{
	lister_doubt(a);
	/* What the LIST under way has named may be older. */
	if (a->lister->running)
		a->lister->again = true;
	else
		lister_start(a, true, true);
}

bool lister_is_running(const struct account *a)
{
	return a->lister->running;
}

bool lister_is_fresh(const struct account *a, uint64_t age)
{
	uint64_t at = a->lister->listed_at;

	return at && uv_now(a->loop) < at + age;
}

bool lister_fresh_try(struct account *a, struct lister_wait *w)
{
	if (lister_is_fresh(a, LIST_FRESH) || pool_is_unsure(a->pool))
		return true;
	/* A login is not waited for. */
	lister_doubt_older(a, a->options.refresh);
	lister_list(a, w, false);
	return false;
}

void lister_unwait(struct lister_wait *w)
{
	list_remove(&w->link);
}

bool lister_has_status(const struct account *a)
{
	return a->lister->has_status;
}

void lister_note_vain(struct account *a)
{
	a->lister->vain_at = uv_now(a->loop);
}

bool lister_is_vain(const struct account *a)
{
	uint64_t at = a->lister->vain_at;

	return at && uv_now(a->loop) < at + VAIN_LASTS;
}

struct lister *lister_create(struct account *a)
{
	struct lister *l = mem_zalloc(sizeof(*l));

	l->account = a;
	list_init(&l->waiters);
	imap_command_init(&l->namespace, false, NULL);
	imap_command_init(&l->list, false, NULL);
	uv_timer_init(a->loop, &l->relist);
	l->relist.data = l;
	return l;
}

void lister_stop(struct lister *l)
{
	uv_close((uv_handle_t *)&l->relist, NULL);
}

void lister_destroy(struct lister *l)
{
	imap_command_finish(&l->namespace);
	imap_command_finish(&l->list);
	free(l);
}
