/* SPDX-License-Identifier: MIT */
/*
 * Two looks at the batch's messages: before they are marked, whether they are those that were
 * shown (Proton's Bridge may give its messages other UIDs without another UIDVALIDITY); and after
 * the server confirmed, whether they are gone, unless it has told so of each.
 */
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "imap/date.h"
#include "mail/change/private.h"
#include "mail/sync/sync.h"

#define TRIES_MAX 4

/* --- compare --- */

/* UIDs stay what they are within a selection: once the messages that were asked about in it were
 * right, all are, which is worth a turn; but for those that are there only because the server said so
 * when they were put in. A removal that came after the question was sent is not part of its answer. */
bool verify_is_due(const struct changes *c, const struct change *r)
{
	uint64_t selection = conn_selected(c->task.conn)->asked;

	return r->compared != selection &&
	       (c->mb->removal.compared != selection || mailbox_is_assumed(c->mb, r->uid));
}

static bool was_compared(const struct changes *c)
{
	LIST_FOREACH (pos, &c->batch)
		if (verify_is_due(c, list_entry(pos, struct change, link)))
			return false;
	return true;
}

/* Of a server that repeats itself no more rows are taken than messages were asked for. */
static void compare_send(struct changes *c)
{
	step_send_piece(c, "UID FETCH", " (UID RFC822.SIZE INTERNALDATE)");
}

static void compare_on_row(struct changes *c, const struct imap_fetch *row, uint32_t uid)
{
	struct compared *rows = &c->compared;

	if (!row->has_size || !row->has_date || !uidset_has(&c->uids, uid) || rows->n >= BATCH_MAX)
		return;
	if (!rows->all)
		rows->all = mem_alloc(BATCH_MAX * sizeof(*rows->all));
	rows->all[rows->n++] = (struct cache_message){
		.uid = uid, .size = row->size, .date = row->date};
}

static int by_uid(const void *a, const void *b)
{
	const struct cache_message *x = a, *y = b;

	return (x->uid > y->uid) - (x->uid < y->uid);
}

/* The row of another message than the one that was shown; NULL: nothing speaks against it, or it is
 * gone. */
static const struct cache_message *find_other(const struct changes *c, const struct change *r)
{
	const struct cache_message key = {.uid = r->uid}, *row = NULL;

	if (c->compared.n > 0 && mailbox_find(c->mb, r->uid))
		row = bsearch(&key, c->compared.all, c->compared.n, sizeof(key), by_uid);
	return row && message_is_other(&r->shown, row) ? row : NULL;
}

static void tell_other(
	const struct changes *c, const struct change *r, const struct cache_message *is)
{
	char was[IMAP_DATE_ISO_LENGTH + 1] = "?", now[IMAP_DATE_ISO_LENGTH + 1] = "?";

	imap_date_iso(r->shown.date, was);
	imap_date_iso(is->date, now);
	log_warning("%s: %s/%u is not removed: it is another message than was shown"
		    " (%llu bytes of %s, shown were %llu of %s)",
		c->mb->account->options.pool.host, mailbox_path(c->mb), r->uid,
		(unsigned long long)is->size, now, (unsigned long long)r->shown.size, was);
}

/* Dovecot writes 0 octets of 1970 for a message that was expunged a moment ago, before it tells of that.
 * What it has under that UID it knows where the mailbox is selected anew. */
static bool is_unclear(const struct changes *c, const struct cache_message *other)
{
	return other && other->size == 0 && !c->selected_anew;
}

/* Also when the server refused to tell: nothing speaks against them then. */
static void compare_over(struct changes *c)
{
	uint64_t selection = conn_selected(c->task.conn)->asked;
	struct list others = LIST_INIT(others);
	bool unclear = false;

	if (c->compared.n > 0)
		qsort(c->compared.all, c->compared.n, sizeof(*c->compared.all), by_uid);
	LIST_FOREACH_SAFE (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		r->compared = selection;
		const struct cache_message *other = find_other(c, r);
		unclear |= is_unclear(c, other);
		if (!other || is_unclear(c, other))
			continue;
		tell_other(c, r, other);
		list_remove(&r->link);
		list_append(&others, &r->link);
	}
	/* When all were given up meanwhile nothing was compared. */
	if (list_empty(&others) && !list_empty(&c->batch) && !unclear)
		c->mb->removal.compared = selection;
	free(c->compared.all);
	c->compared = (struct compared){0};
	queue_answer(&others, ERR_REFUSED);
	if (unclear) {
		c->task.selected_after = pool_selection_now();
		queue_start_over(c);
	} else {
		course_start_compared(c);
	}
}

