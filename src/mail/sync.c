/*
 * One check of a mailbox against the server, by the cheapest proof that holds on any server:
 *
 *   load    the cache's rows, once
 *   check   SELECT's own answer, or NOOP where the mailbox is selected already. Same UIDNEXT and
 *           same count: nothing changed (UIDs only grow, so a message that came raises UIDNEXT, and
 *           one that went lowers the count). With QRESYNC, SELECT has told what vanished before
 *   sample  in an account that is new: the first few messages, so that their sizes are proved
 *           before the others are shown
 *   fetch   the attributes of the last message that is known and of all behind it, so that its
 *           number there tells whether all came
 *   bisect  only if there are fewer messages there than here, or not all came: samples of
 *           sequence numbers find what went, see bisect.h
 *   search  only if that is no proof, or costs more: the set of all UIDs tells
 *   fill    attributes of UIDs that search named and nobody knew, see sync_fill.c
 *
 * Where the server does only so many messages of a command (MESSAGELIMIT, RFC 9738), the next one
 * goes on below; with UIDONLY (RFC 9586) there are no numbers, so counts and search are all there
 * is.
 *
 * CONDSTORE without QRESYNC (RFC 7162) is of no use here: CHANGEDSINCE tells of changed flags,
 * which are not shown, all else about a message never changes, and of what vanished it tells
 * nothing.
 *
 * Rows are added as they arrive, so it may be cut off at any point: the next check goes on from
 * what is there. While it runs, and also when it does not, EXPUNGE, VANISHED and EXISTS are heeded.
 */
#include "mail/sync_private.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/backoff.h"
#include "mail/poll.h"
#include "mail/prove.h"
#include "mail/sizes.h"
#include "mail/watch.h"

#define ROWS "(UID RFC822.SIZE INTERNALDATE)"
/* Messages whose sizes are proved before the first listing. */
#define SAMPLE 4u
#define ATTEMPTS 3
/* How often samples are taken anew because the mailbox changed meanwhile. */
#define BISECTS 4
/* Milliseconds after a LIST that named what was refused, for which a refusal is no reason for
 * another: it would be told to look here again, and so on for ever. */
#define LIST_AGAIN 2000
/* LISTs that are waited for: one that was under way, one over any connection, one over a new one.
 */
#define RELISTS 3
/* Ranges that SEARCH may name, of 8 octets each. */
#define FOUND_MAX ((size_t)2 << 20)
/* How often a server that asks for patience is waited for. */
#define THROTTLE_PATIENCE 12
/* Milliseconds for which STATUS spares a first check. */
#define STATUS_FRESH 5000

static void send_step(struct sync *s);
static void prove(struct sync *s);
static void bisect(struct sync *s);
static void search(struct sync *s);
static void on_done(struct imap_command *c, const struct imap_result *result);

static const char *step_name(enum sync_step step)
{
	static const char *const names[] = {
		"load", "wait", "check", "sample", "fetch", "bisect", "search", "fill"};

	return names[step];
}

static void set_step(struct sync *s, enum sync_step step)
{
	log_debug("sync of %s: %s -> %s", s->mb->component, step_name(s->step), step_name(step));
	s->step = step;
	s->to = 0;
}

static void destroy(struct sync *s)
{
	s->mb->sync = NULL;
	account_unwait(&s->listed);
	free(s->refusal);
	imap_command_finish(&s->command);
	bisect_destroy(s->bisect);
	uidset_finish(&s->found);
	uidset_finish(&s->missing);
	uidset_finish(&s->asked);
	uidset_finish(&s->gone);
	free(s);
}

void sync_forget(struct mailbox *mb)
{
	if (mb->sync)
		destroy(mb->sync);
}

/* Such a server (Yahoo) may show the newest ones only, without a word. */
static void warn_of_limit(const struct sync *s)
{
	struct mailbox *mb = s->mb;
	const struct account *a = mb->account;
	uint32_t limit = pool_message_limit(a->pool);

	if (limit == 0 || s->parts > 0 || mailbox_count(mb) != limit || mb->partial_told)
		return;
	mb->partial_told = true;
	log_warning("%s: %s has exactly %u messages, as many as the server does at once "
		    "(MESSAGELIMIT): it may hide older ones",
		a->options.pool.host, mailbox_path(mb), limit);
}

