/* SPDX-License-Identifier: MIT */
/* What vanished, found by samples, against a model of a server. */
#include "mail/sync/bisect.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/random.h"
#include "base/mem.h"
#include "imap/response.h"

#define ROW_OCTETS 40

struct server {
	uint32_t *uids; /* by sequence number, from 1 */
	uint32_t exists;
	unsigned turns, rows;
};

struct world {
	uint32_t *known;
	bool *gone;
	size_t n;
	size_t gone_count;
	struct server server;
};

static void make_world(struct world *w, size_t n)
{
	*w = (struct world){.n = n};
	w->known = mem_alloc(n * sizeof(uint32_t) + 1);
	w->gone = mem_zalloc(n + 1);
	w->server.uids = mem_zalloc((n + 2) * sizeof(uint32_t));
}

static void number_known(struct world *w, uint64_t *random, uint32_t step)
{
	uint32_t uid = 0;

	for (size_t i = 0; i < w->n; i++)
		w->known[i] = uid += 1 + random_below(random, step);
}

/* What is left is what the server has. */
static void number_server(struct world *w)
{
	w->gone_count = 0;
	w->server.exists = 0;
	for (size_t i = 0; i < w->n; i++) {
		if (w->gone[i])
			w->gone_count++;
		else
			w->server.uids[++w->server.exists] = w->known[i];
	}
}

static void end_world(struct world *w)
{
	free(w->known);
	free(w->gone);
	free(w->server.uids);
}

static struct bisect *begin(const struct world *w, uint64_t list_cost)
{
	uint32_t *copy = mem_alloc(w->n * sizeof(uint32_t) + 1);

	memcpy(copy, w->known, w->n * sizeof(uint32_t));
	return bisect_create(copy, w->n, 0, w->server.exists, list_cost);
}

static void answer(struct bisect *b, struct server *server, struct span set)
{
	uint32_t first, last;

	server->turns++;
	while (imap_set_next(&set, &first, &last)) {
		assert_true(first >= 1 && first <= last && last <= server->exists);
		for (; first <= last; first++, server->rows++)
			bisect_answer(b, first, server->uids[first]);
	}
}

static enum bisect_next ask(struct bisect *b, struct buf *set)
{
	enum bisect_next next = bisect_next(b);

	if (next == BISECT_ASK)
		bisect_take(b, set);
	return next;
}

static enum bisect_next run(struct bisect *b, struct server *server)
{
	enum bisect_next next;
	struct buf set;

	buf_init(&set, UIDSET_TEXT_MAX);
	while ((next = ask(b, &set)) == BISECT_ASK) {
		answer(b, server, buf_span(&set));
		buf_clear(&set);
	}
	buf_finish(&set);
	return next;
}

static void check(struct world *w, struct bisect *b)
{
	const struct uidset *vanished = bisect_vanished(b);

	assert_int_equal(uidset_size(vanished), w->gone_count);
	for (size_t i = 0; i < w->n; i++)
		assert_int_equal(uidset_has(vanished, w->known[i]), w->gone[i]);
}

static void any_set(void **state)
{
	uint64_t random = 1;
	unsigned done = 0;

	for (int round = 0; round < 3000; round++) {
		struct world w;
		make_world(&w, random_below(&random, 1u << random_below(&random, 13)));
		number_known(&w, &random, 1u << random_below(&random, 8));
		uint32_t often = 1 + random_below(&random, 1u << random_below(&random, 12));
		for (size_t i = 0; i < w.n; i++)
			w.gone[i] = random_below(&random, often) == 0;
		/* And whole stretches. */
		for (uint32_t k = random_below(&random, 4); k > 0 && w.n > 0; k--) {
			size_t from = random_below(&random, (uint32_t)w.n);
			size_t length = random_below(&random, (uint32_t)(w.n - from) + 1);
			memset(w.gone + from, true, length);
		}
		number_server(&w);
		struct bisect *b = begin(&w, UINT64_MAX);
		enum bisect_next end = run(b, &w.server);
		if (end == BISECT_DONE) {
			check(&w, b);
			done++;
		} else {
			/* It gives up only on what is scattered. */
			assert_int_equal(end, BISECT_COSTLY);
			assert_true(w.gone_count > 64);
		}
		bisect_destroy(b);
		end_world(&w);
	}
	assert_true(done > 2000);
}

static struct world large(uint64_t *random, size_t n)
{
	struct world w;

	make_world(&w, n);
	number_known(&w, random, 3);
	return w;
}

