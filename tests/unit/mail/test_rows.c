/* SPDX-License-Identifier: MIT */
/* A mailbox's rows in any order against a model that has a place for each number. */
#include "mail/model/rows.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/random.h"

#define MODEL_MAX 500

enum state { NEVER, LIVES, GONE };

struct model {
	enum state is[MODEL_MAX + 2];
	uint64_t size[MODEL_MAX + 2];
};

static void put(struct rows *r, uint32_t uid, uint64_t size)
{
	struct cache_message m = {.uid = uid, .size = size, .date = uid + 7};

	rows_put(r, &m);
}

static void check(const struct rows *r, const struct model *m)
{
	uint32_t next = 0, last = 0, before = 0;
	size_t living = 0;

	for (uint32_t uid = MODEL_MAX; uid > 0; uid--) {
		const struct cache_message *found = rows_find(r, uid);
		const struct cache_message *after = rows_after(r, uid);
		assert_int_equal(after ? after->uid : 0, next);
		assert_int_equal(found != NULL, m->is[uid] != NEVER);
		if (found) {
			last = last ? last : uid;
			assert_int_equal(found->uid, uid);
			assert_int_equal(!(found->flags & MESSAGE_GONE), m->is[uid] == LIVES);
			assert_int_equal(found->date, uid + 7);
		}
		if (m->is[uid] == LIVES) {
			assert_int_equal(found->size, m->size[uid]);
			living++;
			next = uid;
		}
	}
	for (uint32_t uid = 1; uid <= MODEL_MAX; uid++) {
		const struct cache_message *found = rows_before(r, uid);
		assert_int_equal(found ? found->uid : 0, before);
		before = m->is[uid] == LIVES ? uid : before;
	}
	assert_int_equal(r->count - r->gone, living);
	assert_int_equal(rows_last(r), last);
	assert_null(rows_after(r, UINT32_MAX));
}

static void check_sorted(struct rows *r, const struct model *m)
{
	rows_sort(r);
	check(r, m);
	for (size_t i = 1; i < r->count; i++)
		assert_true(r->at[i - 1].uid < r->at[i].uid);
}

static void step(struct rows *r, struct model *m, uint64_t *random, uint32_t uid)
{
	if (m->is[uid] != LIVES) {
		m->is[uid] = LIVES;
		m->size[uid] = random_below(random, 1000);
		put(r, uid, m->size[uid]);
	} else if (random_below(random, 3) > 0) {
		rows_mark_gone(r, rows_find(r, uid));
		m->is[uid] = GONE;
	}
}

static void sweep(struct rows *r, struct model *m)
{
	rows_sweep(r);
	for (uint32_t uid = 1; uid <= MODEL_MAX; uid++)
		m->is[uid] = m->is[uid] == LIVES ? LIVES : NEVER;
}

static void agrees_with_a_model(void **state)
{
	uint64_t random = 1;

	for (int round = 0; round < 300; round++) {
		static struct model m;
		struct rows r = {0};
		uint32_t most = 1 + random_below(&random, MODEL_MAX);
		m = (struct model){0};
		for (uint32_t i = random_below(&random, 900); i > 0; i--) {
			uint32_t uid = 1 + random_below(&random, most);
			step(&r, &m, &random, uid);
			if (random_below(&random, 200) == 0)
				sweep(&r, &m);
			if (random_below(&random, 100) == 0)
				check(&r, &m);
			if (random_below(&random, 200) == 0)
				check_sorted(&r, &m);
		}
		check(&r, &m);
		check_sorted(&r, &m);
		sweep(&r, &m);
		check_sorted(&r, &m);
		rows_finish(&r);
	}
}

#define MANY 300000u

static uint32_t falling(uint32_t i)
{
	return MANY - i;
}

/* Its factor has no divisor in common with MANY. */
static uint32_t scrambled(uint32_t i)
{
	return (uint32_t)((uint64_t)i * 618031 % MANY) + 1;
}

/* So many in any order, each looked for when it has come: were the cost of one that of the
 * number of them, this would take minutes. */
static void many_in_any_order(void **state)
{
	uint32_t (*const orders[])(uint32_t) = {falling, scrambled};

	for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
		struct rows r = {0};
		for (uint32_t i = 0; i < MANY; i++) {
			uint32_t uid = orders[o](i);
			assert_null(rows_find(&r, uid));
			put(&r, uid, uid);
			assert_int_equal(rows_find(&r, uid)->size, uid);
			assert_int_equal(rows_after(&r, uid - 1)->uid, uid);
		}
		rows_sort(&r);
		assert_int_equal(r.count, MANY);
		for (uint32_t i = 0; i < MANY; i++)
			assert_int_equal(r.at[i].uid, i + 1);
		rows_finish(&r);
	}
}

/* A third is gone, and the server says so again and again; some return, which must be seen. */
static void many_that_are_gone(void **state)
{
	struct rows r = {0};

	for (uint32_t uid = 1; uid <= MANY; uid++)
		put(&r, uid, 1);
	for (uint32_t uid = 1; uid <= MANY / 3; uid++)
		rows_mark_gone(&r, rows_find(&r, uid));
	for (uint32_t uid = 0; uid < MANY / 3; uid++)
		assert_int_equal(rows_after(&r, uid)->uid, MANY / 3 + 1);
	for (uint32_t i = 0; i < MANY; i++)
		assert_int_equal(rows_after(&r, i % 7)->uid, MANY / 3 + 1);
	for (uint32_t uid = MANY / 3; uid > MANY / 4; uid--) {
		put(&r, uid, 2);
		assert_int_equal(rows_after(&r, 3)->uid, uid);
		assert_int_equal(rows_find(&r, uid)->size, 2);
	}
	rows_finish(&r);
}

static void the_ends(void **state)
{
	struct rows r = {0};

	assert_int_equal(rows_last(&r), 0);
	assert_null(rows_find(&r, 1));
	assert_null(rows_after(&r, 0));
	assert_null(rows_before(&r, UINT32_MAX));
	rows_sort(&r);
	rows_sweep(&r);
	put(&r, UINT32_MAX, 1);
	put(&r, 1, 1);
	assert_int_equal(rows_last(&r), UINT32_MAX);
	assert_int_equal(rows_after(&r, UINT32_MAX - 1)->uid, UINT32_MAX);
	assert_int_equal(rows_before(&r, UINT32_MAX)->uid, 1);
	assert_null(rows_before(&r, 0));
	rows_mark_gone(&r, rows_find(&r, UINT32_MAX));
	assert_null(rows_after(&r, 1));
	rows_finish(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(agrees_with_a_model),
		cmocka_unit_test(many_in_any_order),
		cmocka_unit_test(many_that_are_gone),
		cmocka_unit_test(the_ends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
