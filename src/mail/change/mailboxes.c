/* SPDX-License-Identifier: MIT */
#include "mail/change/mailboxes_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "mail/model/names.h"
#include "mail/sync/lister.h"

#define NAME_OCTETS ((size_t)8 << 10)
/* Milliseconds: a LIST of the mount's beginning. */
#define RESTORE_FRESH 2000

struct mailboxes {
	struct account *account;
	struct list jobs;           /* in the order in which they were asked for */
	struct lister_wait restore; /* for mailboxes_restore_start */
};

struct mailboxes *mailboxes_create(struct account *a)
{
	struct mailboxes *m = mem_zalloc(sizeof(*m));

	m->account = a;
	list_init(&m->jobs);
	return m;
}

void mailboxes_destroy(struct mailboxes *m)
{
	free(m);
}

/* --- restoring --- */

static void mailboxes_on_listed(struct lister_wait *w, int err)
{
	struct mailboxes *m = list_entry(w, struct mailboxes, restore);

	if (err == 0)
		remove_restore(m->account);
}

void mailboxes_restore_start(struct account *a)
{
	if (a->options.readonly)
		return;
	a->mailboxes->restore = (struct lister_wait){.on_wake = mailboxes_on_listed};
	if (lister_is_fresh(a, RESTORE_FRESH))
		remove_restore(a);
	else
		lister_list(a, &a->mailboxes->restore, false);
}

/* --- the end of a job --- */

static void begin_jobs(struct mailboxes *m);

static void job_free(struct mailboxes_job *job)
{
	for (unsigned i = 0; i < JOB_COMMANDS; i++)
		imap_command_finish(&job->slots[i].command);
	mailbox_release(job->mb);
	mailbox_release(job->parent);
	buf_finish(&job->name);
	buf_finish(&job->other);
	for (size_t i = 0; i < job->name_count; i++)
		free((char *)job->names[i].p);
	free(job->names);
	free(job->component);
	free(job);
}

/* It may take long until what is hidden has its name back: LISTs do not wait for that, and show it
 * as it is called. */
static void go_on_alone(struct mailboxes_job *job)
{
	job->wait = NULL;
	if (job->paused && job->hidden) {
		job->paused = false;
		lister_resume(job->account);
	}
}

void job_answer(struct mailboxes_job *job, int err, struct mailbox *mb)
{
	struct mailboxes_wait *w = job->wait;

	go_on_alone(job);
	if (!w)
		return;
	w->job = NULL;
	w->on_done(w, err, mb);
}

void job_end(struct mailboxes_job *job, int err, struct mailbox *mb)
{
	struct account *a = job->account;
	struct mailboxes_wait *w = job->wait;

	log_debug("%s: over: %s", job->kind->name, error_text(err));
	pool_end(&job->task);
	list_remove(&job->link);
	if (job->paused)
		lister_resume(a);
	job_free(job);
	if (w) {
		w->job = NULL;
		w->on_done(w, err, mb);
	}
	begin_jobs(a->mailboxes);
}

void mailboxes_cancel(struct mailboxes_wait *w)
{
	struct mailboxes_job *job = w->job;

	if (!job)
		return;
	w->job = NULL;
	go_on_alone(job);
	/* Nothing was sent. */
	if (!job->task.conn && !job->maybe && !job->hidden)
		job_end(job, ERR_CANCELED, NULL);
}

void job_pause_lists(struct mailboxes_job *job)
{
	if (!job->paused)
		lister_pause(job->account);
	job->paused = true;
}

/* Courier does not rename what the connection itself has open, and STATUS of that may be what the
 * connection was told long ago (RFC 3501 section 6.3.10). One that has INBOX selected will do. */
void job_avoid_selected(struct mailboxes_job *job)
{
	struct account *a = job->account;
	struct mailbox *inbox = tree_by_name(&a->tree, SPAN("INBOX"));
	bool selected = false;

	for (struct mailbox *mb = job->mb; mb && !selected; mb = mailbox_next_in(mb, job->mb))
		selected = pool_may_have_open(a->pool, mb);
	if (!selected || !inbox || !mailbox_selectable(inbox))
		return;
	job->task.mailbox = inbox;
	job->task.access = POOL_READ;
}

void job_tell_refused(const struct mailboxes_job *job, const char *what)
{
	const struct account *a = job->account;
	struct span component = span_of(job->component ? job->component : job->mb->component);
	const char *path = mailbox_path(job->parent ? job->parent : job->mb->place.parent);

	log_warning("%s: %s %s%s%.*s: %s", a->options.pool.host, what, path, *path ? "/" : "",
		(int)component.n, component.p, *job->said ? job->said : "refused");
}

/* --- steps --- */

static void send_step(struct mailboxes_job *job)
{
	job->sent = job->pending = 0;
	job->lost = 0;
	job->refused = false;
	job->heard_name = job->heard_other = (struct job_heard){0};
	job->step->send(job);
}