static void finish(struct sync *s, int err)
{
	struct mailbox *mb = s->mb;
	struct account *a = mb->account;
	bool changed = s->changed;

	sync_flush_rows(s);
	mb->verifying = false;
	if (err == 0 && !mb->dead) {
		/* The first look at a mailbox is no change of it. */
		if (changed && mb->complete)
			mailbox_touch(mb);
		else if (changed)
			mb->version++;
		bool first = !mb->complete;
		bool save = changed || !mb->complete || s->modseq > mb->highestmodseq;
		/* Only now that the rows are those of that state: what is cut off is asked for
		 * again. */
		if (s->modseq > mb->highestmodseq)
			mb->highestmodseq = s->modseq;
		watch_checked(a->watch, mb, mb->checked, changed && !first);
		mb->checked = uv_now(a->loop);
		mb->news = mb->told != s->told;
		mb->complete = true;
		if (save)
			mailbox_save(mb);
		if (first)
			prove_some(mb);
		warn_of_limit(s);
	} else if (err < 0) {
		log_debug("sync of %s: %s", mb->component, error_text(err));
	}
	if ((s->step == SYNC_SEARCH || s->step == SYNC_BISECT) && err < 0)
		mb->doubt = true;
	mb->holes |= s->holes;
	destroy(s);
	if (changed && !mb->dead)
		a->observer.on_directory_changed(a->ctx, mb);
	mailbox_wake(mb, false, err);
	/* It told of something more while the check was under way. */
	if (err == 0 && mb->news && !mb->dead)
		sync_start(mb);
}

/* --- steps --- */

static void enqueue(struct sync *s)
{
	set_step(s, SYNC_WAIT);
	s->mb->holes |= s->holes;
	s->task.deadline = account_deadline(s->mb->account);
	s->started = uv_hrtime();
	pool_start(s->mb->account->pool, &s->task);
}

/* Who waits meanwhile has a deadline of its own. */
static void retry_later(struct sync *s)
{
	if (++s->throttled > THROTTLE_PATIENCE) {
		finish(s, ERR_THROTTLED);
		return;
	}
	enqueue(s);
	pool_delay(&s->task, s->mb->account->pool, backoff_delay(s->throttled));
}

/* --- when it is refused --- */

static void finish_refused(struct sync *s)
{
	const struct mailbox *mb = s->mb;

	if (s->refusal && !mb->dead && s->refused != ERR_NO_MAILBOX)
		log_warning("%s: cannot select %s: %s", mb->account->options.pool.host,
			mailbox_path(mb), s->refusal);
	finish(s, s->refused);
}

/* Another client may have deleted or renamed it, and not all servers say so in a code: whether LIST
 * still names it decides, and who waits is told that. */
static void look_for_it(struct sync *s)
{
	struct account *a = s->mb->account;

	set_step(s, SYNC_WAIT);
	/* An old session may name for ever what was: a new one is asked after it. */
	if (s->relists++ == 0)
		a->list_young = true;
	/* One that was asked for earlier may name it still. */
	s->relist_is_old = s->relists == 1 && a->lister;
	account_list(a, &s->listed);
}

static void on_relisted(struct account_wait *w, int err)
{
	struct sync *s = list_entry(w, struct sync, listed);
	struct account *a = s->mb->account;

	if (s->mb->dead || !mailbox_selectable(s->mb)) {
		finish(s, ERR_NO_MAILBOX);
	} else if (err == 0 && (s->relist_is_old || a->lister) && s->relists < RELISTS) {
		look_for_it(s);
	} else {
		a->listed_in_vain = uv_now(a->loop);
		finish_refused(s);
	}
}

