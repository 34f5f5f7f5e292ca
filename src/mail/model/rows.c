/* SPDX-License-Identifier: MIT */
/*
 * Rows mostly arrive in order and are appended. One that is late begins a new run, which is
 * ascending in itself; a run that is longer than half of the one before is merged with it, so there
 * are few, and each row is moved as often as its run doubles (the logarithmic method of Bentley and
 * Saxe). Where a UID is in two runs, one that was gone has returned: the newer row counts.
 *
 * The size of a row that is gone is how many rows from it to the next that may not be: who looks
 * for that one shortens the way for those that come after (as in union-find), so whoever says the
 * same expunged numbers again and again pays for them once.
 */
#include "mail/model/rows.h"

#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"

bool message_is_other(const struct cache_message *a, const struct cache_message *b)
{
	uint32_t unknown = CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN;

	return !((a->flags | b->flags) & unknown) && a->size != b->size && a->date != b->date;
}

void rows_finish(struct rows *r)
{
	free(r->at);
	free(r->starts);
	*r = (struct rows){0};
}

void rows_take(struct rows *r, struct cache_message *at, size_t n)
{
	rows_finish(r);
	r->at = at;
	r->count = r->cap = n;
}

static bool row_is_gone(const struct cache_message *m)
{
	return m->flags & MESSAGE_GONE;
}

/* --- runs --- */

static size_t run_start(const struct rows *r, size_t run)
{
	return run == 0 ? 0 : r->starts[run - 1];
}

static size_t run_end(const struct rows *r, size_t run)
{
	return run < r->start_count ? r->starts[run] : r->count;
}

/* The index of the first row of a run with a UID of at least uid; run_end: none. */
static size_t position(const struct rows *r, size_t run, uint32_t uid)
{
	size_t low = run_start(r, run), high = run_end(r, run);

	/* Rows mostly arrive in order. */
	if (high > low && r->at[high - 1].uid < uid)
		return high;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (r->at[middle].uid < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void forget_ways(struct rows *r, size_t from)
{
	for (size_t i = from; r->gone > 0 && i < r->count; i++)
		if (row_is_gone(&r->at[i]))
			r->at[i].size = 1;
}

/* Makes one of the last two runs, from behind. */
static void merge_last_runs(struct rows *r)
{
	size_t start = run_start(r, r->start_count - 1), middle = run_start(r, r->start_count);
	size_t n = r->count - middle, old = middle, new = n, to = r->count;
	struct cache_message *newer = mem_resize(NULL, n, sizeof(*newer));

	memcpy(newer, r->at + middle, n * sizeof(*newer));
	while (new > 0) {
		const struct cache_message *m = &newer[new - 1];
		if (old > start && r->at[old - 1].uid > m->uid) {
			r->at[--to] = r->at[--old];
			continue;
		}
		/* The message has returned: the older row is one that is gone. */
		if (old > start && r->at[old - 1].uid == m->uid) {
			old--;
			r->gone--;
		}
		r->at[--to] = *m;
		new --;
	}
	memmove(r->at + old, r->at + to, (r->count - to) * sizeof(*r->at));
	r->count -= to - old;
	r->start_count--;
	free(newer);
	forget_ways(r, start);
}

static size_t run_length(const struct rows *r, size_t run)
{
	return run_end(r, run) - run_start(r, run);
}

void rows_put(struct rows *r, const struct cache_message *m)
{
	if (r->count > 0 && r->at[r->count - 1].uid >= m->uid) {
		r->starts = array_grow(
			r->starts, &r->start_cap, r->start_count + 1, sizeof(*r->starts));
		r->starts[r->start_count++] = r->count;
	}
	r->at = array_grow(r->at, &r->cap, r->count + 1, sizeof(*r->at));
	r->at[r->count++] = *m;
	while (r->start_count > 0 &&
		run_length(r, r->start_count) > run_length(r, r->start_count - 1) / 2)
		merge_last_runs(r);
}

void rows_sort(struct rows *r)
{
	while (r->start_count > 0)
		merge_last_runs(r);
}

/* --- */

struct cache_message *rows_find(const struct rows *r, uint32_t uid)
{
	for (size_t run = r->start_count + 1; run-- > 0;) {
		size_t i = position(r, run, uid);
		if (i < run_end(r, run) && r->at[i].uid == uid)
			return &r->at[i];
	}
	return NULL;
}

/* The first row from i on that is not gone; end: none. */
static size_t skip_gone(const struct rows *r, size_t i, size_t end)
{
	size_t found = i;

	while (found < end && row_is_gone(&r->at[found]))
		found += r->at[found].size;
	while (i < found && row_is_gone(&r->at[i])) {
		size_t next = i + r->at[i].size;
		r->at[i].size = found - i;
		i = next;
	}
	return found;
}

struct cache_message *rows_after(const struct rows *r, uint32_t uid)
{
	struct cache_message *next = NULL;

	if (uid == UINT32_MAX)
		return NULL;
	for (size_t run = 0; run <= r->start_count; run++) {
		size_t end = run_end(r, run);
		size_t i = skip_gone(r, position(r, run, uid + 1), end);
		if (i < end && (!next || r->at[i].uid < next->uid))
			next = &r->at[i];
	}
	return next;
}

struct cache_message *rows_before(const struct rows *r, uint32_t uid)
{
	struct cache_message *last = NULL;

	for (size_t run = 0; run <= r->start_count; run++) {
		size_t i = position(r, run, uid);
		while (i > run_start(r, run) && row_is_gone(&r->at[i - 1]))
			i--;
		if (i > run_start(r, run) && (!last || r->at[i - 1].uid > last->uid))
			last = &r->at[i - 1];
	}
	return last;
}

void rows_mark_gone(struct rows *r, struct cache_message *m)
{
	m->flags |= MESSAGE_GONE;
	m->size = 1;
	r->gone++;
}

uint32_t rows_last(const struct rows *r)
{
	uint32_t last = 0;

	for (size_t run = 0; r->count > 0 && run <= r->start_count; run++) {
		uint32_t uid = r->at[run_end(r, run) - 1].uid;
		last = uid > last ? uid : last;
	}
	return last;
}

void rows_sweep(struct rows *r)
{
	size_t to = 0;

	rows_sort(r);
	for (size_t from = 0; from < r->count; from++)
		if (!row_is_gone(&r->at[from]))
			r->at[to++] = r->at[from];
	r->count = to;
	r->gone = 0;
}
