/* SPDX-License-Identifier: MIT */
/* Chunks: what is put is found, exactly; the bound and the order of eviction; the queue. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/mem.h"

#define KIB 1024

static void test_sizes(void **state)
{
	static const size_t sizes[] = {
		0, 1, 31, 32, 33, 4096, 16384, 100000, CACHE_CHUNK - 1, CACHE_CHUNK};
	const uint32_t count = sizeof(sizes) / sizeof(sizes[0]);
	struct fixture *f = *state;
	uint64_t bytes = 0;

	fixture_open(f, 100 * MIB);
	for (int round = 0; round < 2; round++) {
		for (uint32_t i = 0; i < count; i++) {
			put_chunk(f, 1, i + 1, 3, sizes[i]);
			put_chunk(f, UINT32_MAX, UINT32_MAX - i, UINT32_MAX, sizes[i]);
			bytes += round ? 0 : 2 * sizes[i];
		}
		fixture_settle(f);
		assert_int_equal(counts_of(f).bytes, bytes);
		for (uint32_t i = 0; i < count; i++) {
			assert_true(has_chunk(f, 1, i + 1, 3, sizes[i]));
			assert_true(has_chunk(f, UINT32_MAX, UINT32_MAX - i, UINT32_MAX, sizes[i]));
			assert_false(has_chunk(f, 1, i + 1, 2, sizes[i]));
			assert_false(has_chunk(f, 2, i + 1, 3, sizes[i]));
		}
		assert_int_equal(counts_of(f).hits, 2 * count);
		assert_int_equal(counts_of(f).misses, 2 * count);
		assert_true(counts_of(f).on_disk);
		fixture_reopen(f);
		assert_int_equal(counts_of(f).bytes, bytes);
	}
}

static void test_replaced(void **state)
{
	static const size_t sizes[] = {5000, CACHE_CHUNK, 0, 70000, 70000};
	struct fixture *f = *state;

	fixture_open(f, 100 * MIB);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		put_chunk(f, 1, 2, 0, sizes[i]);
		put_chunk(f, 1, 2, 1, 10 + i);
		fixture_settle(f);
		assert_true(has_chunk(f, 1, 2, 0, sizes[i]));
		assert_true(has_chunk(f, 1, 2, 1, 10 + i));
		assert_int_equal(counts_of(f).bytes, sizes[i] + 10 + i);
	}
}

static void test_too_large_is_not_kept(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 100 * MIB);
	put_chunk(f, 1, 1, 0, CACHE_CHUNK + 1);
	fixture_settle(f);
	assert_false(has_chunk(f, 1, 1, 0, CACHE_CHUNK + 1));
	assert_int_equal(counts_of(f).bytes, 0);
}

static void test_dropped_messages(void **state)
{
	static const uint32_t gone[] = {4, 2, 77};
	struct fixture *f = *state;

	fixture_open(f, 100 * MIB);
	put_messages(f, 1, 1, 5);
	for (uint32_t uid = 1; uid <= 5; uid++)
		for (uint32_t chunk = 0; chunk < 4; chunk++)
			put_chunk(f, 1, uid, chunk, 1000);
	put_chunk(f, 2, 2, 0, 1000);
	cache_drop_messages(f->c, 1, gone, 3);
	fixture_idle(f);
	for (uint32_t uid = 1; uid <= 5; uid++)
		for (uint32_t chunk = 0; chunk < 4; chunk++)
			assert_int_equal(has_chunk(f, 1, uid, chunk, 1000), uid != 2 && uid != 4);
	assert_true(has_chunk(f, 2, 2, 0, 1000));
	assert_int_equal(counts_of(f).bytes, 13 * 1000);
}

/* --- eviction --- */

#define CHUNK (64 * KIB)

/* Fills a cache of 1 MiB to the brim, in order of UIDs. */
static void fill(struct fixture *f)
{
	fixture_open(f, MIB);
	for (uint32_t uid = 1; uid <= 16; uid++)
		put_chunk(f, 1, uid, 0, CHUNK);
	fixture_idle(f);
	assert_int_equal(counts_of(f).bytes, MIB);
}