static void on_fail(struct pool_task *t, int err)
{
	struct sync *s = list_entry(t, struct sync, task);
	struct account *a = s->mb->account;
	bool refused = err == ERR_NO_MAILBOX || err == ERR_REFUSED;
	bool ask = !a->listed_in_vain || uv_now(a->loop) >= a->listed_in_vain + LIST_AGAIN;

	s->refused = err;
	if (err == ERR_THROTTLED)
		retry_later(s);
	else if (refused && ask && !s->mb->dead && !a->on_stopped)
		look_for_it(s);
	else
		finish_refused(s);
}

static bool counts_agree(const struct sync *s)
{
	return !s->mb->doubt && !s->mb->holes && mailbox_count(s->mb) == conn_exists(s->task.conn);
}

static void end(struct sync *s)
{
	pool_end(&s->task);
	finish(s, 0);
}

/* The UID from which on the server may have what is not known here. */
static uint32_t unknown_from(const struct sync *s)
{
	const struct mailbox *mb = s->mb;
	uint32_t last = rows_last(&mb->rows);

	if (!mb->complete)
		return 1;
	if (mb->uidnext > last)
		return mb->uidnext;
	return last == UINT32_MAX ? last : last + 1;
}

static uint32_t last_living(struct mailbox *mb)
{
	rows_sort(&mb->rows);
	for (size_t i = mb->rows.count; i-- > 0;)
		if (!(mb->rows.at[i].flags & MESSAGE_GONE))
			return mb->rows.at[i].uid;
	return 0;
}

static uint32_t count_after(struct mailbox *mb, uint32_t uid)
{
	uint32_t n = 0;

	rows_sort(&mb->rows);
	for (size_t i = mb->rows.count; i-- > 0 && mb->rows.at[i].uid > uid;)
		n += !(mb->rows.at[i].flags & MESSAGE_GONE);
	return n;
}

/* Message numbers are of no use: the server takes and tells UIDs alone (RFC 9586). */
static bool by_uid_only(const struct sync *s)
{
	return pool_enabled(s->mb->account->pool, IMAP_CAP_UIDONLY);
}

/* Whether as many came as there are: a server may leave out rows, and as many may have vanished, so
 * that counts agree all the same. */
static bool got_all_new(const struct sync *s)
{
	if (s->anchor == 0 || by_uid_only(s))
		return true;
	return s->anchor_seq != 0 && !s->disturbed &&
	       s->anchor_seq + count_after(s->mb, s->anchor) == conn_exists(s->task.conn);
}

/* From the last message that is known on: how many lie behind it there tells got_all_new. */
static void fetch_new(struct sync *s)
{
	/* When it was cut off, what came is not known to be all that lies between. */
	if (s->mb->complete && s->anchor == 0)
		s->anchor = last_living(s->mb);
	s->anchor_seq = 0;
	s->disturbed = s->unsettled = false;
	s->prefix = 0;
	s->from = s->anchor ? s->anchor : unknown_from(s);
	imap_command_add(&s->command, "UID FETCH %u:* " ROWS "\r\n", s->from);
}

static void send_fetch(struct sync *s)
{
	if (s->to == 0)
		fetch_new(s);
	else
		imap_command_add(&s->command, "UID FETCH %u:%u " ROWS "\r\n", s->from, s->to);
}

static void after_check(struct sync *s)
{
	const struct mailbox *mb = s->mb;

	bool nothing_new = s->by_noop ? !mb->news : s->uidnext != 0 && s->uidnext == mb->uidnext;
	if (mb->complete && nothing_new && counts_agree(s)) {
		end(s);
		return;
	}
	/* Rows of a listing that was cut off may have gaps, anywhere, when they came in no order:
	 * counts prove nothing then. */
	bool cut_off = !mb->complete && mb->rows.count > SAMPLE;
	if (conn_exists(s->task.conn) == 0 || cut_off)
		set_step(s, SYNC_SEARCH);
	else
		set_step(s, !s->sampled && sizes_want_sample(mb) ? SYNC_SAMPLE : SYNC_FETCH);
	send_step(s);
}

/* The proofs are asked for first: this goes on behind them, on the same connection, which did not
 * change meanwhile unless it was lost. */
