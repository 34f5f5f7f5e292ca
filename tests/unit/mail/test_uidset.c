/* SPDX-License-Identifier: MIT */
/* Sets of UIDs against a model that has an octet for each number. */
#include "mail/model/uidset.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../support/random.h"
#include "imap/response.h"

#define MODEL_MAX 600

struct model {
	bool has[MODEL_MAX + 1];
};

static void add(struct uidset *s, struct model *m, uint32_t first, uint32_t last)
{
	uidset_add(s, first, last);
	for (uint32_t uid = first; uid <= last; uid++)
		m->has[uid] = true;
}

static void check(const struct uidset *s, const struct model *m)
{
	uint64_t size = 0;
	uint32_t next = 0;

	for (uint32_t uid = MODEL_MAX; uid > 0; uid--) {
		assert_int_equal(uidset_has(s, uid), m->has[uid]);
		assert_int_equal(uidset_after(s, uid), next);
		size += m->has[uid];
		next = m->has[uid] ? uid : next;
	}
	assert_int_equal(uidset_after(s, 0), next);
	assert_int_equal(uidset_after(s, UINT32_MAX), 0);
	assert_int_equal(uidset_size(s), size);
	/* As short as can be. */
	for (size_t i = 0; i < s->count; i++) {
		assert_true(s->ranges[i].first <= s->ranges[i].last);
		assert_true(i == 0 || s->ranges[i - 1].last + 1 < s->ranges[i].first);
	}
}

/* As a server lists them: ascending, so nothing needs sorting. */
static void ascending(void **state)
{
	uint64_t random = 1;

	for (int round = 0; round < 200; round++) {
		static struct model m;
		struct uidset s = {0};
		uint32_t uid = 1 + random_below(&random, 5);
		m = (struct model){0};
		while (uid < MODEL_MAX - 20) {
			uint32_t last = uid + random_below(&random, 6);
			add(&s, &m, uid, last);
			uid = last + 1 + random_below(&random, 4);
		}
		check(&s, &m);
		uidset_sort(&s);
		check(&s, &m);
		uidset_finish(&s);
	}
}

static void any_order(void **state)
{
	uint64_t random = 2;

	for (int round = 0; round < 500; round++) {
		static struct model m;
		struct uidset s = {0};
		m = (struct model){0};
		for (uint32_t i = random_below(&random, 60); i > 0; i--) {
			uint32_t uid = 1 + random_below(&random, MODEL_MAX);
			uint32_t last = uid + random_below(&random, 1u << random_below(&random, 8));
			add(&s, &m, uid, last < MODEL_MAX ? last : MODEL_MAX);
		}
		uidset_sort(&s);
		check(&s, &m);
		uidset_clear(&s);
		assert_int_equal(uidset_size(&s), 0);
		assert_false(uidset_has(&s, 1));
		uidset_finish(&s);
	}
}

static void take_out(struct uidset *s, struct model *m, uint32_t first, uint32_t last)
{
	uidset_remove(s, first, last);
	for (uint32_t uid = first; uid <= last; uid++)
		m->has[uid] = false;
}

static void check_unsorted(const struct uidset *s, const struct model *m)
{
	for (uint32_t uid = 0; uid <= MODEL_MAX; uid++)
		assert_int_equal(uidset_has(s, uid), m->has[uid]);
}

/* What is said last holds, however often it changes, sorted in between or not. */
static void added_and_taken_out(void **state)
{
	uint64_t random = 4;

	for (int round = 0; round < 400; round++) {
		static struct model m;
		struct uidset s = {0}, copy = {0};
		m = (struct model){0};
		for (uint32_t i = random_below(&random, 300); i > 0; i--) {
			uint32_t first = 1 + random_below(&random, MODEL_MAX);
			uint32_t last = first +
					random_below(&random, 1u << random_below(&random, 8));
			last = last < MODEL_MAX ? last : MODEL_MAX;
			if (random_below(&random, 5) < 2)
				take_out(&s, &m, first, last);
			else
				add(&s, &m, first, last);
			if (random_below(&random, 40) == 0)
				uidset_sort(&s);
			if (random_below(&random, 40) == 0)
				check_unsorted(&s, &m);
		}
		check_unsorted(&s, &m);
		uidset_copy(&copy, &s);
		check_unsorted(&copy, &m);
		uidset_sort(&s);
		check(&s, &m);
		uidset_sort(&copy);
		check(&copy, &m);
		uidset_finish(&copy);
		uidset_finish(&s);
	}
}

