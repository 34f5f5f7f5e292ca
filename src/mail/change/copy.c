/* SPDX-License-Identifier: MIT */
/*
 * One struct copying for each two mailboxes between which something is copied:
 *
 *   wait     for a connection that has the source selected and knows the messages
 *   status   where the target's UIDNEXT is not known: STATUS
 *   send     UID COPY of all that wait
 *   look     when the connection was lost behind it, or the server did not say under which UIDs
 *            they are: what there is in the target at or above its old UIDNEXT. A copy has the
 *            size and the date of what it is of. What is not there is sent again, and looked for
 *            once more then: the server may have carried out the first UID COPY after the look,
 *            and who copied is told, since nobody knows whose the other one is
 */
#include "mail/change/copy.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "link/retry.h"
#include "mail/model/uidset.h"
#include "mail/sync/sync.h"

/* As many UIDs of 10 digits as one command surely takes. */
#define BATCH_MAX (UIDSET_TEXT_MAX / 11)
/* Messages in the target that are looked at. */
#define ROWS_MAX 2000

struct copy_row {
	struct cache_message m;
	bool taken;
};

struct copying {
	struct list link; /* the account's copyings */
	struct account *account;
	struct mailbox *from, *to;  /* held */
	struct list waiting, batch; /* struct copy; batch in the order of UIDs */
	bool under_way;
	struct pool_task task, look_task;
	struct imap_command status, command, look;
	struct retry retry;
	uint32_t uidnext;     /* of the target, before; 0: not known */
	bool asked;           /* STATUS was answered */
	uint32_t uidvalidity; /* of the target, as STATUS said; 0: not known */
	bool lost;            /* the connection that UID COPY was sent over */
	bool again;           /* it is sent again, as a look has not found what was copied */
	bool named;           /* COPYUID has told all */
	struct copy_row *rows;
	size_t row_count;
	bool too_many;
};

static void begin(struct copying *w);

/* --- the ends --- */

static void free_copying(struct copying *w)
{
	list_remove(&w->link);
	list_remove(&w->task.link);
	list_remove(&w->look_task.link);
	imap_command_finish(&w->status);
	imap_command_finish(&w->command);
	imap_command_finish(&w->look);
	mailbox_release(w->from);
	mailbox_release(w->to);
	free(w->rows);
	free(w);
}

/* The batch is over: goes on with what came meanwhile. done: struct copy, to be answered. */
static void next_batch(struct copying *w)
{
	w->under_way = false;
	w->retry = (struct retry){0};
	w->uidnext = 0;
	w->asked = w->again = w->named = false;
	if (list_empty(&w->waiting))
		free_copying(w);
	else
		begin(w);
}

static void answer(struct list *done, int err)
{
	while (!list_empty(done)) {
		struct copy *c = list_entry(done->next, struct copy, link);
		list_remove(&c->link);
		c->on_done(c, err);
	}
}

static void end_batch(struct copying *w, int err)
{
	struct list done = LIST_INIT(done);

	if (err == ERR_UNSURE)
		log_warning("%s: the connection was lost when messages had been copied to %s, and "
			    "whether they are there cannot be known: look before you copy again",
			w->account->options.pool.host, mailbox_path(w->to));
	list_splice(&done, &w->batch);
	next_batch(w);
	answer(&done, err);
}

/* There is no connection: all that waits fails. */
static void fail_all(struct copying *w, int err)
{
	list_splice(&w->batch, &w->waiting);
	end_batch(w, w->from->dead ? ERR_GONE : w->to->dead ? ERR_NO_MAILBOX : err);
}

/* --- what is there now --- */

static void note_copied(struct copying *w, const struct copy *c)
{
	const struct cache_message *old = mailbox_find(w->from, c->uid);
	struct cache_message m = {.flags = CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN};

	if (old)
		m = *old;
	m.uid = c->new_uid;
	/* Not proved: the server may mix the UIDs up. */
	m.flags &= CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN;
	sync_note_added(w->to, &m);
}

/* --- look --- */

static void look_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct copying *w = list_entry(t, struct copying, look_task);
	const struct imap_fetch *f = &r->fetch;

	if (r->kind != IMAP_FETCH || uid < w->uidnext || !f->has_size || !f->has_date)
		return;
	for (size_t i = 0; i < w->row_count; i++)
		if (w->rows[i].m.uid == uid)
			return;
	w->too_many |= w->row_count == ROWS_MAX;
	if (w->row_count < ROWS_MAX)
		w->rows[w->row_count++] = (struct copy_row){
			.m = {.uid = uid, .size = f->size, .date = f->date}};
}