static void after_sample(struct sync *s)
{
	/* Once: a server may have no rows for them. */
	s->sampled = true;
	prove_first(s->mb);
	pool_end(&s->task);
	set_step(s, SYNC_WAIT);
	s->task.deadline = account_deadline(s->mb->account);
	pool_start(s->mb->account->pool, &s->task);
}

static void after_fetch(struct sync *s)
{
	struct mailbox *mb = s->mb;
	uint32_t next = rows_last(&mb->rows) + 1;

	if (s->uidnext > next)
		next = s->uidnext;
	if (next > mb->uidnext)
		mb->uidnext = next;
	prove(s);
}

/* --- what vanished --- */

static void vanish(struct sync *s, uint32_t uid)
{
	struct mailbox *mb = s->mb;

	if (!mailbox_remove(mb, uid))
		return;
	s->changed = true;
	mb->account->observer.on_message_gone(mb->account->ctx, mb, uid);
}

/* The UIDs that are known, and their number. */
static uint32_t *known_uids(struct mailbox *mb, size_t *n)
{
	uint32_t *uids = mem_resize(NULL, mb->rows.count, sizeof(*uids));

	*n = 0;
	rows_sort(&mb->rows);
	for (size_t i = 0; i < mb->rows.count; i++)
		if (!(mb->rows.at[i].flags & MESSAGE_GONE))
			uids[(*n)++] = mb->rows.at[i].uid;
	return uids;
}

/* The rest of the check, when all that is new was asked for. Where the mailbox was complete before,
 * the server has nothing else that is not known, which is what samples need. */
static void prove(struct sync *s)
{
	struct mailbox *mb = s->mb;
	uint32_t exists = conn_exists(s->task.conn);

	bool agree = counts_agree(s);

	if (agree && got_all_new(s)) {
		end(s);
		return;
	}
	if (!mb->complete || mb->holes || exists == 0 || by_uid_only(s) ||
		(!agree && exists >= mailbox_count(mb)) || s->bisects == BISECTS) {
		search(s);
		return;
	}
	size_t n;
	uint32_t *uids = known_uids(mb, &n);
	bool ranges = pool_capabilities(mb->account->pool) & IMAP_CAP_ESEARCH;
	bisect_destroy(s->bisect);
	s->bisect = bisect_create(
		uids, n, count_after(mb, s->anchor), exists, bisect_list_cost(uids, n, ranges));
	s->bisects++;
	s->disturbed = mb->doubt = false;
	set_step(s, SYNC_BISECT);
	bisect(s);
}

static void bisected(struct sync *s)
{
	const struct uidset *vanished = bisect_vanished(s->bisect);

	for (size_t i = 0; i < vanished->count; i++) {
		uint64_t uid = vanished->ranges[i].first;
		for (; uid <= vanished->ranges[i].last; uid++)
			vanish(s, (uint32_t)uid);
	}
	s->anchor = 0;
	/* What came meanwhile is fetched, and counts once more. */
	if (counts_agree(s)) {
		end(s);
		return;
	}
	set_step(s, SYNC_FETCH);
	send_step(s);
}

static void bisect(struct sync *s)
{
	struct buf set;
	enum bisect_next next;

	/* Numbers have moved: the samples so far are those of another list. */
	if (s->disturbed) {
		prove(s);
		return;
	}
	buf_init(&set, UIDSET_TEXT_MAX);
	next = bisect_next(s->bisect, &set);
	if (next == BISECT_ASK) {
		imap_command_finish(&s->command);
		imap_command_init(&s->command, false, on_done);
		imap_command_add(&s->command, "FETCH %s (UID)\r\n", buf_cstr(&set));
		pool_submit(&s->task, &s->command);
	} else if (next == BISECT_DONE) {
		bisected(s);
	} else {
		search(s);
	}
	buf_finish(&set);
}

static void search(struct sync *s)
{
	set_step(s, SYNC_SEARCH);
	send_step(s);
}

