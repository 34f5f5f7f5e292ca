#include "mail/poll.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"
#include "base/mem.h"
#include "mail/pool_private.h"
#include "mail/sync.h"

/* STATUS commands under way at a time. */
#define POLL_DEPTH 8
/* Connections that may be lost before the others are left to the next time. */
#define ATTEMPTS 3

struct poll {
	struct pool_task task;
	struct account_wait wait; /* for LIST */
	struct account *account;
	uint32_t *ids; /* of the mailboxes to ask for, rising */
	size_t count, room;
	size_t next; /* of these */
	unsigned pending;
	unsigned attempts; /* connections lost */
	bool lost;
	struct slot {
		struct imap_command command;
		struct poll *poll;
		size_t at; /* of ids: the mailbox that it asks for */
	} slots[POLL_DEPTH];
};

/* STATUS of the mailbox that is selected there is, on many servers, what that session was told
 * already (RFC 3501 section 6.3.10 advises against it). */
static bool is_own_view(const struct conn *conn, const struct mailbox *mb)
{
	return conn->mailbox == mb;
}

void poll_on_hint(struct mailbox *mb)
{
	if (!mb->loaded)
		return;
	/* The check under way may have been too early for this. */
	sync_told(mb);
	if (mb->complete && !mb->sync)
		sync_start(mb);
}

void poll_on_status(
	struct account *a, const struct conn *conn, const struct imap_status_data *status)
{
	struct mailbox *mb = account_by_name(a, status->name);

	if (!mb)
		mb = account_by_text(a, status->name);
	if (!mb || is_own_view(conn, mb))
		return;
	if (status->has_uidvalidity && mb->uidvalidity != 0 &&
		status->uidvalidity != mb->uidvalidity && status->uidvalidity != 0 &&
		!(status->has_messages &&
			sync_stays(mb, status->uidvalidity, status->messages, NULL)))
		mb = account_replace(a, mb);
	if (!mb)
		return;
	if (!status->has_messages || !status->has_uidnext)
		return;
	mb->status = (struct mailbox_status){uv_now(a->loop), status->messages, status->uidnext};
	if (!mb->loaded)
		return;
	if (!sync_agrees_with_status(mb))
		poll_on_hint(mb);
	else if (!mb->sync)
		mb->checked = uv_now(a->loop);
}

static void finish(struct poll *p)
{
	for (unsigned i = 0; i < POLL_DEPTH; i++)
		imap_command_finish(&p->slots[i].command);
	p->account->poll = NULL;
	free(p->ids);
	free(p);
}

static void on_fail(struct pool_task *t, int err)
{
	finish(list_entry(t, struct poll, task));
}

static void on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	if (r->kind == IMAP_STATUS)
		poll_on_status(list_entry(t, struct poll, task)->account, t->conn, &r->status);
}

static void on_conn(struct pool_task *t);

static bool wanted(const struct mailbox *mb)
{
	return mailbox_selectable(mb) && mb->loaded && mb->complete && !mb->sync;
}

/* What is selected is selected again: NOOP and IDLE in a mailbox that was deleted and made anew
 * would speak of the old one for ever. */
static void check_selected(struct account *a)
{
	LIST_FOREACH (pos, &a->pool->conns) {
		struct conn *c = list_entry(pos, struct conn, link);
		if (c->state != CONN_READY || !c->mailbox || c->next || !wanted(c->mailbox))
			continue;
		conn_select_next(c, c->mailbox, c->selected.writable, 0);
		sync_start(c->mailbox);
	}
}

static struct trouble_of asking(const struct mailbox *mb)
{
	return (struct trouble_of){.mailbox = mb, .work = on_conn};
}

static bool may_ask(const struct mailbox *mb)
{
	const struct account *a = mb->account;
	const struct trouble_of of = asking(mb);
	const struct backoff *b = trouble_find(&a->pool->trouble, &of);

	return !b || backoff_is_due(b, uv_now(a->loop));
}