/* Reads the chunks, which also uses them: the last thing that a test does. */
static void check_kept(struct fixture *f, const char *kept)
{
	for (uint32_t uid = 1; kept[uid - 1]; uid++)
		assert_int_equal(has_chunk(f, 1, uid, 0, CHUNK), kept[uid - 1] == '+');
}

static void test_eviction_order(void **state)
{
	struct fixture *f = *state;

	fill(f);
	put_chunk(f, 1, 17, 0, CHUNK);
	fixture_idle(f);
	/* Down to 95 %: two go. */
	assert_int_equal(counts_of(f).bytes, 15 * CHUNK);
	check_kept(f, "--+++++++++++++++");
}

static void test_use_protects(void **state)
{
	struct fixture *f = *state;

	fill(f);
	assert_true(has_chunk(f, 1, 3, 0, CHUNK));
	assert_true(has_chunk(f, 1, 1, 0, CHUNK));
	put_chunk(f, 1, 17, 0, CHUNK);
	fixture_idle(f);
	put_chunk(f, 1, 18, 0, 2 * CHUNK);
	fixture_idle(f);
	assert_int_equal(counts_of(f).bytes, 15 * CHUNK);
	check_kept(f, "+-+---+++++++++++");
}

/* Uses are written at close when no write came, and are an order among themselves. */
static void test_use_survives_close(void **state)
{
	struct fixture *f = *state;

	fill(f);
	for (uint32_t uid = 14; uid >= 1; uid--)
		assert_true(has_chunk(f, 1, uid, 0, CHUNK));
	fixture_reopen(f);
	put_chunk(f, 1, 17, 0, 3 * CHUNK);
	fixture_idle(f);
	/* Gone are 15 and 16, which were put last but not used, and of the others the first used.
	 */
	check_kept(f, "++++++++++++----");
	assert_int_equal(counts_of(f).bytes, 15 * CHUNK);
}

static void test_bound_holds_always(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 2 * MIB);
	for (uint32_t uid = 1; uid <= 3000; uid++) {
		put_chunk(f, uid % 5 + 1, uid, uid % 3, (uid * 7919) % 60000);
		uv_run(&f->loop, UV_RUN_NOWAIT);
		if (uid % 500 == 0)
			fixture_settle(f); /* lest the queue is full */
		assert_true(counts_of(f).bytes <= 2 * MIB);
	}
	fixture_idle(f);
	assert_true(counts_of(f).bytes <= 2 * MIB);
	assert_true(counts_of(f).bytes >= MIB);
	assert_true(has_chunk(f, 1, 3000, 0, (3000u * 7919) % 60000));
	uint64_t bytes = counts_of(f).bytes;
	fixture_reopen(f);
	assert_int_equal(counts_of(f).bytes, bytes);
}

static void test_smaller_than_a_chunk(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 1000);
	put_chunk(f, 1, 1, 0, 5000);
	put_chunk(f, 1, 2, 0, 500);
	fixture_idle(f);
	assert_false(has_chunk(f, 1, 1, 0, 5000));
	assert_true(counts_of(f).bytes <= 1000);
	fixture_close(f);
	fixture_open(f, 0);
	put_chunk(f, 1, 3, 0, 1);
	fixture_idle(f);
	assert_false(has_chunk(f, 1, 3, 0, 1));
	assert_int_equal(counts_of(f).bytes, 0);
}

static void test_lowered_bound_gives_space_back(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 100 * MIB);
	for (uint32_t uid = 1; uid <= 120; uid++)
		put_chunk(f, 1, uid, 0, CACHE_CHUNK);
	fixture_idle(f);
	fixture_close(f);
	assert_int_equal(size_in(f, "bodies/00000001"), 25 * CACHE_CHUNK);
	assert_true(exists_in(f, "bodies/00000005"));
	fixture_open(f, 20 * MIB);
	put_messages(f, 1, 1, 1);
	fixture_idle(f);
	assert_true(counts_of(f).bytes <= 20 * MIB);
	assert_true(counts_of(f).bytes > 10 * MIB);
	assert_true(has_chunk(f, 1, 120, 0, CACHE_CHUNK));
	fixture_close(f);
	assert_false(exists_in(f, "bodies/00000002"));
	assert_true(size_in(f, "cache.db") < (long long)MIB);
	/* The log is given back too. */
	assert_true(size_in(f, "cache.db-wal") <= 0);
}

