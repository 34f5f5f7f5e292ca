/* SPDX-License-Identifier: MIT */
/*
 * Ranges in ascending order are appended. What comes out of order begins a new run, which is
 * ascending in itself; a run that is longer than half of the one before is merged with it, so there
 * are few, and each range is moved as often as its run doubles (the logarithmic method of Bentley
 * and Saxe). A newer run has precedence, so taking out is as cheap as adding: the range is added
 * as one that is taken out, backwards (see is_out), and disappears where it meets the oldest run.
 */
#include "mail/model/uidset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/mem.h"

/* ",4294967294:4294967295" */
#define RANGE_TEXT_MAX 32

void uidset_finish(struct uidset *s)
{
	free(s->memory);
	*s = (struct uidset){0};
}

void uidset_clear(struct uidset *s)
{
	s->cap += (size_t)(s->ranges - s->memory);
	s->ranges = s->memory;
	s->count = 0;
	s->runs = 0;
}

/* --- ranges that are taken out --- */

/* first..last taken out: since 0 is no UID it can be told from any other. */
static struct uid_range taken_out(uint32_t first, uint32_t last)
{
	return (struct uid_range){last, first - 1};
}

static bool is_out(struct uid_range r)
{
	return r.first > r.last;
}

static uint32_t first_of(struct uid_range r)
{
	return is_out(r) ? r.last + 1 : r.first;
}

static uint32_t last_of(struct uid_range r)
{
	return is_out(r) ? r.first : r.last;
}

static struct uid_range same_kind(struct uid_range r, uint32_t first, uint32_t last)
{
	return is_out(r) ? taken_out(first, last) : (struct uid_range){first, last};
}

/* --- runs --- */

static size_t end_of_run(const struct uidset *s, unsigned run)
{
	return run + 1 < s->runs ? s->starts[run + 1] : s->count;
}

static size_t length_of_run(const struct uidset *s, unsigned run)
{
	return end_of_run(s, run) - s->starts[run];
}

/* What was taken from the front is used again when it is as much as the rest. */
static void make_room(struct uidset *s)
{
	size_t head = (size_t)(s->ranges - s->memory);

	if (s->count < s->cap)
		return;
	if (head > 0 && head >= s->count) {
		memmove(s->memory, s->ranges, s->count * sizeof(*s->ranges));
		s->ranges = s->memory;
		s->cap += head;
		return;
	}
	size_t cap = head + s->cap;
	s->memory = array_grow(s->memory, &cap, cap + 1, sizeof(*s->memory));
	s->ranges = s->memory + head;
	s->cap = cap - head;
}

static void append_range(struct uidset *s, struct uid_range r)
{
	make_room(s);
	s->ranges[s->count++] = r;
}

/* The ranges of two runs, of which the newer has precedence. */
struct merge {
	struct uid_range *out;
	size_t n, start; /* start: where the run that is made begins in out */
	bool oldest;     /* there is no older one that something could be taken out of */
};

static void emit(struct merge *m, struct uid_range r)
{
	struct uid_range *previous = m->n > m->start ? &m->out[m->n - 1] : NULL;

	if (m->oldest && is_out(r))
		return;
	if (previous && is_out(*previous) == is_out(r) &&
		(uint64_t)first_of(r) <= (uint64_t)last_of(*previous) + 1)
		*previous = same_kind(r, first_of(*previous), last_of(r));
	else
		m->out[m->n++] = r;
}

static void merge(struct merge *m, const struct uid_range *old, size_t n_old,
	const struct uid_range *new, size_t n_new)
{
	uint32_t from = n_old ? first_of(old[0]) : 0;

	while (n_old > 0 || n_new > 0) {
		if (n_old == 0 || (n_new > 0 && last_of(*new) < from)) {
			emit(m, *new ++);
			n_new--;
			continue;
		}
		uint32_t last = last_of(*old);
		uint32_t bar = n_new > 0 ? first_of(*new) : UINT32_MAX;
		if (n_new == 0 || last < bar) {
			emit(m, same_kind(*old, from, last));
		} else {
			if (from < bar)
				emit(m, same_kind(*old, from, bar - 1));
			/* What is left of the old one goes on behind the new one. */
			if (last > last_of(*new)) {
				from = last_of(*new) + 1;
				emit(m, *new ++);
				n_new--;
				continue;
			}
		}
		old++;
		if (--n_old > 0)
			from = first_of(*old);
	}
}

/* Makes one of the last two runs. A range of the newer one may cut one of the older in two. */
static void merge_last_two(struct uidset *s)
{
	unsigned run = s->runs - 2;
	size_t start = s->starts[run], n_old = length_of_run(s, run),
	       n_new = length_of_run(s, run + 1);
	struct uid_range *out = mem_resize(NULL, n_old + 2 * n_new, sizeof(*out));
	struct merge m = {.out = out, .oldest = run == 0};

	merge(&m, s->ranges + start, n_old, s->ranges + start + n_old, n_new);
	s->count = start;
	s->runs--;
	for (size_t i = 0; i < m.n; i++)
		append_range(s, out[i]);
	free(out);
}

