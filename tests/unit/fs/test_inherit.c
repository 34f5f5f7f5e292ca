/* SPDX-License-Identifier: MIT */
/* Whoever comes behind one that waited in vain does not wait as long again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "fs/inherit.h"

#define NOW ((uint64_t)7000000)
#define INODE ((uint64_t)5 << 32 | 1)
#define OTHER ((uint64_t)5 << 32 | 2)

static void nothing_failed(void **state)
{
	struct inherit in;

	inherit_init(&in);
	assert_null(inherit_find(&in, INODE, NOW));
	inherit_forget(&in, INODE);
	inherit_finish(&in);
}

static void only_for_its_inode_and_a_while(void **state)
{
	struct inherit in;

	inherit_init(&in);
	inherit_note(&in, INODE, NOW, false, NOW);
	assert_non_null(inherit_find(&in, INODE, NOW));
	assert_int_equal(inherit_find(&in, INODE, NOW)->deadline, NOW);
	assert_null(inherit_find(&in, OTHER, NOW));
	assert_non_null(inherit_find(&in, INODE, NOW + INHERIT_TIME - 1));
	assert_null(inherit_find(&in, INODE, NOW + INHERIT_TIME));
	inherit_finish(&in);
}

/* Of a hundred that stand behind each other the last has the deadline of the first. */
static void heirs_leave_what_they_had(void **state)
{
	struct inherit in;
	uint64_t now = NOW;

	inherit_init(&in);
	inherit_note(&in, INODE, NOW, false, now);
	for (int i = 0; i < 100; i++) {
		now += INHERIT_TIME - 1;
		const struct failure *f = inherit_find(&in, INODE, now);
		assert_non_null(f);
		assert_int_equal(f->deadline, NOW);
		inherit_note(&in, INODE, f->deadline + INHERIT_GRACE, true, now);
	}
	inherit_finish(&in);
}

/* An heir that fails in another place, too (a directory, for a message in it). */
static void an_heir_leaves_no_more_elsewhere(void **state)
{
	struct inherit in;

	inherit_init(&in);
	inherit_note(&in, OTHER, NOW + INHERIT_GRACE, true, NOW);
	assert_int_equal(inherit_find(&in, OTHER, NOW)->deadline, NOW);
	inherit_finish(&in);
}

/* One that began later, and had its own time, has the last word. */
static void the_latest_deadline_counts(void **state)
{
	struct inherit in;

	inherit_init(&in);
	inherit_note(&in, INODE, NOW + 300, false, NOW + 300);
	inherit_note(&in, INODE, NOW + 100, false, NOW + 301);
	assert_int_equal(inherit_find(&in, INODE, NOW + 301)->deadline, NOW + 300);
	inherit_note(&in, INODE, NOW + 900, false, NOW + 900);
	assert_int_equal(inherit_find(&in, INODE, NOW + 900)->deadline, NOW + 900);
	inherit_finish(&in);
}

static void forgotten_one_by_one(void **state)
{
	struct inherit in;

	inherit_init(&in);
	inherit_note(&in, INODE, NOW, false, NOW);
	inherit_note(&in, OTHER, NOW, false, NOW + 10);
	inherit_forget(&in, INODE);
	assert_null(inherit_find(&in, INODE, NOW + 10));
	assert_non_null(inherit_find(&in, OTHER, NOW + 10));

	/* One that fails again is the youngest. */
	inherit_note(&in, INODE, NOW, false, NOW + 20);
	inherit_note(&in, OTHER, NOW, false, NOW + 30);
	assert_null(inherit_find(&in, INODE, NOW + 20 + INHERIT_TIME));
	assert_non_null(inherit_find(&in, OTHER, NOW + 20 + INHERIT_TIME));
	inherit_finish(&in);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_failed),
		cmocka_unit_test(only_for_its_inode_and_a_while),
		cmocka_unit_test(heirs_leave_what_they_had),
		cmocka_unit_test(an_heir_leaves_no_more_elsewhere),
		cmocka_unit_test(the_latest_deadline_counts),
		cmocka_unit_test(forgotten_one_by_one),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
