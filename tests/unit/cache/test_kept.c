/* SPDX-License-Identifier: MIT */
/* Mailboxes that are kept: what nothing evicts, what goes all the same, and what is here of them. */
#include "support.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <sqlite3.h>

#include "base/error.h"
#include "cache/care.h"

#define KIB 1024
#define CHUNK (64 * KIB)
#define KEPT 2u
#define OTHER 1u

static void on_keep(void *ctx, int err)
{
	struct fixture *f = ctx;

	f->pending--;
	f->err = err;
}

static int keep(struct fixture *f, uint32_t mailbox, enum cache_keep how)
{
	f->pending++;
	cache_keep_mailbox(f->c, mailbox, how, on_keep, f);
	fixture_settle(f);
	return f->err;
}

static void put_row(struct fixture *f, uint32_t id)
{
	struct cache_mailbox m = mailbox_of(id, "m");

	cache_put_mailbox(f->c, &m);
}

static void put_many(struct fixture *f, uint32_t mailbox, uint32_t first, uint32_t last)
{
	for (uint32_t uid = first; uid <= last; uid++)
		put_chunk(f, mailbox, uid, 0, CHUNK);
	fixture_idle(f);
}

static unsigned count(struct fixture *f, uint32_t mailbox, uint32_t first, uint32_t last)
{
	unsigned found = 0;

	for (uint32_t uid = first; uid <= last; uid++)
		found += has_chunk(f, mailbox, uid, 0, CHUNK);
	return found;
}

static void count_kept(void *ctx, uint32_t mailbox, enum cache_keep how)
{
	unsigned *sum = ctx;

	*sum += how == CACHE_KEEP_WHOLE ? 100 + mailbox : mailbox;
}

/* The sum of their ids, and a hundred for each that was whole. */
static unsigned kept_of(struct fixture *f)
{
	unsigned sum = 0;

	cache_each_kept(f->c, count_kept, &sum);
	return sum;
}

/* What is not kept is within the bound. */
static void check_bound(struct fixture *f, uint64_t bound)
{
	struct cache_counts counts = counts_of(f);

	assert_true(counts.bytes - counts.kept <= bound);
}

/* More than the cache may hold of others is kept, and they have all of that. */
static void test_others_go(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, MIB);
	put_row(f, KEPT);
	assert_int_equal(keep(f, KEPT, CACHE_KEEP), 0);
	put_many(f, KEPT, 1, 40);
	put_many(f, OTHER, 1, 100);
	put_many(f, KEPT, 41, 48);
	assert_int_equal(count(f, KEPT, 1, 48), 48);
	assert_int_equal(counts_of(f).kept, 48 * CHUNK);
	check_bound(f, MIB);
	assert_in_range(count(f, OTHER, 1, 100), 14, 16);
	assert_true(has_chunk(f, OTHER, 100, 0, CHUNK));
	fixture_reopen(f);
	assert_int_equal(kept_of(f), KEPT);
	assert_int_equal(counts_of(f).kept, 48 * CHUNK);
	put_many(f, OTHER, 101, 200);
	assert_int_equal(count(f, KEPT, 1, 48), 48);
	check_bound(f, MIB);
}

/* Among others, before the mailbox was kept: they are moved when those go, and are what they were. */
static void test_kept_later(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, 4 * MIB);
	put_row(f, KEPT);
	for (uint32_t uid = 1; uid <= 30; uid++) {
		put_chunk(f, OTHER, uid, 0, CHUNK);
		put_chunk(f, KEPT, uid, 0, CHUNK);
	}
	fixture_idle(f);
	assert_int_equal(keep(f, KEPT, CACHE_KEEP), 0);
	assert_int_equal(counts_of(f).kept, 30 * CHUNK);
	put_many(f, OTHER, 31, 200);
	assert_int_equal(count(f, KEPT, 1, 30), 30);
	assert_int_equal(count(f, OTHER, 1, 30), 0);
	assert_int_equal(counts_of(f).kept, 30 * CHUNK);
	check_bound(f, 4 * MIB);
	fixture_reopen(f);
	assert_int_equal(count(f, KEPT, 1, 30), 30);
	assert_int_equal(counts_of(f).kept, 30 * CHUNK);
	check_bound(f, 4 * MIB);
}

