/*
 * One struct expunge for each mailbox that has something to delete. It takes a batch of UIDs and
 *
 *   with UIDPLUS     STORE \Deleted and UID EXPUNGE of just those, in one turn
 *   without          EXPUNGE takes everything that is marked, so what others marked is unmarked
 * first and marked again afterwards, with the list durable in the cache's journal meanwhile: search
 * -> journal -> unflag -> flag -> expunge -> reflag -> clear
 *
 * and asks which of them are still there when the server did not say that each is gone.
 */
#include "mail/expunge.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/sync.h"
#include "mail/uidset.h"

#define ATTEMPTS 3
#define COMMANDS 3

enum expunge_step {
	EXPUNGE_WAIT,
	EXPUNGE_RESTORE, /* marks again what is left in `others` from an attempt that was cut off */
	EXPUNGE_UIDPLUS,
	EXPUNGE_SEARCH,
	EXPUNGE_JOURNAL,
	EXPUNGE_UNFLAG,
	EXPUNGE_FLAG,
	EXPUNGE_PLAIN,
	EXPUNGE_REFLAG,
	EXPUNGE_CLEAR,
	EXPUNGE_VERIFY,
};

struct expunge {
	struct pool_task task;
	struct mailbox *mb;
	enum expunge_step step;
	struct list queued, batch; /* struct removal */
	struct uidset uids;        /* of the batch */
	struct uidset others;      /* marked by others, unmarked by us: also in the journal */
	struct uidset todo;        /* of others, in this step */
	struct uidset found;       /* of SEARCH */
	struct slot {
		struct imap_command command;
		struct expunge *expunge;
	} slots[COMMANDS];
	unsigned sent, pending;
	int err;
	bool lost;     /* the connection went, not the command */
	bool expunged; /* in this turn, or it never will be: only others' marks are left to give
			  back */
	unsigned attempts;
};

static void advance(struct expunge *e);

static const char *step_name(enum expunge_step step)
{
	static const char *const names[] = {"wait", "restore", "uidplus", "search", "journal",
		"unflag", "flag", "expunge", "reflag", "clear", "verify"};

	return names[step];
}

static void set_step(struct expunge *e, enum expunge_step step)
{
	log_debug("expunge in %s: %s -> %s", e->mb->component, step_name(e->step), step_name(step));
	e->step = step;
}

/* --- the ends --- */

static void answer(struct list *removals, int err)
{
	struct list done = LIST_INIT(done);

	list_splice(&done, removals);
	while (!list_empty(&done)) {
		struct removal *r = list_entry(done.next, struct removal, link);
		list_remove(&r->link);
		r->on_done(r, err);
	}
}

static void destroy(struct expunge *e)
{
	e->mb->expunge = NULL;
	for (unsigned i = 0; i < COMMANDS; i++)
		imap_command_finish(&e->slots[i].command);
	uidset_finish(&e->uids);
	uidset_finish(&e->others);
	uidset_finish(&e->todo);
	uidset_finish(&e->found);
	free(e);
}

static void enqueue(struct expunge *e)
{
	set_step(e, EXPUNGE_WAIT);
	e->task.deadline = account_deadline(e->mb->account);
	pool_start(e->mb->account->pool, &e->task);
}

/* The connection was given back. Goes on with what came meanwhile, or ends. */
static void next_batch(struct expunge *e)
{
	e->attempts = 0;
	if (!list_empty(&e->queued))
		enqueue(e);
	else
		destroy(e);
}

/* Everything that waits fails. What is in `others` stays in the journal, and is restored by the
 * next mount. */
static void give_up(struct expunge *e, int err)
{
	list_splice(&e->batch, &e->queued);
	answer(&e->batch, err);
	next_batch(e);
}

static void on_fail(struct pool_task *t, int err)
{
	give_up(list_entry(t, struct expunge, task), err);
}

static void batch_over(struct expunge *e, int err)
{
	pool_end(&e->task);
	answer(&e->batch, err);
	next_batch(e);
}

/* --- commands --- */

static void on_done(struct imap_command *c, const struct imap_result *result);

static struct imap_command *command_new(struct expunge *e)
{
	struct slot *slot = &e->slots[e->sent++];

	slot->expunge = e;
	imap_command_finish(&slot->command);
	imap_command_init(&slot->command, false, on_done);
	return &slot->command;
}

static void submit(struct expunge *e, struct imap_command *c)
{
	e->pending++;
	pool_submit(&e->task, c);
}

static void begin_commands(struct expunge *e)
{
	e->sent = 0;
	e->err = 0;
	e->lost = false;
}