/* Octets of the disk that a file holds. */
static long long held_in(struct fixture *f, const char *name)
{
	struct stat st;

	return stat(path_in(f, name), &st) == 0 ? (long long)st.st_blocks * 512 : -1;
}

/* What messages leave behind is given back: piece by piece, and the file when nothing is left. */
static void test_dropped_messages_give_space_back(void **state)
{
	struct fixture *f = *state;
	uint32_t gone[40];

	for (uint32_t i = 0; i < 40; i++)
		gone[i] = i + 1;
	fixture_open(f, 100 * MIB);
	for (uint32_t uid = 1; uid <= 40; uid++)
		put_chunk(f, 1, uid, 0, CACHE_CHUNK);
	fixture_idle(f);
	/* 25 in the first file. */
	assert_int_equal(held_in(f, "bodies/00000001"), 25 * CACHE_CHUNK);
	cache_drop_messages(f->c, 1, gone, 20);
	fixture_idle(f);
	assert_int_equal(held_in(f, "bodies/00000001"), 5 * CACHE_CHUNK);
	for (uint32_t uid = 21; uid <= 40; uid++)
		assert_true(has_chunk(f, 1, uid, 0, CACHE_CHUNK));
	cache_drop_messages(f->c, 1, gone + 20, 20);
	fixture_idle(f);
	assert_false(exists_in(f, "bodies/00000001"));
	assert_int_equal(counts_of(f).bytes, 0);
	put_chunk(f, 1, 100, 0, CACHE_CHUNK);
	fixture_reopen(f);
	assert_true(has_chunk(f, 1, 100, 0, CACHE_CHUNK));
}

static void test_log_is_bounded(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4 * MIB);
	for (uint32_t uid = 1; uid <= 300; uid++) {
		put_chunk(f, 1, uid, 0, CACHE_CHUNK);
		if (uid % 20 == 0)
			fixture_idle(f);
		assert_true(size_in(f, "cache.db-wal") < 40 * (long long)MIB);
	}
	fixture_idle(f);
	assert_true(size_in(f, "cache.db-wal") < 20 * (long long)MIB);
	assert_true(size_in(f, "cache.db") < 40 * (long long)MIB);
}

static void test_many_uses(void **state)
{
	struct fixture *f = *state;

	/* 6 in a segment. */
	fixture_open(f, 10 * KIB);
	for (uint32_t uid = 1; uid <= 102; uid++)
		put_chunk(f, 1, uid, 0, 100);
	fixture_idle(f);
	/* More than are noted at once; each is still a hit. */
	for (int round = 0; round < 400; round++)
		for (uint32_t uid = 1; uid <= 50; uid++)
			assert_true(has_chunk(f, 1, uid, 0, 100));
	fixture_idle(f);
	put_chunk(f, 1, 1000, 0, 1000);
	fixture_idle(f);
	assert_true(has_chunk(f, 1, 50, 0, 100));
	assert_false(has_chunk(f, 1, 55, 0, 100));
}

/* --- the queue --- */

/* What the loop did not take back counts as queued, so that exactly 256 chunks fit. */
static void test_queue_is_bounded(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 200 * MIB);
	for (uint32_t uid = 1; uid <= 300; uid++)
		put_chunk(f, 1, uid, 0, CACHE_CHUNK);
	assert_int_equal(counts_of(f).queued, 64 * MIB);
	assert_int_equal(f->pending, 300);
	/* Small things are queued all the same. */
	put_messages(f, 1, 1, 10);
	fixture_settle(f);
	load(f, 1);
	assert_int_equal(f->n, 10);
	assert_int_equal(counts_of(f).queued, 0);
	for (uint32_t uid = 1; uid <= 300; uid++)
		assert_int_equal(has_chunk(f, 1, uid, 0, CACHE_CHUNK), uid <= 256);
}

struct order {
	struct fixture *f;
	uint32_t next;
};

struct expected {
	struct order *order;
	uint32_t uid;
};

