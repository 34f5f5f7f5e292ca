/* SPDX-License-Identifier: MIT */
/*
 * A mailbox is removed. DELETE takes whatever is in it, so a delivery between our look and DELETE
 * would be lost. So:
 *
 *   look    LIST of it and of what is below, STATUS: something is in it, and it stays
 *   hide    RENAME to a name that nobody delivers to, and the same look again
 *   delete  DELETE of that name; or, when something had come, back: RENAME to what it was called
 *
 * A server that does not rename it does not have it removed: we know no other safe way. What a crash
 * or an outage leaves is found by its name (hiding.h) by us when the line is back (find) or by any later
 * mount (remove_restore), and gets its own name back, or where it was too long what is left of it.
 *
 * A name that is only a directory has no messages: DELETE is enough, where there still is something.
 */
#include <uv.h>

#include "base/error.h"
#include "base/log.h"
#include "imap/response.h"
#include "mail/change/hiding.h"
#include "mail/change/mailboxes_private.h"
#include "mail/sync/lister.h"
#include "mail/sync/statuses.h"

/* Milliseconds after which a server that asks for patience is asked again to give the name back. */
#define BACK_AGAIN 5000

static const struct job_step look, drop_directory, hide, look_again, delete, give_back, find,
	unsubscribe;

static int make_private_name(struct mailboxes_job *job)
{
	const struct mailbox_place *place = &job->mb->place;
	uint32_t number;

	buf_clear(&job->other);
	if (uv_random(NULL, NULL, &number, sizeof(number), 0, NULL) < 0)
		return ERR_IO;
	return hiding_make_name(buf_span(&job->name),
		place->has_delimiter ? place->delimiter : '\0', number, &job->other);
}

/* --- ends --- */

/* It is no more on the server. */
static void end_removed(struct mailboxes_job *job)
{
	struct tree *t = &job->account->tree;
	struct mailbox *mb = tree_by_name(t, buf_span(&job->name));

	if (job->hidden)
		tree_pass_over(t, buf_span(&job->other));
	job->hidden = false;
	if (mb && list_empty(&mb->place.children) && mb != t->top)
		tree_deleted(t, mb);
	job_answer(job, 0, NULL);
	if (job->account->options.subscribed && job->task.conn)
		job_go(job, &unsubscribe);
	else
		job_end(job, 0, NULL);
}

static void refuse_removal(struct mailboxes_job *job, int err)
{
	if (err != ERR_NOT_EMPTY)
		job_tell_refused(job, "cannot remove the mailbox");
	/* What it cannot be called is no name that was asked for, and `rm -rf` takes EINVAL for what is not
	 * there. */
	if (err == ERR_INVALID)
		err = ERR_DENIED;
	job_end(job, err, NULL);
}

/* What came meanwhile is to show. */
static void end_not_empty(struct mailboxes_job *job)
{
	struct account *a = job->account;

	if (!job->mb->dead && job->heard_name.messages > 0)
		statuses_on_hint(job->mb);
	if (job->heard_name.below || job->heard_other.below)
		lister_list(a, NULL, false);
	job_end(job, ERR_NOT_EMPTY, NULL);
}

/* --- look --- */

static void look_send(struct mailboxes_job *job)
{
	job_send_status(job, buf_span(&job->name));
	job_send_list(job, buf_span(&job->name));
	job_send_list_below(job, buf_span(&job->name));
}

static void begin_hiding(struct mailboxes_job *job)
{
	int err = make_private_name(job);

	if (err < 0) {
		refuse_removal(job, err);
		return;
	}
	job_pause_lists(job);
	job_go(job, &hide);
}

static void begin_dropping(struct mailboxes_job *job)
{
	job_pause_lists(job);
	job_go(job, &drop_directory);
}

