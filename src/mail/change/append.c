/* SPDX-License-Identifier: MIT */
/* The course of an append; upload.h has its steps. */
#include "mail/change/append.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "base/text.h"
#include "imap/date.h"
#include "mail/change/upload.h"
#include "mail/sync/sync.h"

/* Octets from which on a message has its connection for itself. */
#define LONG ((uint64_t)128 * 1024)
/* Octets of a message that is fetched to find out under which UID it is. */
#define FETCHED_MAX ((uint64_t)4 * 1024 * 1024)

static void begin(struct upload *u);

/* --- the end --- */

static struct cache_message row_of(const struct upload *u)
{
	return (struct cache_message){
		.uid = u->uid,
		.size = u->letter.size,
		.date = u->has_date ? u->date : u->mb->names.changed,
		.flags = u->has_date ? 0 : CACHE_DATE_UNKNOWN,
	};
}

static void free_upload(struct upload *u)
{
	list_remove(&u->link);
	list_remove(&u->task.link);
	look_finish(u);
	imap_command_finish(&u->status);
	imap_command_finish(&u->command);
	mailbox_release(u->mb);
	if (u->spool.fd >= 0)
		close(u->spool.fd);
	free(u);
}

void upload_end(struct upload *u, int err)
{
	struct append *a = u->append;

	if (a) {
		a->upload = NULL;
		a->uid = err == 0 ? u->uid : 0;
		a->is = row_of(u);
		snprintf(
			a->reason, sizeof(a->reason), "%s", u->text[0] ? u->text : error_text(err));
	}
	if (u->working)
		u->over = true;
	else
		free_upload(u);
	if (a)
		a->on_done(a, err);
}

/* It is in the mailbox. */
static void stored(struct upload *u)
{
	struct cache_message m = row_of(u);

	sync_note_added(u->mb, &m);
	upload_end(u, 0);
}

static void unsure(struct upload *u)
{
	log_warning(
		"%s: the connection was lost when a message had been sent to %s, and whether it "
		"is there cannot be known: look before you put it in again",
		u->account->options.pool.host, mailbox_path(u->mb));
	upload_end(u, ERR_UNSURE);
}

/* --- look --- */

void upload_on_looked(struct upload *u, int err, uint32_t uid, unsigned copies)
{
	if (copies > 1 && u->again)
		log_warning(
			"%s: a message is in %s twice, since the connection was lost when it had "
			"been sent",
			u->account->options.pool.host, mailbox_path(u->mb));
	if (uid != 0 && u->uid == 0)
		u->uid = uid;
	if (!u->lost || uid != 0) {
		stored(u);
	} else if (err < 0) {
		unsure(u);
	} else {
		u->again = true;
		begin(u);
	}
}

/* --- send --- */

/* What codes and words of NO to APPEND mean, beside those that mean the same to any command. */
static int refusal(const struct imap_response *r, int err)
{
	char text[APPEND_REASON_MAX];

	if (r->code == IMAP_CODE_LIMIT)
		return ERR_TOO_LARGE;
	if (r->code == IMAP_CODE_TRYCREATE)
		return ERR_NO_MAILBOX;
	if (err != ERR_REFUSED)
		return err;
	text_printable(r->text, text, sizeof(text));
	if (strcasestr(text, "quota"))
		return ERR_QUOTA;
	if (strcasestr(text, "too large") || strcasestr(text, "too big"))
		return ERR_TOO_LARGE;
	return strcasestr(text, "permission") ? ERR_DENIED : err;
}

/* The connection is lost. What was not sent whole cannot be there. */
static void on_lost(struct upload *u, int err)
{
	u->lost = true;
	u->sent |= u->command.sent;
	if (u->sent && (u->mb->dead || u->uidnext == 0 || !retry_lost(&u->retry, err)))
		unsure(u);
	else if (u->sent)
		look_start(u);
	else if (u->mb->dead || u->spool.err < 0)
		upload_end(u, u->mb->dead ? ERR_NO_MAILBOX : ERR_IO);
	else if (retry_lost(&u->retry, err))
		begin(u);
	else
		upload_end(u, err);
}

/* Of a mailbox that was never selected only STATUS has told. */
static uint32_t known_uidvalidity(const struct upload *u)
{
	return u->mb->uidvalidity ? u->mb->uidvalidity : u->uidvalidity;
}

/* Courier puts nothing into the mailbox that the connection has examined. */
static bool wants_select(const struct upload *u, const struct imap_result *result)
{
	const struct imap_response *r = result->response;
	bool may_be_why = result->outcome == IMAP_REFUSED &&
			  (result->err == ERR_READONLY ||
				  (result->err == ERR_REFUSED && r->code == IMAP_CODE_NONE)) &&
			  refusal(r, result->err) == result->err;

	return may_be_why && !u->selects && conn_has_selected(u->task.conn, u->mb) &&
	       !conn_selected(u->task.conn)->writable;
}

