/* SPDX-License-Identifier: MIT */
/*
 * What others marked and we unmarked, so that EXPUNGE spares it (`others`). The list is in the
 * cache's journal from before they are unmarked until they are marked again, so neither a crash nor
 * an outage loses it: the next batch, the next time that the server comes up, owed.c after a while,
 * or the next mount gives the marks back.
 */
#include <stdlib.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/change/owed.h"
#include "mail/change/private.h"

static const struct step reflag, filter, clear;

/* --- the cache --- */

static void journal_on_put(void *ctx, int err)
{
	step_answered(ctx, err);
}

static void put_journal(
	struct changes *c, const struct uidset *set, void (*on_done)(void *ctx, int err))
{
	size_t n = 0, size = (size_t)uidset_size(set);
	uint32_t *uids = mem_resize(NULL, size > 0 ? size : 1, sizeof(*uids));

	for (size_t i = 0; i < set->count; i++)
		for (uint64_t uid = set->ranges[i].first; uid <= set->ranges[i].last; uid++)
			uids[n++] = (uint32_t)uid;
	step_expect(c);
	cache_put_journal(c->mb->account->cache, c->mb->id, uids, n, on_done, c);
	free(uids);
}

void journal_send(struct changes *c)
{
	put_journal(c, &c->expunge.others, journal_on_put);
}

/* --- giving back --- */

void journal_give_back(struct changes *c)
{
	c->expunge.filtered = false;
	if (c->expunge.others.count > 0)
		step_go_over(c, &reflag, &c->expunge.others);
	else
		course_go_on(c);
}

/* The marks stay in the journal. */
static void reflag_put_off(struct changes *c)
{
	log_warning("%s: cannot mark %llu messages of %s as deleted again, as others had; trying "
		    "again later",
		c->mb->account->options.pool.host,
		(unsigned long long)uidset_size(&c->expunge.others), c->mb->component);
	course_go_on(c);
}

static void reflag_send(struct changes *c)
{
	step_send_piece(c, "UID STORE", " +FLAGS.SILENT (\\Deleted)");
}

static void reflag_ok(struct changes *c)
{
	step_go(c, &clear);
}

static void reflag_refused(struct changes *c)
{
	if (c->expunge.filtered)
		reflag_put_off(c);
	else
		step_go_over(c, &filter, &c->expunge.others);
}

static const struct step reflag = {
	.name = "reflag",
	.send = reflag_send,
	.ok = reflag_ok,
	.refused = reflag_refused,
};

/* --- filter: servers may refuse STORE for messages that are no more --- */

static void filter_on_row(struct changes *c, const struct imap_fetch *row, uint32_t uid)
{
	step_note_found(c, &c->expunge.others, uid);
}

static void filter_ok(struct changes *c)
{
	uidset_sort(&c->now.found);
	uidset_copy(&c->expunge.others, &c->now.found);
	c->expunge.filtered = true;
	if (c->expunge.others.count > 0)
		step_go_over(c, &reflag, &c->expunge.others);
	else
		step_go(c, &clear);
}

static const struct step filter = {
	.name = "filter",
	.send = step_send_fetch,
	.on_row = filter_on_row,
	.ok = filter_ok,
	.refused = reflag_put_off,
};

/* --- clear --- */

/* The marks are given back, also when the connection was lost meanwhile. */
static void journal_on_cleared(void *ctx, int err)
{
	struct changes *c = ctx;

	if (err == 0)
		uidset_clear(&c->expunge.others);
	step_answered(c, err);
}

static void clear_send(struct changes *c)
{
	static const struct uidset none;

	put_journal(c, &none, journal_on_cleared);
}

/* The marks are given back, also when the cache could not note that. */
static void clear_over(struct changes *c)
{
	owed_were_paid(c->mb->account->owed);
	uidset_clear(&c->expunge.others);
	course_go_on(c);
}

static const struct step clear = {
	.name = "clear",
	.send = clear_send,
	.ok = clear_over,
	.refused = clear_over,
};

/* --- what an interrupted expunge left --- */

static void journal_on_dropped(void *ctx, int err)
{
}

static void restore(void *ctx, uint32_t id, const uint32_t *uids, size_t n)
{
	struct account *a = ctx;
	struct mailbox *mb = tree_mailbox(&a->tree, id);

	/* Its UIDVALIDITY changed, or it was deleted: the marks went with the messages. One that is not subscribed
	 * may be there for the next mount. */
	if (!mb && !a->options.subscribed)
		cache_put_journal(a->cache, id, NULL, 0, journal_on_dropped, NULL);
	if (!mb)
		return;
	/* It may be selected again. */
	if (!mailbox_selectable(mb)) {
		owed_remain(a->owed);
		return;
	}
	struct changes *c = changes_of(mb);
	/* An expunge that is under way gives back itself what it took. */
	if (!queue_is_idle(c))
		return;
	log_notice("marking %zu message%s of %s as deleted again, as before an interrupted rm", n,
		n == 1 ? "" : "s", mailbox_path(mb));
	for (size_t i = 0; i < n; i++)
		uidset_add(&c->expunge.others, uids[i], uids[i]);
	uidset_sort(&c->expunge.others);
	queue_start(c);
}

void changes_restore_start(struct account *a)
{
	if (!a->options.readonly)
		cache_each_journal(a->cache, restore, a);
}
