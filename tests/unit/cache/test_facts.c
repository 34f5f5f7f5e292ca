/* SPDX-License-Identifier: MIT */
/* Facts: what is put is loaded, and gone with its message, its mailbox, or when there are too many. */
#include "support.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/error.h"

/* Of the last load: "uid=first octet*octets " of each. */
static struct buf shown;
static int load_err;

static void on_loaded(void *ctx, int err, const struct cache_fact *facts, size_t n)
{
	struct fixture *f = ctx;

	f->pending--;
	load_err = err;
	for (size_t i = 0; i < n; i++)
		assert_int_equal(buf_printf(&shown, "%u=%c*%zu ", facts[i].uid,
					 facts[i].packed.p[0], facts[i].packed.n),
			0);
}

static void check_facts(struct fixture *f, uint32_t mailbox, uint32_t kind, const char *expected)
{
	buf_init(&shown, 1 << 20);
	f->pending++;
	cache_load_facts(f->c, mailbox, kind, on_loaded, f);
	fixture_settle(f);
	assert_int_equal(load_err, 0);
	assert_string_equal(buf_cstr(&shown), expected);
	buf_finish(&shown);
}

static void put(struct fixture *f, uint32_t mailbox, uint32_t kind, uint32_t uid, char c, size_t n)
{
	char *octets = malloc(n);

	assert_non_null(octets);
	memset(octets, c, n);
	const struct cache_fact fact = {uid, {octets, n}};
	cache_put_facts(f->c, mailbox, kind, &fact, 1, kind == 1);
	free(octets);
}

static void test_put_and_load(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 100 * MIB);
	check_facts(f, 1, 0, "");
	put(f, 1, 0, 7, 'a', 500);
	put(f, 1, 0, 3, 'b', 1);
	put(f, 1, 1, 7, 'c', 20000);
	put(f, 2, 0, 7, 'd', 2);
	put(f, UINT32_MAX, 1, UINT32_MAX, 'e', 2);
	for (int round = 0; round < 2; round++) {
		check_facts(f, 1, 0, "3=b*1 7=a*500 ");
		check_facts(f, 1, 1, "7=c*20000 ");
		check_facts(f, 2, 0, "7=d*2 ");
		check_facts(f, UINT32_MAX, 1, "4294967295=e*2 ");
		assert_int_equal(counts_of(f).queued, 0);
		fixture_reopen(f);
	}
	put(f, 1, 0, 7, 'x', 3);
	check_facts(f, 1, 0, "3=b*1 7=x*3 ");
}

static void test_dropped(void **state)
{
	static const uint32_t uids[] = {3, 5};
	struct fixture *f = *state;

	fixture_open(f, 100 * MIB);
	for (uint32_t kind = 0; kind < 2; kind++)
		for (uint32_t uid = 3; uid < 6; uid++)
			put(f, 1, kind, uid, 'a', 10);
	put(f, 2, 0, 3, 'b', 10);
	cache_drop_messages(f->c, 1, uids, 2);
	check_facts(f, 1, 0, "4=a*10 ");
	check_facts(f, 1, 1, "4=a*10 ");
	cache_drop_mailbox(f->c, 1);
	put(f, 1, 0, 4, 'c', 10);
	check_facts(f, 1, 0, "");
	check_facts(f, 2, 0, "3=b*10 ");
	fixture_reopen(f);
	check_facts(f, 1, 1, "");
	check_facts(f, 2, 0, "3=b*10 ");
}

/* What was loaded least recently goes; one that is too much by itself is not kept. */
static void test_bound(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4 * MIB);
	for (uint32_t mailbox = 1; mailbox <= 3; mailbox++)
		put(f, mailbox, 0, 1, 'a', 300000);
	check_facts(f, 1, 0, "1=a*300000 ");
	put(f, 4, 0, 1, 'b', 300000);
	fixture_settle(f);
	check_facts(f, 2, 0, "");
	check_facts(f, 1, 0, "1=a*300000 ");
	check_facts(f, 3, 0, "1=a*300000 ");
	check_facts(f, 4, 0, "1=b*300000 ");
	/* Replacing costs nothing. */
	for (int i = 0; i < 10; i++)
		put(f, 4, 0, 1, 'c', 300000);
	check_facts(f, 1, 0, "1=a*300000 ");
	fixture_reopen(f);
	for (uint32_t uid = 1; uid <= 4; uid++)
		put(f, 5, 1, uid, 'd', 300000);
	check_facts(f, 5, 1, "");
	check_facts(f, 1, 0, "");
	put(f, 5, 1, 9, 'e', 1000);
	check_facts(f, 5, 1, "9=e*1000 ");
}

/* Bodies have what facts leave. */
static void test_bodies_make_room(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4 * MIB);
	put(f, 1, 0, 1, 'a', 1000000);
	for (uint32_t uid = 1; uid <= 40; uid++) {
		put_chunk(f, 1, uid, 0, CACHE_CHUNK);
		fixture_settle(f);
	}
	fixture_idle(f);
	assert_true(counts_of(f).bytes <= 3 * MIB + CACHE_CHUNK);
	assert_true(counts_of(f).bytes >= 2 * MIB);
	check_facts(f, 1, 0, "1=a*1000000 ");
}

/* A structure that is another one than before: the sections were others. */
static void test_sections(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 100 * MIB);
	put_chunk(f, 1, 5, 0, 100);
	put_chunk(f, 1, 5, CACHE_SECTION_CHUNKS, 101);
	put_chunk(f, 1, 5, 2 * CACHE_SECTION_CHUNKS, 102);
	put_chunk(f, 1, 5, 9 * CACHE_SECTION_CHUNKS + 1, 103);
	put_chunk(f, 1, 6, 2 * CACHE_SECTION_CHUNKS, 104);
	fixture_settle(f);
	put(f, 1, 0, 5, 'a', 10);
	check_facts(f, 1, 0, "5=a*10 ");
	assert_true(has_chunk(f, 1, 5, 2 * CACHE_SECTION_CHUNKS, 102));
	put(f, 1, 1, 5, 'a', 10);
	check_facts(f, 1, 1, "5=a*10 ");
	assert_true(has_chunk(f, 1, 5, 0, 100));
	assert_true(has_chunk(f, 1, 5, CACHE_SECTION_CHUNKS, 101));
	assert_false(has_chunk(f, 1, 5, 2 * CACHE_SECTION_CHUNKS, 102));
	assert_false(has_chunk(f, 1, 5, 9 * CACHE_SECTION_CHUNKS + 1, 103));
	assert_true(has_chunk(f, 1, 6, 2 * CACHE_SECTION_CHUNKS, 104));
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, fixture_create, fixture_destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_put_and_load),
		TEST(test_dropped),
		TEST(test_bound),
		TEST(test_bodies_make_room),
		TEST(test_sections),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
