/* SPDX-License-Identifier: MIT */
/* The sequence map against an array that does the same, slowly. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../support/oom.h"
#include "../support/random.h"
#include "base/error.h"
#include "imap/seqmap.h"

#define MODEL_MAX 3000

struct model {
	uint32_t exists;
	uint32_t uids[MODEL_MAX + 1]; /* by number, 0: unknown */
};

static void model_set_exists(struct model *m, uint32_t n)
{
	for (uint32_t seq = n + 1; seq <= m->exists; seq++)
		m->uids[seq] = 0;
	m->exists = n;
}

/* UIDs rise with the numbers: one that does not makes all others doubtful. */
static void model_learn(struct model *m, uint32_t seq, uint32_t uid)
{
	bool fits = true;

	if (seq == 0 || seq > m->exists || uid == 0)
		return;
	for (uint32_t s = 1; s <= m->exists; s++)
		if (m->uids[s] != 0 && s != seq)
			fits &= s < seq ? m->uids[s] < uid : m->uids[s] > uid;
	if (!fits)
		memset(m->uids, 0, sizeof(m->uids));
	m->uids[seq] = uid;
}

static uint32_t model_expunge(struct model *m, uint32_t seq)
{
	if (seq == 0 || seq > m->exists)
		return 0;
	uint32_t uid = m->uids[seq];
	for (uint32_t s = seq; s < m->exists; s++)
		m->uids[s] = m->uids[s + 1];
	m->uids[m->exists--] = 0;
	return uid;
}

static uint32_t model_find(const struct model *m, uint32_t first, uint32_t last)
{
	for (uint32_t seq = 1; seq <= m->exists; seq++)
		if (m->uids[seq] >= first && m->uids[seq] <= last)
			return seq;
	return 0;
}

static void model_vanish(struct model *m, uint32_t first, uint32_t last)
{
	uint32_t below = 0, seq;

	if (first == 0)
		return;
	for (; first <= last && (seq = model_find(m, first, first)) > 0; first++)
		model_expunge(m, seq);
	if (first > last)
		return;
	for (seq = 1; seq <= m->exists; seq++)
		if (m->uids[seq] != 0 && m->uids[seq] < first)
			below = seq;
	uint32_t exists = m->exists > last - first + 1 ? m->exists - (last - first + 1) : 0;
	model_set_exists(m, below);
	seq = model_find(m, first, last);
	if (seq > 0)
		model_set_exists(m, seq - 1);
	model_set_exists(m, exists);
}

static void check_all(struct imap_seqmap *map, const struct model *m)
{
	assert_int_equal(imap_seqmap_exists(map), m->exists);
	for (uint32_t seq = 0; seq <= MODEL_MAX; seq++)
		if (imap_seqmap_uid(map, seq) != m->uids[seq])
			fail_msg("%u: %u, not %u", seq, imap_seqmap_uid(map, seq), m->uids[seq]);
}

/* How a sane server numbers: rising, with gaps. A liar sends anything. */
static uint32_t some_uid(uint64_t *random, uint32_t seq, bool liar)
{
	return liar ? seq + random_below(random, 50) : seq * 3 + random_below(random, 3);
}

