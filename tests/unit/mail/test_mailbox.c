/* SPDX-License-Identifier: MIT */
/*
 * A mailbox's messages and children against naive models, with a cache in memory and nothing else of
 * an account.
 */
#include "mail/model/mailbox.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "../support/random.h"
#include "base/mem.h"
#include "imap/response.h"
#include "mail/model/tree.h"

#define MODEL_MAX 20000

static void ignore_mailbox(struct mailbox *mb)
{
}

static void ignore_removed(struct mailbox *mb, uint32_t uid)
{
}

static const struct tree_notices notices = {
	.on_removed = ignore_removed,
	.on_flags_changed = ignore_removed,
	.on_killed = ignore_mailbox,
	.on_freed = ignore_mailbox,
};

struct fixture {
	uv_loop_t loop;
	struct tree tree;
	struct mailbox *mb;
};

static int create(void **state)
{
	static const struct cache_options options = {.max_bytes = 1 << 20};
	struct fixture *f = calloc(1, sizeof(*f));
	char error[256];

	if (!f || uv_loop_init(&f->loop) != 0)
		return -1;
	f->tree.notices = &notices;
	f->tree.loop = &f->loop;
	f->tree.cache = cache_open(&f->loop, &options, error, sizeof(error));
	if (!f->tree.cache)
		return -1;
	f->mb = mailbox_create(&f->tree, 7, SPAN("INBOX"));
	*state = f;
	return 0;
}

static int destroy(void **state)
{
	struct fixture *f = *state;

	mailbox_destroy(f->mb);
	cache_close(f->tree.cache);
	uv_run(&f->loop, UV_RUN_DEFAULT);
	int err = uv_loop_close(&f->loop);
	free(f);
	return err;
}

/* --- messages --- */

struct model {
	bool lives[MODEL_MAX + 2];
	bool was[MODEL_MAX + 2];
	size_t count;
};

static struct cache_message message(uint32_t uid)
{
	return (struct cache_message){.uid = uid, .size = uid * 10ull, .date = uid + 1000};
}

static uint32_t model_after(const struct model *m, uint32_t uid)
{
	for (uid++; uid <= MODEL_MAX; uid++)
		if (m->lives[uid])
			return uid;
	return 0;
}

static void check_one(struct mailbox *mb, const struct model *m, uint32_t uid)
{
	const struct cache_message *found = mailbox_find(mb, uid);

	assert_int_equal(found != NULL, m->lives[uid]);
	if (found) {
		assert_int_equal(found->uid, uid);
		assert_int_equal(found->size, uid * 10ull);
		assert_int_equal(found->flags, 0);
	}
}

/* Walks the listing as readdir does, and looks at every number. */
static void check_all(struct mailbox *mb, const struct model *m)
{
	uint32_t uid = 0;
	size_t n = 0;
	const struct cache_message *next;

	assert_int_equal(mailbox_count(mb), m->count);
	while ((next = mailbox_after(mb, uid))) {
		assert_int_equal(next->uid, model_after(m, uid));
		uid = next->uid;
		n++;
	}
	assert_int_equal(n, m->count);
	for (uid = 0; uid <= MODEL_MAX; uid++)
		check_one(mb, m, uid);
}

static void add(struct mailbox *mb, struct model *m, uint32_t uid)
{
	struct cache_message row = message(uid);

	/* A server never uses a UID again. */
	if (m->was[uid] && !m->lives[uid])
		return;
	assert_int_equal(mailbox_add(mb, &row), !m->lives[uid]);
	m->count += !m->lives[uid];
	m->lives[uid] = m->was[uid] = true;
}

static void expunge(struct mailbox *mb, struct model *m, uint32_t uid)
{
	assert_int_equal(mailbox_remove(mb, uid), m->lives[uid]);
	m->count -= m->lives[uid];
	m->lives[uid] = false;
}

