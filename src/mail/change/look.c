/* SPDX-License-Identifier: MIT */
/*
 * Whether a message of ours came to be in a mailbox. What is there at or above the UIDNEXT of before
 * is asked for with its size; those of our size are read whole and compared, of the others the
 * Message-ID: servers that change what they store keep that.
 */
#include "base/error.h"
#include "mail/change/upload.h"

/* Octets of a message in which its Message-ID is looked for. */
#define HEAD 16384

static void look_over(struct upload *u);

static struct upload *upload_of(struct pool_task *t)
{
	return list_entry(t, struct upload, look.task);
}

static struct look_row *find_row(struct look *l, uint32_t uid)
{
	for (size_t i = 0; i < l->count; i++)
		if (l->rows[i].uid == uid)
			return &l->rows[i];
	return NULL;
}

/* --- what the server tells --- */

static void add_row(struct upload *u, const struct imap_fetch *f, uint32_t uid)
{
	struct look *l = &u->look;

	/* UID FETCH n:* also tells of the last message when that is below. */
	if (uid < u->uidnext || !f->has_size || find_row(l, uid))
		return;
	if (l->count == LOOK_MAX) {
		l->too_many = true;
		return;
	}
	l->rows[l->count++] = (struct look_row){.uid = uid, .alike = f->size == u->letter.size};
}

static bool look_on_body_begin(
	struct pool_task *t, const struct imap_fetch *prefix, uint32_t uid, uint64_t size)
{
	struct upload *u = upload_of(t);
	const struct look *l = &u->look;

	/* What comes before answers a question of others, for another part of it. */
	if (!pool_is_next(t, &l->whole_command) && !pool_is_next(t, &l->head_command))
		return false;
	u->look.reading = find_row(&u->look, uid);
	u->look.letter = (struct letter){.sum = u->seed};
	return u->look.reading;
}

static void look_on_body_data(struct pool_task *t, struct span octets)
{
	letter_feed(&upload_of(t)->look.letter, octets);
}

/* Only now it is certain that the octets were those. */
static void note_read(struct upload *u, struct look_row *row)
{
	struct letter *l = &u->look.letter;

	letter_end(l);
	row->read = true;
	row->ours = row->alike && l->size == u->letter.size && l->sum == u->letter.sum;
	row->named = !u->letter.id[0] || strcmp(l->id, u->letter.id) == 0;
	u->look.reading = NULL;
}

static void look_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct upload *u = upload_of(t);
	struct look_row *reading = u->look.reading;

	if (r->kind != IMAP_FETCH || uid == 0)
		return;
	if (reading && reading->uid == uid && r->fetch.body_kind == IMAP_BODY_STREAMED)
		note_read(u, reading);
	else
		add_row(u, &r->fetch, uid);
}

/* --- what is asked --- */

static void look_on_done(struct imap_command *c, const struct imap_result *result, struct upload *u)
{
	u->look.lost |= result->outcome == IMAP_LOST;
	if (u->look.err == 0)
		u->look.err = result->err;
	if (--u->look.pending == 0)
		look_over(u);
}

static void look_on_whole(struct imap_command *c, const struct imap_result *result)
{
	look_on_done(c, result, list_entry(c, struct upload, look.whole_command));
}

static void look_on_head(struct imap_command *c, const struct imap_result *result)
{
	look_on_done(c, result, list_entry(c, struct upload, look.head_command));
}

/* False: there are none such. */
static bool ask(struct upload *u, struct imap_command *c, bool alike, imap_command_done *on_done)
{
	struct look *l = &u->look;
	const char *comma = "";

	imap_command_begin(c, false, on_done);
	imap_command_add(c, "UID FETCH ");
	for (size_t i = 0; i < l->count; i++) {
		if (l->rows[i].alike != alike)
			continue;
		imap_command_add(c, "%s%u", comma, l->rows[i].uid);
		comma = ",";
	}
	if (alike)
		imap_command_add(c, " (UID BODY.PEEK[])\r\n");
	else
		imap_command_add(c, " (UID BODY.PEEK[]<0.%d>)\r\n", HEAD);
	if (!*comma)
		return false;
	l->pending++;
	return true;
}

static void look_on_rows(struct imap_command *c, const struct imap_result *result)
{
	struct upload *u = list_entry(c, struct upload, look.rows_command);
	struct look *l = &u->look;

	l->lost = result->outcome == IMAP_LOST;
	l->err = result->err;
	if (l->err < 0 || u->mb->dead || l->count == 0 || l->too_many) {
		look_over(u);
		return;
	}
	bool whole = ask(u, &l->whole_command, true, look_on_whole);
	bool head = u->lost && ask(u, &l->head_command, false, look_on_head);
	if (whole)
		pool_submit(&l->task, &l->whole_command);
	if (head)
		pool_submit(&l->task, &l->head_command);
	if (!whole && !head)
		look_over(u);
}

static void look_on_conn(struct pool_task *t)
{
	struct upload *u = upload_of(t);

	u->look.count = 0;
	u->look.too_many = false;
	pool_send(t, &u->look.rows_command, look_on_rows, "UID FETCH %u:* (UID RFC822.SIZE)",
		u->uidnext);
}

static void look_on_fail(struct pool_task *t, int err)
{
	upload_on_looked(upload_of(t), err, 0, 0);
}

static void begin(struct upload *u)
{
	u->look.task = (struct pool_task){
		.mailbox = u->mb,
		.access = POOL_READ,
		/* No view of before tells. */
		.selected_after = pool_selection_now(),
		.deadline = account_deadline(u->account),
		.on_conn = look_on_conn,
		.on_fail = look_on_fail,
		.on_untagged = look_on_untagged,
		.on_body_begin = look_on_body_begin,
		.on_body_data = look_on_body_data,
	};
	pool_start(u->account->pool, &u->look.task);
}

/* --- what follows --- */

/* Whether nothing but our own message can be what is there. */
static bool is_clear(const struct look *l)
{
	for (size_t i = 0; i < l->count; i++)
		if (!l->rows[i].read || (l->rows[i].named && !l->rows[i].ours))
			return false;
	return !l->too_many;
}

static void look_over(struct upload *u)
{
	struct look *l = &u->look;
	uint32_t uid = 0;
	unsigned copies = 0;

	pool_end(&l->task);
	if (l->lost && !u->mb->dead && retry_lost(&l->retry, l->err)) {
		begin(u);
		return;
	}
	for (size_t i = 0; i < l->count && l->err == 0; i++) {
		if (!l->rows[i].ours)
			continue;
		uid = l->rows[i].uid > uid ? l->rows[i].uid : uid;
		copies++;
	}
	int err = l->err < 0 || u->mb->dead || is_clear(l) ? l->err : ERR_UNSURE;
	upload_on_looked(u, u->mb->dead ? ERR_NO_MAILBOX : uid ? 0 : err, uid, copies);
}

void look_start(struct upload *u)
{
	u->look.retry = (struct retry){0};
	u->look.err = 0;
	begin(u);
}

void look_finish(struct upload *u)
{
	list_remove(&u->look.task.link);
	imap_command_finish(&u->look.rows_command);
	imap_command_finish(&u->look.whole_command);
	imap_command_finish(&u->look.head_command);
}