static void remove_vanished(struct sync *s)
{
	struct mailbox *mb = s->mb;

	rows_sort(&mb->rows);
	for (size_t i = mb->rows.count; i-- > 0;) {
		/* Removing may sweep the array. That only moves rows down, so none below i is
		 * passed over. */
		if (i >= mb->rows.count)
			continue;
		uint32_t uid = mb->rows.at[i].uid;
		if (!uidset_has(&s->found, uid))
			vanish(s, uid);
	}
}

/* The answer must have been seen, and name as many messages as there are: one that is cut short, or
 * missing, would empty the mailbox here. */
static bool search_is_sound(struct sync *s)
{
	uint32_t exists = s->answered ? s->counted : conn_exists(s->task.conn);

	sync_count_found(s);

	return s->named == exists && (s->answered || exists == 0);
}

/* What was told since SELECT does not add up: the server's own count there decides. */
static void select_anew(struct sync *s)
{
	if (!s->mb->unsound_told)
		log_warning("%s: SEARCH of %s names %llu messages of %u: selecting it anew",
			s->mb->account->options.pool.host, mailbox_path(s->mb),
			(unsigned long long)s->named,
			s->answered ? s->counted : conn_exists(s->task.conn));
	s->mb->unsound_told = true;
	s->selected_anew = true;
	s->searches = 0;
	pool_select_anew(&s->task);
	pool_end(&s->task);
	enqueue(s);
}

/* This connection may not have been told yet of what was expunged over another since the check
 * began: it does not come back for that. The next check, which asks for news first, tells. */
static void leave_out_gone(struct sync *s)
{
	uidset_sort(&s->gone);
	for (size_t i = 0; i < s->gone.count; i++) {
		const struct uid_range *r = &s->gone.ranges[i];
		uint32_t next = uidset_after(&s->found, r->first - 1);
		s->mb->doubt |= next != 0 && next <= r->last;
	}
	for (size_t i = 0; i < s->gone.count; i++)
		uidset_remove(&s->found, s->gone.ranges[i].first, s->gone.ranges[i].last);
	uidset_sort(&s->found);
}

static void after_search(struct sync *s)
{
	if (!search_is_sound(s)) {
		if (s->searches++ < 1) {
			search(s);
			return;
		}
		if (!s->selected_anew) {
			select_anew(s);
			return;
		}
		s->mb->doubt = s->holes = true;
		pool_end(&s->task);
		finish(s, ERR_PROTOCOL);
		return;
	}
	s->holes = false;
	uidset_sort(&s->found);
	leave_out_gone(s);
	remove_vanished(s);
	sync_note_missing(s);
	if (s->missing.count == 0) {
		end(s);
		return;
	}
	set_step(s, SYNC_FILL);
	send_step(s);
}

/* A listing without them would be one that lacks mail. */
static void rows_lack(struct sync *s)
{
	struct mailbox *mb = s->mb;

	if (!mb->partial_told)
		log_warning("%s: tells nothing of %llu messages of %s, which it has: not listed",
			mb->account->options.pool.host,
			(unsigned long long)uidset_size(&s->missing), mailbox_path(mb));
	mb->partial_told = true;
	mb->doubt = true;
	pool_end(&s->task);
	finish(s, ERR_PROTOCOL);
}

static void after_fill(struct sync *s, enum fill_answer answer)
{
	switch (sync_fill_next(s, answer)) {
	case FILL_MORE:
		send_step(s);
		break;
	case FILL_DONE:
		end(s);
		break;
	case FILL_NOTHING:
		s->most = s->barren = s->splits = 0;
		pool_end(&s->task);
		retry_later(s);
		break;
	case FILL_TOO_MANY:
		rows_lack(s);
		break;
	}
}

static void advance(struct sync *s)
{
	switch (s->step) {
	case SYNC_LOAD:
		enqueue(s);
		break;
	case SYNC_WAIT:
		break;
	case SYNC_CHECK:
		after_check(s);
		break;
	case SYNC_SAMPLE:
		after_sample(s);
		break;
	case SYNC_FETCH:
		after_fetch(s);
		break;
	case SYNC_BISECT:
		bisect(s);
		break;
	case SYNC_SEARCH:
		after_search(s);
		break;
	case SYNC_FILL:
		after_fill(s, FILL_ALL);
		break;
	}
}