static void step(struct imap_seqmap *map, struct model *m, uint64_t *random, bool liar)
{
	uint32_t seq = random_below(random, m->exists + 2);
	uint32_t uid = some_uid(random, seq, liar);
	uint32_t what = random_below(random, 1000);

	if (what < 700) {
		/* A run of rows, forwards or backwards. */
		for (uint32_t i = random_below(random, 20); i-- > 0; seq += what % 2 ? 1 : -1u) {
			uid = some_uid(random, seq, liar);
			assert_int_equal(imap_seqmap_learn(map, seq, uid), 0);
			model_learn(m, seq, uid);
		}
	} else if (what < 900) {
		bool valid, expected = seq > 0 && seq <= m->exists;
		assert_int_equal(imap_seqmap_expunge(map, seq, &valid), model_expunge(m, seq));
		assert_int_equal(valid, expected);
	} else if (what < 950) {
		/* Mostly one that is there: an unknown one forgets much. */
		if (random_below(random, 10) > 0 && seq <= m->exists && m->uids[seq])
			uid = m->uids[seq];
		uint32_t last = uid + random_below(random, 2) * random_below(random, 12);
		imap_seqmap_vanish(map, uid, last);
		model_vanish(m, uid, last);
	} else if (what < 998) {
		uint32_t n = m->exists + random_below(random, 30);
		n = n > MODEL_MAX ? MODEL_MAX : n;
		imap_seqmap_set_exists(map, n);
		model_set_exists(m, n);
	} else if (what < 999) {
		uint32_t n = random_below(random, m->exists + 1);
		imap_seqmap_set_exists(map, n);
		model_set_exists(m, n);
	} else if (random_below(random, 10) == 0) {
		imap_seqmap_clear(map);
		*m = (struct model){0};
	}
}

static void agrees_with_a_model(void **state)
{
	static struct model m;
	uint64_t random = 1;

	for (int round = 0; round < 40; round++) {
		struct imap_seqmap *map = imap_seqmap_create();
		uint32_t n = random_below(&random, MODEL_MAX + 1);
		m = (struct model){.exists = n};
		assert_non_null(map);
		imap_seqmap_set_exists(map, n);
		for (int i = 0; i < 2000; i++) {
			step(map, &m, &random, round % 2);
			if (i % 20 == 0)
				check_all(map, &m);
		}
		check_all(map, &m);
		imap_seqmap_destroy(map);
	}
	imap_seqmap_destroy(NULL);
}

static void ignores_what_cannot_be(void **state)
{
	struct imap_seqmap *map = imap_seqmap_create();
	bool valid = true;

	assert_int_equal(imap_seqmap_learn(map, 1, 5), 0);
	assert_int_equal(imap_seqmap_uid(map, 1), 0);
	assert_int_equal(imap_seqmap_expunge(map, 1, &valid), 0);
	assert_false(valid);
	imap_seqmap_vanish(map, 5, 5);
	assert_int_equal(imap_seqmap_exists(map), 0);
	imap_seqmap_set_exists(map, UINT32_MAX);
	assert_int_equal(imap_seqmap_learn(map, 0, 5), 0);
	assert_int_equal(imap_seqmap_learn(map, UINT32_MAX, UINT32_MAX), 0);
	assert_int_equal(imap_seqmap_uid(map, UINT32_MAX), UINT32_MAX);
	assert_int_equal(imap_seqmap_uid(map, 0), 0);
	assert_int_equal(imap_seqmap_expunge(map, 1, &valid), 0);
	assert_true(valid);
	assert_int_equal(imap_seqmap_uid(map, UINT32_MAX - 1), UINT32_MAX);
	assert_int_equal(imap_seqmap_exists(map), UINT32_MAX - 1);
	/* At once, however many. */
	imap_seqmap_vanish(map, 1, UINT32_MAX - 2);
	assert_int_equal(imap_seqmap_exists(map), 1);
	imap_seqmap_vanish(map, 1, UINT32_MAX);
	assert_int_equal(imap_seqmap_exists(map), 0);
	imap_seqmap_destroy(map);
}

/* What is announced costs nothing; what is learnt costs a few octets each, in whatever order. */
static void memory_follows_what_was_learnt(void **state)
{
	struct imap_seqmap *map = imap_seqmap_create();

	oom_arm(SIZE_MAX);
	imap_seqmap_set_exists(map, UINT32_MAX);
	assert_int_equal(oom_allocated(), 0);
	for (uint32_t seq = 100000; seq > 0; seq--)
		assert_int_equal(imap_seqmap_learn(map, seq, seq + 7), 0);
	for (uint32_t seq = 100001; seq <= 200000; seq++)
		assert_int_equal(imap_seqmap_learn(map, seq, seq + 7), 0);
	assert_true(oom_allocated() < 200000 * 6);
	oom_disarm();
	for (uint32_t seq = 1; seq <= 200000; seq++)
		assert_int_equal(imap_seqmap_uid(map, seq), seq + 7);
	imap_seqmap_destroy(map);
}