static void on_in_order(void *ctx)
{
	struct expected *e = ctx;

	assert_int_equal(e->uid, e->order->next);
	e->order->next++;
	e->order->f->pending--;
	assert_true(has_chunk(e->order->f, 1, e->uid, 0, 2000));
	/* A callback may put more. */
	if (e->uid % 10 == 0)
		put_chunk(e->order->f, 2, e->uid, 0, 10);
	free(e);
}

static void test_callbacks_in_order(void **state)
{
	struct fixture *f = *state;
	struct order order = {f, 1};

	fixture_open(f, 100 * MIB);
	for (uint32_t uid = 1; uid <= 5000; uid++) {
		struct expected *e = mem_alloc(sizeof(*e));

		*e = (struct expected){&order, uid};
		f->pending++;
		cache_put_chunk(
			f->c, 1, uid, 0, make_octets(1, uid, 0, 2000), 2000, on_in_order, e);
		if (uid % 100 == 0)
			uv_run(&f->loop, UV_RUN_NOWAIT);
	}
	fixture_settle(f);
	assert_int_equal(order.next, 5001);
	assert_true(has_chunk(f, 2, 5000, 0, 10));
}

static void test_close_drains(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 100 * MIB);
	for (uint32_t uid = 1; uid <= 100; uid++)
		put_chunk(f, 1, uid, 0, 100000);
	put_messages(f, 1, 1, 100);
	assert_int_equal(f->pending, 100);
	cache_close(f->c);
	f->c = NULL;
	assert_int_equal(f->pending, 0);
	fixture_open(f, 100 * MIB);
	for (uint32_t uid = 1; uid <= 100; uid++)
		assert_true(has_chunk(f, 1, uid, 0, 100000));
	assert_int_equal(counts_of(f).bytes, 100 * 100000);
	load(f, 1);
	assert_int_equal(f->n, 100);
}

/* What mailboxes that are no more have left takes a run each. */
static void test_house_keeping_waits_for_the_next_time(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 100 * MIB);
	for (uint32_t mailbox = 1; mailbox <= 50; mailbox++)
		put_chunk(f, mailbox, 1, 0, 1000);
	fixture_idle(f);
	for (uint32_t mailbox = 1; mailbox <= 50; mailbox++)
		cache_drop_mailbox(f->c, mailbox);
	cache_wind_down(f->c);
	fixture_idle(f);
	assert_int_equal(counts_of(f).bytes, 50 * 1000);
	fixture_reopen(f);
	put_messages(f, 99, 1, 1);
	fixture_idle(f);
	assert_int_equal(counts_of(f).bytes, 0);
}

/* Closing while libuv's threads are all busy with something else. */
static uv_sem_t gate;

static void wait_at_gate(uv_work_t *req)
{
	uv_sem_wait(&gate);
}

static void after_gate(uv_work_t *req, int status)
{
}

static void test_close_without_a_thread(void **state)
{
	struct fixture *f = *state;
	uv_work_t blockers[64];

	fixture_open(f, 100 * MIB);
	uv_sem_init(&gate, 0);
	for (size_t i = 0; i < 64; i++)
		uv_queue_work(&f->loop, &blockers[i], wait_at_gate, after_gate);
	for (uint32_t uid = 1; uid <= 10; uid++)
		put_chunk(f, 1, uid, 0, 1000);
	cache_close(f->c);
	f->c = NULL;
	assert_int_equal(f->pending, 0);
	for (size_t i = 0; i < 64; i++)
		uv_sem_post(&gate);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	uv_sem_destroy(&gate);
	fixture_open(f, 100 * MIB);
	for (uint32_t uid = 1; uid <= 10; uid++)
		assert_true(has_chunk(f, 1, uid, 0, 1000));
}

/* --- loading many --- */

struct loaded {
	struct fixture *f;
	uint32_t mailbox;
	size_t found;
	int err;
};

static void on_loaded(void *ctx, int err, struct cache_want *wants, size_t n)
{
	struct loaded *l = ctx;

	l->err = err;
	for (size_t i = 0; i < n; i++) {
		if (wants[i].data) {
			char *right = make_octets(
				l->mailbox, wants[i].uid, wants[i].chunk, wants[i].n);
			assert_memory_equal(wants[i].data, right, wants[i].n);
			free(right);
			l->found++;
		}
		free(wants[i].data);
	}
	free(wants);
	l->f->pending--;
}

