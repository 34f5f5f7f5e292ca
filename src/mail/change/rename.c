/* SPDX-License-Identifier: MIT */
/*
 * A mailbox gets another name: RENAME, which takes along what is below it (RFC 3501 section 6.3.5),
 * and LIST of both names, in one turn. The tree keeps the ids: what is cached, journaled and open
 * stays. Where only subscribed mailboxes are shown, the subscriptions move behind them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "base/mem.h"
#include "imap/response.h"
#include "mail/change/mailboxes_private.h"
#include "mail/sync/lister.h"
#include "mail/sync/watch.h"

static const struct job_step move, resubscribe;

/* --- the tree --- */

/* No connection has any of them selected by its old name from now on. */
static void forget_selected(struct mailboxes_job *job)
{
	struct account *a = job->account;

	for (struct mailbox *mb = job->mb; mb; mb = mailbox_next_in(mb, job->mb)) {
		pool_forget_renamed(a->pool, mb);
		pool_forget_renamed(watch_pool(a->watch), mb);
	}
}

/* The names as they were. */
static void note_subscribed(struct mailboxes_job *job)
{
	for (struct mailbox *mb = job->mb; mb; mb = mailbox_next_in(mb, job->mb)) {
		if (!mb->place.listed)
			continue;
		job->names = array_grow(
			job->names, &job->name_room, job->name_count + 1, sizeof(*job->names));
		job->names[job->name_count++] = (struct span){
			mem_copy(mb->name.p, mb->name.n), mb->name.n};
	}
}

static void end_moved(struct mailboxes_job *job)
{
	struct account *a = job->account;
	struct mailbox *mb = job->mb;
	bool alone = list_empty(&mb->place.children);

	/* Of the connections it holds one itself. */
	if (job->task.conn)
		pool_end(&job->task);
	if (mb->dead || job->parent->dead) {
		lister_on_news(a);
		job_end(job, ERR_NO_MAILBOX, NULL);
		return;
	}
	if (a->options.subscribed)
		note_subscribed(job);
	tree_renamed(&a->tree, mb, job->parent, buf_span(&job->other));
	forget_selected(job);
	/* Not every server takes along what is below: LIST makes it true. */
	if (!alone)
		lister_list(a, NULL, false);
	job_answer(job, 0, mb);
	if (job->name_count > 0)
		job_go(job, &resubscribe);
	else
		job_end(job, 0, NULL);
}

/* --- move --- */

static void move_send(struct mailboxes_job *job)
{
	job_send_two(job, "RENAME", buf_span(&job->name), buf_span(&job->other));
	job_send_list(job, buf_span(&job->name));
	job_send_list(job, buf_span(&job->other));
}

static void move_done(struct mailboxes_job *job)
{
	int err = job_result(job, 0);
	bool moved = job->heard_other.listed && !job->heard_name.listed;

	if (err == 0 || (job->maybe && moved)) {
		end_moved(job);
		return;
	}
	if (job_is_mailbox(&job->heard_other))
		err = ERR_EXISTS;
	if (err != ERR_EXISTS)
		job_tell_refused(job, "cannot rename a mailbox to");
	/* LIST shows what is there now. */
	lister_on_news(job->account);
	job_end(job, err, NULL);
}

static const struct job_step move = {
	.name = "rename",
	.send = move_send,
	.done = move_done,
};

/* --- resubscribe --- */

static void send_subscription(struct mailboxes_job *job, struct span old)
{
	size_t below = old.n - job->name.len;
	char *name = mem_alloc(job->other.len + below + 1);

	memcpy(name, job->other.data, job->other.len);
	memcpy(name + job->other.len, old.p + job->name.len, below);
	job_send(job, "SUBSCRIBE", (struct span){name, job->other.len + below});
	job_send(job, "UNSUBSCRIBE", old);
	free(name);
}

static void resubscribe_send(struct mailboxes_job *job)
{
	for (size_t i = job->next; i < job->name_count && job->sent + 2 <= JOB_COMMANDS; i++)
		send_subscription(job, job->names[i]);
}

static void resubscribe_done(struct mailboxes_job *job)
{
	for (unsigned i = 0; i < job->sent; i += 2, job->next++)
		if (job_result(job, i) < 0)
			job_tell_refused(job, "cannot subscribe to what was renamed to");
	if (job->next < job->name_count)
		job_go(job, &resubscribe);
	else
		job_end(job, 0, NULL);
}

static const struct job_step resubscribe = {
	.name = "resubscribe",
	.send = resubscribe_send,
	.done = resubscribe_done,
};

/* --- */

static bool is_in(const struct mailbox *mb, const struct mailbox *top)
{
	while (mb && mb != top)
		mb = mb->place.parent;
	return mb == top;
}

static int rename_begin(struct mailboxes_job *job)
{
	struct mailbox *mb = job->mb, *parent = job->parent;
	struct tree *t = &job->account->tree;

	if (mb == t->root || mb == t->top || span_equal(mb->name, SPAN("INBOX")))
		return ERR_BUSY;
	if (is_in(parent, mb))
		return ERR_INVALID;
	if (parent->place.list_flags & IMAP_LIST_NOINFERIORS)
		return ERR_DENIED;
	if (mailbox_child(parent, span_of(job->component)))
		return ERR_EXISTS;
	int err = tree_name_child(t, parent, span_of(job->component), job->encoding, &job->other);
	if (err == 0)
		err = buf_append_span(&job->name, mb->name);
	if (err < 0)
		return err;
	job_pause_lists(job);
	job_avoid_selected(job);
	job_go(job, &move);
	return 0;
}

const struct job_kind rename_kind = {.name = "renaming a mailbox", .begin = rename_begin};
