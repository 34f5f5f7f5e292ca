/* SPDX-License-Identifier: MIT */
/* Turns: as many octets in a time as the rate says, in order, whatever of them is used. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/throttle.h"

#define MILLISECOND ((uint64_t)1000 * 1000)
#define SECOND (1000 * MILLISECOND)

/* What streams that always have octets get within a second, from `now` on. */
static uint64_t carry(struct net_throttle *t, uint64_t *now, size_t used)
{
	uint64_t octets = 0, end = *now + SECOND;

	while (*now < end) {
		uint64_t turn = net_throttle_reserve(t, NET_IN, *now);
		*now = turn > *now ? turn : *now;
		octets += used;
		net_throttle_used(t, NET_IN, used);
	}
	return octets;
}

static void test_rate(void **state)
{
	static const uint64_t rates[] = {1024, 50000, 1 << 20, (uint64_t)1 << 30};

	for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		struct net_throttle t;
		uint64_t now = 5 * SECOND;
		net_throttle_init(&t, rates[i]);
		size_t share = net_throttle_share(&t);
		carry(&t, &now, share);
		uint64_t octets = carry(&t, &now, share);
		assert_in_range(octets, rates[i] - 2 * share, rates[i] + 2 * share);
		octets = carry(&t, &now, share / 3);
		assert_in_range(octets, rates[i] - 2 * share, rates[i] + 2 * share);
	}
}

static void test_in_order(void **state)
{
	struct net_throttle t;
	uint64_t now = 5 * SECOND, before = 0;

	net_throttle_init(&t, 8000);
	for (int i = 0; i < 10; i++) {
		uint64_t turn = net_throttle_reserve(&t, NET_OUT, now);
		assert_true(turn > before);
		assert_int_equal(before ? turn - before : 125 * MILLISECOND, 125 * MILLISECOND);
		before = turn;
	}
	/* The other direction is free. */
	assert_true(net_throttle_reserve(&t, NET_IN, now) <= now);
}

static void test_nothing_used(void **state)
{
	struct net_throttle t;
	uint64_t now = 5 * SECOND;

	net_throttle_init(&t, 1024);
	for (int i = 0; i < 1000; i++) {
		assert_true(net_throttle_reserve(&t, NET_IN, now) <= now);
		net_throttle_used(&t, NET_IN, 0);
	}
}

/* A pause is not made up for but for a moment. */
static void test_pause(void **state)
{
	struct net_throttle t;
	uint64_t now = 5 * SECOND;

	net_throttle_init(&t, 8000);
	carry(&t, &now, net_throttle_share(&t));
	now += 3600 * SECOND;
	assert_in_range(carry(&t, &now, net_throttle_share(&t)), 7000, 10000);
}

static void test_bounds(void **state)
{
	struct net_throttle t;

	net_throttle_init(&t, 1);
	assert_int_equal(net_throttle_share(&t), 256);
	assert_int_equal(net_throttle_window(&t), 16 << 10);
	net_throttle_init(&t, INT64_MAX);
	assert_int_equal(net_throttle_share(&t), 64 << 10);
	assert_int_equal(net_throttle_window(&t), 1 << 30);
}

static void test_waited(void **state)
{
	struct net_throttle t;

	net_throttle_init(&t, 8000);
	assert_int_equal(net_throttle_waited(&t, 1000), 0);
	net_throttle_wait(&t, 1000);
	net_throttle_wait(&t, 1500);
	assert_int_equal(net_throttle_waited(&t, 2000), 1000);
	net_throttle_go(&t, 2500);
	net_throttle_go(&t, 3000);
	assert_int_equal(net_throttle_waited(&t, 9000), 2000);
	net_throttle_wait(&t, 9000);
	assert_int_equal(net_throttle_waited(&t, 9500), 2500);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rate),
		cmocka_unit_test(test_in_order),
		cmocka_unit_test(test_nothing_used),
		cmocka_unit_test(test_pause),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_waited),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
