/*
 * One struct expunge for each mailbox that has something to delete. It takes a batch of UIDs and
 *
 *   with UIDPLUS     STORE \Deleted and UID EXPUNGE of just those, in one turn
 *   without          nothing, unless the user insists: what another client marks between a look and
 * EXPUNGE would be expunged. Else, with a lease, so that two of us do not undo each other's care,
 * flag -> search, and EXPUNGE when the server finds ours marked and nothing
 * else. EXPUNGE takes whatever is marked, so what others marked is unmarked first and marked again
 * afterwards, with the list durable in the cache's journal meanwhile: confirm (FETCH must say of
 * each that it is marked, for a SEARCH can be another's) -> journal -> unflag -> search again ->
 * expunge -> reflag -> clear
 *
 * and asks which of them are still there when the server did not say that each is gone. When
 * something is refused, undo takes our own marks off again, and the others get theirs back. What
 * cannot be marked again stays in `others` (and in the journal): for the next batch, the next time
 * that the server comes up, or the next mount.
 */
#include "mail/expunge.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/expunge_private.h"

#define ATTEMPTS 3
/* Others may mark more while we look. */
#define ROUNDS 4
/* Dovecot may answer OK and do nothing when EXPUNGE comes right behind STORE, and another client
 * changes the mailbox. */
#define TRIES 4

static const char *step_name(enum expunge_step step)
{
	static const char *const names[] = {"idle", "lease", "wait", "compare", "uidplus", "flag",
		"search", "confirm", "journal", "unflag", "expunge", "undo", "reflag", "filter",
		"clear", "verify"};

	return names[step];
}

static void set_step(struct expunge *e, enum expunge_step step)
{
	log_debug("expunge in %s: %s -> %s", e->mb->component, step_name(e->step), step_name(step));
	e->step = step;
}

/* A step over a set, in as many commands as it needs. */
static void go_over(struct expunge *e, enum expunge_step step, const struct uidset *set)
{
	set_step(e, step);
	uidset_copy(&e->todo, set);
	uidset_clear(&e->found);
	e->answered = false;
	expunge_send(e);
}

static void go(struct expunge *e, enum expunge_step step)
{
	static const struct uidset none;

	go_over(e, step, &none);
}

/* --- the ends --- */

/* What is gone is gone, whatever failed afterwards. */
static int result(const struct removal *r, int err)
{
	if (r->mb->dead)
		return ERR_GONE;
	return mailbox_find(r->mb, r->uid) ? err : 0;
}

static void answer(struct list *removals, int err)
{
	struct list done = LIST_INIT(done);

	list_splice(&done, removals);
	while (!list_empty(&done)) {
		struct removal *r = list_entry(done.next, struct removal, link);
		list_remove(&r->link);
		r->on_done(r, result(r, err));
	}
}

static bool has_uidplus(const struct expunge *e)
{
	const struct account *a = e->mb->account;

	return (pool_capabilities(a->pool) & IMAP_CAP_UIDPLUS) && !a->uidplus_broken;
}

static uint32_t highest(const struct list *removals, uint32_t uid)
{
	LIST_FOREACH (pos, removals) {
		const struct removal *r = list_entry(pos, struct removal, link);
		uid = r->uid > uid ? r->uid : uid;
	}
	return uid;
}

static void start_task(struct expunge *e)
{
	uint32_t uid = e->others.count > 0 ? e->others.ranges[e->others.count - 1].last : 0;

	set_step(e, EXPUNGE_WAIT);
	e->task.uid = highest(&e->batch, highest(&e->queued, uid));
	e->task.deadline = account_deadline(e->mb->account);
	pool_start(e->mb->account->pool, &e->task);
}

static void give_up(struct expunge *e, int err);

