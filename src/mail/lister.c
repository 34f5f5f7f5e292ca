/*
 * LIST: reading the account's tree of mailboxes. One command; with LIST-STATUS its answer also
 * tells which mailboxes changed since they were last looked at.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/account.h"
#include "mail/poll.h"

struct lister {
	struct pool_task task;
	struct account *account;
	struct imap_command namespace, list;
	unsigned pending;
	int err;
	bool status;       /* wanted */
	bool named;        /* anything */
	bool confirming;   /* the second time */
	bool trusted;      /* what it says is what is: see on_row */
	bool young;        /* its connection */
	bool news;         /* it named what is not known, and is not trusted */
	uint32_t encoding; /* of names: IMAP_LIST_UTF8 or 0 */
};

static void wake_all(struct account *a, int err)
{
	struct list woken = LIST_INIT(woken);

	list_splice(&woken, &a->list_waiters);
	while (!list_empty(&woken)) {
		struct account_wait *w = list_entry(woken.next, struct account_wait, link);
		list_remove(&w->link);
		w->on_wake(w, err);
	}
}

static void enqueue(struct lister *l)
{
	l->task.deadline = account_deadline(l->account);
	l->named = l->news = false;
	pool_start(l->account->pool, &l->task);
}

static void finish(struct lister *l)
{
	struct account *a = l->account;
	int err = l->err;
	bool young = l->young;

	/* They would be forgotten, cache and inode numbers too: such news is asked for twice. */
	if (err == 0 && !l->confirming && (l->news || !account_list_is_complete(a))) {
		log_debug("LIST names other mailboxes than before: asking again");
		l->confirming = l->task.young = true;
		enqueue(l);
		return;
	}
	/* There is always an INBOX. */
	if (err == 0 && !l->named && !a->options.subscribed) {
		log_warning("%s: LIST names no mailbox at all", a->options.pool.host);
		l->err = err = ERR_PROTOCOL;
	}
	if (err == 0) {
		a->listed = uv_now(a->loop);
		if (l->young)
			a->listed_young = a->listed;
		account_on_listed(a);
	} else {
		account_on_list_failed(a);
	}
	imap_command_finish(&l->namespace);
	imap_command_finish(&l->list);
	a->lister = NULL;
	free(l);
	bool more = a->list_again || (a->list_young && !young);
	a->list_young = false;
	if (err == 0 && more)
		lister_start(a, true, true);
	wake_all(a, err);
}

static void on_fail(struct pool_task *t, int err)
{
	struct lister *l = list_entry(t, struct lister, task);

	l->err = err;
	finish(l);
}

static void command_done(struct lister *l)
{
	if (--l->pending > 0)
		return;
	pool_end(&l->task);
	finish(l);
}

static void on_namespace_done(struct imap_command *c, const struct imap_result *result)
{
	command_done(list_entry(c, struct lister, namespace));
}

static void on_list_done(struct imap_command *c, const struct imap_result *result)
{
	struct lister *l = list_entry(c, struct lister, list);

	l->err = result->err;
	if (result->err < 0 && result->response)
		log_warning("%s: LIST refused: %.*s", l->account->options.pool.host,
			(int)result->response->text.n, result->response->text.p);
	command_done(l);
}

static void expect_more(struct lister *l)
{
	l->task.progress_by = uv_now(l->account->loop) + l->account->options.pool.timeout;
}

/* A session of Dovecot 2.3 may list for ever what was when its list of mailboxes was spoilt: what
 * an old one names newly may be gone, and one that was logged in newly is asked. */
static void on_row(struct lister *l, const struct imap_list *list)
{
	struct account *a = l->account;

	if (!l->trusted && !account_knows_list(a, list->name, list->has_delimiter, list->delimiter,
				   list->flags)) {
		l->news = true;
		return;
	}
	account_on_list(
		a, list->name, list->has_delimiter, list->delimiter, list->flags | l->encoding);
}

static void on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct lister *l = list_entry(t, struct lister, task);
	struct account *a = l->account;

	l->named |= r->kind == IMAP_LIST;
	if (r->kind == IMAP_LIST || r->kind == IMAP_STATUS)
		expect_more(l);
	if (r->kind == IMAP_NAMESPACE && r->personal.present && r->personal.has_delimiter)
		a->delimiter = r->personal.delimiter;
	else if (r->kind == IMAP_STATUS)
		poll_on_status(a, t->conn, &r->status);
	else if (r->kind == IMAP_LIST)
		on_row(l, &r->list);
}

static void add_list(struct lister *l, uint32_t capabilities)
{
	struct account *a = l->account;
	struct imap_command *c = &l->list;
	bool extended = capabilities & IMAP_CAP_LIST_EXTENDED;
	bool status = l->status && (capabilities & IMAP_CAP_LIST_STATUS);

	if (a->options.subscribed)
		imap_command_add(c, extended ? "LIST (SUBSCRIBED) \"\" \"*\"" : "LSUB \"\" \"*\"");
	else
		imap_command_add(c, "LIST \"\" \"*\"");
	bool special = capabilities & IMAP_CAP_SPECIAL_USE;
	a->stated = extended && status;
	if (extended && (special || status))
		imap_command_add(c, " RETURN (%s%s%s)", special ? "SPECIAL-USE" : "",
			special && status ? " " : "",
			status ? "STATUS (MESSAGES UIDNEXT UIDVALIDITY)" : "");
	imap_command_add(c, "\r\n");
}

static void on_conn(struct pool_task *t)
{
	struct lister *l = list_entry(t, struct lister, task);
	struct account *a = l->account;
	uint32_t capabilities = pool_capabilities(a->pool);

	expect_more(l);
	l->young = pool_is_young(t);
	l->trusted = l->confirming || !a->listed || l->young;
	l->encoding = pool_enabled(a->pool, IMAP_CAP_UTF8_ACCEPT) ? IMAP_LIST_UTF8 : 0;
	a->generation++;
	a->left_out = 0;
	imap_command_finish(&l->namespace);
	imap_command_finish(&l->list);
	imap_command_init(&l->namespace, false, on_namespace_done);
	imap_command_init(&l->list, false, on_list_done);
	if ((capabilities & IMAP_CAP_NAMESPACE) && !a->delimiter) {
		imap_command_add(&l->namespace, "NAMESPACE\r\n");
		l->pending++;
		pool_submit(t, &l->namespace);
	}
	add_list(l, capabilities);
	l->pending++;
	pool_submit(t, &l->list);
}

void lister_start(struct account *a, bool status, bool young)
{
	/* Nobody would end it. */
	if (a->on_stopped)
		return;
	struct lister *l = mem_zalloc(sizeof(*l));
	a->list_again = false;
	l->account = a;
	l->status = status;
	l->task = (struct pool_task){
		.access = POOL_NO_MAILBOX,
		.young = young,
		.on_conn = on_conn,
		.on_fail = on_fail,
		.on_untagged = on_untagged,
	};
	a->lister = l;
	enqueue(l);
}