static void all_is_taken_out(void **state)
{
	struct uidset s = {0};

	uidset_remove(&s, 1, UINT32_MAX);
	uidset_add(&s, 0, 0);
	assert_int_equal(s.count, 0);
	uidset_add(&s, 0, 7);
	uidset_add(&s, 9, UINT32_MAX);
	assert_false(uidset_has(&s, 0));
	uidset_remove(&s, 0, UINT32_MAX);
	assert_false(uidset_has(&s, 1));
	assert_false(uidset_has(&s, UINT32_MAX));
	uidset_add(&s, UINT32_MAX, UINT32_MAX);
	uidset_sort(&s);
	assert_int_equal(s.count, 1);
	assert_int_equal(s.ranges[0].first, UINT32_MAX);
	uidset_finish(&s);
}

#define MANY 300000u

/* A scrambled order of 0..MANY-1: its factor has no divisor in common with MANY. */
static uint32_t scrambled(uint32_t i)
{
	return (uint32_t)((uint64_t)i * 618031 % MANY);
}

static uint32_t falling(uint32_t i)
{
	return MANY - 1 - i;
}

static uint32_t from_both_ends(uint32_t i)
{
	return i % 2 ? MANY - 1 - i / 2 : i / 2;
}

/* So many ranges in any order, looked for and taken out in between: were the cost of each that
 * of the set's size, this would take minutes. */
static void many_in_any_order(void **state)
{
	uint32_t (*const orders[])(uint32_t) = {scrambled, falling, from_both_ends};

	for (size_t o = 0; o < sizeof(orders) / sizeof(orders[0]); o++) {
		struct uidset s = {0};
		for (uint32_t i = 0; i < MANY; i++) {
			uint32_t odd = 2 * orders[o](i) + 1;
			uidset_add(&s, odd, odd);
			assert_true(uidset_has(&s, odd));
			/* One that is not there, and one in four that is. */
			uidset_remove(&s, odd + 1, odd + 1);
			if (i % 4 == 0) {
				uidset_remove(&s, odd, odd);
				assert_false(uidset_has(&s, odd));
			}
		}
		uidset_sort(&s);
		assert_int_equal(uidset_size(&s), MANY - MANY / 4);
		assert_int_equal(s.count, MANY - MANY / 4);
		uidset_finish(&s);
	}
}

/* As a server names the odd ones and then says that others vanished. */
static void many_strangers_vanish(void **state)
{
	struct uidset s = {0};

	for (uint32_t uid = 1; uid < 2 * MANY; uid += 2)
		uidset_add(&s, uid, uid);
	for (uint32_t uid = 2; uid < 2 * MANY; uid += 2)
		uidset_remove(&s, uid, uid);
	uidset_sort(&s);
	assert_int_equal(uidset_size(&s), MANY);
	for (uint32_t uid = 1; uid < 2 * MANY; uid += 2)
		uidset_remove(&s, uid, uid + 1);
	uidset_sort(&s);
	assert_int_equal(s.count, 0);
	uidset_finish(&s);
}

/* The set is taken in as many parts as a command line wants, with more added in between. */
static void many_taken_as_text(void **state)
{
	struct uidset s = {0};
	struct buf text;
	uint64_t taken = 0, added = MANY;

	for (uint32_t i = 0; i < MANY; i++)
		uidset_add(&s, 2 * i + 1, 2 * i + 1);
	buf_init(&text, 12);
	while (s.count > 0) {
		uint32_t first, last;
		uidset_take_text(&s, &text);
		struct span set = buf_span(&text);
		while (imap_set_next(&set, &first, &last))
			taken += last - first + 1;
		buf_clear(&text);
		if (added < MANY + MANY / 8) {
			uint32_t uid = (uint32_t)(2 * added++ + 1);
			uidset_add(&s, uid, uid);
		}
	}
	assert_int_equal(taken, added);
	buf_finish(&text);
	uidset_finish(&s);
}