static void agrees_with_a_model(void **state)
{
	struct fixture *f = *state;
	static struct model m;
	uint64_t random = 1;
	uint32_t next = 1;

	/* Mostly in order, with gaps; some late. */
	while (next < MODEL_MAX - 10) {
		add(f->mb, &m, next);
		if (random_below(&random, 10) == 0)
			add(f->mb, &m, 1 + random_below(&random, next));
		next += 1 + random_below(&random, 3);
	}
	check_all(f->mb, &m);
	/* More are expunged than stay, so the array is swept again and again. */
	for (int i = 0; i < 16000; i++) {
		uint32_t uid = 1 + random_below(&random, MODEL_MAX);
		if (random_below(&random, 5) == 0)
			add(f->mb, &m, uid);
		else
			expunge(f->mb, &m, uid);
		check_one(f->mb, &m, uid);
		if (i % 2000 == 0)
			check_all(f->mb, &m);
	}
	check_all(f->mb, &m);
	assert_in_range(f->mb->messages.rows.gone, 0, 1100);
	for (uint32_t uid = MODEL_MAX; uid > 0; uid--)
		expunge(f->mb, &m, uid);
	check_all(f->mb, &m);
	assert_int_equal(m.count, 0);
}

/* What is read from the cache comes in an array without room for one more. */
static void few_loaded_and_few_new(void **state)
{
	struct fixture *f = *state;

	for (uint32_t loaded = 0; loaded < 4; loaded++) {
		for (uint32_t first = 1; first < 8; first += 3) {
			struct mailbox *mb = mailbox_create(&f->tree, 8, SPAN("Few"));
			struct cache_message *at = loaded ? malloc(loaded * sizeof(*at)) : NULL;
			for (uint32_t i = 0; i < loaded; i++)
				at[i] = message(4 + i);
			rows_take(&mb->messages.rows, at, loaded);
			for (uint32_t i = 0; i < 3; i++) {
				struct cache_message row = message(first + i);
				bool known = first + i >= 4 && first + i < 4 + loaded;
				assert_int_equal(mailbox_add(mb, &row), !known);
				assert_int_equal(mailbox_find(mb, first + i)->uid, first + i);
			}
			for (uint32_t i = 0; i < loaded; i++)
				assert_int_equal(mailbox_find(mb, 4 + i)->uid, 4 + i);
			mailbox_destroy(mb);
		}
	}
}

static void rows_that_come_late(void **state)
{
	struct fixture *f = *state;
	struct cache_message row = message(5);

	assert_true(mailbox_add(f->mb, &row));
	assert_true(mailbox_remove(f->mb, 5));
	assert_false(mailbox_remove(f->mb, 5));
	assert_false(mailbox_add(f->mb, &row));
	assert_null(mailbox_find(f->mb, 5));
	assert_null(mailbox_after(f->mb, 0));
	assert_int_equal(mailbox_count(f->mb), 0);
}

static void the_ends(void **state)
{
	struct fixture *f = *state;
	struct cache_message first = message(1), last = message(UINT32_MAX);

	assert_null(mailbox_find(f->mb, 1));
	assert_null(mailbox_after(f->mb, 0));
	assert_true(mailbox_add(f->mb, &last));
	assert_true(mailbox_add(f->mb, &first));
	assert_int_equal(mailbox_after(f->mb, 0)->uid, 1);
	assert_int_equal(mailbox_after(f->mb, 1)->uid, UINT32_MAX);
	assert_int_equal(mailbox_after(f->mb, UINT32_MAX - 1)->uid, UINT32_MAX);
	assert_null(mailbox_after(f->mb, UINT32_MAX));
	assert_true(mailbox_remove(f->mb, UINT32_MAX));
	assert_null(mailbox_after(f->mb, 1));
}

/* RFC822.SIZE of a later row does not undo what reading has proved. */
static void proved_sizes_stay(void **state)
{
	struct fixture *f = *state;
	struct cache_message row = {.uid = 5, .size = 100, .date = 1};

	mailbox_add(f->mb, &row);
	row.size = 101;
	assert_false(mailbox_add(f->mb, &row));
	assert_int_equal(mailbox_find(f->mb, 5)->size, 101);
	row.size = 99;
	row.flags = CACHE_SIZE_PROVED;
	assert_false(mailbox_add(f->mb, &row));
	row = (struct cache_message){.uid = 5, .flags = CACHE_SIZE_UNKNOWN, .date = 2};
	assert_false(mailbox_add(f->mb, &row));
	const struct cache_message *m = mailbox_find(f->mb, 5);
	assert_int_equal(m->size, 99);
	assert_int_equal(m->flags, CACHE_SIZE_PROVED);
	assert_int_equal(m->date, 2);
}