/* One line a mailbox: it goes on being refused. */
static void tell_partial(struct sync *s)
{
	if (!s->mb->partial_told)
		log_warning("%s: lists %s in part only (MESSAGELIMIT), and does not go on",
			s->mb->account->options.pool.host, mailbox_path(s->mb));
	s->mb->partial_told = true;
}

/* What was asked for was done from the highest UID down to this one (RFC 9738 section 3.1): the
 * rest is asked for below. */
static void go_on_below(struct sync *s, uint32_t low)
{
	bool sinks = low != 0 && (s->to == 0 || low <= s->to);

	if (sinks && low <= s->from) {
		advance(s);
	} else if (sinks && s->parts++ <= conn_exists(s->task.conn)) {
		s->to = low - 1;
		send_step(s);
	} else {
		tell_partial(s);
		pool_end(&s->task);
		finish(s, ERR_PARTIAL);
	}
}

static void on_partial(struct sync *s, const struct imap_response *r)
{
	uint32_t low = r->number ? (uint32_t)r->number : s->lowest;

	if (s->step == SYNC_FETCH || s->step == SYNC_SEARCH)
		go_on_below(s, low);
	else if (s->step == SYNC_FILL)
		after_fill(s, FILL_PARTIAL);
	else if (s->step == SYNC_BISECT)
		search(s);
	else
		advance(s);
}

/* A server may say for ever that one message is not to be had now (Exchange, Yahoo): the second
 * time it is believed to be that message's fault, as with a plain NO. */
static bool is_for_good(struct sync *s, const struct imap_result *result)
{
	if (result->err != ERR_THROTTLED)
		return result->err == ERR_REFUSED;
	s->unavailable = result->response->code == IMAP_CODE_UNAVAILABLE;
	return (s->unavailable || s->came > 0) && s->put_off++ > 0;
}

/* NO to a FETCH may be the fault of one message: search finds out which are missing and fill asks
 * for them apart. */
static void on_refused(struct sync *s, const struct imap_result *result)
{
	bool rows = s->step == SYNC_SAMPLE || s->step == SYNC_FETCH || s->step == SYNC_BISECT;
	int err = result->err;

	if (rows && is_for_good(s, result)) {
		search(s);
		return;
	}
	if (s->step == SYNC_FILL && is_for_good(s, result)) {
		after_fill(s, FILL_REFUSED);
		return;
	}
	pool_end(&s->task);
	if (err == ERR_THROTTLED)
		retry_later(s);
	else
		finish(s, err);
}

static void on_done(struct imap_command *c, const struct imap_result *result)
{
	struct sync *s = list_entry(c, struct sync, command);

	if (s->mb->dead) {
		pool_end(&s->task);
		finish(s, ERR_STALE);
	} else if (result->err == 0) {
		advance(s);
	} else if (result->err == ERR_PARTIAL) {
		on_partial(s, result->response);
	} else if (result->response) {
		on_refused(s, result);
	} else {
		pool_end(&s->task);
		if (++s->attempts < ATTEMPTS && result->err != ERR_CANCELED)
			enqueue(s);
		else
			finish(s, result->err);
	}
}

static void send_search(struct sync *s)
{
	bool ranges = pool_capabilities(s->mb->account->pool) & IMAP_CAP_ESEARCH;
	const char *as = ranges ? "RETURN (ALL) " : "";

	if (s->to == 0)
		imap_command_add(&s->command, "UID SEARCH %sALL\r\n", as);
	else
		imap_command_add(&s->command, "UID SEARCH %sUID %u:%u\r\n", as, s->from, s->to);
}