static void on_done(struct imap_command *c, const struct imap_result *result)
{
	struct expunge *e = list_entry(c, struct slot, command)->expunge;

	if (result->err < 0 && e->err == 0)
		e->err = result->err;
	if (!result->response)
		e->lost = true;
	if (--e->pending == 0)
		advance(e);
}

/* Sends `UID STORE set flags` for as much of a set as one command takes; the rest stays in the set.
 */
static void send_store(struct expunge *e, struct uidset *set, const char *flags)
{
	struct imap_command *c = command_new(e);
	struct buf text;

	buf_init(&text, UIDSET_TEXT_MAX);
	uidset_take_text(set, &text);
	imap_command_add(c, "UID STORE %s %s (\\Deleted)\r\n", buf_cstr(&text), flags);
	buf_finish(&text);
	submit(e, c);
}

static void copy_set(struct uidset *to, const struct uidset *from)
{
	uidset_clear(to);
	for (size_t i = 0; i < from->count; i++)
		uidset_add(to, from->ranges[i].first, from->ranges[i].last);
}

/* The batch was chosen to fit one command. */
static void batch_text(const struct expunge *e, struct buf *text)
{
	struct uidset copy = {0};

	copy_set(&copy, &e->uids);
	buf_init(text, UIDSET_TEXT_MAX);
	uidset_take_text(&copy, text);
	uidset_finish(&copy);
}

static void send_uidplus(struct expunge *e)
{
	struct account *a = e->mb->account;
	struct buf set;

	batch_text(e, &set);
	/* Where EXPUNGE will tell sequence numbers, learn first whose they are. */
	if (!pool_enabled(a->pool, IMAP_CAP_QRESYNC)) {
		struct imap_command *c = command_new(e);
		imap_command_add(c, "UID FETCH %s (UID)\r\n", buf_cstr(&set));
		submit(e, c);
	}
	struct imap_command *store = command_new(e);
	imap_command_add(store, "UID STORE %s +FLAGS.SILENT (\\Deleted)\r\n", buf_cstr(&set));
	submit(e, store);
	struct imap_command *expunge = command_new(e);
	imap_command_add(expunge, "UID EXPUNGE %s\r\n", buf_cstr(&set));
	submit(e, expunge);
	buf_finish(&set);
}

static void on_journal_done(void *ctx, int err)
{
	struct expunge *e = ctx;

	e->err = err;
	if (--e->pending == 0)
		advance(e);
}

static void put_journal(struct expunge *e, bool clear)
{
	uint32_t *uids = NULL;
	size_t n = 0;

	for (size_t i = 0; i < e->others.count && !clear; i++)
		for (uint64_t uid = e->others.ranges[i].first; uid <= e->others.ranges[i].last;
			uid++) {
			uids = mem_resize(uids, n + 1, sizeof(*uids));
			uids[n++] = (uint32_t)uid;
		}
	e->pending++;
	cache_put_journal(e->mb->account->cache, e->mb->id, uids, n, on_journal_done, e);
	free(uids);
}

static void send_batch_command(struct expunge *e, const char *before, const char *after)
{
	struct imap_command *c = command_new(e);
	struct buf set;

	batch_text(e, &set);
	imap_command_add(c, "%s%s%s\r\n", before, buf_cstr(&set), after);
	buf_finish(&set);
	submit(e, c);
}

static void send_step(struct expunge *e)
{
	begin_commands(e);
	switch (e->step) {
	case EXPUNGE_WAIT:
		break;
	case EXPUNGE_RESTORE:
	case EXPUNGE_REFLAG:
		send_store(e, &e->todo, "+FLAGS.SILENT");
		break;
	case EXPUNGE_UIDPLUS:
		send_uidplus(e);
		break;
	case EXPUNGE_SEARCH:
		uidset_clear(&e->found);
		imap_command_add(command_new(e), "UID SEARCH DELETED\r\n");
		submit(e, &e->slots[0].command);
		break;
	case EXPUNGE_JOURNAL:
		put_journal(e, false);
		break;
	case EXPUNGE_UNFLAG:
		send_store(e, &e->todo, "-FLAGS.SILENT");
		break;
	case EXPUNGE_FLAG:
		send_batch_command(e, "UID FETCH ", " (UID)");
		send_batch_command(e, "UID STORE ", " +FLAGS.SILENT (\\Deleted)");
		break;
	case EXPUNGE_PLAIN:
		imap_command_add(command_new(e), "EXPUNGE\r\n");
		submit(e, &e->slots[0].command);
		break;
	case EXPUNGE_CLEAR:
		put_journal(e, true);
		break;
	case EXPUNGE_VERIFY:
		uidset_clear(&e->found);
		send_batch_command(e, "UID SEARCH UID ", "");
		break;
	}
}

