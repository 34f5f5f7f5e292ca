/* SPDX-License-Identifier: MIT */
/*
 * The step that asks for the set of all UIDs, when nothing cheaper is conclusive. What it names is
 * compared with the number of messages before it is believed: an answer that is cut short would
 * empty the mailbox here.
 */
#include "mail/sync/private.h"

#include "base/error.h"
#include "base/log.h"

/* Ranges that SEARCH may name, of 8 octets each. */
#define FOUND_MAX ((size_t)2 << 20)
/* How often the UIDs in one answer are counted: each EXPUNGE meanwhile asks for it. */
#define COUNTS_MAX 100

void sync_search(struct sync *s)
{
	sync_enter(s, SYNC_SEARCH);
}

static void begin_search(struct sync *s)
{
	s->from = 1;
	uidset_clear(&s->search.found);
	uidset_clear(&s->fill.missing);
	/* What is noted in the mailbox from now on is not what this SEARCH will have settled. */
	s->search.holes |= s->mb->freshness.holes;
	s->mb->freshness.doubt = s->mb->freshness.holes = false;
	s->search.answered = s->search.uncounted = false;
	s->search.exists = 0;
	s->search.named = 0;
	s->search.counts = 0;
}

void sync_send_search(struct sync *s, struct imap_command *c)
{
	bool ranges = pool_capabilities(s->mb->account->pool) & IMAP_CAP_ESEARCH;
	const char *as = ranges ? "RETURN (ALL) " : "";

	if (s->to == 0) {
		begin_search(s);
		imap_command_add(c, "UID SEARCH %sALL\r\n", as);
	} else {
		imap_command_add(c, "UID SEARCH %sUID %u:%u\r\n", as, s->from, s->to);
	}
}

void sync_on_search_row(struct sync *s, const struct imap_response *r)
{
	struct span set = r->words;
	uint32_t first, last;

	if (r->kind != IMAP_SEARCH && r->kind != IMAP_ESEARCH)
		return;
	s->search.answered = true;
	while (imap_set_next(&set, &first, &last) && s->search.found.count < FOUND_MAX) {
		uidset_add(&s->search.found, first, last);
		s->lowest = s->lowest && s->lowest < first ? s->lowest : first;
	}
	s->search.exists = conn_exists(s->task.conn);
	s->search.uncounted = true;
}

/* Counts what SEARCH has named so far. Each counting takes as long as the answer: one that never
 * ends is not counted for ever, and agrees with nothing. */
static void count_found(struct sync *s)
{
	if (!s->search.uncounted || s->search.counts == COUNTS_MAX)
		return;
	s->search.uncounted = false;
	s->search.counts++;
	uidset_sort(&s->search.found);
	s->search.named = s->search.counts == COUNTS_MAX ? UINT64_MAX
							 : uidset_size(&s->search.found);
}

void sync_not_found(struct sync *s, uint32_t first, uint32_t last)
{
	count_found(s);
	uidset_remove(&s->search.found, first, last);
	uidset_remove(&s->fill.missing, first, last);
}

/* As many messages as SEARCH should have named. */
static uint32_t expected(const struct sync *s)
{
	return s->search.answered ? s->search.exists : conn_exists(s->task.conn);
}

/* The answer must have been seen, and name as many messages as there are. */
static bool is_sound(struct sync *s)
{
	count_found(s);
	return s->search.named == expected(s) && (s->search.answered || expected(s) == 0);
}

/* What was told since SELECT does not add up: the server's own count there decides. */
static void select_anew(struct sync *s)
{
	if (!s->mb->freshness.unsound_logged)
		log_warning("%s: SEARCH of %s names %llu messages of %u: selecting it anew",
			s->mb->account->options.pool.host, mailbox_path(s->mb),
			(unsigned long long)s->search.named, expected(s));
	s->mb->freshness.unsound_logged = true;
	s->search.selected_anew = true;
	s->search.unsound = 0;
	pool_select_anew(&s->task);
	pool_end(&s->task);
	sync_queue(s);
}

/* Again; then over another selection; then the check fails, and the next one begins here. */
static void on_unsound(struct sync *s)
{
	if (s->search.unsound++ < 1) {
		sync_search(s);
	} else if (!s->search.selected_anew) {
		select_anew(s);
	} else {
		s->mb->freshness.doubt = s->search.holes = true;
		sync_fail(s, ERR_PROTOCOL);
	}
}

void sync_note_gone(struct mailbox *mb, uint32_t uid)
{
	if (mb->freshness.sync)
		uidset_add(&mb->freshness.sync->gone, uid, uid);
}

/* This connection may not have been told yet of what was expunged over another since the check
 * began: that does not come back because SEARCH names it. The next check, which asks for news
 * first, tells. */
static void leave_out_gone(struct sync *s)
{
	struct uidset *found = &s->search.found;

	uidset_sort(&s->gone);
	for (size_t i = 0; i < s->gone.count; i++) {
		const struct uid_range *r = &s->gone.ranges[i];
		uint32_t next = uidset_after(found, r->first - 1);
		s->mb->freshness.doubt |= next != 0 && next <= r->last;
	}
	for (size_t i = 0; i < s->gone.count; i++)
		uidset_remove(found, s->gone.ranges[i].first, s->gone.ranges[i].last);
	uidset_sort(found);
}

static void remove_vanished(struct sync *s)
{
	struct mailbox *mb = s->mb;

	rows_sort(&mb->messages.rows);
	for (size_t i = mb->messages.rows.count; i-- > 0;) {
		/* Removing may sweep the array. That only moves rows down, so none below i is
		 * passed over. */
		if (i >= mb->messages.rows.count)
			continue;
		uint32_t uid = mb->messages.rows.at[i].uid;
		if (!uidset_has(&s->search.found, uid))
			sync_vanish(s, uid);
	}
}

void sync_after_search(struct sync *s)
{
	if (!is_sound(s)) {
		on_unsound(s);
		return;
	}
	s->search.holes = false;
	uidset_sort(&s->search.found);
	leave_out_gone(s);
	remove_vanished(s);
	sync_fill(s);
}
