/* SPDX-License-Identifier: MIT */
/*
 * Without UIDPLUS, with -o expunge=force: flag -> search -> expunge, when the server finds ours
 * marked and nothing else. What others have marked is spared:
 *
 *   search -> confirm   FETCH must say of each that it is marked, for a SEARCH can be another's
 *          -> journal   so that a crash does not lose the list
 *          -> unflag -> search again
 *
 * After the end journal.c gives the marks back.
 */
#include "base/error.h"
#include "base/log.h"
#include "mail/change/private.h"

/* Others may mark more while we look. */
#define ROUNDS_MAX 4

static const struct step search, confirm, journal, unflag, expunge;

static void distrust(struct changes *c, const char *why)
{
	log_warning("%s: SEARCH DELETED %s in %s: nothing is expunged",
		c->mb->account->options.pool.host, why, mailbox_path(c->mb));
	removals_refuse(c, ERR_REFUSED);
}

static void start_search(struct changes *c)
{
	step_go(c, &search);
}

/* --- flag --- */

static void flag_send(struct changes *c)
{
	marks_send(c, true);
}

static void flag_refused(struct changes *c)
{
	/* SEARCH tells what is marked, and verify.c what is gone. */
	if (marks_are_blind(c))
		start_search(c);
	else
		removals_step_refused(c);
}

static const struct step flag = {
	.name = "flag",
	.send = flag_send,
	.on_row = marks_on_row,
	.ok = start_search,
	.refused = flag_refused,
};

void force_start(struct changes *c)
{
	step_go_over(c, &flag, &c->uids);
}

/* --- search --- */

static void search_send(struct changes *c)
{
	step_send(c, "UID SEARCH DELETED");
}

/* Servers of IMAP4rev2 answer with ESEARCH. One that only counts has not said which. */
static void search_on_search(struct changes *c, const struct imap_response *r)
{
	struct uidset *found = &c->now.found;
	struct span set = r->words;
	uint32_t first, last;

	if (r->kind == IMAP_ESEARCH && set.n == 0 &&
		(r->esearch_count || r->esearch_min || r->esearch_max))
		return;
	c->now.searched = true;
	while (imap_set_next(&set, &first, &last))
		uidset_add(found, first, last);
	/* More than is believed: as if it had said all. */
	if (found->count > OTHERS_MAX) {
		uidset_clear(found);
		uidset_add(found, 1, UINT32_MAX);
	}
}

/* Marked by another while it was searched: EXPUNGE would take that along. */
static void search_on_row(struct changes *c, const struct imap_fetch *row, uint32_t uid)
{
	if (!row->has_flags || !(row->flags & IMAP_FLAG_DELETED) || uidset_has(&c->uids, uid))
		return;
	if (uid && c->now.found.count <= OTHERS_MAX)
		uidset_add(&c->now.found, uid, uid);
	else
		c->now.again = true;
}

/* Whether those were found that were there a moment ago and that nobody expunged since. */
static bool found_ours(const struct changes *c)
{
	for (size_t i = 0; i < c->expunge.rows.count; i++)
		for (uint64_t uid = c->expunge.rows.ranges[i].first;
			uid <= c->expunge.rows.ranges[i].last; uid++)
			if (mailbox_find(c->mb, (uint32_t)uid) &&
				!uidset_has(&c->now.found, (uint32_t)uid))
				return false;
	return true;
}

/* Splits what was found: the others go to fresh. Returns how many are ours. */
static size_t sort_found(struct changes *c)
{
	const struct uidset *found = &c->now.found;
	size_t ours = 0;

	uidset_clear(&c->expunge.fresh);
	for (size_t i = 0; i < found->count; i++)
		for (uint64_t uid = found->ranges[i].first; uid <= found->ranges[i].last; uid++)
			if (uidset_has(&c->uids, (uint32_t)uid))
				ours++;
			else
				uidset_add(&c->expunge.fresh, (uint32_t)uid, (uint32_t)uid);
	return ours;
}

static void search_ok(struct changes *c)
{
	uidset_sort(&c->now.found);
	uint64_t count = uidset_size(&c->now.found);
	if (!c->now.searched) {
		distrust(c, "was not answered");
	} else if (count > conn_exists(c->task.conn) || count > OTHERS_MAX) {
		distrust(c, "found too many messages");
	} else if (!found_ours(c)) {
		distrust(c, "did not find what was marked");
	} else if (sort_found(c) == 0) {
		/* Nothing is left of ours to be expunged. */
		removals_expunged(c);
	} else if (c->expunge.fresh.count == 0 && !c->now.again) {
		step_go(c, &expunge);
	} else if (c->expunge.rounds++ == ROUNDS_MAX) {
		distrust(c, "finds ever more messages");
	} else if (c->expunge.fresh.count == 0) {
		start_search(c);
	} else {
		step_go_over(c, &confirm, &c->expunge.fresh);
	}
}

static const struct step search = {
	.name = "search",
	.send = search_send,
	.on_search = search_on_search,
	.on_row = search_on_row,
	.ok = search_ok,
	.refused = removals_step_refused,
};

/* --- confirm --- */

static void confirm_on_row(struct changes *c, const struct imap_fetch *row, uint32_t uid)
{
	if (row->has_flags && (row->flags & IMAP_FLAG_DELETED))
		step_note_found(c, &c->expunge.fresh, uid);
}

static bool is_subset(const struct uidset *small, const struct uidset *large)
{
	for (size_t i = 0; i < small->count; i++)
		for (uint64_t uid = small->ranges[i].first; uid <= small->ranges[i].last; uid++)
			if (!uidset_has(large, (uint32_t)uid))
				return false;
	return true;
}

static void confirm_ok(struct changes *c)
{
	uidset_sort(&c->now.found);
	if (!is_subset(&c->expunge.fresh, &c->now.found)) {
		start_search(c);
		return;
	}
	for (size_t i = 0; i < c->expunge.fresh.count; i++)
		uidset_add(&c->expunge.others, c->expunge.fresh.ranges[i].first,
			c->expunge.fresh.ranges[i].last);
	uidset_sort(&c->expunge.others);
	if (uidset_size(&c->expunge.others) > OTHERS_MAX)
		distrust(c, "found too many messages");
	else
		step_go(c, &journal);
}

static const struct step confirm = {
	.name = "confirm",
	.send = step_send_fetch,
	.on_row = confirm_on_row,
	.ok = confirm_ok,
	.refused = removals_step_refused,
};

/* --- journal --- */

static void journal_ok(struct changes *c)
{
	step_go_over(c, &unflag, &c->expunge.fresh);
}

static const struct step journal = {
	.name = "journal",
	.send = journal_send,
	.ok = journal_ok,
	.refused = removals_step_refused,
};

/* --- unflag --- */

static void unflag_send(struct changes *c)
{
	step_send_piece(c, "UID STORE", " -FLAGS.SILENT (\\Deleted)");
}

static const struct step unflag = {
	.name = "unflag",
	.send = unflag_send,
	.ok = start_search,
	.refused = removals_step_refused,
};

/* --- expunge --- */

static void expunge_send(struct changes *c)
{
	step_send(c, "EXPUNGE");
}

static const struct step expunge = {
	.name = "expunge",
	.send = expunge_send,
	.ok = removals_expunged,
	.refused = removals_step_refused,
};
