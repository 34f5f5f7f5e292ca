/* What an expunge says in each step, and what it hears. Nothing is decided here. */
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/expunge_private.h"

/* --- commands --- */

static void complete(struct expunge *e)
{
	if (--e->pending == 0)
		expunge_advance(e);
}

/* Not "not now", which is said by NO, but "never heard of it". */
static bool is_unknown(const struct imap_result *result)
{
	const struct imap_response *r = result->response;

	return r && result->err == ERR_REFUSED && r->condition == IMAP_BAD;
}

/* What was sent last was answered: UID EXPUNGE will not be, if it was not before. */
static void check_silence(struct expunge *e)
{
	struct slot *slot = &e->slots[EXPUNGE_SLOT_EXPUNGE];

	if (slot->done)
		return;
	pool_abandon(&e->task, &slot->command);
	e->silent = true;
	e->pending--;
}

static void on_done(struct imap_command *c, const struct imap_result *result)
{
	struct slot *slot = list_entry(c, struct slot, command);
	struct expunge *e = slot->expunge;

	slot->done = true;
	slot->err = result->err;
	slot->unknown = is_unknown(result);
	if (!result->response)
		e->lost = true;
	/* What is said in part is said of fewer the next time, also when it only helps. */
	bool counts = !slot->helps || !result->response || result->err == ERR_PARTIAL;
	if (result->err < 0 && e->err == 0 && counts)
		e->err = result->err;
	if (result->response && slot == &e->slots[EXPUNGE_SLOT_PROBE])
		check_silence(e);
	complete(e);
}

static struct slot *slot_new(struct expunge *e)
{
	struct slot *slot = &e->slots[e->sent++];

	imap_command_finish(&slot->command);
	*slot = (struct slot){.expunge = e};
	imap_command_init(&slot->command, false, on_done);
	return slot;
}

static void submit(struct expunge *e, struct slot *slot)
{
	e->pending++;
	pool_submit(&e->task, &slot->command);
}

static struct slot *send_simple(struct expunge *e, const char *text)
{
	struct slot *slot = slot_new(e);

	imap_command_add(&slot->command, "%s\r\n", text);
	submit(e, slot);
	return slot;
}

/* The next of todo, as much as one command takes: by its length, and by what the server does at
 * once (MESSAGELIMIT). */
static void take_piece(struct expunge *e)
{
	uint32_t limit = pool_message_limit(e->mb->account->pool);
	uint64_t most = e->most ? e->most : UINT64_MAX;

	uidset_cut(&e->todo, limit && limit < most ? limit : most, &e->piece);
}

bool expunge_split(struct expunge *e)
{
	struct uidset rest = {0};
	uint64_t n = uidset_size(&e->piece);

	if (n < 2)
		return false;
	e->most = n / 2;
	uidset_copy(&rest, &e->todo);
	uidset_copy(&e->todo, &e->piece);
	for (size_t i = 0; i < rest.count; i++)
		uidset_add(&e->todo, rest.ranges[i].first, rest.ranges[i].last);
	uidset_sort(&e->todo);
	uidset_finish(&rest);
	return true;
}

static struct slot *send_piece(struct expunge *e, const char *before, const char *after)
{
	struct slot *slot = slot_new(e);
	struct uidset copy = {0};
	struct buf set;

	uidset_copy(&copy, &e->piece);
	buf_init(&set, UIDSET_TEXT_MAX);
	uidset_take_text(&copy, &set);
	imap_command_add(&slot->command, "%s %s%s\r\n", before, buf_cstr(&set), after);
	buf_finish(&set);
	uidset_finish(&copy);
	submit(e, slot);
	return slot;
}

/* FETCH tells which messages there are, which were marked already, and, where EXPUNGE will tell
 * sequence numbers, whose they are. */
static void send_marks(struct expunge *e, bool must_know)
{
	send_piece(e, "UID FETCH", " (UID FLAGS)")->helps = !must_know;
	send_piece(e, "UID STORE", " +FLAGS.SILENT (\\Deleted)");
}

/* DavMail offers UIDPLUS, but never answers UID EXPUNGE. Until one was carried out NOOP follows,
 * whose answer tells that there will be none. */
static void send_uidplus(struct expunge *e)
{
	send_marks(e, false);
	send_piece(e, "UID EXPUNGE", "");
	if (!e->mb->account->uidplus_proven)
		send_simple(e, "NOOP")->helps = true;
}

/* --- the cache --- */

static void on_journal_done(void *ctx, int err)
{
	struct expunge *e = ctx;

	if (err < 0 && e->err == 0)
		e->err = err;
	/* Also when the connection was lost meanwhile. */
	if (err == 0 && e->step == EXPUNGE_CLEAR)
		uidset_clear(&e->others);
	complete(e);
}

static void put_journal(struct expunge *e, const struct uidset *set)
{
	size_t n = 0, size = (size_t)uidset_size(set);
	uint32_t *uids = mem_resize(NULL, size > 0 ? size : 1, sizeof(*uids));

	for (size_t i = 0; i < set->count; i++)
		for (uint64_t uid = set->ranges[i].first; uid <= set->ranges[i].last; uid++)
			uids[n++] = (uint32_t)uid;
	e->pending++;
	cache_put_journal(e->mb->account->cache, e->mb->id, uids, n, on_journal_done, e);
	free(uids);
}

/* No command is under way: the cache was waited for. What it did is still waited for, since it will
 * call back, but the connection is not touched again. */
void expunge_on_lost(struct pool_task *t, int err)
{
	struct expunge *e = list_entry(t, struct expunge, task);

	pool_end(t);
	e->lost = true;
	e->err = err;
}

