/* SPDX-License-Identifier: MIT */
/* See feed.h. */
#include "feed.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cmocka.h>

#define RESULT_MAX (64u << 20)

void guarded_init(struct guarded *g, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	g->size = (n / page + 1) * page;
	g->memory = mmap(
		NULL, g->size + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_true(g->memory != MAP_FAILED);
	assert_int_equal(mprotect(g->memory + g->size, page, PROT_NONE), 0);
}

void guarded_finish(struct guarded *g)
{
	munmap(g->memory, g->size + (size_t)sysconf(_SC_PAGESIZE));
}

struct span guarded_place(struct guarded *g, struct span s)
{
	char *p = g->memory + g->size - s.n;

	if (s.n)
		memcpy(p, s.p, s.n);
	return (struct span){p, s.n};
}

/* Feeds the first `cut` octets in parts of `part`, and the rest at once. */
static void feed_cut(const struct feeder *f, struct guarded *g, struct span input, size_t cut,
	size_t part, struct buf *result)
{
	void *state = f->start();
	size_t at = 0;

	while (at < input.n) {
		size_t n = at < cut ? (part < cut - at ? part : cut - at) : input.n - at;
		f->feed(state, guarded_place(g, (struct span){input.p + at, n}));
		at += n;
	}
	f->end(state, result);
}

static void check_same(struct span input, const struct buf *expected, struct buf *got, size_t cut)
{
	if (!span_equal(buf_span(expected), buf_span(got)))
		fail_msg("cut at %zu: %.*s\nwhole:\n%.*s\ncut:\n%.*s", cut, (int)input.n, input.p,
			(int)expected->len, expected->data, (int)got->len, got->data);
	buf_clear(got);
}

void feed_all_ways(const struct feeder *f, struct span input, struct buf *result)
{
	struct guarded g;
	struct buf whole, other;

	guarded_init(&g, input.n);
	buf_init(&whole, RESULT_MAX);
	buf_init(&other, RESULT_MAX);
	feed_cut(f, &g, input, 0, 0, &whole);
	feed_cut(f, &g, input, input.n, 1, &other);
	check_same(input, &whole, &other, SIZE_MAX);
	for (size_t cut = 1; cut < input.n; cut++) {
		feed_cut(f, &g, input, cut, cut, &other);
		check_same(input, &whole, &other, cut);
	}
	assert_int_equal(buf_append_span(result, buf_span(&whole)), 0);
	buf_finish(&whole);
	buf_finish(&other);
	guarded_finish(&g);
}

void feed_prefixes(struct span input, void (*take)(void *ctx, struct span prefix), void *ctx)
{
	struct guarded g;

	guarded_init(&g, input.n);
	for (size_t n = 0; n <= input.n; n++)
		take(ctx, guarded_place(&g, (struct span){input.p, n}));
	guarded_finish(&g);
}