static void send_step(struct sync *s)
{
	struct imap_command *c = &s->command;
	struct buf set;

	imap_command_finish(c);
	imap_command_init(c, false, on_done);
	s->came = 0;
	s->lowest = 0;
	switch (s->step) {
	case SYNC_LOAD:
	case SYNC_WAIT:
	case SYNC_BISECT:
		return;
	case SYNC_CHECK:
		imap_command_add(c, "NOOP\r\n");
		break;
	case SYNC_SAMPLE:
		if (by_uid_only(s))
			imap_command_add(c, "UID FETCH * " ROWS "\r\n");
		else
			imap_command_add(c, "FETCH 1:%u " ROWS "\r\n",
				conn_exists(s->task.conn) < SAMPLE ? conn_exists(s->task.conn)
								   : SAMPLE);
		break;
	case SYNC_FETCH:
		send_fetch(s);
		break;
	case SYNC_SEARCH:
		if (s->to != 0) {
			send_search(s);
			break;
		}
		s->from = 1;
		uidset_clear(&s->found);
		uidset_clear(&s->missing);
		s->holes |= s->mb->holes;
		s->mb->doubt = s->mb->holes = s->answered = false;
		s->counted = 0;
		s->named = 0;
		s->uncounted = false;
		s->counts = 0;
		send_search(s);
		break;
	case SYNC_FILL:
		buf_init(&set, UIDSET_TEXT_MAX);
		sync_fill_set(s, &set);
		imap_command_add(c, "UID FETCH %s " ROWS "\r\n", buf_cstr(&set));
		buf_finish(&set);
		break;
	}
	pool_submit(&s->task, c);
}

void sync_note_gone(struct mailbox *mb, uint32_t uid)
{
	if (mb->sync)
		uidset_add(&mb->sync->gone, uid, uid);
}

static void on_conn(struct pool_task *t)
{
	struct sync *s = list_entry(t, struct sync, task);
	const struct pool_selected *selected = conn_selected(t->conn);

	/* SELECT or NOOP tells of what was expunged before. */
	if (selected->asked < s->started)
		uidset_clear(&s->gone);

	set_step(s, SYNC_CHECK);
	s->by_noop = selected->asked < s->started;
	/* What came after SELECT was sent may not be in its answer. */
	s->told = s->mb->told - (!s->by_noop && s->mb->told_at > selected->asked);
	/* SELECT gives the count and UIDNEXT anew: who agrees with both has lost nothing unseen. */
	if (!s->by_noop && selected->uidnext != 0)
		s->mb->doubt = false;
	s->uidnext = s->by_noop ? 0 : selected->uidnext;
	s->modseq = s->by_noop ? 0 : selected->highestmodseq;
	/* A SELECT that was made for us is the check. */
	if (s->by_noop)
		send_step(s);
	else
		after_check(s);
}

static void on_found(struct pool_task *t, const struct imap_response *r, uint32_t uid)
{
	struct sync *s = list_entry(t, struct sync, task);
	struct span set = r->words;
	uint32_t first, last;

	if (r->kind == IMAP_FETCH && uid) {
		s->came++;
		s->lowest = s->lowest && s->lowest < uid ? s->lowest : uid;
	}
	if (s->step == SYNC_BISECT && r->kind == IMAP_FETCH && r->fetch.uid)
		bisect_answer(s->bisect, r->fetch.seq, r->fetch.uid);
	else if (s->step == SYNC_FETCH && r->kind == IMAP_FETCH && r->fetch.uid == s->anchor)
		s->anchor_seq = r->fetch.seq;
	else if (r->kind == IMAP_EXPUNGE || r->kind == IMAP_VANISHED)
		s->disturbed = true;
	if (s->step != SYNC_SEARCH || (r->kind != IMAP_SEARCH && r->kind != IMAP_ESEARCH))
		return;
	s->answered = true;
	while (imap_set_next(&set, &first, &last) && s->found.count < FOUND_MAX) {
		uidset_add(&s->found, first, last);
		s->lowest = s->lowest && s->lowest < first ? s->lowest : first;
	}
	s->counted = conn_exists(t->conn);
	s->uncounted = true;
}

/* STATUS, often with LIST, came while nobody had listed this mailbox yet: as good as a check now.
 */