static void the_dead_are_empty(void **state)
{
	struct fixture *f = *state;
	struct cache_message row = message(5);

	f->mb->place.listed = true;
	assert_true(mailbox_selectable(f->mb));
	mailbox_add(f->mb, &row);
	mailbox_kill(f->mb);
	assert_false(mailbox_selectable(f->mb));
	assert_int_equal(mailbox_count(f->mb), 0);
	assert_null(mailbox_find(f->mb, 5));
	assert_null(mailbox_after(f->mb, 0));
}

static void what_can_be_selected(void **state)
{
	struct fixture *f = *state;

	assert_false(mailbox_selectable(f->mb));
	f->mb->place.listed = true;
	assert_true(mailbox_selectable(f->mb));
	f->mb->place.list_flags = IMAP_LIST_NOINFERIORS | IMAP_LIST_HASCHILDREN | IMAP_LIST_TRASH;
	assert_true(mailbox_selectable(f->mb));
	f->mb->place.list_flags = IMAP_LIST_NOSELECT;
	assert_false(mailbox_selectable(f->mb));
	f->mb->place.list_flags = IMAP_LIST_NONEXISTENT;
	assert_false(mailbox_selectable(f->mb));
}

/* --- children --- */

#define CHILDREN 100

static void check_children(struct mailbox *parent, struct mailbox **children, const bool *attached)
{
	uint32_t id = 0, count = 0;
	const struct mailbox *child;

	for (uint32_t i = 1; i <= CHILDREN; i++) {
		child = mailbox_child_after(parent, id);
		if (!attached[i])
			continue;
		assert_ptr_equal(child, children[i]);
		assert_ptr_equal(child->place.parent, parent);
		assert_ptr_equal(mailbox_child(parent, span_of(child->component)), child);
		id = child->id;
		count++;
	}
	assert_null(mailbox_child_after(parent, id));
	assert_int_equal(parent->place.child_count, count);
}

static void children_stay_in_order(void **state)
{
	struct fixture *f = *state;
	struct mailbox *children[CHILDREN + 1];
	bool attached[CHILDREN + 1] = {0};
	uint64_t random = 4;

	for (uint32_t i = 1; i <= CHILDREN; i++) {
		children[i] = mailbox_create(&f->tree, i * 3, SPAN("x"));
		free(children[i]->component);
		children[i]->component = malloc(12);
		snprintf(children[i]->component, 12, "c%u", i);
	}
	for (int step = 0; step < 2000; step++) {
		uint32_t i = 1 + random_below(&random, CHILDREN);
		if (attached[i])
			mailbox_detach(children[i]);
		else
			mailbox_attach(f->mb, children[i]);
		attached[i] = !attached[i];
		assert_true(attached[i] || !children[i]->place.parent);
		check_children(f->mb, children, attached);
	}
	assert_null(mailbox_child(f->mb, SPAN("c")));
	assert_null(mailbox_child(f->mb, SPAN("")));
	for (uint32_t i = 1; i <= CHILDREN; i++)
		mailbox_destroy(children[i]);
	list_init(&f->mb->place.children);
}

/* The one of the lowest id answers to the name that two have. */
static void twins(void **state)
{
	struct fixture *f = *state;
	struct mailbox *children[4];

	for (uint32_t i = 0; i < 4; i++) {
		children[i] = mailbox_create(&f->tree, 10 + i, SPAN("x"));
		free(children[i]->component);
		children[i]->component = mem_strdup(i < 3 ? "twin" : "twins");
	}
	mailbox_attach(f->mb, children[1]);
	mailbox_attach(f->mb, children[3]);
	mailbox_attach(f->mb, children[2]);
	assert_ptr_equal(mailbox_child(f->mb, SPAN("twin")), children[1]);
	mailbox_attach(f->mb, children[0]);
	assert_ptr_equal(mailbox_child(f->mb, SPAN("twin")), children[0]);
	mailbox_detach(children[0]);
	assert_ptr_equal(mailbox_child(f->mb, SPAN("twin")), children[1]);
	mailbox_detach(children[1]);
	mailbox_detach(children[2]);
	assert_null(mailbox_child(f->mb, SPAN("twin")));
	assert_ptr_equal(mailbox_child(f->mb, SPAN("twins")), children[3]);
	mailbox_detach(children[3]);
	for (uint32_t i = 0; i < 4; i++)
		mailbox_destroy(children[i]);
}