static void test_not_kept_any_more(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, MIB);
	put_row(f, KEPT);
	put_row(f, 3);
	keep(f, KEPT, CACHE_KEEP);
	keep(f, 3, CACHE_KEEP);
	for (uint32_t uid = 1; uid <= 32; uid++) {
		put_chunk(f, 3, uid, 0, CHUNK);
		put_chunk(f, KEPT, uid, 0, CHUNK);
	}
	fixture_idle(f);
	assert_int_equal(keep(f, KEPT, CACHE_KEEP_NOT), 0);
	fixture_idle(f);
	assert_int_equal(counts_of(f).kept, 32 * CHUNK);
	check_bound(f, MIB);
	assert_int_equal(count(f, 3, 1, 32), 32);
	put_many(f, OTHER, 1, 40);
	assert_int_equal(count(f, KEPT, 1, 32), 0);
	assert_int_equal(count(f, 3, 1, 32), 32);
	check_bound(f, MIB);
	fixture_reopen(f);
	assert_int_equal(kept_of(f), 3);
	assert_int_equal(keep(f, 3, CACHE_KEEP_WHOLE), 0);
	assert_int_equal(counts_of(f).kept, 32 * CHUNK);
	fixture_reopen(f);
	assert_int_equal(kept_of(f), 103);
	assert_int_equal(count(f, 3, 1, 32), 32);
	assert_int_equal(keep(f, 3, CACHE_KEEP_NOT), 0);
	fixture_idle(f);
	assert_int_equal(counts_of(f).kept, 0);
	check_bound(f, MIB);
}

/* Sections of messages are no mail that is kept. */
static void test_sections_go(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, MIB);
	put_row(f, KEPT);
	keep(f, KEPT, CACHE_KEEP);
	put_chunk(f, KEPT, 1, 0, CHUNK);
	put_chunk(f, KEPT, 1, CACHE_SECTION_CHUNKS, CHUNK);
	put_many(f, OTHER, 1, 40);
	assert_true(has_chunk(f, KEPT, 1, 0, CHUNK));
	assert_false(has_chunk(f, KEPT, 1, CACHE_SECTION_CHUNKS, CHUNK));
	assert_int_equal(counts_of(f).kept, CHUNK);
}

/* Messages that are expunged, or put anew, and the mailbox itself. */
static void test_gone(void **state)
{
	static const uint32_t gone[] = {2, 3};
	struct fixture *f = *state;

	fixture_open(f, MIB);
	put_row(f, KEPT);
	keep(f, KEPT, CACHE_KEEP);
	put_messages(f, KEPT, 1, 4);
	put_many(f, KEPT, 1, 4);
	put_many(f, KEPT, 1, 1);
	cache_drop_messages(f->c, KEPT, gone, 2);
	fixture_idle(f);
	assert_int_equal(counts_of(f).kept, 2 * CHUNK);
	assert_int_equal(counts_of(f).bytes, 2 * CHUNK);
	cache_drop_mailbox(f->c, KEPT);
	assert_int_equal(keep(f, KEPT, CACHE_KEEP), ERR_STALE);
	fixture_idle(f);
	assert_int_equal(counts_of(f).kept, 0);
	assert_int_equal(counts_of(f).bytes, 0);
	fixture_reopen(f);
	assert_int_equal(kept_of(f), 0);
}

/* --- what is here --- */

struct expected {
	struct fixture *f;
	const struct cache_held *held;
	size_t n;
};

static void on_held(void *ctx, int err, const struct cache_held *held, size_t n)
{
	struct expected *e = ctx;

	e->f->pending--;
	assert_int_equal(err, 0);
	assert_int_equal(n, e->n);
	for (size_t i = 0; i < n; i++) {
		assert_int_equal(held[i].uid, e->held[i].uid);
		assert_int_equal(held[i].octets, e->held[i].octets);
	}
}

static void test_held(void **state)
{
	static const struct cache_held held[] = {{1, CACHE_CHUNK + 10}, {4, 7}};
	struct fixture *f = *state;
	struct expected e = {f, held, 2};

	fixture_open(f, 10 * MIB);
	put_chunk(f, 7, 4, 0, 7);
	put_chunk(f, 7, 1, 0, CACHE_CHUNK);
	put_chunk(f, 7, 1, 1, 10);
	put_chunk(f, 7, 1, CACHE_SECTION_CHUNKS, 50);
	put_chunk(f, 8, 9, 0, 50);
	f->pending++;
	cache_load_held(f->c, 7, 0, on_held, &e);
	fixture_settle(f);
	e.held++;
	e.n--;
	f->pending++;
	cache_load_held(f->c, 7, 2, on_held, &e);
	fixture_settle(f);
	e.n = 0;
	f->pending++;
	cache_load_held(f->c, 99, 0, on_held, &e);
	fixture_settle(f);
}