/* The first row that can be the copy. maybe: one has its size only. others: more than one can be. */
static struct copy_row *find_copy(
	struct copying *w, const struct copy *c, bool *maybe, bool *others)
{
	const struct cache_message *m = mailbox_find(w->from, c->uid);
	bool known = m && !(m->flags & (CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN));
	struct copy_row *found = NULL;

	*others = false;
	for (size_t i = 0; i < w->row_count; i++) {
		struct copy_row *row = &w->rows[i];
		bool same = known && row->m.size == m->size;
		if (row->taken)
			continue;
		bool fits = same && row->m.date == m->date;
		*others |= fits && found;
		if (fits && (!found || row->m.uid < found->m.uid))
			found = row;
		*maybe |= same || !known;
	}
	return found;
}

/* Takes those out of the batch that are found. True: of the others it is not known. */
static bool take_found(struct copying *w, struct list *done)
{
	bool maybe = w->too_many, others;

	LIST_FOREACH_SAFE (pos, &w->batch) {
		struct copy *c = list_entry(pos, struct copy, link);
		struct copy_row *row = find_copy(w, c, &maybe, &others);
		if (!row)
			continue;
		row->taken = true;
		/* Nobody may take another message for it. */
		c->new_uid = others ? 0 : row->m.uid;
		note_copied(w, c);
		list_remove(&c->link);
		list_append(done, &c->link);
	}
	return maybe;
}

/* When it was sent again, and another message that can be one of these copies is there beside them: tells
 * who copied. */
static void tell_twice(struct copying *w, const struct list *copies)
{
	bool maybe = false, others, twice = false;

	for (size_t i = 0; w->again && i < w->row_count; i++)
		LIST_FOREACH (pos, copies)
			w->rows[i].taken |= w->rows[i].m.uid ==
					    list_entry(pos, struct copy, link)->new_uid;
	LIST_FOREACH (pos, copies)
		twice |= w->again &&
			 find_copy(w, list_entry(pos, struct copy, link), &maybe, &others);
	if (twice)
		log_warning("%s: messages that were copied to %s may be there twice: the "
			    "connection was lost, and the server copied them after it had shown "
			    "that it had not",
			w->account->options.pool.host, mailbox_path(w->to));
}

static void end_named(struct copying *w);

static void look_over(struct copying *w, int err)
{
	struct list done = LIST_INIT(done);
	bool maybe = err < 0 || w->to->dead;

	if (w->named) {
		if (!maybe)
			tell_twice(w, &w->batch);
		end_named(w);
		return;
	}
	if (!maybe)
		maybe = take_found(w, &done);
	tell_twice(w, &done);
	if (list_empty(&w->batch)) {
		next_batch(w);
	} else if (w->lost && !maybe) {
		w->again = true;
		begin(w);
	} else if (w->lost) {
		end_batch(w, ERR_UNSURE);
	} else {
		/* The server said OK: they are there, but those that are seen to be not. */
		sync_note_added(w->to, &(struct cache_message){0});
		end_batch(w, maybe ? 0 : ERR_GONE);
	}
	answer(&done, 0);
}

static void look_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct copying *w = list_entry(c, struct copying, look);

	pool_end(&w->look_task);
	look_over(w, result->err);
}

static void look_on_conn(struct pool_task *t)
{
	struct copying *w = list_entry(t, struct copying, look_task);

	w->row_count = 0;
	w->too_many = false;
	pool_send(t, &w->look, look_on_done, "UID FETCH %u:* (UID RFC822.SIZE INTERNALDATE)",
		w->uidnext);
}

static void look_on_fail(struct pool_task *t, int err)
{
	look_over(list_entry(t, struct copying, look_task), err);
}

static void look(struct copying *w)
{
	if (!w->rows)
		w->rows = mem_alloc(ROWS_MAX * sizeof(*w->rows));
	w->look_task = (struct pool_task){
		.mailbox = w->to,
		.access = POOL_READ,
		.selected_after = pool_selection_now(),
		.deadline = account_deadline(w->account),
		.on_conn = look_on_conn,
		.on_fail = look_on_fail,
		.on_untagged = look_on_untagged,
	};
	pool_start(w->account->pool, &w->look_task);
}

/* --- send --- */

static void on_lost(struct copying *w, int err)
{
	bool again = retry_lost(&w->retry, err);

	w->lost = true;
	if (w->command.sent && (!again || w->uidnext == 0 || w->to->dead))
		end_batch(w, ERR_UNSURE);
	else if (w->command.sent)
		look(w);
	else if (again && !w->from->dead && !w->to->dead)
		begin(w);
	else
		fail_all(w, err);
}