static void on_lease(void *ctx, bool held)
{
	struct expunge *e = ctx;

	if (held) {
		start_task(e);
		return;
	}
	log_warning("%s: another imapfs has been removing messages of %s for too long",
		e->mb->account->options.pool.host, mailbox_path(e->mb));
	give_up(e, ERR_THROTTLED);
}

static void take_lease(struct expunge *e)
{
	const struct pool_options *o = &e->mb->account->options.pool;
	const char *as = o->login.authzid ? o->login.authzid : "";
	struct buf key;

	set_step(e, EXPUNGE_LEASE);
	buf_init(&key, SIZE_MAX);
	buf_printf(&key, "%s %u %s %s ", o->host, o->port, o->login.user, as);
	buf_append(&key, e->mb->name.p, e->mb->name.n);
	e->lease = lease_take(
		e->mb->account->loop, buf_span(&key), o->timeout * 3 / 4, on_lease, e);
	buf_finish(&key);
}

static void enqueue(struct expunge *e)
{
	bool all_goes = !has_uidplus(e) && e->mb->account->options.expunge_force;

	if (!e->lease && (all_goes || e->others.count > 0))
		take_lease(e);
	else
		start_task(e);
}

/* The connection was given back. Goes on with what came meanwhile, rests with what could not be put
 * right, or ends. again: tries to put it right now. */
static void next_batch(struct expunge *e, bool again)
{
	lease_release(e->lease);
	e->lease = NULL;
	e->attempts = 0;
	e->tries = 0;
	e->task.selected_after = 0;
	uidset_clear(&e->ours);
	uidset_clear(&e->marked);
	if (!list_empty(&e->queued) || again) {
		enqueue(e);
	} else if (e->others.count > 0 && !e->mb->dead) {
		set_step(e, EXPUNGE_IDLE);
	} else {
		e->mb->expunge = NULL;
		expunge_free(e);
	}
}

/* Everything that waits fails. Others' marks get another chance, without our removals. */
static void give_up(struct expunge *e, int err)
{
	bool again = e->others.count > 0 && err != ERR_CANCELED && !e->mb->dead;

	list_splice(&e->batch, &e->queued);
	again = again && !list_empty(&e->batch);
	answer(&e->batch, err);
	next_batch(e, again);
}

static void on_fail(struct pool_task *t, int err)
{
	give_up(list_entry(t, struct expunge, task), err);
}

static void batch_over(struct expunge *e, int err)
{
	pool_end(&e->task);
	answer(&e->batch, err);
	next_batch(e, false);
}

/* --- the batch --- */

#define BATCH_MAX (UIDSET_TEXT_MAX / 11)