static void out_of_memory(void **state)
{
	for (size_t n = 1;; n++) {
		oom_arm(n);
		struct imap_seqmap *map = imap_seqmap_create();
		int failures = map == NULL;
		if (map)
			imap_seqmap_set_exists(map, 100000);
		for (uint32_t seq = 1; map && seq <= 100000; seq += 997) {
			int err = imap_seqmap_learn(map, seq, seq);
			assert_true(err == 0 || err == ERR_NOMEM);
			failures += err != 0;
			assert_int_equal(imap_seqmap_uid(map, seq), err ? 0 : seq);
			if (err)
				assert_int_equal(imap_seqmap_learn(map, seq, seq), 0);
		}
		for (uint32_t seq = 1; map && seq <= 100000; seq += 997)
			assert_int_equal(imap_seqmap_uid(map, seq), seq);
		imap_seqmap_destroy(map);
		bool failed = oom_disarm();
		assert_int_equal(failures, failed);
		if (!failed)
			break;
	}
}

#define MANY 300000u

/* Numbers that fall and are far apart: were each kept, they would take 150 MiB, and to move them
 * minutes. What is still known is right. */
static void many_far_apart(void **state)
{
	struct imap_seqmap *map = imap_seqmap_create();
	uint32_t right = 0;

	imap_seqmap_set_exists(map, 128 * MANY + 1);
	oom_arm(SIZE_MAX);
	for (uint32_t i = MANY; i > 0; i--) {
		assert_int_equal(imap_seqmap_learn(map, 128 * i, i), 0);
		assert_int_equal(imap_seqmap_uid(map, 128 * i), i);
	}
	oom_disarm();
	for (uint32_t i = MANY; i > 0; i--) {
		uint32_t uid = imap_seqmap_uid(map, 128 * i);
		assert_true(uid == 0 || uid == i);
		right += uid == i;
	}
	assert_in_range(right, 1, 1024);
	assert_int_equal(imap_seqmap_exists(map), 128 * MANY + 1);
	imap_seqmap_destroy(map);
}

/* As the rows of a large mailbox come, in either order: all are kept. */
static void many_in_a_row(void **state)
{
	struct imap_seqmap *map = imap_seqmap_create();

	imap_seqmap_set_exists(map, 2 * MANY);
	for (uint32_t i = 1; i <= MANY; i++)
		assert_int_equal(imap_seqmap_learn(map, i, 3 * i), 0);
	for (uint32_t i = 2 * MANY; i > MANY; i--)
		assert_int_equal(imap_seqmap_learn(map, i, 3 * i), 0);
	for (uint32_t i = 1; i <= 2 * MANY; i++)
		assert_int_equal(imap_seqmap_uid(map, i), 3 * i);
	imap_seqmap_destroy(map);
}

enum way { RISING, FALLING, MIXED };

/* The i-th of 0 to n - 1, a power of two. */
static uint32_t in_way(enum way way, uint32_t i, uint32_t n)
{
	return way == RISING ? i : way == FALLING ? n - 1 - i : i * 0x9e3779b1u % n;
}

#define DENSE (1u << 17)
/* Nodes that a call may go through, a few times there and back, where there are 1024. */
#define STEPS_MAX 100

static struct imap_seqmap *dense(enum way way)
{
	struct imap_seqmap *map = imap_seqmap_create();

	imap_seqmap_set_exists(map, DENSE);
	for (uint32_t i = 0; i < DENSE; i++) {
		uint32_t at = way == FALLING ? DENSE - 1 - i : i;
		assert_int_equal(imap_seqmap_learn(map, at + 1, 2 * at + 2), 0);
	}
	return map;
}

