/* SPDX-License-Identifier: MIT */
/*
 * One check of a mailbox against the server, by the cheapest evidence that holds on any server. Its
 * steps, each of which has a row in the table of steps.c:
 *
 *   load     The cache's rows, once.
 *   wait     For a connection that has the mailbox selected.
 *   compare  SELECT's own answer, or NOOP's where the mailbox was selected already, with what is
 *            known here. Same UIDNEXT and same count: nothing changed (UIDs only grow, so a message
 *            that came raises UIDNEXT, and one that went lowers the count). With QRESYNC, SELECT
 *            has told what vanished before.
 *   sample   In an account that is new: the first few messages, so that their sizes are proved
 *            before the others are shown.
 *   fetch    The rows of the last message that is known and of all behind it, so that its number
 *            there tells whether all came.
 *   bisect   Only if there are fewer messages there than here, or not all came: samples of
 *            sequence numbers find what went, see bisect.h.
 *   search   Only if that is not conclusive, or costs more: the set of all UIDs tells.
 *   fill     The rows of UIDs that SEARCH named and nobody knew, see fill.c.
 *
 * Where the server does only so many messages of a command (MESSAGELIMIT, RFC 9738), the next one
 * goes on below; with UIDONLY (RFC 9586) there are no numbers, so counts and search are all there
 * is.
 *
 * CONDSTORE without QRESYNC (RFC 7162) is of no use here: CHANGEDSINCE tells of changed flags, for
 * which see flags_ask.h, all else about a message never changes, and of what vanished it tells
 * nothing.
 *
 * Rows are added as they arrive, so a check may be cut off at any point: the next one goes on from
 * what is there. While it runs, and also when it does not, EXPUNGE, VANISHED and EXISTS are heeded.
 *
 * This file is the life of a check: how it begins, gets a connection, waits and ends.
 */
#include "mail/sync/private.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/size/prove.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/watch.h"

/* --- the end --- */

static void destroy(struct sync *s)
{
	s->mb->freshness.sync = NULL;
	sync_start_rider(s, 0);
	lister_unwait(&s->refusal.listed);
	free(s->refusal.text);
	free(s->refusal.name);
	imap_command_finish(&s->command);
	bisect_destroy(s->bisect);
	uidset_finish(&s->search.found);
	uidset_finish(&s->fill.missing);
	uidset_finish(&s->fill.asked);
	uidset_finish(&s->gone);
	free(s);
}

void sync_forget(struct mailbox *mb)
{
	if (mb->freshness.sync)
		destroy(mb->freshness.sync);
}

/* Such a server (Yahoo) may show the newest ones only, without a word. */
static void warn_of_limit(const struct sync *s)
{
	struct mailbox *mb = s->mb;
	const struct account *a = mb->account;
	uint32_t limit = pool_message_limit(a->pool);

	if (limit == 0 || s->parts > 0 || mailbox_count(mb) != limit ||
		mb->freshness.partial_logged)
		return;
	mb->freshness.partial_logged = true;
	log_warning("%s: %s has exactly %u messages, as many as the server does at once "
		    "(MESSAGELIMIT): it may hide older ones",
		a->options.pool.host, mailbox_path(mb), limit);
}

/* The rows are those of the server. */
static void succeed(struct sync *s)
{
	struct mailbox *mb = s->mb;
	struct account *a = mb->account;
	bool first = !mb->messages.complete;
	bool save = s->changed || first || s->modseq > mb->messages.highestmodseq;

	/* The first look at a mailbox is no change of it. */
	if (s->changed && !first)
		mailbox_touch(mb);
	else if (s->changed)
		mb->names.version++;
	/* Only now that the rows are those of that state: what is cut off is asked for again. */
	if (s->modseq > mb->messages.highestmodseq)
		mb->messages.highestmodseq = s->modseq;
	watch_checked(a->watch, mb, mb->freshness.checked, s->changed && !first);
	mb->freshness.checked = s->by_status ? mb->freshness.status.at : uv_now(a->loop);
	mb->messages.complete = true;
	mb->freshness.news = mb->freshness.news_count != s->news_count ||
			     (s->has_status && !sync_agrees_with_status(mb));
	if (first && s->nothing_known.at)
		flags_on_listed(mb, s->nothing_known.at, s->nothing_known.modseq);
	if (save)
		mailbox_save(mb);
	/* Of an honest server those are proved that somebody looks at, but not on a walk: its connection
	 * has gone on. */
	if (first &&
		(s->who == SYNC_FOR_LOOK || (s->who == SYNC_FOR_WALK && s->task.foreseen == 0)))
		prove_some(mb);
	warn_of_limit(s);
}

void sync_finish(struct sync *s, int err)
{
	struct mailbox *mb = s->mb;
	struct account *a = mb->account;
	bool changed = s->changed, unseen = mb->keeping.whole && !mb->keeping.keep;

	sync_flush_rows(s);
	mb->freshness.verifying = false;
	if (err == 0 && !mb->dead)
		succeed(s);
	else if (err < 0)
		log_debug("sync of %s: %s", mb->component, error_text(err));
	if ((s->step == SYNC_SEARCH || s->step == SYNC_BISECT) && err < 0)
		mb->freshness.doubt = true;
	mb->freshness.holes |= s->search.holes;
	destroy(s);
	if (changed && !mb->dead)
		a->observer.on_directory_changed(a->ctx, mb);
	if ((changed || unseen) && !mb->dead && mb->messages.complete && mb->tree->notices->on_rows)
		mb->tree->notices->on_rows(mb);
	mailbox_wake(mb, false, err);
	/* The server told of something more while the check was under way. */
	if (err == 0 && mb->freshness.news && !mb->dead)
		sync_start(mb);
}

