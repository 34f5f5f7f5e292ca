/* SPDX-License-Identifier: MIT */
#include "fs/fresh.h"

#include "base/error.h"
#include "fs/filesystem.h"
#include "mail/parts/along.h"
#include "mail/read/glance.h"
#include "mail/sync/flags_ask.h"
#include "mail/sync/sync.h"

bool fresh_remembers(const struct mailbox *mb, int err)
{
	return !mb->dead && mb->messages.complete && mb->messages.loaded &&
	       error_is_connection(err);
}

/* Something has come since the op has begun to wait, or since this was asked last: then it may wait as long
 * again. What has fallen silent is not waited for. */
static bool goes_on(struct fs_op *op, uint64_t come)
{
	bool more = !op->mb->dead && come != op->come;

	op->come = come;
	if (more)
		op->deadline = uv_now(op->fs->loop) + op->fs->options.timeout;
	return more;
}

/* --- a listing --- */

static void listing_sync(struct fs_op *op);

static void listing_synced(struct fs_op *op, int err)
{
	bool again = op->joined && err == 0 && !op->mb->dead && !sync_is_fresh(op->mb);

	op->joined = false;
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else if (err < 0 && mailbox_selectable(op->mb) && !fresh_remembers(op->mb, err))
		op_fail(op, err);
	else if (again)
		listing_sync(op);
	else
		op->known(op, 0);
}

void fresh_expire_listing(struct fs_op *op, int err)
{
	listing_synced(op, err);
}

static void listing_sync(struct fs_op *op)
{
	struct mailbox *mb = op->mb;

	/* Who comes while a first listing is under way is not to wait for more than is there. */
	if (sync_is_fresh(mb) || sync_shows_rows(mb)) {
		op->known(op, 0);
		return;
	}
	sync_start(mb);
	op_wait_mailbox(op, !mb->messages.complete, listing_synced);
}

static void wait_for_listing(struct fs_op *op, op_resume *known, op_resume *expire)
{
	op->known = known;
	op->expire = expire;
	/* A check that is under way already may not find what was put in meanwhile, by close(2)
	 * even: then another one follows, once. A first listing is shown as it comes. */
	op->joined = op->mb->messages.complete && sync_is_under_way(op->mb);
	listing_sync(op);
}

void fresh_listing(struct fs_op *op, op_resume *known)
{
	wait_for_listing(op, known, fresh_expire_listing);
}

/* --- rows --- */

static void rows_came(struct fs_op *op, int err)
{
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else if (err < 0 && !fresh_remembers(op->mb, err))
		op_fail(op, err);
	else
		op->known(op, 0);
}

void fresh_rows(struct fs_op *op, op_resume *known)
{
	op->known = known;
	int err = op_overdue(op);
	if (err < 0) {
		op_fail(op, err);
		return;
	}
	sync_start(op->mb);
	op_wait_mailbox(op, true, rows_came);
}

/* --- the whole --- */

/* Rows, and summaries, which may come before them. */
static uint64_t count_come(const struct mailbox *mb)
{
	return mailbox_count(mb) + facts_version(mb, FACT_SUMMARY);
}

static void whole_listed(struct fs_op *op, int err);

static void whole_synced(struct fs_op *op, int err)
{
	op->known = op->whole;
	if (op->mb->dead || (err < 0 && !fresh_remembers(op->mb, err)))
		op_fail(op, op->mb->dead ? ERR_STALE : err);
	else if (mailbox_selectable(op->mb) && !op->mb->messages.complete)
		whole_listed(op, 0);
	else
		op->whole(op, 0);
}

static void whole_expired(struct fs_op *op, int err)
{
	if (goes_on(op, count_come(op->mb)))
		whole_listed(op, 0);
	else
		whole_synced(op, err);
}

static void whole_listed(struct fs_op *op, int err)
{
	struct mailbox *mb = op->mb;

	if (!mailbox_selectable(mb) || (mb->messages.complete && mb->messages.loaded)) {
		op->whole(op, 0);
		return;
	}
	sync_start(mb);
	op->come = count_come(mb);
	op->expire = whole_expired;
	op_wait_mailbox(op, false, whole_synced);
}

/* The first rows are held back until their sizes are proved, which may be behind all summaries. */
static void whole_listing_expired(struct fs_op *op, int err)
{
	if (goes_on(op, count_come(op->mb)))
		listing_sync(op);
	else
		listing_synced(op, err);
}