static void the_largest_numbers(void **state)
{
	struct uidset s = {0};

	uidset_add(&s, 1, UINT32_MAX);
	assert_int_equal(uidset_size(&s), UINT32_MAX);
	uidset_add(&s, UINT32_MAX, UINT32_MAX);
	uidset_add(&s, 1, 1);
	assert_int_equal(s.count, 1);
	assert_true(uidset_has(&s, UINT32_MAX));
	uidset_clear(&s);
	uidset_add(&s, UINT32_MAX, UINT32_MAX);
	uidset_add(&s, 1, UINT32_MAX - 1);
	uidset_sort(&s);
	assert_int_equal(s.count, 1);
	assert_int_equal(uidset_size(&s), UINT32_MAX);
	uidset_finish(&s);
}

static void nothing(void **state)
{
	struct uidset s = {0};
	struct buf text;

	buf_init(&text, UIDSET_TEXT_MAX);
	uidset_sort(&s);
	uidset_take_text(&s, &text);
	assert_int_equal(text.len, 0);
	assert_int_equal(uidset_size(&s), 0);
	assert_false(uidset_has(&s, 0));
	uidset_finish(&s);
	uidset_finish(&s);
}

static void text_of_ranges(void **state)
{
	struct uidset s = {0};
	struct buf text;

	buf_init(&text, UIDSET_TEXT_MAX);
	uidset_add(&s, 1, 5);
	uidset_add(&s, 9, 9);
	uidset_add(&s, UINT32_MAX - 1, UINT32_MAX);
	uidset_take_text(&s, &text);
	assert_int_equal(s.count, 0);
	assert_string_equal(buf_cstr(&text), "1:5,9,4294967294:4294967295");
	buf_finish(&text);
	uidset_finish(&s);
}

/* Ranges move one by one, none is lost, cut or repeated, however little room there is. */
static void text_in_parts(void **state)
{
	uint64_t random = 3;

	for (int round = 0; round < 100; round++) {
		static struct model m, taken;
		struct uidset s = {0};
		struct buf text;
		size_t max = 8 + random_below(&random, 60);
		m = taken = (struct model){0};
		for (uint32_t i = 0; i < 80; i++) {
			uint32_t uid = 1 + random_below(&random, MODEL_MAX - 8);
			add(&s, &m, uid, uid + random_below(&random, 4));
		}
		uidset_sort(&s);
		buf_init(&text, max);
		while (s.count > 0) {
			uidset_take_text(&s, &text);
			struct span set = buf_span(&text);
			uint32_t first, last;
			assert_in_range(text.len, 1, max);
			while (imap_set_next(&set, &first, &last))
				for (; first <= last; first++) {
					assert_false(taken.has[first]);
					taken.has[first] = true;
				}
			buf_clear(&text);
		}
		assert_memory_equal(&taken, &m, sizeof(m));
		buf_finish(&text);
		uidset_finish(&s);
	}
}

/* Parts of any size make up the whole, in order, and each fits a command. */
static void cut_in_parts(void **state)
{
	uint64_t random = 5;

	for (int round = 0; round < 300; round++) {
		static struct model m;
		struct uidset s = {0}, part = {0}, whole = {0};
		m = (struct model){0};
		for (uint32_t uid = 1; uid < MODEL_MAX - 20; uid += 2 + random_below(&random, 9))
			add(&s, &m, uid, uid + random_below(&random, 4));
		uidset_sort(&s);
		uint64_t most = round % 3 ? 1 + random_below(&random, 50) : UINT64_MAX;
		while (s.count > 0) {
			struct buf text;
			uidset_cut(&s, most, &part);
			assert_true(part.count > 0 && uidset_size(&part) <= most);
			for (size_t i = 0; i < part.count; i++)
				uidset_add(&whole, part.ranges[i].first, part.ranges[i].last);
			buf_init(&text, UIDSET_TEXT_MAX);
			uidset_take_text(&part, &text);
			assert_int_equal(part.count, 0);
			buf_finish(&text);
		}
		check(&whole, &m);
		uidset_finish(&s);
		uidset_finish(&part);
		uidset_finish(&whole);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ascending),
		cmocka_unit_test(any_order),
		cmocka_unit_test(added_and_taken_out),
		cmocka_unit_test(all_is_taken_out),
		cmocka_unit_test(many_in_any_order),
		cmocka_unit_test(many_strangers_vanish),
		cmocka_unit_test(many_taken_as_text),
		cmocka_unit_test(the_largest_numbers),
		cmocka_unit_test(nothing),
		cmocka_unit_test(text_of_ranges),
		cmocka_unit_test(text_in_parts),
		cmocka_unit_test(cut_in_parts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