/* --- waiting --- */

struct waiter {
	struct mailbox_wait wait;
	struct mailbox *mb;
	struct waiter *other; /* whose wait is ended by this one's waking */
	bool again;
	int woken, err;
};

static void on_wake(struct mailbox_wait *w, int err)
{
	struct waiter *waiter = list_entry(w, struct waiter, wait);

	waiter->woken++;
	waiter->err = err;
	if (waiter->other)
		mailbox_unwait(&waiter->other->wait);
	if (waiter->again)
		mailbox_wait(waiter->mb, w);
}

static void waiters_are_woken_once(void **state)
{
	struct fixture *f = *state;
	struct waiter w[4];

	for (int i = 0; i < 4; i++) {
		w[i] = (struct waiter){
			.wait.progress = i % 2, .wait.on_wake = on_wake, .mb = f->mb};
		list_init(&w[i].wait.link);
		mailbox_wait(f->mb, &w[i].wait);
	}
	w[1].again = true;
	w[0].other = &w[2];
	mailbox_wake(f->mb, true, 0);
	assert_int_equal(w[0].woken + w[2].woken, 0);
	assert_int_equal(w[1].woken, 1);
	assert_int_equal(w[3].woken, 1);
	mailbox_wake(f->mb, false, -5);
	assert_int_equal(w[0].woken, 1);
	assert_int_equal(w[0].err, -5);
	assert_int_equal(w[1].woken, 2);
	assert_int_equal(w[2].woken, 0);
	assert_int_equal(w[3].woken, 1);
	mailbox_unwait(&w[1].wait);
	mailbox_wake(f->mb, false, 0);
	assert_int_equal(w[1].woken, 2);
}

static void paths(void **state)
{
	struct fixture *f = *state;
	struct mailbox *chain[8];
	struct mailbox *parent = f->mb;

	free(f->mb->component);
	f->mb->component = mem_strdup(""); /* the root */
	assert_string_equal(mailbox_path(f->mb), "");
	for (unsigned i = 0; i < 8; i++) {
		char level[251];
		memset(level, 'a' + (int)i, sizeof(level) - 1);
		level[i < 2 ? 1 : sizeof(level) - 1] = 0;
		chain[i] = mailbox_create(&f->tree, 10 + i, SPAN("x"));
		free(chain[i]->component);
		chain[i]->component = mem_strdup(level);
		mailbox_attach(parent, chain[i]);
		parent = chain[i];
	}
	assert_string_equal(mailbox_path(chain[0]), "a");
	assert_string_equal(mailbox_path(chain[1]), "a/b");
	/* Four whole levels fit. */
	assert_int_equal(strlen(mailbox_path(chain[7])), 4 * 250 + 3);
	assert_int_equal(mailbox_path(chain[7])[0], 'e');
	mailbox_detach(chain[7]);
	assert_int_equal(strlen(mailbox_path(chain[7])), 250);
	mailbox_destroy(chain[7]);
	for (unsigned i = 7; i-- > 0;) {
		mailbox_detach(chain[i]);
		mailbox_destroy(chain[i]);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, create, destroy)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(agrees_with_a_model),
		TEST(few_loaded_and_few_new),
		TEST(rows_that_come_late),
		TEST(the_ends),
		TEST(proved_sizes_stay),
		TEST(the_dead_are_empty),
		TEST(what_can_be_selected),
		TEST(children_stay_in_order),
		TEST(twins),
		TEST(paths),
		TEST(waiters_are_woken_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