static void queue_job(struct mailboxes_job *job)
{
	job->task.deadline = account_deadline(job->account);
	/* What is under a name of ours is given back, however long that takes. */
	if (job->hidden) {
		job->task.patient = !job->wait;
		job->task.deadline = job->wait ? job->task.deadline : UINT64_MAX;
		job->task.mailbox = NULL;
		job->task.access = POOL_NO_MAILBOX;
	}
	pool_start(job->account->pool, &job->task);
}

void job_go(struct mailboxes_job *job, const struct job_step *step)
{
	log_debug("%s: %s -> %s", job->kind->name, job->step ? job->step->name : "new", step->name);
	job->step = step;
	if (job->task.conn)
		send_step(job);
	else
		queue_job(job);
}

static void abandon(struct mailboxes_job *job, int err)
{
	if (job->hidden)
		log_warning("%s: the mailbox %s may be called %.*s now, since its removal was "
			    "interrupted: the next mount gives it its name back",
			job->account->options.pool.host, mailbox_path(job->mb), (int)job->other.len,
			job->other.data);
	job_end(job, err, NULL);
}

static void job_on_lost(struct mailboxes_job *job)
{
	int err = job->lost;
	const struct job_step *next = job->step->lost ? job->step->lost : job->step;

	pool_end(&job->task);
	job->maybe = true;
	bool again = retry_lost(&job->retry, err);
	if (!again && (!job->hidden || err == ERR_CANCELED)) {
		abandon(job, err);
		return;
	}
	if (!again)
		job_answer(job, err, NULL);
	job_go(job, next);
}

/* What else a step asks is often refused only because its first command was. */
static void note_refusal(struct mailboxes_job *job, const struct imap_response *r)
{
	if (job->refused)
		return;
	job->refused = true;
	text_printable(r->text, job->said, sizeof(job->said));
}

/* What codes mean for a mailbox as a whole. */
static const struct {
	enum imap_code code;
	int err;
} meanings[] = {
	{IMAP_CODE_ALREADYEXISTS, ERR_EXISTS},
	{IMAP_CODE_OVERQUOTA, ERR_QUOTA},
	{IMAP_CODE_LIMIT, ERR_QUOTA},
	{IMAP_CODE_CANNOT, ERR_INVALID},
	{IMAP_CODE_INUSE, ERR_BUSY},
};

/* A plain NO is as good as a missing right; the log has the server's words. */
static int refusal(const struct imap_result *result)
{
	for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++)
		if (meanings[i].code == result->response->code)
			return meanings[i].err;
	return result->err == ERR_REFUSED ? ERR_DENIED : result->err;
}

static void mailboxes_on_answer(struct imap_command *c, const struct imap_result *result)
{
	struct job_slot *slot = list_entry(c, struct job_slot, command);
	struct mailboxes_job *job = slot->job;

	slot->err = result->err;
	if (result->outcome == IMAP_LOST) {
		job->lost = result->err;
	} else if (result->err < 0) {
		slot->err = refusal(result);
		note_refusal(job, result->response);
	}
	if (--job->pending > 0)
		return;
	if (job->lost)
		job_on_lost(job);
	else
		job->step->done(job);
}

static struct imap_command *begin_command(struct mailboxes_job *job)
{
	struct job_slot *slot = &job->slots[job->sent++];

	slot->job = job;
	slot->err = 0;
	imap_command_begin(&slot->command, conn_literal_plus(job->task.conn), mailboxes_on_answer);
	return &slot->command;
}

static void submit_command(struct mailboxes_job *job, struct imap_command *c)
{
	imap_command_add(c, "\r\n");
	job->pending++;
	job->task.progress_by = uv_now(job->account->loop) + job->account->options.pool.timeout;
	pool_submit(&job->task, c);
}

void job_send(struct mailboxes_job *job, const char *verb, struct span name)
{
	struct imap_command *c = begin_command(job);

	imap_command_add(c, "%s ", verb);
	imap_command_add_string(c, name);
	submit_command(job, c);
}

void job_send_two(struct mailboxes_job *job, const char *verb, struct span name, struct span other)
{
	struct imap_command *c = begin_command(job);

	imap_command_add(c, "%s ", verb);
	imap_command_add_string(c, name);
	imap_command_add(c, " ");
	imap_command_add_string(c, other);
	submit_command(job, c);
}

void job_send_list(struct mailboxes_job *job, struct span name)
{
	job_send(job, "LIST \"\"", name);
}

void job_send_list_below(struct mailboxes_job *job, struct span name)
{
	char delimiter;

	if (!tree_delimiter(&job->account->tree, job->mb, &delimiter))
		return;
	char *pattern = mem_alloc(name.n + 2);
	memcpy(pattern, name.p, name.n);
	pattern[name.n] = delimiter;
	pattern[name.n + 1] = '%';
	job_send(job, "LIST \"\"", (struct span){pattern, name.n + 2});
	free(pattern);
}

void job_send_status(struct mailboxes_job *job, struct span name)
{
	struct imap_command *c = begin_command(job);

	imap_command_add(c, "STATUS ");
	imap_command_add_string(c, name);
	imap_command_add(c, " (MESSAGES)");
	submit_command(job, c);
}

int job_result(const struct mailboxes_job *job, unsigned at)
{
	return job->slots[at].err;
}

