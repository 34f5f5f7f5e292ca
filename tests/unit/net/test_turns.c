/* SPDX-License-Identifier: MIT */
/* The turns of streams that share a throttle: who waits, for how long, and what is given back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/turns.h"

#define MILLISECOND ((uint64_t)1000 * 1000)
#define START (5000 * MILLISECOND)
#define RATE 8000 /* a turn is an eighth of a second */

static struct net_turns first, second;
static struct net_throttle throttle;

static int set_up(void **state)
{
	net_throttle_init(&throttle, RATE);
	first = (struct net_turns){.throttle = &throttle};
	second = (struct net_turns){.throttle = &throttle};
	return 0;
}

static void use(struct net_turns *t, enum net_direction direction, uint64_t now)
{
	assert_true(net_turns_may_go(t, direction, now));
	net_turns_end(t, direction, (int64_t)net_turns_share(t, 1 << 20));
}

/* Uses up what may go at once. Returns when the next turn comes. */
static uint64_t begin_to_wait(struct net_turns *t, enum net_direction direction, uint64_t now)
{
	for (int i = 0; i < 100 && net_turns_may_go(t, direction, now); i++)
		net_turns_end(t, direction, (int64_t)net_turns_share(t, 1 << 20));
	assert_true(t->waits[direction]);
	return now + net_turns_next(t, now) * MILLISECOND;
}

static void test_without_a_throttle(void **state)
{
	struct net_turns t = {.throttle = NULL};

	for (int i = 0; i < 1000; i++)
		use(&t, NET_IN, START);
	assert_int_equal(net_turns_share(&t, 12345678), 12345678);
	net_turns_give_back(&t, START);
	assert_int_equal(net_turns_waited(&t, START), 0);
}

static void test_waits_and_goes(void **state)
{
	uint64_t at = begin_to_wait(&first, NET_IN, START);

	assert_in_range(at, START + MILLISECOND, START + 1000 * MILLISECOND);
	assert_false(net_turns_may_go(&first, NET_IN, at - 2 * MILLISECOND));
	use(&first, NET_IN, at);
	assert_false(first.waits[NET_IN]);
	assert_in_range(net_turns_waited(&first, at + 500 * MILLISECOND),
		(at - START) / MILLISECOND - 1, (at - START) / MILLISECOND);
}

/* Both directions at once count once; the turn that comes first is waited for. */
static void test_both_directions(void **state)
{
	uint64_t at = begin_to_wait(&first, NET_IN, START), later = START + 20 * MILLISECOND;
	uint64_t end = START + 1000 * MILLISECOND;

	assert_true(begin_to_wait(&first, NET_OUT, later) <= at + MILLISECOND);
	assert_int_equal(net_turns_waited(&first, later + 10 * MILLISECOND), 30);
	use(&first, NET_IN, later + 400 * MILLISECOND);
	use(&first, NET_OUT, end);
	assert_int_equal(net_turns_waited(&first, end + 9000 * MILLISECOND), 1000);
}

/* What failed took nothing, so the next one need not wait as long. */
static void test_given_back(void **state)
{
	uint64_t at = begin_to_wait(&first, NET_IN, START);

	assert_int_equal(throttle.waiting, 1);
	net_turns_give_back(&first, START + MILLISECOND);
	assert_int_equal(throttle.waiting, 0);
	assert_int_equal(first.at[NET_IN], 0);
	assert_false(first.waits[NET_IN]);
	assert_true(begin_to_wait(&second, NET_IN, START + MILLISECOND) <= at + MILLISECOND);
	assert_false(net_turns_may_go(&second, NET_IN, START + 2 * MILLISECOND));
	net_turns_end(&second, NET_IN, -1);
	net_turns_give_back(&second, START + 2 * MILLISECOND);
	assert_int_equal(throttle.waiting, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_without_a_throttle, set_up),
		cmocka_unit_test_setup(test_waits_and_goes, set_up),
		cmocka_unit_test_setup(test_both_directions, set_up),
		cmocka_unit_test_setup(test_given_back, set_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
