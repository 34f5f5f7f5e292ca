/* SPDX-License-Identifier: MIT */
/* Walks through trees at random, in each order, against a list that was made by recursion; several
 * at once; and people who open a mailbox here and there. */
#include "mail/model/trail.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/random.h"
#include "base/mem.h"

#define COUNT 400

static void ignore_message(struct mailbox *mb, uint32_t uid)
{
}

static void ignore_mailbox(struct mailbox *mb)
{
}

static const struct tree_notices notices = {
	.on_flags_changed = ignore_message,
	.on_killed = ignore_mailbox,
	.on_freed = ignore_mailbox,
};

struct fixture {
	struct tree tree;
	struct mailbox *all[COUNT + 1]; /* by id; 0 is the root */
};

static struct mailbox *add(struct fixture *f, struct mailbox *parent, uint32_t id, const char *name)
{
	struct mailbox *mb = mailbox_create(&f->tree, id, span_of(name));

	free(mb->component);
	mb->component = mem_strdup(name);
	map_put(&f->tree.by_id, id, mb);
	if (parent)
		mailbox_attach(parent, mb);
	f->all[id] = mb;
	return mb;
}

/* Names of which some are others' beginnings, under mailboxes that were made before. */
static int create(void **state)
{
	struct fixture *f = mem_zalloc(sizeof(*f));
	uint64_t seed = 7;
	char name[16];

	f->tree.notices = &notices;
	map_init(&f->tree.by_id);
	f->tree.root = f->tree.top = add(f, NULL, 0, "");
	for (uint32_t id = 1; id <= COUNT; id++) {
		uint32_t above = random_next(&seed) % 3 ? (uint32_t)(random_next(&seed) % id) : 0;
		snprintf(name, sizeof(name), "%x", (unsigned)(random_next(&seed) % 5000));
		if (mailbox_child(f->all[above], span_of(name)))
			snprintf(name, sizeof(name), "-%u", id);
		add(f, f->all[above], id, name);
	}
	*state = f;
	return 0;
}

static int destroy(void **state)
{
	struct fixture *f = *state;

	for (uint32_t id = COUNT + 1; id-- > 0;) {
		if (f->all[id]->place.parent)
			mailbox_detach(f->all[id]);
		mailbox_destroy(f->all[id]);
	}
	map_finish(&f->tree.by_id);
	free(f);
	return 0;
}

/* --- the model --- */

static enum mailbox_order sorted_by;

static int compare(const void *a, const void *b)
{
	const struct mailbox *x = *(struct mailbox *const *)a, *y = *(struct mailbox *const *)b;
	int ids = (x->id > y->id) - (x->id < y->id);
	int names = strcmp(x->component, y->component);

	switch (sorted_by) {
	case MAILBOX_LISTED:
		return ids;
	case MAILBOX_LISTED_BACKWARDS:
		return -ids;
	case MAILBOX_BY_NAME:
		return names;
	case MAILBOX_BY_NAME_BACKWARDS:
	case MAILBOX_ORDERS:
		break;
	}
	return -names;
}

static size_t walk(struct mailbox *mb, struct mailbox **out, size_t n)
{
	struct mailbox **children = mem_zalloc((mb->place.child_count + 1) * sizeof(mb));
	size_t count = 0;

	out[n++] = mb;
	LIST_FOREACH (pos, &mb->place.children)
		children[count++] = list_entry(pos, struct mailbox, place.sibling);
	qsort(children, count, sizeof(mb), compare);
	for (size_t i = 0; i < count; i++)
		n = walk(children[i], out, n);
	free(children);
	return n;
}

static void make_walk(struct fixture *f, enum mailbox_order order, struct mailbox **out)
{
	sorted_by = order;
	assert_int_equal(walk(f->tree.root, out, 0), COUNT + 1);
}

/* --- tests --- */