static void go(struct expunge *e, enum expunge_step step)
{
	set_step(e, step);
	send_step(e);
}

/* --- steps --- */

static bool has_uidplus(const struct expunge *e)
{
	const struct account *a = e->mb->account;

	return (pool_capabilities(a->pool) & IMAP_CAP_UIDPLUS) && !a->uidplus_broken;
}

static void start_batch(struct expunge *e)
{
	go(e, has_uidplus(e) ? EXPUNGE_UIDPLUS : EXPUNGE_SEARCH);
}

/* After the server confirmed: each UID of the batch must be gone, or the server is asked. */
static void after_expunge(struct expunge *e)
{
	LIST_FOREACH (pos, &e->batch) {
		const struct removal *r = list_entry(pos, struct removal, link);
		if (mailbox_find(e->mb, r->uid)) {
			go(e, EXPUNGE_VERIFY);
			return;
		}
	}
	batch_over(e, 0);
}

static void after_verify(struct expunge *e)
{
	struct account *a = e->mb->account;
	struct list refused = LIST_INIT(refused);

	uidset_sort(&e->found);
	LIST_FOREACH_SAFE (pos, &e->batch) {
		struct removal *r = list_entry(pos, struct removal, link);
		if (uidset_has(&e->found, r->uid)) {
			list_remove(&r->link);
			list_append(&refused, &r->link);
		} else if (mailbox_remove(e->mb, r->uid)) {
			mailbox_touch(e->mb);
			a->observer.on_message_gone(a->ctx, e->mb, r->uid);
		}
	}
	if (!list_empty(&refused))
		log_warning(
			"%s: the server says that it expunged messages of %s, but still has them",
			a->options.pool.host, e->mb->component);
	answer(&refused, ERR_REFUSED);
	batch_over(e, 0);
}

static void after_search(struct expunge *e)
{
	uidset_clear(&e->others);
	uidset_sort(&e->found);
	if (uidset_size(&e->found) > conn_exists(e->task.conn)) {
		log_warning("%s: SEARCH DELETED found more messages than %s has",
			e->mb->account->options.pool.host, e->mb->component);
		batch_over(e, ERR_REFUSED);
		return;
	}
	for (size_t i = 0; i < e->found.count; i++)
		for (uint64_t uid = e->found.ranges[i].first; uid <= e->found.ranges[i].last; uid++)
			if (!uidset_has(&e->uids, (uint32_t)uid))
				uidset_add(&e->others, (uint32_t)uid, (uint32_t)uid);
	if (e->others.count == 0) {
		go(e, EXPUNGE_FLAG);
		return;
	}
	go(e, EXPUNGE_JOURNAL);
}

/* Steps over `others` take as many commands as their length needs. */
static bool more_todo(struct expunge *e)
{
	if (e->todo.count == 0)
		return false;
	send_step(e);
	return true;
}

static void advance_ok(struct expunge *e)
{
	switch (e->step) {
	case EXPUNGE_WAIT:
		break;
	case EXPUNGE_RESTORE:
	case EXPUNGE_REFLAG:
		if (!more_todo(e))
			go(e, EXPUNGE_CLEAR);
		break;
	case EXPUNGE_UIDPLUS:
		after_expunge(e);
		break;
	case EXPUNGE_SEARCH:
		after_search(e);
		break;
	case EXPUNGE_JOURNAL:
		copy_set(&e->todo, &e->others);
		go(e, EXPUNGE_UNFLAG);
		break;
	case EXPUNGE_UNFLAG:
		if (!more_todo(e))
			go(e, EXPUNGE_FLAG);
		break;
	case EXPUNGE_FLAG:
		go(e, EXPUNGE_PLAIN);
		break;
	case EXPUNGE_PLAIN:
		if (e->others.count > 0) {
			copy_set(&e->todo, &e->others);
			go(e, EXPUNGE_REFLAG);
		} else {
			after_expunge(e);
		}
		break;
	case EXPUNGE_CLEAR:
		uidset_clear(&e->others);
		if (e->expunged)
			after_expunge(e);
		else
			start_batch(e);
		break;
	case EXPUNGE_VERIFY:
		after_verify(e);
		break;
	}
}

static void on_lost(struct expunge *e)
{
	pool_end(&e->task);
	if (e->mb->dead)
		give_up(e, ERR_STALE);
	else if (++e->attempts < ATTEMPTS && e->err != ERR_CANCELED)
		enqueue(e);
	else
		give_up(e, e->err);
}