/* --- what is heard --- */

bool job_is_mailbox(const struct job_heard *heard)
{
	return heard->listed && !(heard->flags & (IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT));
}

static void hear_list(struct job_heard *heard, struct span name, const struct imap_list *list)
{
	struct span said = list->name;

	/* "foo/" is the directory foo. */
	if (list->has_delimiter && said.n == name.n + 1 && said.p[said.n - 1] == list->delimiter)
		said.n--;
	if (span_equal(said, name)) {
		heard->listed = true;
		heard->flags = list->flags;
		heard->has_delimiter = list->has_delimiter;
		heard->delimiter = list->delimiter;
	} else if (list->has_delimiter && said.n > name.n + 1 &&
		   said.p[name.n] == list->delimiter &&
		   span_equal((struct span){said.p, name.n}, name)) {
		heard->below = true;
	}
}

static void hear_status(
	struct job_heard *heard, struct span name, const struct imap_status_data *status)
{
	if (!span_equal(status->name, name) || !status->has_messages)
		return;
	heard->counted = true;
	heard->messages = status->messages;
}

static void mailboxes_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct mailboxes_job *job = list_entry(t, struct mailboxes_job, task);

	if (r->kind == IMAP_LIST && !r->list.lsub) {
		hear_list(&job->heard_name, buf_span(&job->name), &r->list);
		hear_list(&job->heard_other, buf_span(&job->other), &r->list);
	} else if (r->kind == IMAP_STATUS) {
		hear_status(&job->heard_name, buf_span(&job->name), &r->status);
		hear_status(&job->heard_other, buf_span(&job->other), &r->status);
	}
}

/* --- the beginning of a job --- */

static void mailboxes_on_conn(struct pool_task *t)
{
	send_step(list_entry(t, struct mailboxes_job, task));
}

static void mailboxes_on_fail(struct pool_task *t, int err)
{
	struct mailboxes_job *job = list_entry(t, struct mailboxes_job, task);

	if (!job->hidden || !job->wait || err == ERR_CANCELED) {
		abandon(job, err);
		return;
	}
	/* Alone it has more patience. */
	job_answer(job, err, NULL);
	queue_job(job);
}

/* An error, and nothing was begun. */
static int begin_job(struct mailboxes_job *job)
{
	struct account *a = job->account;

	job->begun = true;
	job->encoding = pool_enabled(a->pool, IMAP_CAP_UTF8_ACCEPT) ? IMAP_LIST_UTF8 : 0;
	if (a->on_stopped)
		return ERR_CANCELED;
	if ((job->mb && job->mb->dead) || (job->parent && job->parent->dead))
		return ERR_NO_MAILBOX;
	return job->kind->begin(job);
}

/* The next whose turn it is: the first, and those that may run beside all before them. */
static struct mailboxes_job *next_job(struct mailboxes *m)
{
	LIST_FOREACH (pos, &m->jobs) {
		struct mailboxes_job *job = list_entry(pos, struct mailboxes_job, link);
		bool first = m->jobs.next == pos;

		if (!job->begun && (first || job->kind->beside))
			return job;
		if (!job->kind->beside)
			break;
	}
	return NULL;
}

static void begin_jobs(struct mailboxes *m)
{
	struct mailboxes_job *job;

	while ((job = next_job(m))) {
		int err = begin_job(job);
		if (err < 0)
			job_end(job, err, NULL);
	}
}

static int start_job(struct account *a, const struct job_kind *kind, struct mailbox *mb,
	struct mailbox *parent, struct span component, struct mailboxes_wait *w)
{
	struct mailboxes_job *job = mem_zalloc(sizeof(*job));

	job->account = a;
	job->kind = kind;
	job->mb = mailbox_hold(mb);
	job->parent = mailbox_hold(parent);
	job->component = parent ? mem_copy(component.p, component.n) : NULL;
	buf_init(&job->name, NAME_OCTETS);
	buf_init(&job->other, NAME_OCTETS);
	job->task = (struct pool_task){
		.access = POOL_NO_MAILBOX,
		.on_conn = mailboxes_on_conn,
		.on_fail = mailboxes_on_fail,
		.on_untagged = mailboxes_on_untagged,
	};
	list_init(&job->task.link);
	list_append(&a->mailboxes->jobs, &job->link);
	int err = next_job(a->mailboxes) == job ? begin_job(job) : 0;
	if (err < 0) {
		job_end(job, err, NULL);
		return err;
	}
	if (w)
		w->job = job;
	job->wait = w;
	return 0;
}

int mailboxes_make(struct mailbox *parent, struct span component, struct mailboxes_wait *w)
{
	return start_job(parent->account, &make_kind, NULL, parent, component, w);
}

int mailboxes_remove(struct mailbox *mb, struct mailboxes_wait *w)
{
	return start_job(mb->account, &remove_kind, mb, NULL, SPAN(""), w);
}

int mailboxes_rename(
	struct mailbox *mb, struct mailbox *parent, struct span component, struct mailboxes_wait *w)
{
	return start_job(mb->account, &rename_kind, mb, parent, component, w);
}
