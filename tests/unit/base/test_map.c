/* SPDX-License-Identifier: MIT */
/* The map against an array that says what it must hold. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../support/random.h"
#include "base/map.h"

#define KEYS 500

static char values[KEYS * 2];

static void empty_map_finds_nothing(void **state)
{
	struct map m;

	map_init(&m);
	assert_null(map_get(&m, 0));
	assert_null(map_remove(&m, 1));
	map_finish(&m);
	assert_null(map_get(&m, 0));
	map_put(&m, 3, &values[3]);
	assert_ptr_equal(map_get(&m, 3), &values[3]);
	map_finish(&m);
}

static void put_replaces(void **state)
{
	struct map m;

	map_init(&m);
	map_put(&m, 0, &values[0]);
	map_put(&m, UINT64_MAX, &values[1]);
	map_put(&m, 0, &values[2]);
	assert_int_equal(m.count, 2);
	assert_ptr_equal(map_get(&m, 0), &values[2]);
	assert_ptr_equal(map_get(&m, UINT64_MAX), &values[1]);
	assert_ptr_equal(map_remove(&m, 0), &values[2]);
	assert_null(map_remove(&m, 0));
	assert_int_equal(m.count, 1);
	map_finish(&m);
}

/* On machines of 32 bits, too, and so do dates before 1970. */
static void numbers_keep_all_their_bits(void **state)
{
	static const uint64_t numbers[] = {
		1, (uint64_t)1 << 32, (uint64_t)-1, (uint64_t)1764238672 << 16 | 0x155};
	struct map m;

	map_init(&m);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
		map_put_number(&m, i, numbers[i]);
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		assert_int_equal(map_number(&m, i), numbers[i]);
		assert_int_equal(map_remove_number(&m, i), numbers[i]);
		assert_int_equal(map_number(&m, i), 0);
	}
	map_put_number(&m, 7, 1);
	map_put_number(&m, 7, 0);
	assert_int_equal(m.count, 0);
	map_finish(&m);
}

static void count_value(void *ctx, uint64_t key, void *value)
{
	void **model = ctx;

	assert_in_range(key, 0, KEYS - 1);
	assert_non_null(value);
	assert_ptr_equal(model[key], value);
	model[key] = NULL;
}

static void check_all(const struct map *m, void **model)
{
	size_t count = 0;

	for (uint64_t key = 0; key < KEYS; key++) {
		assert_ptr_equal(map_get(m, key), model[key]);
		count += model[key] != NULL;
	}
	assert_int_equal(m->count, count);
}

/* Few keys and many removals: runs that merge, split and wrap around the end of the table. The seed
 * is the map's own, so each round lies differently. */
static void agrees_with_a_model(void **state)
{
	uint64_t random = 1;

	for (int round = 0; round < 50; round++) {
		void *model[KEYS] = {0};
		struct map m;

		map_init(&m);
		for (int step = 0; step < 3000; step++) {
			uint32_t key = random_below(&random, KEYS);
			/* Now mostly growing, now mostly shrinking. */
			if (random_below(&random, 100) < (step / 1000 % 2 ? 20u : 70u)) {
				void *value = &values[random_below(&random, sizeof(values))];
				map_put(&m, key, value);
				model[key] = value;
			} else {
				assert_ptr_equal(map_remove(&m, key), model[key]);
				model[key] = NULL;
			}
			if (step % 100 == 0)
				check_all(&m, model);
		}
		check_all(&m, model);
		map_each(&m, count_value, model);
		for (int key = 0; key < KEYS; key++)
			assert_null(model[key]);
		map_finish(&m);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(empty_map_finds_nothing),
		cmocka_unit_test(put_replaces),
		cmocka_unit_test(numbers_keep_all_their_bits),
		cmocka_unit_test(agrees_with_a_model),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