static void put_range(struct uidset *s, struct uid_range r)
{
	const struct uid_range *previous = s->count ? &s->ranges[s->count - 1] : NULL;

	if (!previous) {
		s->runs = 0;
		s->starts[s->runs++] = 0;
	} else if (first_of(r) <= last_of(*previous)) {
		s->starts[s->runs++] = s->count;
	}
	append_range(s, r);
	while (s->runs > 1 && length_of_run(s, s->runs - 1) > length_of_run(s, s->runs - 2) / 2)
		merge_last_two(s);
}

/* The index of the first range of a run that does not end below uid; end_of_run: none. */
static size_t range_at(const struct uidset *s, unsigned run, uint32_t uid)
{
	size_t low = s->starts[run], high = end_of_run(s, run);

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (last_of(s->ranges[middle]) < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Whether a run says anything of a UID from first to last: its first range that does is *i. */
static bool speaks_of(
	const struct uidset *s, unsigned run, uint32_t first, uint32_t last, size_t *i)
{
	*i = range_at(s, run, first);
	return *i < end_of_run(s, run) && first_of(s->ranges[*i]) <= last;
}

/* --- */

void uidset_add(struct uidset *s, uint32_t first, uint32_t last)
{
	struct uid_range *previous = s->count ? &s->ranges[s->count - 1] : NULL;

	if (last == 0)
		return;
	if (first == 0)
		first = 1;
	if (previous && !is_out(*previous) && first >= previous->first &&
		(uint64_t)first <= (uint64_t)previous->last + 1) {
		if (last > previous->last)
			previous->last = last;
		return;
	}
	put_range(s, (struct uid_range){first, last});
}

/* Whether any run speaks of first..last. What was taken out already may be taken out again. */
static bool touches(const struct uidset *s, uint32_t first, uint32_t last)
{
	size_t i;

	for (unsigned run = 0; run < s->runs; run++)
		if (speaks_of(s, run, first, last, &i))
			return true;
	return false;
}

void uidset_remove(struct uidset *s, uint32_t first, uint32_t last)
{
	if (first == 0)
		first = 1;
	if (last >= first && touches(s, first, last))
		put_range(s, taken_out(first, last));
}

void uidset_sort(struct uidset *s)
{
	while (s->runs > 1)
		merge_last_two(s);
}

uint64_t uidset_size(const struct uidset *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		n += (uint64_t)s->ranges[i].last - s->ranges[i].first + 1;
	return n;
}

bool uidset_has(const struct uidset *s, uint32_t uid)
{
	size_t i;

	for (unsigned run = s->runs; run-- > 0;)
		if (speaks_of(s, run, uid, uid, &i))
			return !is_out(s->ranges[i]);
	return false;
}

uint32_t uidset_after(const struct uidset *s, uint32_t uid)
{
	size_t i;

	if (s->count == 0 || uid == UINT32_MAX || !speaks_of(s, 0, uid + 1, UINT32_MAX, &i))
		return 0;
	return s->ranges[i].first > uid ? s->ranges[i].first : uid + 1;
}

void uidset_copy(struct uidset *to, const struct uidset *from)
{
	uidset_clear(to);
	for (unsigned run = 0; run < from->runs; run++)
		for (size_t i = from->starts[run]; i < end_of_run(from, run); i++) {
			const struct uid_range *r = &from->ranges[i];
			if (is_out(*r))
				uidset_remove(to, first_of(*r), last_of(*r));
			else
				uidset_add(to, r->first, r->last);
		}
}

static void drop_front(struct uidset *s, size_t n)
{
	if (n == s->count) {
		uidset_clear(s);
		return;
	}
	s->ranges += n;
	s->count -= n;
	s->cap -= n;
}

/* Writes the range as it stands in a set, behind others or first; returns the length. */
static size_t range_text(const struct uid_range *r, bool first, char out[RANGE_TEXT_MAX])
{
	int n = snprintf(out, RANGE_TEXT_MAX, r->first == r->last ? "%s%u" : "%s%u:%u",
		first ? "" : ",", r->first, r->last);

	return (size_t)n;
}

void uidset_cut(struct uidset *s, uint64_t most, struct uidset *part)
{
	char text[RANGE_TEXT_MAX];
	size_t taken = 0, length = 0;

	uidset_sort(s);
	uidset_clear(part);
	for (; taken < s->count && most > 0; taken++) {
		struct uid_range *r = &s->ranges[taken];
		uint64_t n = (uint64_t)r->last - r->first + 1;
		length += range_text(r, taken == 0, text);
		if (length > UIDSET_TEXT_MAX)
			break;
		if (n > most) {
			uint32_t last = r->first + (uint32_t)most - 1;
			uidset_add(part, r->first, last);
			r->first = last + 1;
			break;
		}
		uidset_add(part, r->first, r->last);
		most -= n;
	}
	drop_front(s, taken);
}

void uidset_take_text(struct uidset *s, struct buf *text)
{
	size_t taken = 0;
	char range[RANGE_TEXT_MAX];

	uidset_sort(s);
	for (; taken < s->count; taken++) {
		size_t n = range_text(&s->ranges[taken], text->len == 0, range);
		if (buf_append(text, range, n) < 0)
			break;
	}
	drop_front(s, taken);
}