static void look_done(struct mailboxes_job *job)
{
	const struct job_heard *heard = &job->heard_name;

	if (heard->below || (heard->counted && heard->messages > 0))
		end_not_empty(job);
	else if (job_result(job, 1) < 0)
		refuse_removal(job, job_result(job, 1));
	else if (!heard->listed && !heard->counted)
		end_removed(job);
	else if (!heard->counted && !job_is_mailbox(heard))
		begin_dropping(job);
	else if (!heard->counted)
		refuse_removal(job, job_result(job, 0) < 0 ? job_result(job, 0) : ERR_REFUSED);
	else if (!job->wait)
		job_end(job, ERR_CANCELED, NULL);
	else
		begin_hiding(job);
}

static const struct job_step look = {
	.name = "look",
	.send = look_send,
	.done = look_done,
};

/* --- a name that is only a directory --- */

static void drop_directory_send(struct mailboxes_job *job)
{
	job_send(job, "DELETE", buf_span(&job->name));
	job_send_list(job, buf_span(&job->name));
}

/* Refused, but gone: servers that have such names only above others forget them by themselves. */
static void drop_directory_done(struct mailboxes_job *job)
{
	int err = job_result(job, 0);

	if (err < 0 && job->heard_name.listed)
		refuse_removal(job, err);
	else
		end_removed(job);
}

static const struct job_step drop_directory = {
	.name = "delete the directory",
	.send = drop_directory_send,
	.done = drop_directory_done,
};

/* --- hide, and look again --- */

static void send_look_again(struct mailboxes_job *job)
{
	job_send_status(job, buf_span(&job->other));
	job_send_list_below(job, buf_span(&job->other));
}

static void hide_send(struct mailboxes_job *job)
{
	job->hidden = true;
	job_send_two(job, "RENAME", buf_span(&job->name), buf_span(&job->other));
	send_look_again(job);
}

static void start_giving_back(struct mailboxes_job *job, int verdict)
{
	job->verdict = verdict;
	job_go(job, &give_back);
}

static void decide(struct mailboxes_job *job)
{
	const struct job_heard *heard = &job->heard_other;

	/* What is below is to show. */
	if (heard->below)
		lister_on_news(job->account);
	if (heard->below || (heard->counted && heard->messages > 0))
		start_giving_back(job, ERR_NOT_EMPTY);
	else if (!heard->counted)
		start_giving_back(job, ERR_DENIED);
	else if (!job->wait)
		start_giving_back(job, ERR_CANCELED);
	else
		job_go(job, &delete);
}

static void hide_done(struct mailboxes_job *job)
{
	int err = job_result(job, 0);

	if (err == 0) {
		decide(job);
		return;
	}
	job->hidden = false;
	refuse_removal(job, err == ERR_EXISTS ? ERR_DENIED : err);
}

static const struct job_step hide = {
	.name = "hide",
	.send = hide_send,
	.done = hide_done,
	.lost = &find,
};

static const struct job_step look_again = {
	.name = "look again",
	.send = send_look_again,
	.done = decide,
	.lost = &find,
};

/* --- delete --- */

static void delete_send(struct mailboxes_job *job)
{
	job_send(job, "DELETE", buf_span(&job->other));
}

static void delete_done(struct mailboxes_job *job)
{
	int err = job_result(job, 0);

	if (err == 0)
		end_removed(job);
	else
		start_giving_back(job, err);
}

static const struct job_step delete = {
	.name = "delete",
	.send = delete_send,
	.done = delete_done,
	.lost = &find,
};

/* --- give back --- */

static void give_back_send(struct mailboxes_job *job)
{
	job_send_two(job, "RENAME", buf_span(&job->other), buf_span(&job->name));
}

/* It shows under its private name from now on, and somebody has to know. */
static void tell_left(struct mailboxes_job *job)
{
	log_warning("%s: the mailbox %s, which rmdir was to remove, is called %.*s now, and the "
		    "server does not give it its name back: %s",
		job->account->options.pool.host, mailbox_path(job->mb), (int)job->other.len,
		job->other.data, job->said);
	lister_on_news(job->account);
}