/* Refused: nothing more is done for this batch but to give others' marks back. */
static void on_refused(struct expunge *e)
{
	if (e->step == EXPUNGE_UIDPLUS && !e->mb->account->uidplus_broken &&
		e->err == ERR_REFUSED) {
		e->mb->account->uidplus_broken = true;
		log_debug("UID EXPUNGE refused: going on without UIDPLUS");
		go(e, EXPUNGE_SEARCH);
		return;
	}
	bool unflagged = e->step == EXPUNGE_UNFLAG || e->step == EXPUNGE_FLAG ||
			 e->step == EXPUNGE_PLAIN;
	answer(&e->batch, e->err);
	if (unflagged && e->others.count > 0) {
		copy_set(&e->todo, &e->others);
		e->expunged = true;
		go(e, EXPUNGE_REFLAG);
		return;
	}
	batch_over(e, e->err);
}

static void advance(struct expunge *e)
{
	if (e->step == EXPUNGE_PLAIN && e->err == 0)
		e->expunged = true;
	if (e->lost)
		on_lost(e);
	else if (e->err < 0)
		on_refused(e);
	else
		advance_ok(e);
}

/* --- start --- */

static int permission(const struct pool_selected *selected)
{
	if (selected->readonly)
		return ERR_READONLY;
	if (selected->has_permanentflags && !(selected->permanentflags & IMAP_FLAG_DELETED))
		return ERR_DENIED;
	return selected->has_rights && !selected->can_delete ? ERR_DENIED : 0;
}

static int compare_uids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

/* As many of the queued as surely fit one command. */
static void fill_batch(struct expunge *e)
{
	uint32_t uids[UIDSET_TEXT_MAX / 11];
	size_t n = 0;

	LIST_FOREACH (pos, &e->batch)
		uids[n++] = list_entry(pos, struct removal, link)->uid;
	while (!list_empty(&e->queued) && n < sizeof(uids) / sizeof(uids[0])) {
		struct removal *r = list_entry(e->queued.next, struct removal, link);
		uids[n++] = r->uid;
		list_remove(&r->link);
		list_append(&e->batch, &r->link);
	}
	qsort(uids, n, sizeof(uids[0]), compare_uids);
	uidset_clear(&e->uids);
	for (size_t i = 0; i < n; i++)
		uidset_add(&e->uids, uids[i], uids[i]);
}

static void on_conn(struct pool_task *t)
{
	struct expunge *e = list_entry(t, struct expunge, task);
	int err = permission(conn_selected(t->conn));

	if (err < 0) {
		list_splice(&e->batch, &e->queued);
		batch_over(e, err);
		return;
	}
	fill_batch(e);
	e->expunged = false;
	if (e->others.count > 0) {
		copy_set(&e->todo, &e->others);
		go(e, EXPUNGE_RESTORE);
	} else if (!list_empty(&e->batch)) {
		start_batch(e);
	} else {
		batch_over(e, 0);
	}
}

static void on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct expunge *e = list_entry(t, struct expunge, task);
	struct span set = r->words;
	uint32_t first, last;

	if (r->kind != IMAP_SEARCH || (e->step != EXPUNGE_SEARCH && e->step != EXPUNGE_VERIFY))
		return;
	while (imap_set_next(&set, &first, &last))
		uidset_add(&e->found, first, last);
}

static struct expunge *expunge_of(struct mailbox *mb)
{
	struct expunge *e = mb->expunge;

	if (e)
		return e;
	e = mem_zalloc(sizeof(*e));
	e->mb = mb;
	e->task = (struct pool_task){
		.mailbox = mb,
		.access = POOL_WRITE,
		.on_conn = on_conn,
		.on_fail = on_fail,
		.on_untagged = on_untagged,
	};
	list_init(&e->queued);
	list_init(&e->batch);
	mb->expunge = e;
	enqueue(e);
	return e;
}

void expunge_start(struct removal *r)
{
	list_append(&expunge_of(r->mb)->queued, &r->link);
}

bool expunge_cancel(struct removal *r)
{
	struct expunge *e = r->mb->expunge;
	bool queued = false;

	if (!e)
		return false;
	LIST_FOREACH (pos, &e->queued)
		queued = queued || pos == &r->link;
	list_remove(&r->link);
	return queued;
}

static void restore(void *ctx, uint32_t mailbox, const uint32_t *uids, size_t n)
{
	struct account *a = ctx;
	struct mailbox *mb = account_mailbox(a, mailbox);

	if (!mb || !mailbox_selectable(mb))
		return;
	log_notice("marking %zu messages of %s as deleted again, as they were before an "
		   "interrupted rm",
		n, mb->component);
	struct expunge *e = expunge_of(mb);
	for (size_t i = 0; i < n; i++)
		uidset_add(&e->others, uids[i], uids[i]);
	uidset_sort(&e->others);
}

void expunge_restore_start(struct account *a)
{
	if (!a->options.readonly)
		cache_each_journal(a->cache, restore, a);
}