static int compare_uids(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void note_uids(struct expunge *e)
{
	uint32_t uids[BATCH_MAX];
	size_t n = 0;

	LIST_FOREACH (pos, &e->batch)
		uids[n++] = list_entry(pos, struct removal, link)->uid;
	qsort(uids, n, sizeof(uids[0]), compare_uids);
	uidset_clear(&e->uids);
	for (size_t i = 0; i < n; i++)
		uidset_add(&e->uids, uids[i], uids[i]);
}

/* As many of the queued as surely fit one command, and as the connection knows. */
static void fill_batch(struct expunge *e)
{
	size_t n = 0;

	LIST_FOREACH (pos, &e->batch)
		n++;
	LIST_FOREACH_SAFE (pos, &e->queued) {
		struct removal *r = list_entry(pos, struct removal, link);
		if (n >= BATCH_MAX || !pool_is_told(&e->task, r->uid))
			continue;
		list_remove(&r->link);
		list_append(&e->batch, &r->link);
		n++;
	}
}

/* What the server has told of without being asked, or before a connection was lost. */
static void answer_gone(struct expunge *e)
{
	struct list left = LIST_INIT(left);

	LIST_FOREACH_SAFE (pos, &e->batch) {
		struct removal *r = list_entry(pos, struct removal, link);
		if (mailbox_find(e->mb, r->uid)) {
			list_remove(&r->link);
			list_append(&left, &r->link);
		}
	}
	answer(&e->batch, 0);
	list_splice(&e->batch, &left);
}

/* On another connection, or when the lease is there. */
static void start_over(struct expunge *e)
{
	pool_end(&e->task);
	list_splice(&e->batch, &e->queued);
	list_splice(&e->queued, &e->batch);
	enqueue(e);
}

static void refuse_unsafe(struct expunge *e);

/* Proton's Bridge may give its messages other UIDs without another UIDVALIDITY. They stay within a
 * selection, so the first batch of each is worth a turn. */
static bool is_compared(const struct expunge *e)
{
	return e->compared || e->mb->compared == conn_selected(e->task.conn)->asked;
}

static void start_batch(struct expunge *e)
{
	fill_batch(e);
	answer_gone(e);
	note_uids(e);
	if (list_empty(&e->batch))
		batch_over(e, 0);
	else if (!has_uidplus(e) && !e->mb->account->options.expunge_force)
		refuse_unsafe(e);
	else if (!has_uidplus(e) && !e->lease)
		start_over(e);
	else if (!is_compared(e))
		go_over(e, EXPUNGE_COMPARE, &e->uids);
	else
		go_over(e, has_uidplus(e) ? EXPUNGE_UIDPLUS : EXPUNGE_FLAG, &e->uids);
}

static void after_compare(struct expunge *e)
{
	struct list others = LIST_INIT(others);

	LIST_FOREACH_SAFE (pos, &e->batch) {
		struct removal *r = list_entry(pos, struct removal, link);
		if (!r->other)
			continue;
		log_warning("%s: %s/%u is not removed: it is another message than was shown",
			e->mb->account->options.pool.host, mailbox_path(e->mb), r->uid);
		list_remove(&r->link);
		list_append(&others, &r->link);
	}
	e->compared = true;
	if (list_empty(&others))
		e->mb->compared = conn_selected(e->task.conn)->asked;
	answer(&others, ERR_REFUSED);
	start_batch(e);
}

static bool all_gone(const struct expunge *e)
{
	LIST_FOREACH (pos, &e->batch)
		if (mailbox_find(e->mb, list_entry(pos, struct removal, link)->uid))
			return false;
	return true;
}

/* After the server confirmed: each UID of the batch must be gone, or the server is asked. */
static void after_expunge(struct expunge *e)
{
	if (all_gone(e))
		batch_over(e, 0);
	else
		go_over(e, EXPUNGE_VERIFY, &e->uids);
}

/* Others' marks are as they were, or cannot be for now. */
static void proceed(struct expunge *e)
{
	if (!e->over)
		start_batch(e);
	else if (e->retry)
		start_over(e);
	else if (e->verdict < 0)
		batch_over(e, e->verdict);
	else
		after_expunge(e);
}

static void give_back(struct expunge *e)
{
	e->filtered = false;
	if (e->others.count > 0)
		go_over(e, EXPUNGE_REFLAG, &e->others);
	else
		proceed(e);
}

static void expunged(struct expunge *e)
{
	e->over = true;
	give_back(e);
}

/* Nothing more is done for this batch but to put the marks right. */
static void refuse(struct expunge *e, int err)
{
	e->over = true;
	e->verdict = err;
	if (e->ours.count > 0)
		go_over(e, EXPUNGE_UNDO, &e->ours);
	else
		give_back(e);
}

/* Between a look at what is marked and EXPUNGE others may mark more. */
static void refuse_unsafe(struct expunge *e)
{
	struct account *a = e->mb->account;

	if (!a->unsafe_told)
		log_warning(
			"%s cannot expunge one message alone (UIDPLUS): nothing is removed, since "
			"what other programs mark meanwhile could go along; -o expunge=force "
			"takes the risk",
			a->options.pool.host);
	a->unsafe_told = true;
	refuse(e, ERR_UNSAFE);
}

/* --- what SEARCH DELETED said --- */

static void distrust(struct expunge *e, const char *why)
{
	log_warning("%s: SEARCH DELETED %s in %s: nothing is expunged",
		e->mb->account->options.pool.host, why, mailbox_path(e->mb));
	refuse(e, ERR_REFUSED);
}

/* Those that were there a moment ago and that nobody expunged since. */
static bool found_ours(const struct expunge *e)
{
	for (size_t i = 0; i < e->rows.count; i++)
		for (uint64_t uid = e->rows.ranges[i].first; uid <= e->rows.ranges[i].last; uid++)
			if (mailbox_find(e->mb, (uint32_t)uid) &&
				!uidset_has(&e->found, (uint32_t)uid))
				return false;
	return true;
}

/* Splits what was found: the others go to fresh. Returns how many are ours. */
static size_t sort_out(struct expunge *e)
{
	size_t ours = 0;

	uidset_clear(&e->fresh);
	for (size_t i = 0; i < e->found.count; i++)
		for (uint64_t uid = e->found.ranges[i].first; uid <= e->found.ranges[i].last; uid++)
			if (uidset_has(&e->uids, (uint32_t)uid))
				ours++;
			else
				uidset_add(&e->fresh, (uint32_t)uid, (uint32_t)uid);
	return ours;
}

static void after_search(struct expunge *e)
{
	uidset_sort(&e->found);
	uint64_t count = uidset_size(&e->found);
	if (!e->answered) {
		distrust(e, "was not answered");
	} else if (count > conn_exists(e->task.conn) || count > EXPUNGE_OTHERS_MAX) {
		distrust(e, "found too many messages");
	} else if (!found_ours(e)) {
		distrust(e, "did not find what was marked");
	} else if (sort_out(e) == 0) {
		/* Nothing is left of ours to be expunged. */
		expunged(e);
	} else if (e->fresh.count == 0) {
		go(e, EXPUNGE_PLAIN);
	} else if (e->rounds++ == ROUNDS) {
		distrust(e, "finds ever more messages");
	} else {
		go_over(e, EXPUNGE_CONFIRM, &e->fresh);
	}
}

static bool is_subset(const struct uidset *small, const struct uidset *large)
{
	for (size_t i = 0; i < small->count; i++)
		for (uint64_t uid = small->ranges[i].first; uid <= small->ranges[i].last; uid++)
			if (!uidset_has(large, (uint32_t)uid))
				return false;
	return true;
}

static void after_confirm(struct expunge *e)
{
	uidset_sort(&e->found);
	if (!is_subset(&e->fresh, &e->found)) {
		go(e, EXPUNGE_SEARCH);
		return;
	}
	for (size_t i = 0; i < e->fresh.count; i++)
		uidset_add(&e->others, e->fresh.ranges[i].first, e->fresh.ranges[i].last);
	uidset_sort(&e->others);
	if (uidset_size(&e->others) > EXPUNGE_OTHERS_MAX)
		distrust(e, "found too many messages");
	else
		go(e, EXPUNGE_JOURNAL);
}

/* --- giving back --- */

/* They stay in the journal. */
static void restore_failed(struct expunge *e)
{
	log_warning("%s: cannot mark %llu messages of %s as deleted again, as others had; trying "
		    "again later",
		e->mb->account->options.pool.host, (unsigned long long)uidset_size(&e->others),
		e->mb->component);
	proceed(e);
}

/* Servers may refuse STORE for messages that are no more: only for those that are left, then. */
static void after_filter(struct expunge *e)
{
	uidset_sort(&e->found);
	uidset_copy(&e->others, &e->found);
	e->filtered = true;
	if (e->others.count > 0)
		go_over(e, EXPUNGE_REFLAG, &e->others);
	else
		go(e, EXPUNGE_CLEAR);
}

static void after_clear(struct expunge *e)
{
	uidset_clear(&e->others);
	proceed(e);
}

/* --- verifying --- */

static void gone(struct expunge *e, uint32_t uid)
{
	struct account *a = e->mb->account;

	if (!mailbox_remove(e->mb, uid))
		return;
	mailbox_touch(e->mb);
	a->observer.on_message_gone(a->ctx, e->mb, uid);
}

/* EXPUNGE was answered OK, and the server does not show the message. That says something where it
 * showed it before, on the same connection; or where the mailbox was selected anew since. Else this
 * connection was never told of the message, and nothing has happened to it. */
static bool is_gone(const struct expunge *e, uint32_t uid, bool answered)
{
	return !uidset_has(&e->found, uid) &&
	       (uidset_has(&e->rows, uid) || (answered && e->selected_anew));
}

/* answered: the server has said which of them it still has. */
static void after_verify(struct expunge *e, bool answered)
{
	struct list refused = LIST_INIT(refused);
	bool unclear = false;

	uidset_sort(&e->found);
	LIST_FOREACH_SAFE (pos, &e->batch) {
		struct removal *r = list_entry(pos, struct removal, link);
		if (is_gone(e, r->uid, answered)) {
			gone(e, r->uid);
			continue;
		}
		unclear |= !uidset_has(&e->rows, r->uid) && !uidset_has(&e->found, r->uid);
		list_remove(&r->link);
		list_append(&refused, &r->link);
	}
	if (unclear && !e->selected_anew) {
		answer(&e->batch, 0);
		list_splice(&e->batch, &refused);
		e->task.selected_after = pool_selection_now();
		start_over(e);
		return;
	}
	if (!list_empty(&refused) && ++e->tries < TRIES) {
		list_splice(&e->batch, &refused);
		e->over = false;
		start_batch(e);
		return;
	}
	if (!list_empty(&refused))
		log_warning(
			"%s: the server says that it expunged messages of %s, but still has them",
			e->mb->account->options.pool.host, mailbox_path(e->mb));
	answer(&refused, ERR_REFUSED);
	batch_over(e, 0);
}

/* The listing proves itself anew. */
static void verify_failed(struct expunge *e)
{
	e->mb->holes = true;
	after_verify(e, false);
}

/* --- steps --- */

static bool more_todo(struct expunge *e)
{
	if (e->todo.count == 0)
		return false;
	expunge_send(e);
	return true;
}

/* Some servers offer UIDPLUS without having UID EXPUNGE (Proton Bridge, DavMail). Once may have
 * been an accident. */
static void doubt_uidplus(struct expunge *e, const char *why)
{
	struct account *a = e->mb->account;

	if (++a->uidplus_doubts == 1) {
		go_over(e, EXPUNGE_UIDPLUS, &e->uids);
		return;
	}
	if (!a->uidplus_broken)
		log_warning(
			"%s: UID EXPUNGE was %s twice: going on as if UIDPLUS, which is offered, "
			"were lacking",
			a->options.pool.host, why);
	a->uidplus_broken = true;
	e->retry = true;
	refuse(e, ERR_UNSAFE);
}

static void after_uidplus(struct expunge *e)
{
	struct account *a = e->mb->account;

	if (e->silent && !all_gone(e)) {
		doubt_uidplus(e, "not answered");
		return;
	}
	if (!e->silent) {
		a->uidplus_doubts = 0;
		a->uidplus_proven = true;
	}
	expunged(e);
}

/* FETCH and STORE are sent together. Where only FETCH was refused the marks are set, and which of
 * them were there before is not known: they are taken for ours. Better that another's mark is lost
 * with a removal that fails than that ours stays. */
static bool has_marked_blindly(struct expunge *e)
{
	const struct slot *fetch = &e->slots[EXPUNGE_SLOT_FETCH];
	const struct slot *store = &e->slots[EXPUNGE_SLOT_STORE];

	if (fetch->err == 0 || store->err < 0)
		return false;
	LIST_FOREACH (pos, &e->batch) {
		uint32_t uid = list_entry(pos, struct removal, link)->uid;
		if (mailbox_find(e->mb, uid) && !uidset_has(&e->marked, uid))
			uidset_add(&e->ours, uid, uid);
	}
	uidset_sort(&e->ours);
	return true;
}

/* A plain NO is about these messages. */
static void uidplus_failed(struct expunge *e)
{
	has_marked_blindly(e);
	if (all_gone(e))
		expunged(e);
	else if (e->slots[EXPUNGE_SLOT_STORE].err < 0 || !e->slots[EXPUNGE_SLOT_EXPUNGE].unknown)
		refuse(e, e->err);
	else
		doubt_uidplus(e, "refused");
}

static void succeeded(struct expunge *e)
{
	switch (e->step) {
	case EXPUNGE_IDLE:
	case EXPUNGE_LEASE:
	case EXPUNGE_WAIT:
		break;
	case EXPUNGE_COMPARE:
		after_compare(e);
		break;
	case EXPUNGE_UIDPLUS:
		after_uidplus(e);
		break;
	case EXPUNGE_PLAIN:
		expunged(e);
		break;
	case EXPUNGE_FLAG:
		go(e, EXPUNGE_SEARCH);
		break;
	case EXPUNGE_SEARCH:
		after_search(e);
		break;
	case EXPUNGE_CONFIRM:
		after_confirm(e);
		break;
	case EXPUNGE_JOURNAL:
		go_over(e, EXPUNGE_UNFLAG, &e->fresh);
		break;
	case EXPUNGE_UNFLAG:
		go(e, EXPUNGE_SEARCH);
		break;
	case EXPUNGE_UNDO:
		give_back(e);
		break;
	case EXPUNGE_REFLAG:
		go(e, EXPUNGE_CLEAR);
		break;
	case EXPUNGE_FILTER:
		after_filter(e);
		break;
	case EXPUNGE_CLEAR:
		after_clear(e);
		break;
	case EXPUNGE_VERIFY:
		after_verify(e, true);
		break;
	}
}

static void failed(struct expunge *e)
{
	switch ((int)e->step) {
	case EXPUNGE_COMPARE:
		after_compare(e);
		break;
	case EXPUNGE_UIDPLUS:
		uidplus_failed(e);
		break;
	case EXPUNGE_FLAG:
		/* SEARCH tells what is marked, and VERIFY what is gone. */
		if (has_marked_blindly(e))
			go(e, EXPUNGE_SEARCH);
		else
			refuse(e, e->err);
		break;
	case EXPUNGE_UNDO:
		give_back(e);
		break;
	case EXPUNGE_REFLAG:
		if (e->filtered)
			restore_failed(e);
		else
			go_over(e, EXPUNGE_FILTER, &e->others);
		break;
	case EXPUNGE_FILTER:
		restore_failed(e);
		break;
	case EXPUNGE_CLEAR:
		after_clear(e);
		break;
	case EXPUNGE_VERIFY:
		/* What it did not say of all is proof of nothing. */
		if (e->err == ERR_PARTIAL)
			batch_over(e, e->err);
		else
			verify_failed(e);
		break;
	default:
		refuse(e, e->err);
		break;
	}
}

static void on_conn_lost(struct expunge *e)
{
	pool_end(&e->task);
	if (e->mb->dead) {
		give_up(e, ERR_STALE);
		return;
	}
	/* Else they are answered when the others have their marks back. */
	if (e->others.count == 0)
		answer_gone(e);
	if (list_empty(&e->batch) && e->others.count == 0)
		next_batch(e, false);
	else if (++e->attempts < ATTEMPTS && e->err != ERR_CANCELED)
		enqueue(e);
	else
		give_up(e, e->err);
}

void expunge_advance(struct expunge *e)
{
	if (e->lost) {
		on_conn_lost(e);
	} else if (e->mb->dead) {
		/* The UIDs may be other messages now. */
		pool_end(&e->task);
		give_up(e, ERR_STALE);
	} else if (e->err == ERR_PARTIAL && expunge_split(e)) {
		expunge_send(e);
	} else if (e->err < 0) {
		failed(e);
	} else if (e->silent || !more_todo(e)) {
		succeeded(e);
	}
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

/* A mailbox that is read-only is nothing to wonder at. */
static void tell_denied(struct mailbox *mb, int err)
{
	if (err == ERR_DENIED && !mb->denied_told)
		log_warning(
			"%s: nothing can be removed from %s: the server lets no message be marked "
			"as deleted there, or expunged (PERMANENTFLAGS, MYRIGHTS)",
			mb->account->options.pool.host, mailbox_path(mb));
	mb->denied_told |= err == ERR_DENIED;
}

static void on_conn(struct pool_task *t)
{
	struct expunge *e = list_entry(t, struct expunge, task);
	int err = permission(conn_selected(t->conn));

	if (err < 0) {
		tell_denied(e->mb, err);
		list_splice(&e->batch, &e->queued);
		batch_over(e, err);
		return;
	}
	uidset_clear(&e->rows);
	e->selected_anew = t->selected_after > 0;
	e->retry = false;
	e->compared = false;
	e->rounds = 0;
	e->over = false;
	e->verdict = 0;
	give_back(e);
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
		.on_lost = expunge_on_lost,
		.on_untagged = expunge_on_untagged,
	};
	list_init(&e->task.link);
	list_init(&e->queued);
	list_init(&e->batch);
	mb->expunge = e;
	return e;
}

void expunge_start(struct removal *r)
{
	struct expunge *e = expunge_of(r->mb);

	const struct cache_message *m = mailbox_find(r->mb, r->uid);
	r->shown = m ? *m : (struct cache_message){.flags = CACHE_SIZE_UNKNOWN};
	list_append(&e->queued, &r->link);
	/* While it waits for a connection. */
	if (r->uid > e->task.uid)
		e->task.uid = r->uid;
	if (e->step == EXPUNGE_IDLE)
		enqueue(e);
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

bool expunge_is_idle(const struct mailbox *mb)
{
	return !mb->expunge || mb->expunge->step == EXPUNGE_IDLE;
}

static void forget_all(struct list *removals)
{
	while (!list_empty(removals))
		list_remove(removals->next);
}

void expunge_forget(struct mailbox *mb)
{
	struct expunge *e = mb->expunge;

	if (!e)
		return;
	mb->expunge = NULL;
	list_remove(&e->task.link);
	forget_all(&e->queued);
	forget_all(&e->batch);
	expunge_free(e);
}

/* --- what an interrupted one left --- */

static void on_forgotten(void *ctx, int err)
{
}

static void restore(void *ctx, uint32_t id, const uint32_t *uids, size_t n)
{
	struct account *a = ctx;
	struct mailbox *mb = account_mailbox(a, id);

	/* Its UIDVALIDITY changed, or it was deleted: the marks went with the messages. */
	if (!mb)
		cache_put_journal(a->cache, id, NULL, 0, on_forgotten, NULL);
	if (!mb || !mailbox_selectable(mb))
		return;
	struct expunge *e = expunge_of(mb);
	/* One that is under way gives back what it took. */
	if (e->step != EXPUNGE_IDLE)
		return;
	log_notice("marking %zu messages of %s as deleted again, as they were before an "
		   "interrupted rm",
		n, mailbox_path(mb));
	for (size_t i = 0; i < n; i++)
		uidset_add(&e->others, uids[i], uids[i]);
	uidset_sort(&e->others);
	enqueue(e);
}

void expunge_restore_start(struct account *a)
{
	if (!a->options.readonly)
		cache_each_journal(a->cache, restore, a);
}