/* What it is for. */
static void one_of_many(void **state)
{
	uint64_t random = 2;

	for (int round = 0; round < 50; round++) {
		struct world w = large(&random, 100000);
		w.gone[round == 0    ? 0
			: round == 1 ? w.n - 1
				     : random_below(&random, (uint32_t)w.n)] = true;
		number_server(&w);
		struct bisect *b = begin(
			&w, bisect_list_cost(w.known, w.n, round % 2 ? true : false));
		assert_int_equal(run(b, &w.server), BISECT_DONE);
		check(&w, b);
		assert_true(w.server.turns <= 3);
		assert_true(w.server.rows * ROW_OCTETS < 8000);
		bisect_destroy(b);
		end_world(&w);
	}
}

static void fifty_of_many(void **state)
{
	uint64_t random = 3;
	struct world w = large(&random, 100000);

	for (int i = 0; i < 50; i++)
		w.gone[random_below(&random, (uint32_t)w.n)] = true;
	number_server(&w);
	struct bisect *b = begin(&w, bisect_list_cost(w.known, w.n, false));
	assert_int_equal(run(b, &w.server), BISECT_DONE);
	check(&w, b);
	assert_true(w.server.turns <= 16);
	assert_true(w.server.rows * ROW_OCTETS < 80000);
	bisect_destroy(b);
	end_world(&w);
}

/* A stretch of any length costs as little as one. */
static void a_thousand_in_a_row(void **state)
{
	uint64_t random = 4;
	struct world w = large(&random, 100000);

	memset(w.gone + 54321, true, 1000);
	number_server(&w);
	struct bisect *b = begin(&w, bisect_list_cost(w.known, w.n, false));
	assert_int_equal(run(b, &w.server), BISECT_DONE);
	check(&w, b);
	assert_true(w.server.turns <= 4);
	bisect_destroy(b);
	end_world(&w);
}

/* A list is better, and that shows soon. */
static void every_tenth(void **state)
{
	uint64_t random = 5;
	struct world w = large(&random, 100000);

	for (size_t i = 0; i < w.n; i += 10)
		w.gone[i] = true;
	number_server(&w);
	struct bisect *b = begin(&w, bisect_list_cost(w.known, w.n, false));
	assert_int_equal(run(b, &w.server), BISECT_COSTLY);
	assert_true(w.server.turns <= 1);
	bisect_destroy(b);
	/* So it is where the list is short. */
	b = begin(&w, 500);
	assert_int_equal(run(b, &w.server), BISECT_COSTLY);
	bisect_destroy(b);
	end_world(&w);
}

static void nothing_and_all(void **state)
{
	uint64_t random = 6;
	struct world w = large(&random, 5000);

	number_server(&w);
	struct bisect *b = begin(&w, UINT64_MAX);
	assert_int_equal(run(b, &w.server), BISECT_DONE);
	/* The ends are looked at. */
	assert_int_equal(w.server.turns, 1);
	assert_int_equal(w.server.rows, 2);
	check(&w, b);
	bisect_destroy(b);
	memset(w.gone, true, w.n);
	number_server(&w);
	b = begin(&w, UINT64_MAX);
	assert_int_equal(run(b, &w.server), BISECT_DONE);
	/* None more. */
	assert_int_equal(w.server.turns, 1);
	check(&w, b);
	bisect_destroy(b);
	end_world(&w);
	bisect_destroy(NULL);
}

/* Rows did not come for all that is new, while as many or more of the rest vanished: never is one
 * taken for the other. */
static void hidden_among_new(void **state)
{
	uint64_t random = 8;
	unsigned done = 0;

	for (int round = 0; round < 3000; round++) {
		struct world w = large(&random, 2 + random_below(&random, 3000));
		size_t fresh = 1 + random_below(&random, 1u << random_below(&random, 6)), known = 0;
		if (fresh >= w.n)
			fresh = w.n - 1;
		uint32_t often = 1 + random_below(&random, 3000);
		for (size_t i = 0; i < w.n - fresh; i++)
			w.gone[i] = random_below(&random, often) == 0;
		number_server(&w);
		uint32_t hide = random_below(&random, 4), hidden = 0;
		uint32_t *uids = mem_alloc(w.n * sizeof(uint32_t));
		for (size_t i = 0; i < w.n; i++) {
			bool hides = i >= w.n - fresh && hide && random_below(&random, 4) < hide;
			hidden += hides;
			if (!hides)
				uids[known++] = w.known[i];
		}
		struct bisect *b = bisect_create(
			uids, known, fresh - hidden, w.server.exists, UINT64_MAX);
		enum bisect_next end = run(b, &w.server);
		assert_false(end == BISECT_DONE && hidden > 0);
		if (end == BISECT_DONE) {
			check(&w, b);
			done++;
		}
		bisect_destroy(b);
		end_world(&w);
	}
	assert_true(done > 300);
}