static void give_back_done(struct mailboxes_job *job)
{
	int err = job_result(job, 0);

	if (err == ERR_THROTTLED) {
		pool_end(&job->task);
		job_go(job, &give_back);
		pool_delay(&job->task, job->account->pool, BACK_AGAIN);
		return;
	}
	job->hidden = false;
	if (err == 0)
		tree_pass_over(&job->account->tree, buf_span(&job->other));
	if (err < 0)
		tell_left(job);
	else if (job->verdict == ERR_NOT_EMPTY)
		log_notice("%s is not removed: something came into it meanwhile",
			mailbox_path(job->mb));
	if (job->verdict == ERR_NOT_EMPTY && !job->mb->dead)
		statuses_on_hint(job->mb);
	refuse_removal(job, job->verdict);
}

static const struct job_step give_back = {
	.name = "give back",
	.send = give_back_send,
	.done = give_back_done,
	.lost = &find,
};

/* --- find: where it is after a lost connection --- */

static void find_send(struct mailboxes_job *job)
{
	job_send_list(job, buf_span(&job->name));
	job_send_list(job, buf_span(&job->other));
}

static void find_done(struct mailboxes_job *job)
{
	bool refused = job_result(job, 0) < 0 || job_result(job, 1) < 0;

	if (refused || (job->heard_other.listed && !job->wait)) {
		start_giving_back(job, job->verdict ? job->verdict : ERR_CANCELED);
	} else if (job->heard_other.listed && job->verdict) {
		start_giving_back(job, job->verdict);
	} else if (job->heard_other.listed) {
		job_go(job, &look_again);
	} else if (!job->heard_name.listed) {
		end_removed(job);
	} else {
		job->hidden = false;
		if (job->verdict)
			refuse_removal(job, job->verdict);
		else
			job_go(job, &look);
	}
}

static const struct job_step find = {
	.name = "find",
	.send = find_send,
	.done = find_done,
};

/* --- unsubscribe --- */

static void unsubscribe_send(struct mailboxes_job *job)
{
	job_send(job, "UNSUBSCRIBE", buf_span(&job->name));
}

/* A name that is left in the list of subscriptions harms nobody. */
static void unsubscribe_done(struct mailboxes_job *job)
{
	job_end(job, 0, NULL);
}

static const struct job_step unsubscribe = {
	.name = "unsubscribe",
	.send = unsubscribe_send,
	.done = unsubscribe_done,
};

/* --- */

static int remove_begin(struct mailboxes_job *job)
{
	struct mailbox *mb = job->mb;
	const struct tree *t = &job->account->tree;

	if (mb == t->root || mb == t->top || span_equal(mb->name, SPAN("INBOX")))
		return ERR_BUSY;
	if (!list_empty(&mb->place.children) || (mb->messages.loaded && mailbox_count(mb) > 0))
		return ERR_NOT_EMPTY;
	int err = buf_append_span(&job->name, mb->name);
	if (err < 0)
		return err;
	job_avoid_selected(job);
	job_go(job, &look);
	return 0;
}

const struct job_kind remove_kind = {.name = "removing a mailbox", .begin = remove_begin};

/* --- what an interrupted removal left --- */

static void restore_one(struct mailbox *mb)
{
	struct span original;
	bool cut;

	if (!mb->place.parent || !mb->place.listed ||
		!hiding_read_name(span_of(mb->component), &original, &cut))
		return;
	if (mailbox_child(mb->place.parent, original)) {
		log_warning("%s: there is another mailbox of the name that an interrupted rmdir "
			    "took from this one: move what you need, and remove it",
			mailbox_path(mb));
		return;
	}
	log_notice("%s gets back the name that an interrupted rmdir took from it%s",
		mailbox_path(mb), cut ? ", but for its end, which is lost" : "");
	mailboxes_rename(mb, mb->place.parent, original, NULL);
}

void remove_restore(struct account *a)
{
	struct mailbox *root = a->tree.root;

	for (struct mailbox *mb = root; mb; mb = mailbox_next_in(mb, root))
		restore_one(mb);
}
