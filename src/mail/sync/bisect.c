/* SPDX-License-Identifier: MIT */
#include "mail/sync/bisect.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/mem.h"

/* Sequence numbers that are asked for in one round: for all gaps together, and for each at least. */
#define SAMPLES 64
#define SAMPLES_MIN 8
/* Places where something vanished: where there are more, it takes too many turns to find all. */
#define GAPS_MAX 64
/* Octets. A list of all UIDs that is no longer is asked for at once. */
#define LIST_CHEAP 8192

/* A stretch that holds less at the server than here, or whose ends are in question: numbers
 * first..end-1 there, rows row..row_end-1 here. */
struct gap {
	uint32_t first, end;
	size_t row, row_end;
};

struct sample {
	uint32_t seq, uid; /* uid 0: not answered */
};

struct bisect {
	uint32_t *uids;
	size_t n;
	uint64_t list_cost, spent; /* octets */
	bool unsound;
	struct gap *gaps;
	size_t gap_count, gap_cap;
	struct sample *samples; /* ascending; of the gaps in their order */
	size_t sample_count, sample_cap;
	struct uidset todo; /* sequence numbers that are still to be asked for */
	struct uidset vanished;
};

static unsigned digits(uint32_t number)
{
	unsigned n = 1;

	while (number >= 10) {
		number /= 10;
		n++;
	}
	return n;
}

uint64_t bisect_list_cost(const uint32_t *uids, size_t n, bool ranges)
{
	uint64_t cost = 0;

	for (size_t i = 0; i < n; i++) {
		/* Inside of a range nothing is written. */
		bool inside = ranges && i > 0 && i + 1 < n && uids[i - 1] + 1 == uids[i] &&
			      uids[i] + 1 == uids[i + 1];
		if (!inside)
			cost += digits(uids[i]) + 1;
	}
	return cost;
}

/* "* 5 FETCH (UID 7)" and its end of line, at most. */
static uint64_t row_cost(const struct bisect *b)
{
	return 19 + 2 * (uint64_t)digits(b->n ? b->uids[b->n - 1] : 0);
}

static void push_gap(struct bisect *b, struct gap g)
{
	b->gaps = array_grow(b->gaps, &b->gap_cap, b->gap_count + 1, sizeof(g));
	b->gaps[b->gap_count++] = g;
}

static void add_gap(struct bisect *b, struct gap g)
{
	size_t there = g.end - g.first, here = g.row_end - g.row;

	if (there > here) {
		b->unsound = true;
	} else if (there == 0) {
		for (size_t i = g.row; i < g.row_end; i++)
			uidset_add(&b->vanished, b->uids[i], b->uids[i]);
	} else if (there < here) {
		push_gap(b, g);
	}
}

struct bisect *bisect_create(
	uint32_t *uids, size_t n, size_t fresh, uint32_t exists, uint64_t list_cost)
{
	struct bisect *b = mem_zalloc(sizeof(*b));

	b->uids = uids;
	b->n = n;
	b->list_cost = list_cost;
	if (fresh > exists || exists > n) {
		b->unsound = true;
		return b;
	}
	/* Also where they hold as many: the two messages at the border show that no other is
	 * fresh. */
	uint32_t border = exists + 1 - (uint32_t)fresh;
	if (border > 1)
		push_gap(b, (struct gap){1, border, 0, n - fresh});
	else
		add_gap(b, (struct gap){1, border, 0, n - fresh});
	if (fresh > 0)
		push_gap(b, (struct gap){border, exists + 1, n - fresh, n});
	return b;
}

void bisect_destroy(struct bisect *b)
{
	if (!b)
		return;
	free(b->uids);
	free(b->gaps);
	free(b->samples);
	uidset_finish(&b->todo);
	uidset_finish(&b->vanished);
	free(b);
}

/* --- asking --- */

static void ask_for(struct bisect *b, uint32_t seq)
{
	b->samples = array_grow(
		b->samples, &b->sample_cap, b->sample_count + 1, sizeof(*b->samples));
	b->samples[b->sample_count++] = (struct sample){.seq = seq};
	uidset_add(&b->todo, seq, seq);
}

static void sample_gap(struct bisect *b, const struct gap *g, uint32_t count)
{
	uint64_t there = g->end - g->first;

	/* As many as here: only its ends are in question. */
	if (there == g->row_end - g->row) {
		ask_for(b, g->first);
		if (there > 1)
			ask_for(b, g->end - 1);
		return;
	}
	/* The last round is spared where it would ask for hardly less. */
	if (there <= 2 * (uint64_t)count) {
		for (uint32_t seq = g->first; seq < g->end; seq++)
			ask_for(b, seq);
		return;
	}
	for (uint64_t i = 1; i <= count; i++)
		ask_for(b, g->first + (uint32_t)(i * there / (count + 1)));
	ask_for(b, g->end - 1);
}

static void sample(struct bisect *b)
{
	uint32_t count = SAMPLES / (uint32_t)b->gap_count;

	b->sample_count = 0;
	for (size_t i = 0; i < b->gap_count; i++)
		sample_gap(b, &b->gaps[i], count < SAMPLES_MIN ? SAMPLES_MIN : count);
	b->spent += b->sample_count * row_cost(b);
}

/* --- answers --- */

void bisect_answer(struct bisect *b, uint32_t seq, uint32_t uid)
{
	size_t low = 0, high = b->sample_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (b->samples[middle].seq < seq)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == b->sample_count || b->samples[low].seq != seq)
		return;
	if (b->samples[low].uid != 0 && b->samples[low].uid != uid)
		b->unsound = true;
	b->samples[low].uid = uid;
}

/* The row of a UID among from..end-1; end when it is not there. */
static size_t find_row(const struct bisect *b, uint32_t uid, size_t from, size_t end)
{
	size_t low = from, high = end;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (b->uids[middle] < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low < end && b->uids[low] == uid ? low : end;
}

/* Cuts a gap at its samples, which begin at *s. */
static void cut_gap(struct bisect *b, struct gap g, size_t *s)
{
	for (; *s < b->sample_count && b->samples[*s].seq < g.end; ++*s) {
		uint32_t seq = b->samples[*s].seq;
		size_t row = find_row(b, b->samples[*s].uid, g.row, g.row_end);
		if (row == g.row_end) {
			b->unsound = true;
			return;
		}
		add_gap(b, (struct gap){g.first, seq, g.row, row});
		g.first = seq + 1;
		g.row = row + 1;
	}
	add_gap(b, g);
}

static void cut_all(struct bisect *b)
{
	struct gap *gaps = b->gaps;
	size_t count = b->gap_count, s = 0;

	b->gaps = NULL;
	b->gap_count = b->gap_cap = 0;
	for (size_t i = 0; i < count && !b->unsound; i++)
		cut_gap(b, gaps[i], &s);
	b->sample_count = 0;
	free(gaps);
}

enum bisect_next bisect_next(struct bisect *b)
{
	if (b->todo.count > 0)
		return BISECT_ASK;
	if (b->sample_count > 0)
		cut_all(b);
	if (b->unsound)
		return BISECT_UNSOUND;
	if (b->gap_count == 0)
		return BISECT_DONE;
	if (b->gap_count > GAPS_MAX || b->list_cost <= LIST_CHEAP)
		return BISECT_COSTLY;
	sample(b);
	return b->spent < b->list_cost ? BISECT_ASK : BISECT_COSTLY;
}

void bisect_take(struct bisect *b, struct buf *set)
{
	uidset_take_text(&b->todo, set);
}

const struct uidset *bisect_vanished(struct bisect *b)
{
	uidset_sort(&b->vanished);
	return &b->vanished;
}