/* More at the server than here, whatever it says. */
static void more_than_known(void **state)
{
	uint64_t random = 7;
	struct world w = large(&random, 5000);

	for (uint32_t more = 1; more > 0; more = more == 1 ? UINT32_MAX - 5000 : 0) {
		w.server.exists = 5000 + more;
		struct bisect *b = begin(&w, UINT64_MAX);
		struct buf set;
		buf_init(&set, UIDSET_TEXT_MAX);
		assert_int_equal(ask(b, &set), BISECT_UNSOUND);
		buf_finish(&set);
		bisect_destroy(b);
	}
	end_world(&w);
}

/* Answers that are none: each ends the proof, none is believed. */
enum lie { LIE_UNKNOWN, LIE_SWAPPED, LIE_MISSING, LIE_TWICE, LIE_BEFORE, LIES };

static void tell(struct bisect *b, const struct world *w, uint32_t seq, enum lie lie)
{
	const struct server *server = &w->server;

	switch (lie) {
	case LIE_UNKNOWN:
		bisect_answer(b, seq, w->known[w->n - 1] + seq);
		break;
	case LIE_SWAPPED:
		bisect_answer(b, seq, server->uids[server->exists - seq + 1]);
		break;
	case LIE_MISSING:
		break;
	case LIE_TWICE:
		bisect_answer(b, seq, server->uids[seq]);
		bisect_answer(b, seq, server->uids[seq] + 1);
		break;
	case LIE_BEFORE:
		/* Nothing can lie so far at the front. */
		bisect_answer(b, seq, w->known[0]);
		break;
	case LIES:
		break;
	}
}

static void lies(void **state)
{
	uint64_t random = 8;

	for (int lie = 0; lie < LIES; lie++) {
		struct world w = large(&random, 5000);
		w.gone[1234] = true;
		number_server(&w);
		struct bisect *b = begin(&w, UINT64_MAX);
		struct buf set;
		uint32_t first, last;
		buf_init(&set, UIDSET_TEXT_MAX);
		enum bisect_next next = ask(b, &set);
		while (next == BISECT_ASK) {
			struct span asked = buf_span(&set);
			while (imap_set_next(&asked, &first, &last))
				for (; first <= last; first++)
					tell(b, &w, first, (enum lie)lie);
			buf_clear(&set);
			next = ask(b, &set);
		}
		assert_int_equal(next, BISECT_UNSOUND);
		buf_finish(&set);
		bisect_destroy(b);
		end_world(&w);
	}
}

/* Rows that nobody asked for change nothing. */
static void not_asked(void **state)
{
	uint64_t random = 9;
	struct world w = large(&random, 3000);
	struct buf set;
	enum bisect_next next;

	w.gone[77] = true;
	number_server(&w);
	struct bisect *b = begin(&w, UINT64_MAX);
	buf_init(&set, UIDSET_TEXT_MAX);
	while ((next = ask(b, &set)) == BISECT_ASK) {
		bisect_answer(b, 0, 5);
		bisect_answer(b, UINT32_MAX, 5);
		for (uint32_t seq = 1; seq <= w.server.exists; seq++)
			bisect_answer(b, seq, w.server.uids[seq]);
		buf_clear(&set);
	}
	assert_int_equal(next, BISECT_DONE);
	check(&w, b);
	buf_finish(&set);
	bisect_destroy(b);
	end_world(&w);
}

static void cost_of_lists(void **state)
{
	const uint32_t uids[] = {1, 2, 3, 4, 10, 100, 101, 4294967295u};

	/* "1 2 3 4 10 100 101 4294967295 " */
	assert_int_equal(bisect_list_cost(uids, 8, false), 30);
	/* "1:4,10,100:101,4294967295," */
	assert_int_equal(bisect_list_cost(uids, 8, true), 26);
	assert_int_equal(bisect_list_cost(uids, 0, true), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(any_set),
		cmocka_unit_test(one_of_many),
		cmocka_unit_test(fifty_of_many),
		cmocka_unit_test(a_thousand_in_a_row),
		cmocka_unit_test(every_tenth),
		cmocka_unit_test(nothing_and_all),
		cmocka_unit_test(hidden_among_new),
		cmocka_unit_test(more_than_known),
		cmocka_unit_test(lies),
		cmocka_unit_test(not_asked),
		cmocka_unit_test(cost_of_lists),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