/* --- at random --- */

#define BOXES 4u
#define UIDS 40u
#define CHUNKS 2u

struct world {
	struct fixture *f;
	bool kept[BOXES];
	size_t put[BOXES][UIDS][CHUNKS];  /* octets that were put last; 0: none */
	size_t must[BOXES][UIDS][CHUNKS]; /* that have to be here */
	uint32_t seed;
};

static uint32_t draw(struct world *w, uint32_t below)
{
	w->seed = w->seed * 1664525 + 1013904223;
	return (uint32_t)((uint64_t)(w->seed >> 8) * below >> 24);
}

static void draw_put(struct world *w)
{
	uint32_t box = draw(w, BOXES), uid = draw(w, UIDS), chunk = draw(w, CHUNKS);
	size_t n = 1 + draw(w, 60000);

	put_chunk(w->f, box + 1, uid + 1, chunk, n);
	w->put[box][uid][chunk] = n;
	if (w->kept[box])
		w->must[box][uid][chunk] = n;
}

static void draw_drop(struct world *w)
{
	uint32_t box = draw(w, BOXES), uid = draw(w, UIDS), gone = uid + 1;

	cache_drop_messages(w->f->c, box + 1, &gone, 1);
	memset(w->put[box][uid], 0, sizeof(w->put[box][uid]));
	memset(w->must[box][uid], 0, sizeof(w->must[box][uid]));
}

/* What is here at that moment stays. */
static void draw_keep(struct world *w)
{
	uint32_t box = draw(w, BOXES);

	fixture_idle(w->f);
	w->kept[box] = !w->kept[box];
	assert_int_equal(keep(w->f, box + 1, w->kept[box] ? CACHE_KEEP : CACHE_KEEP_NOT), 0);
	memset(w->must[box], 0, sizeof(w->must[box]));
	for (uint32_t uid = 0; w->kept[box] && uid < UIDS; uid++)
		for (uint32_t chunk = 0; chunk < CHUNKS; chunk++) {
			size_t n = w->put[box][uid][chunk];
			if (n > 0 && has_chunk(w->f, box + 1, uid + 1, chunk, n))
				w->must[box][uid][chunk] = n;
		}
}

static void check_world(struct world *w)
{
	uint64_t sum = 0;

	for (uint32_t box = 0; box < BOXES; box++)
		for (uint32_t uid = 0; uid < UIDS; uid++)
			for (uint32_t chunk = 0; chunk < CHUNKS; chunk++) {
				size_t n = w->must[box][uid][chunk];
				sum += n;
				assert_true(n == 0 || has_chunk(w->f, box + 1, uid + 1, chunk, n));
			}
	assert_int_equal(counts_of(w->f).kept, sum);
	check_bound(w->f, MIB);
}

static void test_random(void **state)
{
	struct fixture *f = *state;
	struct world *w = calloc(1, sizeof(*w));

	w->f = f;
	w->seed = 7;
	fixture_open(f, MIB);
	for (uint32_t box = 1; box <= BOXES; box++)
		put_row(f, box);
	for (unsigned i = 1; i <= 4000; i++) {
		draw_put(w);
		if (i % 20 == 0)
			fixture_idle(f);
		if (draw(w, 20) == 0)
			draw_drop(w);
		if (draw(w, 50) == 0)
			draw_keep(w);
		if (i % 400 == 0)
			fixture_reopen(f);
		if (i % 200 == 0) {
			fixture_idle(f);
			check_world(w);
		}
	}
	free(w);
}

/* --- care --- */