static void append_on_answer(struct imap_command *c, const struct imap_result *result)
{
	struct upload *u = list_entry(c, struct upload, command);
	const struct imap_response *r = result->response;
	bool select = wants_select(u, result);
	bool ours = r && r->code == IMAP_CODE_APPENDUID && r->uids.count == 1 &&
		    r->uids.uidvalidity == known_uidvalidity(u) &&
		    imap_uids_first(&r->uids) >= u->uidnext;

	if (result->outcome != IMAP_LOST)
		text_printable(r->text, u->text, sizeof(u->text));
	pool_end(&u->task);
	if (result->outcome == IMAP_LOST) {
		on_lost(u, result->err);
	} else if (result->err == 0) {
		u->account->appends_select |= u->selects;
		u->uid = ours ? imap_uids_first(&r->uids) : 0;
		bool look = u->uid == 0 && u->uidnext > 0 && u->letter.size <= FETCHED_MAX;
		if ((u->again || look) && !u->mb->dead && u->append)
			look_start(u);
		else
			stored(u);
	} else if (result->outcome == IMAP_BUSY && r->code != IMAP_CODE_LIMIT && u->append &&
		   retry_busy(&u->retry, RETRY_BRIEF)) {
		begin(u);
		pool_delay(&u->task, u->account->pool, retry_delay(&u->retry));
	} else if (select) {
		u->selects = true;
		begin(u);
	} else {
		upload_end(u, refusal(r, result->err));
	}
}

static void on_read(uv_work_t *work, int status)
{
	struct upload *u = list_entry(work, struct upload, work);

	u->working = false;
	if (u->over) {
		free_upload(u);
		return;
	}
	spool_take(&u->spool);
	if (u->task.conn)
		pool_go_on(&u->task);
}

static void read_in_thread(uv_work_t *work)
{
	spool_read(&list_entry(work, struct upload, work)->spool);
}

static ssize_t append_read(struct imap_source *source, char *out, size_t n)
{
	struct upload *u = list_entry(source, struct upload, source);

	if (u->working)
		return 0;
	ssize_t came = spool_give(&u->spool, out, n);
	if (came == 0) {
		u->working = true;
		uv_queue_work(u->account->loop, &u->work, read_in_thread, on_read);
	}
	return came;
}

static void send_append(struct upload *u)
{
	const struct append *a = u->append;
	struct imap_command *c = &u->command;
	char date[IMAP_DATE_LENGTH + 1];

	u->lost = false;
	spool_begin(&u->spool, &u->letter, u->seed);
	u->source = (struct imap_source){.size = u->letter.size, .read = append_read};
	imap_command_begin(c, conn_literal_plus(u->task.conn), append_on_answer);
	imap_command_add(c, "APPEND ");
	imap_command_add_string(c, u->mb->name);
	imap_command_add(c, " ");
	if (a->flags && *a->flags)
		imap_command_add(c, "(%s) ", a->flags);
	if (u->has_date && imap_date_format(u->date, date))
		imap_command_add(c, "\"%s\" ", date);
	imap_command_add_source(c, &u->source, conn_literal_is_free(u->task.conn, u->letter.size));
	imap_command_add(c, "\r\n");
	pool_submit(&u->task, c);
}

/* --- status --- */

static void status_on_done(struct imap_command *c, const struct imap_result *result)
{
	struct upload *u = list_entry(c, struct upload, status);

	if (result->outcome == IMAP_LOST) {
		pool_end(&u->task);
		on_lost(u, result->err);
		return;
	}
	u->asked = true;
	if (!u->append || u->mb->dead || u->letter.size > u->most) {
		pool_end(&u->task);
		upload_end(u, !u->append    ? ERR_CANCELED
			      : u->mb->dead ? ERR_NO_MAILBOX
					    : ERR_TOO_LARGE);
		return;
	}
	send_append(u);
}

static void append_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct upload *u = list_entry(t, struct upload, task);

	if (r->kind != IMAP_STATUS || u->asked || !span_equal(r->status.name, u->mb->name))
		return;
	if (r->status.has_uidnext && (!r->status.has_uidvalidity || u->mb->uidvalidity == 0 ||
					     r->status.uidvalidity == u->mb->uidvalidity))
		u->uidnext = r->status.uidnext;
	if (r->status.has_uidvalidity)
		u->uidvalidity = r->status.uidvalidity;
	if (r->status.has_append_limit)
		u->most = r->status.append_limit;
}

static bool must_ask_limit(const struct upload *u)
{
	const struct pool *p = u->account->pool;

	return (pool_capabilities(p) & IMAP_CAP_APPENDLIMIT) && u->letter.size > LONG &&
	       imap_capability_append_limit(span_of(pool_capability_words(p))) == UINT64_MAX;
}

