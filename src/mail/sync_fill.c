/*
 * The rows of messages that SEARCH has found and nobody knows. What is asked for in company and
 * does not come is asked for again, apart: one message may be the reason why the rows of others are
 * refused, or are spoilt. What does not come alone either has a name all the same, and reading it
 * will tell.
 */
#include "mail/sync_private.h"

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

void sync_note_missing(struct sync *s)
{
	uidset_sort(&s->found);
	note_unknown(s->mb, &s->found, &s->missing);
}

void sync_fill_set(struct sync *s, struct buf *set)
{
	struct uidset copy = {0};

	uidset_cut(&s->missing, s->most ? s->most : UINT64_MAX, &s->asked);
	uidset_copy(&copy, &s->asked);
	uidset_take_text(&copy, set);
	uidset_finish(&copy);
}

/* Those that did not come go back to the front. */
static void put_back(struct sync *s, const struct uidset *lost)
{
	struct uidset all = {0};

	uidset_sort(&s->missing);
	uidset_copy(&all, lost);
	for (size_t i = 0; i < s->missing.count; i++)
		uidset_add(&all, s->missing.ranges[i].first, s->missing.ranges[i].last);
	uidset_finish(&s->missing);
	s->missing = all;
}

/* What is to become of those that did not come with others. */
static void ask_apart(struct sync *s, const struct uidset *lost, enum fill_answer answer)
{
	uint64_t n = uidset_size(lost);

	if (answer == FILL_PARTIAL && s->came > 0) {
		s->most = s->came;
	} else if (s->splits++ < SPLITS_MAX) {
		s->most = n > 1 ? n / 2 : 1;
	} else {
		if (s->came == 0)
			s->most *= 2;
		return;
	}
	put_back(s, lost);
}

/* Not those that were expunged: this connection was not told of that. False: they are so many that
 * they are not believed, and none is added. */
static bool add_rowless(struct sync *s)
{
	const struct imap_fetch nothing = {0};

	sync_note_missing(s);
	if (uidset_size(&s->missing) > ROWLESS_MAX)
		return false;
	for (size_t i = 0; i < s->missing.count; i++)
		for (uint64_t uid = s->missing.ranges[i].first; uid <= s->missing.ranges[i].last;
			uid++) {
			if (mailbox_was_removed(s->mb, (uint32_t)uid))
				continue;
			struct cache_message m = sync_merge_row(s->mb, &nothing, (uint32_t)uid);
			sync_add_row(s, &m);
		}
	uidset_clear(&s->missing);
	return true;
}

enum fill_next sync_fill_next(struct sync *s, enum fill_answer answer)
{
	struct uidset lost = {0};
	bool alone = uidset_size(&s->asked) == 1;

	note_unknown(s->mb, &s->asked, &lost);
	bool all_came = lost.count == 0;
	if (!all_came && !alone)
		ask_apart(s, &lost, answer);
	else if (s->most && s->most < UINT32_MAX)
		s->most *= 2;
	uidset_finish(&lost);
	if (s->came > 0 || all_came)
		s->barren = 0;
	else if (alone && answer == FILL_REFUSED && s->unavailable && ++s->barren == BARREN_MAX)
		return FILL_NOTHING;
	uidset_sort(&s->missing);
	if (s->missing.count > 0)
		return FILL_MORE;
	return add_rowless(s) ? FILL_DONE : FILL_TOO_MANY;
}
