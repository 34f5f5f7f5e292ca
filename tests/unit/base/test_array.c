/* SPDX-License-Identifier: MIT */
/* Growth of arrays, from every small capacity and near the largest: there is always room for what
 * was asked for, it is never out of proportion, and what cannot be is refused and changes nothing.
 */
#include "base/array.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/random.h"

static void check_room(size_t cap, size_t need, size_t size)
{
	size_t most = PTRDIFF_MAX / size;
	size_t room = array_room(cap, need, size);

	if (need > most) {
		assert_int_equal(room, 0);
		return;
	}
	assert_true(room >= need && room >= cap);
	if (need <= cap) {
		assert_int_equal(room, cap);
		return;
	}
	/* It fits into memory's address space, and is at most 16, or double of what is needed. */
	assert_true(room <= most);
	assert_true(room <= 16 || room / 2 < need);
	/* One by one, it doubles: appending stays linear. */
	assert_true(room >= 2 * cap || room == 16 || cap > most / 2);
}

static void room_from_small_capacities(void **state)
{
	for (size_t cap = 0; cap < 70; cap++)
		for (size_t need = 0; need < 300; need++)
			for (size_t size = 1; size < 40; size += 7)
				check_room(cap, need, size);
}

static void room_near_the_largest(void **state)
{
	static const size_t sizes[] = {1, 2, 3, 8, 24, 4096, PTRDIFF_MAX};

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t most = PTRDIFF_MAX / sizes[i];
		const size_t caps[] = {0, 1, 2, most / 3, most / 2, most / 2 + 1, most - 1, most};
		for (size_t c = 0; c < sizeof(caps) / sizeof(caps[0]); c++) {
			if (caps[c] > most)
				continue;
			for (size_t need = 0; need < 4; need++) {
				check_room(caps[c], most - need % (most + 1), sizes[i]);
				check_room(caps[c], most + need, sizes[i]);
				check_room(caps[c], caps[c] + need, sizes[i]);
				check_room(caps[c], SIZE_MAX - need, sizes[i]);
				check_room(caps[c], SIZE_MAX / sizes[i] + need, sizes[i]);
			}
		}
	}
}

/* An array that came with exactly as much memory as it has elements, as one read from the cache.
 * Under the sanitizers a write behind it ends the test. */
static void append_to_exact_arrays(void **state)
{
	for (size_t born = 0; born < 40; born++) {
		size_t count = born, cap = born;
		uint64_t *array = born ? malloc(born * sizeof(*array)) : NULL;

		for (size_t i = 0; i < born; i++)
			array[i] = i;
		while (count < 100) {
			array = array_grow(array, &cap, count + 1, sizeof(*array));
			assert_true(cap > count);
			array[count] = count;
			count++;
			/* All of it is there. */
			memset(array + count, 0xaa, (cap - count) * sizeof(*array));
		}
		for (size_t i = 0; i < count; i++)
			assert_int_equal(array[i], i);
		free(array);
	}
}

static void append_in_portions(void **state)
{
	uint64_t random = 1;

	for (int round = 0; round < 200; round++) {
		size_t count = 0, cap = 0, grown = 0;
		uint32_t *array = NULL;

		while (count < 3000) {
			size_t n = random_below(&random, 60), before = cap;
			array = array_grow(array, &cap, count + n, sizeof(*array));
			assert_non_null(array);
			grown += cap != before;
			for (size_t end = count + n; count < end; count++)
				array[count] = (uint32_t)count;
		}
		assert_in_range(grown, 1, 9);
		for (size_t i = 0; i < count; i++)
			assert_int_equal(array[i], i);
		free(array);
	}
}

static void refusal_changes_nothing(void **state)
{
	size_t cap = 0;
	char *array = array_try_grow(NULL, &cap, 3, 24);

	assert_non_null(array);
	size_t before = cap;
	memset(array, 0x55, cap * 24);
	for (size_t i = 0; i < 4; i++) {
		assert_null(array_try_grow(array, &cap, SIZE_MAX - i, 24));
		assert_null(array_try_grow(array, &cap, SIZE_MAX / 24 + 1 + i, 24));
		assert_null(array_try_grow(array, &cap, PTRDIFF_MAX / 24 + 1 + i, 24));
		assert_int_equal(cap, before);
	}
	for (size_t i = 0; i < cap * 24; i++)
		assert_int_equal(array[i], 0x55);
	free(array);
}

/* None is wanted: an array all the same, so that NULL always is a failure. */
static void none(void **state)
{
	size_t cap = 0;
	void *array = array_try_grow(NULL, &cap, 0, 8);

	assert_non_null(array);
	assert_ptr_equal(array_try_grow(array, &cap, 0, 8), array);
	free(array);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(room_from_small_capacities),
		cmocka_unit_test(room_near_the_largest),
		cmocka_unit_test(append_to_exact_arrays),
		cmocka_unit_test(append_in_portions),
		cmocka_unit_test(refusal_changes_nothing),
		cmocka_unit_test(none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