static void append_on_conn(struct pool_task *t)
{
	struct upload *u = list_entry(t, struct upload, task);
	struct imap_command *c = &u->status;

	if (!u->append) {
		pool_end(t);
		upload_end(u, ERR_CANCELED);
		return;
	}
	if (u->uidnext == 0)
		u->uidnext = u->mb->messages.uidnext;
	bool limit = must_ask_limit(u);
	if (u->asked || (u->uidnext > 0 && !limit)) {
		send_append(u);
		return;
	}
	imap_command_begin(c, conn_literal_plus(t->conn), status_on_done);
	imap_command_add(c, "STATUS ");
	imap_command_add_string(c, u->mb->name);
	imap_command_add(c, " (UIDNEXT UIDVALIDITY%s)\r\n", limit ? " APPENDLIMIT" : "");
	pool_submit(t, c);
}

static void append_on_fail(struct pool_task *t, int err)
{
	struct upload *u = list_entry(t, struct upload, task);

	if (u->sent)
		unsure(u);
	else
		upload_end(u, u->mb->dead ? ERR_NO_MAILBOX : err);
}

static void begin(struct upload *u)
{
	if (!u->append || u->account->on_stopped) {
		upload_end(u, ERR_CANCELED);
		return;
	}
	bool select = u->selects || (u->account->appends_select && !u->mb->dead &&
					    pool_may_have_open(u->account->pool, u->mb));
	u->task = (struct pool_task){
		.mailbox = select ? u->mb : NULL,
		.access = select ? POOL_WRITE : POOL_NO_MAILBOX,
		.alone = u->letter.size > LONG,
		.deadline = account_deadline(u->account),
		.on_conn = append_on_conn,
		.on_fail = append_on_fail,
		.on_untagged = append_on_untagged,
	};
	pool_start(u->account->pool, &u->task);
}

/* --- check --- */

static void check_in_thread(uv_work_t *work)
{
	struct upload *u = list_entry(work, struct upload, work);

	u->spool.came = spool_check(u->spool.fd, &u->letter);
}

static void on_checked(uv_work_t *work, int status)
{
	struct upload *u = list_entry(work, struct upload, work);
	int err = status < 0 ? ERR_CANCELED : (int)u->spool.came;

	u->working = false;
	if (u->over) {
		free_upload(u);
		return;
	}
	if (err == ERR_INVALID)
		snprintf(u->text, sizeof(u->text), "%s", u->letter.reason);
	else if (err == 0 && u->letter.size > append_limit(u->mb))
		err = ERR_TOO_LARGE;
	if (err == 0 && u->mb->dead)
		err = ERR_NO_MAILBOX;
	if (!u->has_date)
		u->has_date = letter_date(&u->letter, &u->date);
	if (!u->has_date && u->append && u->append->written) {
		u->date = u->append->written;
		u->has_date = true;
	}
	if (err < 0)
		upload_end(u, err);
	else
		begin(u);
}

/* --- from outside --- */

uint64_t append_limit(const struct mailbox *mb)
{
	const struct pool *p = mb->account->pool;

	return imap_capability_append_limit(span_of(pool_capability_words(p)));
}

void append_start(struct append *a)
{
	struct upload *u = mem_zalloc(sizeof(*u));

	a->upload = u;
	a->uid = 0;
	a->reason[0] = '\0';
	u->append = a;
	u->account = a->mb->account;
	u->mb = mailbox_hold(a->mb);
	u->most = UINT64_MAX;
	u->has_date = a->has_date;
	u->date = a->date;
	list_init(&u->task.link);
	list_init(&u->look.task.link);
	imap_command_init(&u->status, false, NULL);
	imap_command_init(&u->command, false, NULL);
	imap_command_init(&u->look.rows_command, false, NULL);
	imap_command_init(&u->look.whole_command, false, NULL);
	imap_command_init(&u->look.head_command, false, NULL);
	list_append(&u->account->appends, &u->link);
	u->seed = u->letter.sum = uv_hrtime() ^ (uint64_t)random() << 32;
	u->spool.fd = fcntl(a->fd, F_DUPFD_CLOEXEC, 0);
	u->working = true;
	uv_queue_work(u->account->loop, &u->work, check_in_thread, on_checked);
}

/* Nothing of it was given to a connection. */
static bool is_unsent(const struct upload *u)
{
	return !u->sent && !u->task.conn;
}

bool append_cancel(struct append *a)
{
	struct upload *u = a->upload;

	if (!u)
		return false;
	a->upload = NULL;
	u->append = NULL;
	if (is_unsent(u) && u->working) {
		list_remove(&u->task.link);
		u->over = true;
		return true;
	}
	if (is_unsent(u)) {
		free_upload(u);
		return true;
	}
	/* A small one is over soon, whatever comes of it. */
	if (!u->task.conn || u->command.sent || u->letter.size <= LONG)
		return false;
	pool_drop(&u->task, "a message is not to be sent any more");
	return true;
}

void append_forget_all(struct account *a)
{
	LIST_FOREACH_SAFE (pos, &a->appends) {
		struct upload *u = list_entry(pos, struct upload, link);
		list_remove(&u->link);
		mailbox_release(u->mb);
		u->mb = NULL;
		u->append = NULL;
		if (u->working)
			u->over = true;
		else
			free_upload(u);
	}
}