/* --- steps --- */

void expunge_send(struct expunge *e)
{
	static const struct uidset none;

	e->sent = 0;
	e->err = 0;
	e->lost = false;
	e->silent = false;
	take_piece(e);
	switch (e->step) {
	case EXPUNGE_IDLE:
	case EXPUNGE_LEASE:
	case EXPUNGE_WAIT:
		break;
	case EXPUNGE_COMPARE:
		send_piece(e, "UID FETCH", " (UID RFC822.SIZE INTERNALDATE)");
		break;
	case EXPUNGE_UIDPLUS:
		send_uidplus(e);
		break;
	case EXPUNGE_FLAG:
		send_marks(e, true);
		break;
	case EXPUNGE_SEARCH:
		send_simple(e, "UID SEARCH DELETED");
		break;
	case EXPUNGE_CONFIRM:
	case EXPUNGE_FILTER:
		send_piece(e, "UID FETCH", " (UID FLAGS)");
		break;
	case EXPUNGE_JOURNAL:
		put_journal(e, &e->others);
		break;
	case EXPUNGE_UNFLAG:
	case EXPUNGE_UNDO:
		send_piece(e, "UID STORE", " -FLAGS.SILENT (\\Deleted)");
		break;
	case EXPUNGE_PLAIN:
		send_simple(e, "EXPUNGE");
		break;
	case EXPUNGE_REFLAG:
		send_piece(e, "UID STORE", " +FLAGS.SILENT (\\Deleted)");
		break;
	case EXPUNGE_CLEAR:
		put_journal(e, &none);
		break;
	case EXPUNGE_VERIFY:
		send_piece(e, "UID FETCH", " (UID FLAGS)");
		break;
	}
}

/* --- answers --- */

/* The first row of a message is from before our STORE. */
static void on_own_row(struct expunge *e, uint32_t uid, bool deleted)
{
	if (!uidset_has(&e->uids, uid) || uidset_has(&e->rows, uid))
		return;
	uidset_add(&e->rows, uid, uid);
	uidset_sort(&e->rows);
	/* Known from a connection that was lost. */
	if (uidset_has(&e->ours, uid) || uidset_has(&e->marked, uid))
		return;
	struct uidset *set = deleted ? &e->marked : &e->ours;
	uidset_add(set, uid, uid);
	uidset_sort(set);
}

/* A server may repeat itself, but not fill the memory. */
static void note_found(struct expunge *e, const struct uidset *wanted, uint32_t uid)
{
	if (uidset_has(wanted, uid) && e->found.count <= EXPUNGE_OTHERS_MAX)
		uidset_add(&e->found, uid, uid);
}

/* Either alone may be the server's whim: a size that is computed another way, a date that it could
 * not say before. */
static bool differs(const struct cache_message *shown, const struct imap_fetch *row)
{
	bool known = !(shown->flags & (CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN));

	return known && row->has_size && row->has_date && row->size != shown->size &&
	       row->date != shown->date;
}

static void compare(struct expunge *e, const struct imap_fetch *row, uint32_t uid)
{
	LIST_FOREACH (pos, &e->batch) {
		struct removal *r = list_entry(pos, struct removal, link);
		if (r->uid == uid && differs(&r->shown, row))
			r->other = true;
	}
}

static void on_row(struct expunge *e, const struct imap_fetch *row, uint32_t uid)
{
	bool deleted = row->flags & IMAP_FLAG_DELETED;

	switch ((int)e->step) {
	case EXPUNGE_COMPARE:
		compare(e, row, uid);
		break;
	case EXPUNGE_UIDPLUS:
	case EXPUNGE_FLAG:
		if (row->has_flags)
			on_own_row(e, uid, deleted);
		break;
	case EXPUNGE_CONFIRM:
		if (row->has_flags && deleted)
			note_found(e, &e->fresh, uid);
		break;
	case EXPUNGE_FILTER:
		note_found(e, &e->others, uid);
		break;
	case EXPUNGE_VERIFY:
		note_found(e, &e->uids, uid);
		break;
	}
}

/* Servers of IMAP4rev2 answer with ESEARCH. One that only counts has not said which. */
static void on_search(struct expunge *e, const struct imap_response *r)
{
	struct span set = r->words;
	uint32_t first, last;

	if (r->kind == IMAP_ESEARCH && set.n == 0 &&
		(r->esearch_count || r->esearch_min || r->esearch_max))
		return;
	e->answered = true;
	while (imap_set_next(&set, &first, &last))
		uidset_add(&e->found, first, last);
	/* More than is believed: as if it had said all. */
	if (e->found.count > EXPUNGE_OTHERS_MAX) {
		uidset_clear(&e->found);
		uidset_add(&e->found, 1, UINT32_MAX);
	}
}

void expunge_on_untagged(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct expunge *e = list_entry(t, struct expunge, task);

	if (r->kind == IMAP_FETCH && uid)
		on_row(e, &r->fetch, uid);
	else if ((r->kind == IMAP_SEARCH || r->kind == IMAP_ESEARCH) && e->step == EXPUNGE_SEARCH)
		on_search(e, r);
}

void expunge_free(struct expunge *e)
{
	for (unsigned i = 0; i < EXPUNGE_COMMANDS; i++)
		imap_command_finish(&e->slots[i].command);
	uidset_finish(&e->others);
	uidset_finish(&e->uids);
	uidset_finish(&e->rows);
	uidset_finish(&e->ours);
	uidset_finish(&e->marked);
	uidset_finish(&e->fresh);
	uidset_finish(&e->todo);
	uidset_finish(&e->piece);
	uidset_finish(&e->found);
	lease_release(e->lease);
	free(e);
}
