/* SPDX-License-Identifier: MIT */
/*
 * The rows of messages that SEARCH has found and nobody knows. What is asked for in company and
 * does not come is asked for again, apart: one message may be the reason why the rows of others are
 * refused, or are spoilt. What does not come alone either has a name all the same, and reading it
 * will tell.
 */
#include "mail/sync/private.h"

#include "base/error.h"
#include "base/log.h"

enum fill_answer { FILL_ALL, FILL_REFUSED, FILL_PARTIAL };

/* Messages without a row that a mailbox may have. */
#define ROWLESS_MAX 100000
/* How often rows are asked for again apart; after that they are taken for lost in company. */
#define SPLITS_MAX 64
/* Messages in a row that are not to be had for the time being, each alone, until it is not believed
 * to be their fault. */
#define BARREN_MAX 8

/* What of the set is not known, as ranges: never walks the numbers of a range, a server may say
 * 1:4294967295. */
static void note_unknown(struct mailbox *mb, const struct uidset *set, struct uidset *unknown)
{
	uidset_clear(unknown);
	for (size_t i = 0; i < set->count; i++) {
		uint32_t from = set->ranges[i].first, last = set->ranges[i].last;
		const struct cache_message *m;
		while ((m = mailbox_after(mb, from - 1)) && m->uid <= last) {
			if (m->uid > from)
				uidset_add(unknown, from, m->uid - 1);
			if (m->uid == last)
				break;
			from = m->uid + 1;
		}
		if (!m || m->uid > last)
			uidset_add(unknown, from, last);
	}
}

/* What was found and is not known is missing. */
static void note_missing(struct sync *s)
{
	uidset_sort(&s->search.found);
	note_unknown(s->mb, &s->search.found, &s->fill.missing);
}

void sync_fill(struct sync *s)
{
	note_missing(s);
	if (s->fill.missing.count == 0)
		sync_end(s);
	else
		sync_enter(s, SYNC_FILL);
}

void sync_send_fill(struct sync *s, struct imap_command *c)
{
	struct uidset copy = {0};
	struct buf set;

	uidset_cut(&s->fill.missing, s->fill.most ? s->fill.most : UINT64_MAX, &s->fill.asked);
	uidset_copy(&copy, &s->fill.asked);
	buf_init(&set, UIDSET_TEXT_MAX);
	uidset_take_text(&copy, &set);
	imap_command_add(c, "UID FETCH %s %s\r\n", buf_cstr(&set), sync_row_items(s->mb));
	buf_finish(&set);
	uidset_finish(&copy);
}

/* Those that did not come go back to the front. */
static void put_back(struct sync *s, const struct uidset *lost)
{
	struct uidset all = {0};

	uidset_sort(&s->fill.missing);
	uidset_copy(&all, lost);
	for (size_t i = 0; i < s->fill.missing.count; i++)
		uidset_add(&all, s->fill.missing.ranges[i].first, s->fill.missing.ranges[i].last);
	uidset_finish(&s->fill.missing);
	s->fill.missing = all;
}

/* What is to become of those that did not come with others. */
static void ask_apart(struct sync *s, const struct uidset *lost, enum fill_answer answer)
{
	uint64_t n = uidset_size(lost);

	if (answer == FILL_PARTIAL && s->came > 0) {
		s->fill.most = s->came;
	} else if (s->fill.splits++ < SPLITS_MAX) {
		s->fill.most = n > 1 ? n / 2 : 1;
	} else {
		if (s->came == 0)
			s->fill.most *= 2;
		return;
	}
	put_back(s, lost);
}

/* Not those that were expunged: this connection was not told of that. False: they are so many that
 * they are not believed, and none is added. */
static bool add_rowless(struct sync *s)
{
	const struct imap_fetch nothing = {0};

	note_missing(s);
	if (uidset_size(&s->fill.missing) > ROWLESS_MAX)
		return false;
	for (size_t i = 0; i < s->fill.missing.count; i++)
		for (uint64_t uid = s->fill.missing.ranges[i].first;
			uid <= s->fill.missing.ranges[i].last; uid++) {
			if (mailbox_was_removed(s->mb, (uint32_t)uid))
				continue;
			struct cache_message m = sync_merge_row(s->mb, &nothing, (uint32_t)uid);
			sync_add_row(s, &m);
		}
	uidset_clear(&s->fill.missing);
	return true;
}

/* A listing without them would be one that lacks mail: the check fails. */
static void fail_rowless(struct sync *s)
{
	struct mailbox *mb = s->mb;

	if (!mb->freshness.partial_logged)
		log_warning("%s: tells nothing of %llu messages of %s, which it has: not listed",
			mb->account->options.pool.host,
			(unsigned long long)uidset_size(&s->fill.missing), mailbox_path(mb));
	mb->freshness.partial_logged = true;
	mb->freshness.doubt = true;
	sync_fail(s, ERR_PROTOCOL);
}

/* Nothing at all is to be had now. */
static void put_fill_off(struct sync *s)
{
	s->fill.most = s->fill.barren = s->fill.splits = 0;
	pool_end(&s->task);
	sync_retry_later(s);
}

/* Whether refusals are the server's rather than the messages' fault. */
static bool is_barren(struct sync *s, enum fill_answer answer, bool alone, bool all_came)
{
	if (s->came > 0 || all_came)
		s->fill.barren = 0;
	else if (alone && answer == FILL_REFUSED && s->unavailable)
		return ++s->fill.barren == BARREN_MAX;
	return false;
}

static void fill_answered(struct sync *s, enum fill_answer answer)
{
	struct uidset lost = {0};
	bool alone = uidset_size(&s->fill.asked) == 1;

	note_unknown(s->mb, &s->fill.asked, &lost);
	bool all_came = lost.count == 0;
	if (!all_came && !alone)
		ask_apart(s, &lost, answer);
	else if (s->fill.most && s->fill.most < UINT32_MAX)
		s->fill.most *= 2;
	uidset_finish(&lost);
	uidset_sort(&s->fill.missing);
	if (is_barren(s, answer, alone, all_came))
		put_fill_off(s);
	else if (s->fill.missing.count > 0)
		sync_send(s);
	else if (add_rowless(s))
		sync_end(s);
	else
		fail_rowless(s);
}

void sync_after_fill(struct sync *s)
{
	fill_answered(s, FILL_ALL);
}

void sync_after_fill_partial(struct sync *s, uint32_t low)
{
	fill_answered(s, FILL_PARTIAL);
}

void sync_after_fill_refused(struct sync *s)
{
	fill_answered(s, FILL_REFUSED);
}
