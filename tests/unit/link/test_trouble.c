/* SPDX-License-Identifier: MIT */
/* What loses connections waits; everything else does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "link/trouble.h"

/* Only their addresses are looked at. */
static char boxes[2 * TROUBLE_MAX];
static void list(struct pool_task *t)
{
}
static void fetch(struct pool_task *t)
{
}

static struct trouble_of of(unsigned box, void (*work)(struct pool_task *))
{
	return (struct trouble_of){(const struct mailbox *)&boxes[box], work, 0};
}

static bool waits(const struct trouble *t, struct trouble_of of, uint64_t now)
{
	const struct backoff *b = trouble_find(t, &of);

	return b && !backoff_is_due(b, now);
}

static void it_costs_itself(void **state)
{
	struct trouble t = {0};
	struct trouble_of bad = of(0, NULL), other = of(1, NULL), work = of(0, fetch);
	struct trouble_of names = {NULL, list, 0};

	assert_null(trouble_find(&t, &bad));
	assert_null(trouble_find(&t, &(struct trouble_of){0}));
	/* A message is its own. */
	struct trouble_of message = {work.mailbox, fetch, 7};
	assert_int_equal(trouble_note(&t, &message, 1000, 0), 1);
	assert_int_equal(trouble_note(&t, &message, 1000, 0), 2);
	assert_true(waits(&t, message, 1000));
	assert_false(waits(&t, work, 1000));
	assert_int_equal(trouble_note(&t, &bad, 1000, 0), 1);
	assert_false(waits(&t, bad, 1000));
	assert_int_equal(trouble_note(&t, &bad, 1000, 0), 2);
	assert_true(waits(&t, bad, 1000));
	assert_false(waits(&t, bad, 2250));
	assert_int_equal(trouble_note(&t, &bad, 3000, 0), 3);
	assert_true(waits(&t, bad, 4000));
	for (int i = 0; i < 5; i++)
		trouble_note(&t, &names, 3000, 0);
	assert_false(waits(&t, other, 3000) || waits(&t, work, 3000));
	assert_true(waits(&t, names, 3000));
	trouble_clear(&t, &bad);
	assert_null(trouble_find(&t, &bad));
	assert_true(waits(&t, names, 3000));
	trouble_clear(&t, &other);
	/* Long ago is not in a row. */
	assert_int_equal(trouble_note(&t, &names, 1000000, 0), 1);
}

static void a_mailbox_goes(void **state)
{
	struct trouble t = {0};
	struct trouble_of a = of(0, NULL), b = of(0, fetch), c = of(1, fetch);

	for (int i = 0; i < 3; i++) {
		trouble_note(&t, &a, 1000, 0);
		trouble_note(&t, &b, 1000, 0);
		trouble_note(&t, &c, 1000, 0);
	}
	trouble_forget(&t, a.mailbox);
	assert_null(trouble_find(&t, &a));
	assert_null(trouble_find(&t, &b));
	assert_true(waits(&t, c, 1000));
}

static void more_than_there_is_room_for(void **state)
{
	struct trouble t = {0};

	for (unsigned i = 0; i < 2 * TROUBLE_MAX; i++) {
		struct trouble_of it = of(i, NULL);
		trouble_note(&t, &it, 1000 + i, 0);
	}
	for (unsigned i = 0; i < 2 * TROUBLE_MAX; i++) {
		struct trouble_of it = of(i, NULL);
		assert_true((trouble_find(&t, &it) != NULL) == (i >= TROUBLE_MAX));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_costs_itself),
		cmocka_unit_test(a_mailbox_goes),
		cmocka_unit_test(more_than_there_is_room_for),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