/* COPYUID names each: what it does not name was not there any more. */
static void take_named(struct copying *w, const struct imap_uids *uids)
{
	LIST_FOREACH (pos, &w->batch) {
		struct copy *c = list_entry(pos, struct copy, link);
		c->new_uid = imap_uids_find(uids, c->uid);
	}
	w->named = true;
	if (w->again && !w->to->dead)
		look(w);
	else
		end_named(w);
}

static void end_named(struct copying *w)
{
	struct list done = LIST_INIT(done);

	LIST_FOREACH_SAFE (pos, &w->batch) {
		struct copy *c = list_entry(pos, struct copy, link);
		if (c->new_uid == 0)
			continue;
		note_copied(w, c);
		list_remove(&c->link);
		list_append(&done, &c->link);
	}
	end_batch(w, ERR_GONE);
	answer(&done, 0);
}

/* Each UID is one that can be new. */
static bool named_are_new(const struct copying *w, const struct imap_uids *uids)
{
	LIST_FOREACH (pos, &w->batch) {
		uint32_t uid = imap_uids_find(uids, list_entry(pos, struct copy, link)->uid);
		if (uid != 0 && uid < w->uidnext)
			return false;
	}
	return true;
}

/* Of a mailbox that was never selected only STATUS has told. */
static uint32_t known_uidvalidity(const struct copying *w)
{
	return w->to->uidvalidity ? w->to->uidvalidity : w->uidvalidity;
}

/* Others have expunged one of them a moment ago, and then none is copied: the server tells of that before it
 * answers the next command. */
static bool is_passing(const struct imap_result *result)
{
	return result->outcome == IMAP_BUSY ||
	       (result->response && result->response->code == IMAP_CODE_EXPUNGEISSUED &&
		       result->err < 0);
}

static void copy_on_answer(struct imap_command *c, const struct imap_result *result)
{
	struct copying *w = list_entry(c, struct copying, command);
	const struct imap_response *r = result->response;

	pool_end(&w->task);
	if (result->outcome == IMAP_LOST)
		on_lost(w, result->err);
	else if (is_passing(result) && retry_busy(&w->retry, RETRY_BRIEF)) {
		begin(w);
		pool_delay(&w->task, w->account->pool, retry_delay(&w->retry));
	} else if (result->err < 0)
		end_batch(w, r->code == IMAP_CODE_TRYCREATE ? ERR_NO_MAILBOX : result->err);
	else if (r->code == IMAP_CODE_COPYUID && r->uids.uidvalidity == known_uidvalidity(w) &&
		 r->uids.uidvalidity != 0 && named_are_new(w, &r->uids))
		take_named(w, &r->uids);
	else if (w->uidnext > 0 && !w->to->dead)
		look(w);
	else
		look_over(w, ERR_UNSURE);
}

static int by_uid(const void *a, const void *b)
{
	const struct copy *x = *(struct copy *const *)a, *y = *(struct copy *const *)b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* As many as share a command, in the order of UIDs. */
static void fill_batch(struct copying *w, struct uidset *set)
{
	struct copy *all[BATCH_MAX];
	size_t n = 0;

	list_splice(&w->batch, &w->waiting);
	LIST_FOREACH_SAFE (pos, &w->batch) {
		struct copy *c = list_entry(pos, struct copy, link);
		list_remove(&c->link);
		if (n < BATCH_MAX && pool_is_told(&w->task, c->uid))
			all[n++] = c;
		else
			list_append(&w->waiting, &c->link);
	}
	qsort(all, n, sizeof(*all), by_uid);
	for (size_t i = 0; i < n; i++) {
		list_append(&w->batch, &all[i]->link);
		uidset_add(set, all[i]->uid, all[i]->uid);
	}
}

static void send_copy(struct copying *w)
{
	struct imap_command *c = &w->command;
	struct uidset set = {0};
	struct buf text;

	w->lost = false;
	fill_batch(w, &set);
	if (list_empty(&w->batch)) {
		uidset_finish(&set);
		pool_end(&w->task);
		next_batch(w);
		return;
	}
	buf_init(&text, UIDSET_TEXT_MAX);
	uidset_take_text(&set, &text);
	imap_command_begin(c, conn_literal_plus(w->task.conn), copy_on_answer);
	imap_command_add(c, "UID COPY %s ", buf_cstr(&text));
	imap_command_add_string(c, w->to->name);
	imap_command_add(c, "\r\n");
	buf_finish(&text);
	uidset_finish(&set);
	pool_submit(&w->task, c);
}

/* --- status --- */

static void status_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct copying *w = list_entry(c, struct copying, status);

	w->asked = true;
	w->command.sent = false;
	if (result->outcome != IMAP_LOST && !w->from->dead && !w->to->dead) {
		send_copy(w);
		return;
	}
	pool_end(&w->task);
	on_lost(w, result->outcome == IMAP_LOST ? result->err : ERR_CANCELED);
}

