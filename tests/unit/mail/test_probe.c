/* SPDX-License-Identifier: MIT */
/*
 * Seeking sizes: against every kind of lie the true one is found, with few questions and few
 * octets; what contradicts itself or never ends is given up.
 */
#include "mail/size/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/random.h"

struct cost {
	unsigned questions;
	uint64_t octets; /* that came */
};

/* What a server that has so many octets sends. */
static uint64_t octets_of(uint64_t size, uint64_t from, uint64_t octets)
{
	uint64_t left = from < size ? size - from : 0;

	return left < octets ? left : octets;
}

static enum probe_result seek(
	uint64_t promised, uint64_t size, bool doubted, struct cost *cost, uint64_t *found)
{
	enum probe_result result;
	struct probe p;

	*cost = (struct cost){0};
	probe_init(&p, promised, doubted);
	do {
		uint64_t got = octets_of(size, p.from, p.octets);
		assert_true(p.octets >= 2 && p.octets <= 16 << 10);
		cost->questions++;
		cost->octets += got;
		result = probe_answer(&p, p.from, p.octets, got);
	} while (result == PROBE_MORE);
	*found = p.low;
	return result;
}

static void test_right(void **state)
{
	static const uint64_t sizes[] = {1, 2, 3, 255, 256, 257, 4096, 262144, 1u << 30};
	struct cost cost;
	uint64_t found;

	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		assert_int_equal(seek(sizes[i], sizes[i], false, &cost, &found), PROBE_FOUND);
		assert_int_equal(found, sizes[i]);
		assert_int_equal(cost.questions, 1);
		assert_int_equal(cost.octets, 1);
		assert_int_equal(seek(sizes[i], sizes[i], true, &cost, &found), PROBE_FOUND);
		assert_int_equal(found, sizes[i]);
		assert_int_equal(cost.questions, 1);
	}
}

static void test_near(void **state)
{
	struct cost cost;
	uint64_t found;

	for (uint64_t size = 900; size < 1100; size++) {
		assert_int_equal(seek(1000, size, false, &cost, &found), PROBE_FOUND);
		assert_int_equal(found, size);
		assert_true(cost.questions <= 3);
		assert_int_equal(seek(1000, size, true, &cost, &found), PROBE_FOUND);
		assert_int_equal(found, size);
		assert_true(cost.questions <= 2);
	}
}

static void test_any(void **state)
{
	uint64_t r = 1;
	struct cost cost;
	uint64_t found;

	for (int i = 0; i < 200000; i++) {
		uint64_t promised = 1 +
				    random_next(&r) % (UINT64_C(1) << (1 + random_below(&r, 46)));
		uint64_t size = 1 + random_next(&r) % (UINT64_C(1) << (1 + random_below(&r, 40)));
		bool doubted = random_below(&r, 2);
		assert_int_equal(seek(promised, size, doubted, &cost, &found), PROBE_FOUND);
		assert_int_equal(found, size);
		assert_true(cost.questions <= 60);
		assert_true(cost.octets <= 64 << 10);
	}
}

/* An empty message cannot be told from one that was expunged: somebody else has to find out. */
static void test_empty(void **state)
{
	struct cost cost;
	uint64_t found;

	assert_int_equal(seek(1, 0, false, &cost, &found), PROBE_NONSENSE);
	assert_int_equal(seek(100000, 0, true, &cost, &found), PROBE_NONSENSE);
}

/* An honest server that has nothing to say now and then, as one whose view lacks the message: no
 * wrong size is ever found, and mostly the right one. */
static void test_stumbles(void **state)
{
	unsigned found = 0;
	uint64_t r = 3;

	for (int i = 0; i < 100000; i++) {
		uint64_t size = 1 + random_next(&r) % (UINT64_C(1) << (1 + random_below(&r, 40)));
		uint64_t promised = random_below(&r, 2) ? size : 1 + random_below(&r, 1000000);
		unsigned one_in = 1 + (unsigned)random_below(&r, 10);
		enum probe_result result;
		struct probe p;
		probe_init(&p, promised, random_below(&r, 2));
		do {
			uint64_t got = octets_of(size, p.from, p.octets);
			if (random_below(&r, one_in) == 0)
				got = 0;
			result = probe_answer(&p, p.from, p.octets, got);
		} while (result == PROBE_MORE);
		if (result == PROBE_FOUND)
			assert_int_equal(p.low, size);
		found += result == PROBE_FOUND;
	}
	assert_true(found > 50000);
}

/* The first answer lacks: found all the same, and the promise was right. */
static void test_one_stumble(void **state)
{
	for (uint64_t size = 2; size < 3000; size += 7) {
		enum probe_result result = PROBE_MORE;
		struct probe p;
		probe_init(&p, size, false);
		for (unsigned i = 0; result == PROBE_MORE; i++)
			result = probe_answer(&p, p.from, p.octets,
				i == 0 ? 0 : octets_of(size, p.from, p.octets));
		assert_int_equal(result, PROBE_FOUND);
		assert_int_equal(p.low, size);
		assert_true(p.asked <= 5);
	}
}

static void test_endless(void **state)
{
	struct cost cost;
	uint64_t found;

	assert_int_equal(seek(1000, UINT64_MAX, false, &cost, &found), PROBE_NONSENSE);
	assert_true(cost.questions <= 81);
}

/* Whatever is said, it ends, and never with a size that no octet was seen of. */
static void test_nonsense(void **state)
{
	uint64_t r = 2;

	for (int i = 0; i < 100000; i++) {
		struct probe p;
		enum probe_result result;
		bool seen = false;
		probe_init(&p, 1 + random_below(&r, 100000), false);
		do {
			uint64_t got = random_below(&r, 3) ? random_below(&r, 4) * p.octets / 3 : 0;
			seen |= got > 0;
			result = probe_answer(&p, p.from, p.octets, got);
		} while (result == PROBE_MORE);
		assert_true(result == PROBE_NONSENSE || (seen && p.low > 0));
	}
}

/* A question may be part of a larger one. */
static void test_shared(void **state)
{
	struct probe p;

	probe_init(&p, 1000, false);
	assert_int_equal(probe_answer(&p, 700, 600, 300), PROBE_FOUND);
	assert_int_equal(p.low, 1000);
	probe_init(&p, 1000, false);
	assert_int_equal(probe_answer(&p, 700, 600, 400), PROBE_MORE);
	/* Once more, from an octet before: one comes. */
	assert_int_equal(p.from, 1099);
	assert_int_equal(probe_answer(&p, 1099, 3, 1), PROBE_FOUND);
	assert_int_equal(p.low, 1100);
	/* The same end, seen from elsewhere: as good. From the same place: a server may cut. */
	probe_init(&p, 1000, false);
	assert_int_equal(probe_answer(&p, 700, 600, 400), PROBE_MORE);
	assert_int_equal(probe_answer(&p, 700, 600, 400), PROBE_MORE);
	assert_int_equal(probe_answer(&p, 800, 600, 300), PROBE_FOUND);
	assert_int_equal(p.low, 1100);
	probe_init(&p, 1000, false);
	assert_int_equal(probe_answer(&p, 700, 600, 601), PROBE_NONSENSE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right),
		cmocka_unit_test(test_near),
		cmocka_unit_test(test_any),
		cmocka_unit_test(test_empty),
		cmocka_unit_test(test_stumbles),
		cmocka_unit_test(test_one_stumble),
		cmocka_unit_test(test_endless),
		cmocka_unit_test(test_nonsense),
		cmocka_unit_test(test_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