void fresh_whole(struct fs_op *op, op_resume *known)
{
	op->whole = known;
	/* Where nothing is known EXAMINE and the first rows leave together. */
	if (!op->mb->messages.complete && !sync_is_fresh(op->mb))
		sync_start_foreseen(op->mb, SYNC_FOR_LOOK, NULL);
	op->come = count_come(op->mb);
	wait_for_listing(op, whole_listed, whole_listing_expired);
}

void fresh_whole_summed(struct fs_op *op, op_resume *known)
{
	along_check(op->mb);
	fresh_whole(op, known);
}

/* --- one message --- */

static const struct cache_message *find_message(const struct fs_op *op)
{
	/* One that is on its way to another mailbox is hidden where it is. */
	return op->passing ? mailbox_find(op->mb, op->uid) : mailbox_shown(op->mb, op->uid);
}

static void message_synced(struct fs_op *op, int err);

static void message_wait(struct fs_op *op)
{
	/* A glance fetches octets of the message, too, which a view may not want. */
	if (op->at.node || !glance_start(op->mb, op->uid))
		sync_start(op->mb);
	op_wait_mailbox(op, true, message_synced);
}

/* The check that has ended began before the message came in, under the name that is looked up. */
static bool is_outdated(const struct fs_op *op)
{
	return op->given && !sync_knows(op->mb, op->uid);
}

static void message_synced(struct fs_op *op, int err)
{
	struct mailbox *mb = op->mb;

	if (mb->dead)
		op_fail(op, ERR_GONE);
	else if (find_message(op))
		op->known(op, 0);
	else if (mailbox_hidden(mb, op->uid))
		op_fail(op, ERR_GONE);
	else if (err < 0 && !fresh_remembers(mb, err))
		op_fail(op, err);
	else if (sync_is_under_way(mb))
		op_wait_mailbox(op, true, message_synced);
	else if (err == 0 && (!mb->messages.complete || is_outdated(op)))
		message_wait(op);
	else
		op_fail(op, ERR_GONE);
}

void fresh_message(struct fs_op *op, op_resume *known)
{
	int err = op_overdue(op);

	op->known = known;
	if (find_message(op))
		known(op, 0);
	else if (sync_knows(op->mb, op->uid))
		op_fail(op, ERR_GONE);
	else if (err < 0)
		op_fail(op, fresh_remembers(op->mb, err) ? ERR_GONE : err);
	else
		message_wait(op);
}

/* --- flags --- */

static void flags_came(struct fs_op *op, int err);

static void ask_flags(struct fs_op *op)
{
	op->expire = flags_came;
	op->uid = 0;
	if (mailbox_count(op->mb) == 0 || flags_are_all_true(op->mb))
		flags_came(op, 0);
	else
		op_wait_flags(op, flags_came);
}

static void flags_came(struct fs_op *op, int err)
{
	bool known = mailbox_count(op->mb) == 0 || flags_are_all_known(op->mb);

	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else if (err < 0 && !(error_is_outage(err) && known))
		op_fail(op, err);
	else if (known)
		op->flagged(op, 0);
	else if (op->asked++ < 2)
		ask_flags(op);
	else
		op_fail(op, ERR_IO);
}

void fresh_flags(struct fs_op *op, op_resume *flagged)
{
	op->flagged = flagged;
	ask_flags(op);
}

/* --- summaries --- */

static void summaries_came(struct fs_op *op, int err)
{
	op->uid = 0;
	op->without |= err < 0;
	if (op->mb->dead)
		op_fail(op, ERR_STALE);
	else
		op->summed(op, 0);
}

static void wait_for_summaries(struct fs_op *op);

/* As long as the server goes on to answer they are on their way. */
static void summaries_expired(struct fs_op *op, int err)
{
	if (goes_on(op, facts_version(op->mb, FACT_SUMMARY)))
		wait_for_summaries(op);
	else if (pool_is_unsure(op->fs->account->pool) && fresh_remembers(op->mb, err))
		summaries_came(op, err);
	else
		op_fail(op, err);
}

static void wait_for_summaries(struct fs_op *op)
{
	op->uid = 0;
	op->come = facts_version(op->mb, FACT_SUMMARY);
	op->expire = summaries_expired;
	op_wait_facts(op, FACT_SUMMARY, summaries_came);
}

void fresh_summaries(struct fs_op *op, op_resume *summed)
{
	op->summed = summed;
	if (!mailbox_selectable(op->mb) || mailbox_count(op->mb) == 0 ||
		facts_try_all(op->mb, FACT_SUMMARY) != ERR_NOT_CACHED)
		summaries_came(op, 0);
	else
		wait_for_summaries(op);
}