static void test_care(void **state)
{
	struct fixture *f = *state;
	const struct cache_options options = {.dir = f->dir, .max_bytes = 4 * MIB};
	struct cache_verified verified;
	char error[512] = "";

	fixture_open(f, 4 * MIB);
	put_row(f, KEPT);
	for (uint32_t uid = 1; uid <= 20; uid++) {
		put_chunk(f, OTHER, uid, 0, CHUNK);
		put_chunk(f, KEPT, uid, 0, CHUNK);
	}
	fixture_idle(f);
	keep(f, KEPT, CACHE_KEEP);
	fixture_close(f);

	f->c = cache_open_alone(&options, error, sizeof(error));
	assert_non_null(f->c);
	assert_int_equal(cache_trim(f->c, 0), 0);
	cache_close(f->c);
	f->c = cache_open_alone(&options, error, sizeof(error));
	assert_non_null(f->c);
	assert_int_equal(cache_verify(f->c, &verified), 0);
	assert_int_equal(verified.messages, 20);
	assert_int_equal(verified.damaged, 0);
	cache_close(f->c);

	fixture_open(f, 4 * MIB);
	assert_int_equal(count(f, KEPT, 1, 20), 20);
	assert_int_equal(count(f, OTHER, 1, 20), 0);
	fixture_close(f);
	f->c = cache_open_alone(&options, error, sizeof(error));
	assert_non_null(f->c);
	assert_int_equal(cache_clear(f->c), 0);
	cache_close(f->c);
	fixture_open(f, 4 * MIB);
	assert_int_equal(kept_of(f), 0);
	assert_int_equal(counts_of(f).bytes, 0);
}

static void damage(struct fixture *f, bool marked)
{
	int fd = open(
		path_in(f, marked ? "cache.db.is-damaged" : "cache.db"), O_WRONLY | O_CREAT, 0600);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "damage", 6, 0), 6);
	close(fd);
}

/* The database is replaced: that mailboxes were kept is told, until somebody says anew which are to be. */
static void test_lost(void **state)
{
	struct fixture *f = *state;

	for (int marked = 0; marked < 2; marked++) {
		fixture_open(f, MIB);
		put_row(f, KEPT);
		put_row(f, OTHER);
		assert_false(counts_of(f).kept_lost);
		assert_int_equal(keep(f, KEPT, CACHE_KEEP), 0);
		fixture_reopen(f);
		assert_false(counts_of(f).kept_lost);
		fixture_close(f);
		damage(f, marked);
		fixture_open(f, MIB);
		expect_log("nothing is kept for offline any more (imapfs --keep)");
		assert_true(counts_of(f).kept_lost);
		put_row(f, OTHER);
		cache_drop_mailbox(f->c, OTHER);
		fixture_reopen(f);
		assert_true(counts_of(f).kept_lost);
		put_row(f, 3);
		assert_int_equal(keep(f, 3, marked ? CACHE_KEEP_NOT : CACHE_KEEP), 0);
		assert_false(counts_of(f).kept_lost);
		fixture_reopen(f);
		assert_int_equal(kept_of(f), marked ? 0 : 3);
		assert_false(counts_of(f).kept_lost);
		cache_drop_mailbox(f->c, 3);
		fixture_reopen(f);
		assert_false(exists_in(f, "cache.keeps"));
		assert_false(counts_of(f).kept_lost);
		fixture_close(f);
	}
}

/* A version that did not know of the file beside the database has kept some. */
static void test_without_file(void **state)
{
	struct fixture *f = *state;

	fixture_open(f, MIB);
	put_row(f, KEPT);
	keep(f, KEPT, CACHE_KEEP);
	fixture_close(f);
	assert_int_equal(unlink(path_in(f, "cache.keeps")), 0);
	fixture_open(f, MIB);
	assert_true(exists_in(f, "cache.keeps"));
	assert_false(counts_of(f).kept_lost);
}

/* The version before knew of nothing that is kept; what it has stays. */
static void test_older(void **state)
{
	struct fixture *f = *state;
	sqlite3 *handle;

	fixture_open(f, MIB);
	put_many(f, OTHER, 1, 5);
	fixture_close(f);
	assert_int_equal(sqlite3_open(path_in(f, "cache.db"), &handle), 0);
	assert_int_equal(sqlite3_exec(handle, "DROP TABLE kept", NULL, NULL, NULL), 0);
	sqlite3_close(handle);
	fixture_open(f, MIB);
	assert_int_equal(count(f, OTHER, 1, 5), 5);
	assert_int_equal(keep(f, OTHER, CACHE_KEEP), 0);
	assert_int_equal(counts_of(f).kept, 5 * CHUNK);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_others_go, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_kept_later, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(
			test_not_kept_any_more, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_sections_go, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_gone, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_held, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_random, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_care, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_lost, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_without_file, fixture_create, fixture_destroy),
		cmocka_unit_test_setup_teardown(test_older, fixture_create, fixture_destroy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
