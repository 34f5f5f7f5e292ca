/* SPDX-License-Identifier: MIT */
/* The orders of reading against lists that are sorted, and where readers in no order are. */
#include "mail/model/order.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "../support/random.h"
#include "imap/flags.h"
#include "mail/read/readers.h"

#define COUNT 300

/* Two of three have \Seen; what is known otherwise is not a flag. */
static uint32_t flags_of(uint32_t uid)
{
	return CACHE_FLAGS_KNOWN | (uid % 3 ? IMAP_FLAG_SEEN << CACHE_SYSTEM_SHIFT : 0);
}

static void put(struct mailbox *mb, uint32_t uid)
{
	const struct cache_message m = {.uid = uid, .size = 1, .flags = flags_of(uid)};

	if (!rows_find(&mb->messages.rows, uid))
		rows_put(&mb->messages.rows, &m);
}

/* --- orders --- */

static int by_uid(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int by_uid_back(const void *a, const void *b)
{
	return by_uid(b, a);
}

static int by_name(const void *a, const void *b)
{
	char x[16], y[16];

	snprintf(x, sizeof(x), "%u", *(const uint32_t *)a);
	snprintf(y, sizeof(y), "%u", *(const uint32_t *)b);
	return strcmp(x, y);
}

/* UIDs of all lengths, dense below and with large gaps above. */
static void as_sorted(void **state)
{
	int (*const compare[])(const void *, const void *) = {
		[ORDER_UID] = by_uid, [ORDER_UID_BACK] = by_uid_back, [ORDER_NAME] = by_name};
	struct mailbox mb = {0};
	uint32_t uids[COUNT];
	uint64_t seed = 5;

	put(&mb, 1);
	put(&mb, UINT32_MAX);
	while (mb.messages.rows.count < COUNT)
		put(&mb, (uint32_t)(random_next(&seed) >> 32 >> random_next(&seed) % 32) | 1);
	for (size_t i = 0; i < COUNT; i++)
		uids[i] = mb.messages.rows.at[i].uid;
	for (enum order o = 0; o <= ORDER_NAME; o++) {
		qsort(uids, COUNT, sizeof(uids[0]), compare[o]);
		for (size_t i = 0; i < COUNT; i++)
			assert_int_equal(
				order_next(&mb, o, uids[i]), i + 1 < COUNT ? uids[i + 1] : 0);
	}
	rows_finish(&mb.messages.rows);
}

/* From each message, of either half, and from numbers that none has. */
static void halves(void **state)
{
	struct mailbox mb = {0};
	uint64_t seed = 6;

	while (mb.messages.rows.count < COUNT)
		put(&mb, 1 + (uint32_t)(random_next(&seed) % (10 * COUNT)));
	for (enum order o = ORDER_BARE; o <= ORDER_FLAGGED; o++) {
		for (uint32_t uid = 0; uid <= 10 * COUNT; uid++) {
			uint32_t next = uid + 1;
			while (next <= 10 * COUNT &&
				(!rows_find(&mb.messages.rows, next) ||
					(next % 3 != 0) != (o == ORDER_FLAGGED)))
				next++;
			assert_int_equal(order_next(&mb, o, uid), next <= 10 * COUNT ? next : 0);
		}
	}
	rows_finish(&mb.messages.rows);
}

/* --- readers in no order --- */

static enum readers_are note(struct readers *r, struct mailbox *mb, const uint32_t *uids, size_t n)
{
	enum readers_are are = READERS_ARE_FEW;

	for (size_t i = 0; i < n; i++)
		are = readers_note(r, mb, uids[i], 1000 + i);
	return are;
}

#define NOTE(r, mb, ...)                                                                           \
	note(r, mb, (const uint32_t[]){__VA_ARGS__},                                               \
		sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t))

static void fill(struct mailbox *mb, uint32_t step)
{
	for (uint32_t uid = step; uid <= 2000 * step; uid += step)
		put(mb, uid);
}

static void near(void **state)
{
	struct mailbox mb = {0};

	fill(&mb, 1);
	assert_true(readers_are_near(&mb, 500, 564, 64));
	assert_true(readers_are_near(&mb, 564, 500, 64));
	assert_false(readers_are_near(&mb, 500, 600, 64));
	rows_finish(&mb.messages.rows);
	/* Messages count, not numbers. */
	fill(&mb, 1000);
	assert_true(readers_are_near(&mb, 60000, 1000, 64));
	assert_true(readers_are_near(&mb, 1000, 66000, 64));
	assert_false(readers_are_near(&mb, 1000, 67000, 64));
	rows_finish(&mb.messages.rows);
}

static void three_near_each_other(void **state)
{
	struct mailbox mb = {0};

	fill(&mb, 1);
	assert_int_equal(NOTE(&(struct readers){0}, &mb, 900, 30, 905), READERS_ARE_FEW);
	assert_int_equal(NOTE(&(struct readers){0}, &mb, 900, 30, 905, 890), READERS_ARE_NEAR);
	assert_int_equal(NOTE(&(struct readers){0}, &mb, 900, 30, 905, 905, 900), READERS_ARE_FEW);
	/* Many, but where others are: the mailbox need not be read everywhere. */
	assert_int_equal(
		NOTE(&(struct readers){0}, &mb, 1, 21, 41, 61, 81, 101, 121, 62), READERS_ARE_NEAR);
	rows_finish(&mb.messages.rows);
}

static void seven_everywhere(void **state)
{
	struct mailbox mb = {0};
	struct readers r = {0};

	fill(&mb, 1);
	assert_int_equal(NOTE(&r, &mb, 100, 1900, 1300, 300, 1600, 700), READERS_ARE_FEW);
	assert_int_equal(readers_note(&r, &mb, 1000, 1010), READERS_ARE_EVERYWHERE);
	rows_finish(&mb.messages.rows);
}

static void what_is_long_ago_does_not_count(void **state)
{
	struct mailbox mb = {0};
	struct readers r = {0};

	fill(&mb, 1);
	NOTE(&r, &mb, 100, 1900, 1300, 300, 1600, 101);
	assert_int_equal(readers_note(&r, &mb, 102, 1006 + READERS_MEMORY), READERS_ARE_FEW);
	assert_int_equal(readers_note(&r, &mb, 103, 1006 + READERS_MEMORY), READERS_ARE_FEW);
	assert_int_equal(readers_note(&r, &mb, 104, 1006 + READERS_MEMORY), READERS_ARE_NEAR);
	rows_finish(&mb.messages.rows);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_sorted),
		cmocka_unit_test(halves),
		cmocka_unit_test(near),
		cmocka_unit_test(three_near_each_other),
		cmocka_unit_test(seven_everywhere),
		cmocka_unit_test(what_is_long_ago_does_not_count),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