static void test_each_order(void **state)
{
	struct fixture *f = *state;
	struct mailbox *path[COUNT + 1];

	for (enum mailbox_order order = 0; order < MAILBOX_ORDERS; order++) {
		struct trail t = {.tree = &f->tree};

		make_walk(f, order, path);
		assert_null(trail_note(&t, path[0], 0));
		for (size_t i = 1; i <= COUNT; i++) {
			struct trail_track *track = trail_note(&t, path[i], 0);
			assert_non_null(track);
			assert_int_equal(track->steps, i);
			/* Orders may agree so far. */
			if (track->order != order) {
				assert_true(i < 10);
				continue;
			}
			for (size_t n = 0; n < 20 && i + n < COUNT; n++) {
				if (track->ahead > n)
					continue;
				assert_ptr_equal(trail_peek(&t, track), path[i + n + 1]);
				trail_step(&t, track);
				assert_int_equal(track->ahead, n + 1);
			}
			if (i + 20 > COUNT)
				assert_true(track->ahead == COUNT - i);
		}
	}
}

static bool is_odd(const struct mailbox *mb)
{
	return mb->id % 2;
}

static void test_skipped(void **state)
{
	struct fixture *f = *state;
	struct mailbox *path[COUNT + 1], *even[COUNT + 1];
	size_t n = 0;

	make_walk(f, MAILBOX_LISTED, path);
	for (size_t i = 0; i <= COUNT; i++)
		if (!is_odd(path[i]))
			even[n++] = path[i];
	struct trail t = {.tree = &f->tree, .is_skipped = is_odd};
	for (size_t i = 0; i < n; i++) {
		struct trail_track *track = trail_note(&t, even[i], 0);
		assert_true(track ? track->steps == i : i == 0);
		if (track && track->order == MAILBOX_LISTED && i + 1 < n)
			assert_ptr_equal(trail_peek(&t, track), even[i + 1]);
	}
}

/* Two walks at once, one far behind the other. */
static void test_two_walks(void **state)
{
	struct fixture *f = *state;
	struct mailbox *path[COUNT + 1];
	struct trail t = {.tree = &f->tree};

	make_walk(f, MAILBOX_BY_NAME, path);
	for (size_t i = 0; i < COUNT / 2; i++) {
		struct trail_track *a = trail_note(&t, path[i], 0);
		struct trail_track *b = trail_note(&t, path[COUNT / 2 + i], 0);
		if (i < 2)
			continue;
		assert_true(a && b && a != b);
		assert_true(a->steps >= i / 2 && b->steps >= i / 2);
	}
}

/* Threads take what comes next, and end in another order. */
static void test_threads(void **state)
{
	struct fixture *f = *state;
	struct mailbox *path[COUNT + 1];
	struct trail t = {.tree = &f->tree};
	unsigned known = 0;

	make_walk(f, MAILBOX_LISTED, path);
	for (size_t i = 0; i + 4 <= COUNT; i += 4) {
		static const size_t turns[] = {1, 0, 3, 2};
		for (size_t n = 0; n < 4; n++)
			known += trail_note(&t, path[i + turns[n]], 0) != NULL;
	}
	assert_true(known > COUNT / 2);
}

/* Who opens one here and one there is on no walk for more than a step. */
static void test_by_hand(void **state)
{
	struct fixture *f = *state;
	struct trail t = {.tree = &f->tree};
	uint64_t seed = 3;

	for (int i = 0; i < 2000; i++) {
		const struct mailbox *mb = f->all[random_next(&seed) % (COUNT + 1)];
		struct trail_track *track = trail_note(&t, mb, 0);
		assert_true(!track || track->steps < 5);
		assert_null(trail_note(&t, mb, 0));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_order, create, destroy),
		cmocka_unit_test_setup_teardown(test_skipped, create, destroy),
		cmocka_unit_test_setup_teardown(test_two_walks, create, destroy),
		cmocka_unit_test_setup_teardown(test_threads, create, destroy),
		cmocka_unit_test_setup_teardown(test_by_hand, create, destroy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
