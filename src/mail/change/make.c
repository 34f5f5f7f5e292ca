/* SPDX-License-Identifier: MIT */
/* A mailbox is made: CREATE, and LIST of it, in one turn; then SUBSCRIBE where only subscribed ones
 * are shown. */
#include "base/error.h"
#include "base/log.h"
#include "imap/response.h"
#include "mail/change/mailboxes_private.h"

static const struct job_step create, subscribe;

/* The server may not list what it made (no right to see it); then it is as we think. */
static struct mailbox *add_to_tree(struct mailboxes_job *job)
{
	const struct job_heard *heard = &job->heard_name;
	struct tree *t = &job->account->tree;
	bool has_delimiter = heard->has_delimiter;
	char delimiter = heard->delimiter;

	if (!heard->listed)
		has_delimiter = tree_delimiter(t, job->parent, &delimiter);
	return tree_made(
		t, buf_span(&job->name), has_delimiter, delimiter, heard->flags | job->encoding);
}

static void end_made(struct mailboxes_job *job)
{
	struct mailbox *mb = add_to_tree(job);

	job_end(job, mb ? 0 : ERR_LIMIT, mb);
}

/* --- create --- */

static void create_send(struct mailboxes_job *job)
{
	job_send(job, "CREATE", buf_span(&job->name));
	job_send_list(job, buf_span(&job->name));
}

/* Refused, though the server has it: somebody else made it, or we did and heard no answer. */
static void create_refused(struct mailboxes_job *job, int err)
{
	if (err != ERR_EXISTS && !job_is_mailbox(&job->heard_name)) {
		job_tell_refused(job, "cannot make the mailbox");
		job_end(job, err, NULL);
	} else if (job->maybe) {
		end_made(job);
	} else {
		if (job->heard_name.listed)
			add_to_tree(job);
		job_end(job, ERR_EXISTS, NULL);
	}
}

static void create_done(struct mailboxes_job *job)
{
	int err = job_result(job, 0);

	if (err < 0)
		create_refused(job, err);
	else if (job->account->options.subscribed)
		job_go(job, &subscribe);
	else
		end_made(job);
}

static const struct job_step create = {
	.name = "create",
	.send = create_send,
	.done = create_done,
};

/* --- subscribe --- */

static void subscribe_send(struct mailboxes_job *job)
{
	job_send(job, "SUBSCRIBE", buf_span(&job->name));
	job_send_list(job, buf_span(&job->name));
}

/* It is there, but the next LIST of those that are subscribed will not name it. */
static void subscribe_done(struct mailboxes_job *job)
{
	if (job_result(job, 0) < 0)
		job_tell_refused(job, "cannot subscribe to the new mailbox");
	end_made(job);
}

static const struct job_step subscribe = {
	.name = "subscribe",
	.send = subscribe_send,
	.done = subscribe_done,
};

/* --- */

static int make_begin(struct mailboxes_job *job)
{
	struct tree *t = &job->account->tree;

	if (job->parent->place.list_flags & IMAP_LIST_NOINFERIORS)
		return ERR_DENIED;
	if (mailbox_child(job->parent, span_of(job->component)))
		return ERR_EXISTS;
	int err = tree_name_child(
		t, job->parent, span_of(job->component), job->encoding, &job->name);
	if (err == 0)
		job_go(job, &create);
	return err;
}

const struct job_kind make_kind = {
	.name = "making a mailbox",
	.beside = true,
	.begin = make_begin,
};