/* Asks for chunk 0 of UIDs 1 to n. */
static void load_chunks(struct loaded *l, uint32_t n)
{
	struct cache_want *wants = mem_zalloc(n * sizeof(*wants));
	int before = ++l->f->pending;

	for (uint32_t i = 0; i < n; i++)
		wants[i].uid = i + 1;
	cache_load_chunks(l->f->c, l->mailbox, wants, n, false, on_loaded, l);
	assert_int_equal(l->f->pending, before);
}

static void test_load_chunks(void **state)
{
	struct fixture *f = *state;
	struct loaded there = {.f = f, .mailbox = 1}, none = {.f = f, .mailbox = 2};

	fixture_open(f, 100 * MIB);
	for (uint32_t uid = 2; uid <= 50; uid += 2)
		put_chunk(f, 1, uid, 0, uid * 1000);
	fixture_settle(f);
	load_chunks(&there, 50);
	load_chunks(&none, 50);
	fixture_settle(f);
	assert_int_equal(there.found, 25);
	assert_int_equal(there.err, 0);
	assert_int_equal(none.found, 0);
	assert_int_equal(counts_of(f).hits, 25);
	assert_int_equal(counts_of(f).misses, 75);
}

/* What is loaded is used, and stays when something must go. */
static void test_load_protects(void **state)
{
	struct fixture *f = *state;
	struct loaded l = {.f = f, .mailbox = 1};

	fixture_open(f, MIB);
	for (uint32_t uid = 1; uid <= 9; uid++)
		put_chunk(f, 1, uid, 0, 100000);
	fixture_settle(f);
	load_chunks(&l, 3);
	fixture_settle(f);
	for (uint32_t uid = 10; uid <= 14; uid++)
		put_chunk(f, 1, uid, 0, 100000);
	fixture_settle(f);
	for (uint32_t uid = 1; uid <= 3; uid++)
		assert_true(has_chunk(f, 1, uid, 0, 100000));
	assert_false(has_chunk(f, 1, 4, 0, 100000));
}

/* Those that wait and the one that runs, with a thread or without. */
static void test_close_cancels_loads(void **state)
{
	struct fixture *f = *state;
	struct loaded l[3] = {
		{.f = f, .mailbox = 1}, {.f = f, .mailbox = 1}, {.f = f, .mailbox = 1}};

	for (int round = 0; round < 2; round++) {
		uv_work_t blockers[64];

		fixture_open(f, 100 * MIB);
		put_chunk(f, 1, 1, 0, 1000);
		fixture_settle(f);
		uv_sem_init(&gate, 0);
		for (size_t i = 0; round == 1 && i < 64; i++)
			uv_queue_work(&f->loop, &blockers[i], wait_at_gate, after_gate);
		for (size_t i = 0; i < 3; i++)
			load_chunks(&l[i], 100);
		cache_close(f->c);
		f->c = NULL;
		assert_int_equal(f->pending, 0);
		for (size_t i = 0; i < 3; i++)
			assert_int_equal(l[i].err, ERR_CANCELED);
		for (size_t i = 0; i < 64; i++)
			uv_sem_post(&gate);
		uv_run(&f->loop, UV_RUN_DEFAULT);
		uv_sem_destroy(&gate);
	}
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_create, fixture_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_sizes),
		TEST(test_replaced),
		TEST(test_too_large_is_not_kept),
		TEST(test_dropped_messages),
		TEST(test_eviction_order),
		TEST(test_use_protects),
		TEST(test_use_survives_close),
		TEST(test_bound_holds_always),
		TEST(test_smaller_than_a_chunk),
		TEST(test_lowered_bound_gives_space_back),
		TEST(test_dropped_messages_give_space_back),
		TEST(test_log_is_bounded),
		TEST(test_many_uses),
		TEST(test_queue_is_bounded),
		TEST(test_callbacks_in_order),
		TEST(test_close_drains),
		TEST(test_house_keeping_waits_for_the_next_time),
		TEST(test_close_without_a_thread),
		TEST(test_load_chunks),
		TEST(test_load_protects),
		TEST(test_close_cancels_loads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
