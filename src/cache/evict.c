/* SPDX-License-Identifier: MIT */
/*
 * What keeps bodies within their bound. Messages in mailboxes that are kept (kept.c) are beside it: they
 * have segments of their own, which stay. Where some lie among others, since they came before their
 * mailbox was kept, they are moved before the segment goes.
 */
#include <stdlib.h>

#include "base/array.h"
#include "cache/private.h"

/* What one run evicts, beyond what it puts. */
#define EVICT_STEP ((uint64_t)4 << 20)
#define VACUUM_MIN_PAGES 256

/* What the facts leave. */
static uint64_t bodies_bound(const struct cache_writer *w)
{
	return w->facts < w->max_bytes ? w->max_bytes - w->facts : 0;
}

/* It holds nothing that may go. */
static bool is_kept(const struct cache_segment *s)
{
	return s->kept > 0 && s->kept >= s->live;
}

/* What segments hold of the disk beside kept mail. */
static uint64_t charged(const struct cache_writer *w)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < w->n_segments; i++) {
		const struct cache_segment *s = &w->segments[i];
		if (!is_kept(s) && s->held > s->kept)
			sum += s->held - s->kept;
	}
	return sum;
}

bool cache_is_over(const struct cache_writer *w)
{
	return charged(w) > bodies_bound(w);
}

/* Of those that may go the one that was unused longest; mixed: also one that holds kept mail. */
static struct cache_segment *oldest_segment(struct cache_writer *w, bool mixed)
{
	struct cache_segment *oldest = NULL;

	for (size_t i = 0; i < w->n_segments; i++) {
		struct cache_segment *s = &w->segments[i];
		if (!is_kept(s) && (mixed || s->kept == 0) && (!oldest || s->used < oldest->used))
			oldest = s;
	}
	return oldest;
}

struct chunks {
	struct cache_body *at;
	size_t count, room;
};

static int find_kept(struct cache_writer *w, uint32_t segment, struct chunks *found)
{
	sqlite3_stmt *q = cache_db_bind(&w->db, STMT_BODY_KEPT_IN, segment);
	int rc;

	while ((rc = sqlite3_step(q)) == SQLITE_ROW) {
		found->at = array_grow(
			found->at, &found->room, found->count + 1, sizeof(*found->at));
		found->at[found->count++] = cache_bodies_column(q);
	}
	sqlite3_reset(q);
	return rc == SQLITE_DONE ? 0 : rc;
}

/* Moves kept mail out of the segment, about `most` octets. */
static int rescue(struct cache_writer *w, struct cache_segment *s, uint64_t most, uint64_t *moved)
{
	struct chunks found = {NULL, 0, 0};
	uint32_t id = s->id;
	uint64_t used = s->used;
	int rc = find_kept(w, id, &found);
	size_t i = 0;

	/* Not to where they are. */
	if (w->current_kept == id)
		w->current_kept = 0;
	for (; rc == 0 && i < found.count && *moved < most; i++)
		rc = cache_bodies_move(w, &found.at[i], used, moved);
	s = cache_bodies_segment(w, id);
	if (rc == 0 && s && i == found.count)
		s->kept = 0;
	free(found.at);
	return rc;
}

static int evict_segment(struct cache_writer *w, struct cache_segment *s, uint64_t *evicted)
{
	*evicted += s->held;
	int rc = cache_db_run(cache_db_bind(&w->db, STMT_BODY_DROP_SEGMENT, s->id));

	w->untidy = true;
	return rc == 0 ? cache_bodies_drop_segment(w, s) : rc;
}

/* Where the disk has no room for what is moved, another one goes. Clears evicting when none can. */
static int evict_one(struct cache_writer *w, uint64_t step, uint64_t *evicted)
{
	struct cache_segment *s = oldest_segment(w, true);
	uint32_t id = s ? s->id : 0;
	int rc = 0;

	if (s && s->kept > 0) {
		rc = rescue(w, s, step, evicted);
		s = rc == SQLITE_FULL ? oldest_segment(w, false) : cache_bodies_segment(w, id);
		if (rc != 0 && rc != SQLITE_FULL)
			return rc;
		if (rc == 0 && (!s || s->kept > 0))
			return 0;
	}
	w->evicting = s != NULL;
	return s ? evict_segment(w, s, evicted) : 0;
}

/* Down to 95 % of the bound, so that it is not done one by one for ever; and not at once, when the
 * bound was lowered by gigabytes. */
int cache_evict(struct cache_writer *w, uint64_t put)
{
	uint64_t low = bodies_bound(w) - bodies_bound(w) / 20;
	uint64_t step = EVICT_STEP + put, evicted = 0;
	int rc = 0;

	w->evicting = w->evicting || cache_is_over(w);
	while (rc == 0 && w->evicting && evicted < step) {
		w->evicting = charged(w) > low;
		if (w->evicting)
			rc = evict_one(w, step, &evicted);
	}
	return rc;
}

/* Free pages are used again, so they are given back only when they are an eighth of the file, and
 * then down to a sixteenth. */
static int tidy_pages(struct cache_writer *w)
{
	int64_t pages, free_pages;
	int rc;

	if ((rc = cache_db_number(w->db.stmts[STMT_PAGES], &pages)) != 0 ||
		(rc = cache_db_number(w->db.stmts[STMT_FREE_PAGES], &free_pages)) != 0)
		return rc;
	w->vacuuming = free_pages > VACUUM_MIN_PAGES &&
		       free_pages > pages / (w->vacuuming ? 16 : 8);
	w->untidy = w->vacuuming;
	if (!w->vacuuming)
		return 0;
	return cache_db_run(w->db.stmts[STMT_VACUUM]);
}

int cache_tidy(struct cache_writer *w)
{
	int rc = cache_bodies_drop_doomed(w);

	return rc == SQLITE_DONE ? tidy_pages(w) : rc;
}