static void note(void *ctx, uint64_t key, void *value)
{
	struct poll *p = ctx;
	const struct mailbox *mb = value;

	if (!wanted(mb))
		return;
	p->ids = array_grow(p->ids, &p->room, p->count + 1, sizeof(*p->ids));
	p->ids[p->count++] = mb->id;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* Gathers the mailboxes to ask for. */
static void note_all(struct poll *p)
{
	p->count = p->next = 0;
	map_each(&p->account->by_id, note, p);
	if (p->count > 0)
		qsort(p->ids, p->count, sizeof(*p->ids), compare);
}

/* The next that is still to be asked for, or NULL. */
static const struct mailbox *take_next(struct poll *p)
{
	while (p->next < p->count) {
		const struct mailbox *mb = account_mailbox(p->account, p->ids[p->next++]);
		if (mb && wanted(mb) && may_ask(mb))
			return mb;
	}
	return NULL;
}

static bool send_next(struct poll *p, struct slot *slot);

static void queue(struct poll *p)
{
	p->lost = false;
	p->task.deadline = account_deadline(p->account);
	pool_start(p->account->pool, &p->task);
}

/* Servers work in order: the first that is not answered is what the connection was lost over. The
 * others, which are behind it, are asked again. */
static void note_answer(struct poll *p, const struct slot *slot, bool answered)
{
	const struct mailbox *mb = account_mailbox(p->account, p->ids[slot->at]);

	if (!answered && !p->lost)
		p->next = slot->at + 1;
	if (mb && !p->lost) {
		const struct trouble_of of = asking(mb);
		if (answered)
			trouble_clear(&p->account->pool->trouble, &of);
		else
			conn_blame(p->task.conn, &of);
	}
	p->lost |= !answered;
}

static void on_done(struct imap_command *c, const struct imap_result *result)
{
	struct slot *slot = list_entry(c, struct slot, command);
	struct poll *p = slot->poll;

	note_answer(p, slot, result->response);
	p->pending--;
	if (!p->lost && send_next(p, slot))
		return;
	if (p->pending > 0)
		return;
	pool_end(&p->task);
	if (p->lost && ++p->attempts < ATTEMPTS && result->err != ERR_CANCELED)
		queue(p);
	else
		finish(p);
}

static bool send_next(struct poll *p, struct slot *slot)
{
	const struct mailbox *mb = take_next(p);
	struct imap_command *c = &slot->command;

	if (!mb)
		return false;
	slot->poll = p;
	slot->at = p->next - 1;
	imap_command_finish(c);
	imap_command_init(c, conn_literal_plus(p->task.conn), on_done);
	imap_command_add(c, "STATUS ");
	imap_command_add_string(c, mb->name);
	imap_command_add(c, " (MESSAGES UIDNEXT UIDVALIDITY)\r\n");
	p->pending++;
	pool_submit(&p->task, c);
	return true;
}

static void on_conn(struct pool_task *t)
{
	struct poll *p = list_entry(t, struct poll, task);
	unsigned sent = 0;

	/* After a lost connection it goes on where it was. */
	if (p->attempts == 0)
		note_all(p);
	while (sent < POLL_DEPTH && send_next(p, &p->slots[sent]))
		sent++;
	if (sent > 0)
		return;
	pool_end(t);
	finish(p);
}

static void on_listed(struct account_wait *w, int err)
{
	struct poll *p = list_entry(w, struct poll, wait);
	struct account *a = p->account;

	if (err == 0)
		check_selected(a);
	/* LIST brought the status along. */
	if (err < 0 || a->stated) {
		finish(p);
		return;
	}
	queue(p);
}

void poll_start(struct account *a)
{
	if (a->poll || a->on_stopped)
		return;
	struct poll *p = mem_zalloc(sizeof(*p));
	p->account = a;
	p->wait.on_wake = on_listed;
	p->task = (struct pool_task){
		.access = POOL_NO_MAILBOX,
		.on_conn = on_conn,
		.on_fail = on_fail,
		.on_untagged = on_untagged,
	};
	for (unsigned i = 0; i < POLL_DEPTH; i++)
		imap_command_init(&p->slots[i].command, false, NULL);
	a->poll = p;
	account_list(a, &p->wait);
}