void sync_end(struct sync *s)
{
	pool_end(&s->task);
	sync_finish(s, 0);
}

void sync_fail(struct sync *s, int err)
{
	pool_end(&s->task);
	sync_finish(s, err);
}

/* --- the wait for a connection --- */

void sync_queue_behind(struct sync *s)
{
	sync_set_step(s, SYNC_WAIT);
	s->task.deadline = account_deadline(s->mb->account);
	pool_start(s->mb->account->pool, &s->task);
}

void sync_queue(struct sync *s)
{
	s->mb->freshness.holes |= s->search.holes;
	s->started = uv_hrtime();
	sync_queue_behind(s);
}

/* Who waits for the check meanwhile has a deadline of its own. */
void sync_retry_later(struct sync *s)
{
	if (!retry_busy(&s->retry, RETRY_PATIENT)) {
		sync_finish(s, ERR_THROTTLED);
		return;
	}
	sync_queue(s);
	pool_delay(&s->task, s->mb->account->pool, retry_delay(&s->retry));
}

/* --- the beginning --- */

/* Takes over n messages, or frees them. */
static void take_rows(struct mailbox *mb, int err, struct cache_message *messages, size_t n)
{
	mb->messages.loaded = true;
	if (err < 0) {
		mb->messages.complete = false;
		n = 0;
	}
	flags_check_loaded(mb, messages, n);
	mb->messages.held |= n > 0;
	/* Sizes were sampled when these messages were listed first. */
	mb->sizes.sampled |= n > 0 && mb->messages.complete;
	if (n > 0 && mb->messages.rows.count == 0)
		rows_take(&mb->messages.rows, messages, n);
	else
		free(messages);
}

static void sync_on_loaded(void *ctx, int err, struct cache_message *messages, size_t n)
{
	struct sync *s = ctx;
	struct mailbox *mb = s->mb;

	if (mb->dead) {
		free(messages);
		sync_finish(s, ERR_STALE);
		return;
	}
	take_rows(mb, err, messages, n);
	if (!mb->messages.complete && sync_is_empty_by_status(mb)) {
		mb->messages.uidnext = mb->freshness.status.uidnext;
		s->by_status = true;
	}
	s->by_status |= sync_has_status(mb) && sync_agrees_with_status(mb);
	if (s->by_status) {
		sync_finish(s, 0);
		return;
	}
	if (s->foresees)
		sync_queue_foreseen(s);
	else
		sync_queue(s);
	if (mb->messages.complete && pool_is_unsure(mb->account->pool))
		mailbox_wake(mb, false, ERR_NET);
	else
		/* Who wants one message may find it remembered. */
		mailbox_wake(mb, true, 0);
}

static void sync_on_flags_loaded(void *ctx, const struct cache_flags *about)
{
	struct sync *s = ctx;

	if (about && !s->mb->dead && !s->mb->flags)
		flags_load(s->mb, about);
}

static struct sync *create(struct mailbox *mb)
{
	struct sync *s = mem_zalloc(sizeof(*s));

	s->mb = mb;
	s->news_count = mb->freshness.news_count;
	s->task = (struct pool_task){
		.mailbox = mb,
		.access = POOL_READ,
		.on_conn = sync_on_conn,
		.on_fail = sync_on_fail,
		.on_untagged = sync_on_response,
	};
	s->refusal.listed.on_wake = sync_on_relisted;
	list_init(&s->refusal.listed.link);
	imap_command_init(&s->command, false, NULL);
	mb->freshness.sync = s;
	return s;
}

static void begin(struct sync *s)
{
	struct mailbox *mb = s->mb;

	if (!mb->messages.loaded && (mb->uidvalidity != 0 || sync_is_empty_by_status(mb))) {
		cache_load_flags(mb->account->cache, mb->id, sync_on_flags_loaded, s);
		cache_load_messages(mb->account->cache, mb->id, sync_on_loaded, s);
		return;
	}
	mb->messages.loaded = true;
	if (s->foresees)
		sync_queue_foreseen(s);
	else
		sync_queue(s);
}

void sync_start(struct mailbox *mb)
{
	if (mb->freshness.sync)
		/* Somebody wants it now. */
		mb->freshness.sync->task.only_foreseen = false;
	else
		begin(create(mb));
}

bool sync_start_foreseen(struct mailbox *mb, enum sync_for who, struct sync_rider *rider)
{
	if (sync_is_under_way(mb) || !pool_may_foresee(mb->account->pool, mb)) {
		if (rider)
			rider->start(rider, 0);
		return false;
	}
	struct sync *s = create(mb);
	s->rider = rider;
	s->foresees = true;
	s->who = who;
	s->task.only_foreseen = who == SYNC_FOR_AHEAD;
	begin(s);
	return true;
}