static void copy_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct copying *w = list_entry(t, struct copying, task);

	if (r->kind != IMAP_STATUS || w->asked || !span_equal(r->status.name, w->to->name))
		return;
	if (r->status.has_uidvalidity)
		w->uidvalidity = r->status.uidvalidity;
	if (r->status.has_uidnext && (!r->status.has_uidvalidity || w->to->uidvalidity == 0 ||
					     r->status.uidvalidity == w->to->uidvalidity))
		w->uidnext = r->status.uidnext;
}

static void copy_on_conn(struct pool_task *t)
{
	struct copying *w = list_entry(t, struct copying, task);
	struct imap_command *c = &w->status;

	if (w->to->dead || (list_empty(&w->waiting) && list_empty(&w->batch))) {
		pool_end(t);
		fail_all(w, ERR_NO_MAILBOX);
		return;
	}
	w->under_way = true;
	if (w->uidnext == 0)
		w->uidnext = w->to->messages.uidnext;
	if (w->uidnext > 0 || w->asked) {
		send_copy(w);
		return;
	}
	imap_command_begin(c, conn_literal_plus(t->conn), status_on_done);
	imap_command_add(c, "STATUS ");
	imap_command_add_string(c, w->to->name);
	imap_command_add(c, " (UIDNEXT UIDVALIDITY)\r\n");
	pool_submit(t, c);
}

static void copy_on_fail(struct pool_task *t, int err)
{
	fail_all(list_entry(t, struct copying, task), err);
}

static uint32_t highest(const struct list *copies, uint32_t uid)
{
	LIST_FOREACH (pos, copies) {
		const struct copy *c = list_entry(pos, struct copy, link);
		uid = c->uid > uid ? c->uid : uid;
	}
	return uid;
}

static void begin(struct copying *w)
{
	w->under_way = false;
	w->task = (struct pool_task){
		.mailbox = w->from,
		/* Courier puts nothing into the mailbox that the connection has examined. */
		.access = w->from == w->to ? POOL_WRITE : POOL_READ,
		.uid = highest(&w->batch, highest(&w->waiting, 0)),
		.deadline = account_deadline(w->account),
		.on_conn = copy_on_conn,
		.on_fail = copy_on_fail,
		.on_untagged = copy_on_untagged,
	};
	if (w->account->on_stopped)
		fail_all(w, ERR_CANCELED);
	else
		pool_start(w->account->pool, &w->task);
}

/* --- from outside --- */

static struct copying *find_copying(struct account *a, const struct copy *c)
{
	LIST_FOREACH (pos, &a->copyings) {
		struct copying *w = list_entry(pos, struct copying, link);
		if (w->from == c->from && w->to == c->to)
			return w;
	}
	return NULL;
}

static struct copying *create(struct account *a, const struct copy *c)
{
	struct copying *w = mem_zalloc(sizeof(*w));

	w->account = a;
	w->from = mailbox_hold(c->from);
	w->to = mailbox_hold(c->to);
	list_init(&w->waiting);
	list_init(&w->batch);
	list_init(&w->task.link);
	list_init(&w->look_task.link);
	imap_command_init(&w->status, false, NULL);
	imap_command_init(&w->command, false, NULL);
	imap_command_init(&w->look, false, NULL);
	list_append(&a->copyings, &w->link);
	return w;
}

void copy_start(struct copy *c)
{
	struct account *a = c->from->account;
	struct copying *w = find_copying(a, c);
	bool is_new = !w;

	if (is_new)
		w = create(a, c);
	c->new_uid = 0;
	list_append(&w->waiting, &c->link);
	if (is_new)
		begin(w);
	else if (!w->under_way && c->uid > w->task.uid)
		w->task.uid = c->uid;
}

bool copy_cancel(struct copy *c)
{
	struct copying *w = find_copying(c->from->account, c);
	bool waits = false;

	if (w)
		LIST_FOREACH (pos, &w->waiting)
			waits |= pos == &c->link;
	list_remove(&c->link);
	return waits;
}

void copy_forget_all(struct account *a)
{
	LIST_FOREACH_SAFE (pos, &a->copyings) {
		struct copying *w = list_entry(pos, struct copying, link);
		while (!list_empty(&w->waiting))
			list_remove(w->waiting.next);
		while (!list_empty(&w->batch))
			list_remove(w->batch.next);
		free_copying(w);
	}
}