/* However a server numbers and removes, no call goes through more than the height of the tree a few
 * times. */
static void no_order_is_slow(void **state)
{
	for (enum way way = RISING; way <= MIXED; way++) {
		bool valid;
		struct imap_seqmap *map = dense(way == FALLING ? FALLING : RISING);
		assert_true(imap_seqmap_steps(map) < (uint64_t)DENSE * STEPS_MAX);
		uint64_t before = imap_seqmap_steps(map);
		for (uint32_t i = 0; i < DENSE; i++) {
			uint32_t uid = 2 * in_way(way, i, DENSE) + 2;
			imap_seqmap_vanish(map, uid, uid);
		}
		assert_int_equal(imap_seqmap_exists(map), 0);
		assert_true(imap_seqmap_steps(map) - before < (uint64_t)DENSE * STEPS_MAX);
		imap_seqmap_destroy(map);

		map = dense(RISING);
		before = imap_seqmap_steps(map);
		for (uint32_t n = DENSE; n > 0; n--) {
			uint32_t seq = way == RISING ? 1 : way == FALLING ? n : n / 2 + 1;
			assert_int_not_equal(imap_seqmap_expunge(map, seq, &valid), 0);
		}
		assert_true(imap_seqmap_steps(map) - before < (uint64_t)DENSE * STEPS_MAX);
		imap_seqmap_destroy(map);
	}
}

/* Blocks that are made and lost at every place, at the number of them where they are looked at. */
static void making_and_losing(void **state)
{
	struct imap_seqmap *map = imap_seqmap_create();
	bool valid;

	imap_seqmap_set_exists(map, UINT32_MAX);
	for (uint32_t i = 0; i < 128 * 1024; i++)
		assert_int_equal(imap_seqmap_learn(map, i + 1, i + 1), 0);
	uint64_t before = imap_seqmap_steps(map);
	for (uint32_t i = 0; i < 10000; i++) {
		assert_int_equal(imap_seqmap_learn(map, 1u << 31, 1u << 31), 0);
		assert_int_equal(imap_seqmap_expunge(map, 1u << 31, &valid), 1u << 31);
	}
	assert_true(imap_seqmap_steps(map) - before < 10000 * STEPS_MAX);
	assert_int_equal(imap_seqmap_uid(map, 128 * 1024), 128 * 1024);
	imap_seqmap_destroy(map);
}

/* A number whose UID is out of order: some of what was known is wrong. */
static void out_of_order(void **state)
{
	struct imap_seqmap *map = imap_seqmap_create();

	imap_seqmap_set_exists(map, 1000);
	for (uint32_t seq = 1; seq <= 1000; seq++)
		assert_int_equal(imap_seqmap_learn(map, seq, 10 * seq), 0);
	/* The same again, or another between its neighbours, is none. */
	assert_int_equal(imap_seqmap_learn(map, 500, 5000), 0);
	assert_int_equal(imap_seqmap_learn(map, 500, 5009), 0);
	assert_int_equal(imap_seqmap_uid(map, 499), 4990);
	assert_int_equal(imap_seqmap_uid(map, 500), 5009);
	assert_int_equal(imap_seqmap_learn(map, 500, 4990), 0);
	assert_int_equal(imap_seqmap_uid(map, 499), 0);
	assert_int_equal(imap_seqmap_uid(map, 500), 4990);
	assert_int_equal(imap_seqmap_uid(map, 501), 0);
	assert_int_equal(imap_seqmap_exists(map), 1000);
	imap_seqmap_destroy(map);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(many_far_apart),
		cmocka_unit_test(many_in_a_row),
		cmocka_unit_test(agrees_with_a_model),
		cmocka_unit_test(ignores_what_cannot_be),
		cmocka_unit_test(memory_follows_what_was_learnt),
		cmocka_unit_test(out_of_memory),
		cmocka_unit_test(no_order_is_slow),
		cmocka_unit_test(making_and_losing),
		cmocka_unit_test(out_of_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