static const struct step compare = {
	.name = "compare",
	.send = compare_send,
	.on_row = compare_on_row,
	.ok = compare_over,
	.refused = compare_over,
};

bool verify_first(struct changes *c)
{
	if (was_compared(c))
		return false;
	c->compared.n = 0;
	step_go_over(c, &compare, &c->uids);
	return true;
}

/* --- verify --- */

/* Dovecot 2.3 may answer OK and do nothing when EXPUNGE comes in one turn with STORE: it looks for what is
 * marked as it was before the turn, and how often that is so depends on when it wrote its index (often
 * for hundreds of messages, and by no other command between them). What is marked by then goes with the
 * next one. */
static void verify_send(struct changes *c)
{
	if (c->expunge.again)
		step_send_piece(c, "UID EXPUNGE", "")->helps = true;
	step_send_fetch(c);
}

static void verify_on_row(struct changes *c, const struct imap_fetch *row, uint32_t uid)
{
	step_note_found(c, &c->uids, uid);
}

static void note_gone(struct changes *c, uint32_t uid)
{
	struct account *a = c->mb->account;

	if (!mailbox_remove(c->mb, uid))
		return;
	mailbox_touch(c->mb);
	a->observer.on_message_gone(a->ctx, c->mb, uid);
}

/* EXPUNGE was answered OK, and the server does not show the message. That says something where it
 * showed it before, on the same connection; or where the mailbox was selected anew since. Else this
 * connection was never told of the message, and nothing has happened to it. */
static bool is_expunged(const struct changes *c, uint32_t uid, bool answered)
{
	if (!mailbox_find(c->mb, uid))
		return true;
	return !uidset_has(&c->now.found, uid) &&
	       (uidset_has(&c->expunge.rows, uid) || (answered && c->selected_anew));
}

/* Moves from the batch to left those that are not gone. True when one of them was not seen at all on
 * this connection: nothing is known of it then. */
static bool take_left(struct changes *c, struct list *left, bool answered)
{
	bool unclear = false;

	LIST_FOREACH_SAFE (pos, &c->batch) {
		struct change *r = list_entry(pos, struct change, link);
		if (is_expunged(c, r->uid, answered)) {
			note_gone(c, r->uid);
			continue;
		}
		unclear |= !uidset_has(&c->expunge.rows, r->uid) &&
			   !uidset_has(&c->now.found, r->uid);
		list_remove(&r->link);
		list_append(left, &r->link);
	}
	return unclear;
}

/* answered: the server has said which of them it still has. */
static void judge_batch(struct changes *c, bool answered)
{
	struct list left = LIST_INIT(left);

	uidset_sort(&c->now.found);
	if (take_left(c, &left, answered) && !c->selected_anew) {
		queue_answer(&c->batch, 0);
		list_splice(&c->batch, &left);
		c->task.selected_after = pool_selection_now();
		queue_start_over(c);
		return;
	}
	if (!list_empty(&left) && ++c->expunge.tries < TRIES_MAX) {
		list_splice(&c->batch, &left);
		c->over = false;
		course_start(c);
		return;
	}
	if (!list_empty(&left))
		log_warning(
			"%s: the server says that it expunged messages of %s, but still has them",
			c->mb->account->options.pool.host, mailbox_path(c->mb));
	queue_answer(&left, ERR_REFUSED);
	queue_end_batch(c, 0);
}

static void verify_ok(struct changes *c)
{
	judge_batch(c, true);
}

static void verify_refused(struct changes *c)
{
	/* Said of some messages only, it proves nothing of the others. */
	if (c->now.err == ERR_PARTIAL) {
		queue_end_batch(c, ERR_PARTIAL);
		return;
	}
	/* The next check finds out what there is. */
	sync_note_holes(c->mb);
	judge_batch(c, false);
}

static const struct step verify = {
	.name = "verify",
	.send = verify_send,
	.on_row = verify_on_row,
	.ok = verify_ok,
	.refused = verify_refused,
};

void verify_start(struct changes *c)
{
	step_go_over(c, &verify, &c->uids);
}