static bool stated_lately(const struct mailbox *mb)
{
	const struct mailbox_status *status = &mb->status;

	return status->when && (uv_now(mb->account->loop) < status->when + STATUS_FRESH ||
				       watch_covers(mb->account->watch, mb, status->when));
}

static void on_loaded(void *ctx, int err, struct cache_message *messages, size_t n)
{
	struct sync *s = ctx;
	struct mailbox *mb = s->mb;

	if (mb->dead) {
		free(messages);
		finish(s, ERR_STALE);
		return;
	}
	mb->loaded = true;
	if (err < 0) {
		mb->complete = false;
		n = 0;
	}
	mb->held |= n > 0;
	/* When they were listed first. */
	mb->sizes_sampled |= n > 0 && mb->complete;
	if (n > 0 && mb->rows.count == 0) {
		rows_take(&mb->rows, messages, n);
		messages = NULL;
	}
	free(messages);
	if (stated_lately(mb) && sync_agrees_with_status(mb)) {
		finish(s, 0);
		return;
	}
	enqueue(s);
	if (mb->complete && pool_is_unsure(mb->account->pool))
		mailbox_wake(mb, false, ERR_NET);
	else
		/* Who wants one message may find it remembered. */
		mailbox_wake(mb, true, 0);
}

void sync_start(struct mailbox *mb)
{
	if (mb->sync)
		return;
	struct sync *s = mem_zalloc(sizeof(*s));
	s->mb = mb;
	s->told = mb->told;
	s->task = (struct pool_task){
		.mailbox = mb,
		.access = POOL_READ,
		.on_conn = on_conn,
		.on_fail = on_fail,
		.on_untagged = on_found,
	};
	s->listed.on_wake = on_relisted;
	list_init(&s->listed.link);
	imap_command_init(&s->command, false, NULL);
	mb->sync = s;
	if (mb->loaded) {
		enqueue(s);
	} else if (mb->uidvalidity == 0) {
		mb->loaded = true;
		enqueue(s);
	} else {
		cache_load_messages(mb->account->cache, mb->id, on_loaded, s);
	}
}

bool sync_on_refused(struct mailbox *mb, struct span text)
{
	if (!mb->sync)
		return false;
	free(mb->sync->refusal);
	mb->sync->refusal = mem_printf("%.*s", (int)text.n, text.p);
	return true;
}

bool sync_agrees_with_status(const struct mailbox *mb)
{
	return mb->complete && mb->loaded && !mb->doubt && !mb->holes &&
	       mailbox_count(mb) == mb->status.messages && mb->uidnext == mb->status.uidnext;
}

void sync_note_news(struct mailbox *mb)
{
	mb->news = true;
	mb->told++;
}

void sync_told(struct mailbox *mb)
{
	sync_note_news(mb);
	mb->told_at = uv_hrtime();
}

bool sync_is_fresh(const struct mailbox *mb)
{
	if (!mailbox_selectable(mb))
		return true;
	/* What is remembered, until the server can be asked. */
	if (mb->complete && mb->loaded && pool_is_unsure(mb->account->pool))
		return true;
	if ((mb->sync && !mb->verifying) || !mb->complete || !mb->loaded || mb->doubt ||
		mb->holes || mb->news)
		return false;
	if (!mb->checked)
		return false;
	return uv_now(mb->account->loop) < mb->checked + SYNC_FRESH ||
	       watch_covers(mb->account->watch, mb, mb->checked);
}

/* There may be a message that nobody has told of. */
static bool is_unheard_of(const struct mailbox *mb, uint32_t uid)
{
	return uid >= mb->uidnext && !pool_is_unsure(mb->account->pool) &&
	       uv_now(mb->account->loop) >= mb->checked + SYNC_FRESH;
}

bool sync_knows(const struct mailbox *mb, uint32_t uid)
{
	return sync_is_fresh(mb) && !(mailbox_selectable(mb) && is_unheard_of(mb, uid));
}

bool sync_is_streaming(const struct mailbox *mb)
{
	return mb->sync && !mb->complete && mb->sync->step == SYNC_FETCH;
}
