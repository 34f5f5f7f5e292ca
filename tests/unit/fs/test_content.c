/* SPDX-License-Identifier: MIT */
/* Octets of views' files on their way to a cache, which is a real one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "fs/filesystem.h"
#include "fs/view/content.h"

#define MIB ((size_t)1 << 20)

/* The parts of a mount that matter here. */
struct fixture {
	uv_loop_t loop;
	struct fs fs;
	struct account account;
	struct view view;
	struct view_node node;
	struct fs_op op;
	bool ready;
	bool made; /* anew, not found */
};

static struct fixture f;

static void open_all(void)
{
	const struct cache_options options = {.max_bytes = 64 * MIB};
	char error[256];

	uv_loop_init(&f.loop);
	f.account.cache = cache_open(&f.loop, &options, error, sizeof(error));
	assert_non_null(f.account.cache);
	f.fs.account = &f.account;
	f.fs.contents = contents_create();
	f.node = (struct view_node){.id = 7, .view = &f.view};
	f.op = (struct fs_op){.fs = &f.fs, .at = {&f.node, 1}};
}

static void close_all(void)
{
	contents_destroy(f.fs.contents);
	cache_close(f.account.cache);
	uv_run(&f.loop, UV_RUN_DEFAULT);
	assert_int_equal(uv_loop_close(&f.loop), 0);
}

static void on_ready(struct fs_op *op, int err)
{
	assert_int_equal(err, 0);
	f.ready = true;
}

static void on_make(struct fs_op *op)
{
	f.made = true;
}

/* n octets, which a letter tells apart from others, are made for the file of that number. */
static void make_content(uint32_t number, char letter, size_t n)
{
	struct buf out;
	char *octets = mem_alloc(n);

	memset(octets, letter, n);
	buf_init(&out, CONTENT_MAX);
	assert_int_equal(buf_append(&out, octets, n), 0);
	free(octets);
	f.op.at.number = number;
	f.op.made_ready = on_ready;
	f.ready = false;
	content_made(&f.op, &out);
	assert_true(f.ready);
}

/* Whether the cache has it to its end, as far as its last chunk tells. */
static bool is_cached(uint32_t number, size_t n)
{
	enum cache_found found;
	char *data = NULL;
	size_t m;

	while ((found = cache_get_chunk(f.account.cache, f.node.id, number,
			(uint32_t)(n / CACHE_CHUNK), &data, &m)) == CACHE_LATER)
		uv_sleep(1);
	free(data);
	return found == CACHE_FOUND;
}

/* Whether it is there, and then that it is what was made. */
static bool has_content(uint32_t number, char letter, size_t n)
{
	if (!is_cached(number, n))
		return false;
	f.op.at.number = number;
	/* A busy disk answers later. */
	do {
		f.made = f.ready = false;
		content_need(&f.op, on_make, on_ready);
	} while (f.made);
	assert_true(f.ready);
	struct span s = content_of(&f.op);
	assert_int_equal(s.n, n);
	for (size_t i = 0; i < n; i++)
		if (s.p[i] != letter)
			fail_msg("octet %zu is of another", i);
	return true;
}

static void forget_memory(void)
{
	content_make_room(f.fs.contents, CONTENT_KEPT);
}

static void settle(void)
{
	uv_run(&f.loop, UV_RUN_DEFAULT);
}

/* Larger than what is on its way at once, and forgotten before the cache has it. */
static void test_forgotten_midway(void **state)
{
	open_all();
	make_content(1, 'a', 5 * MIB + 3);
	forget_memory();
	settle();
	assert_true(has_content(1, 'a', 5 * MIB + 3));
	close_all();
}

/* Beyond the bound on what is kept for the cache alone it is made again. */
static void test_many_forgotten(void **state)
{
	unsigned found = 0;

	open_all();
	for (uint32_t number = 1; number <= 6; number++) {
		make_content(number, 'a', 6 * MIB);
		forget_memory();
	}
	settle();
	for (uint32_t number = 1; number <= 6; number++) {
		found += has_content(number, 'a', 6 * MIB);
		forget_memory();
	}
	assert_int_equal(found, CONTENT_MAX / (6 * MIB));
	close_all();
}

/* Where others were made under the same number none of the first are taken for some of these. */
static void test_no_mixture(void **state)
{
	open_all();
	make_content(1, 'a', 5 * MIB);
	settle();
	/* Too much is on its way already: this one does not come to its end. */
	make_content(2, 'x', 6 * MIB);
	forget_memory();
	make_content(3, 'x', 6 * MIB);
	forget_memory();
	make_content(1, 'b', 5 * MIB);
	forget_memory();
	settle();
	if (has_content(1, 'b', 5 * MIB))
		fail_msg("it was not cut off");
	forget_memory();
	/* One behind the other, both on their way at once. */
	make_content(4, 'a', 5 * MIB);
	forget_memory();
	make_content(4, 'b', 5 * MIB);
	forget_memory();
	settle();
	assert_true(has_content(4, 'b', 5 * MIB));
	close_all();
}

static void test_message_gone(void **state)
{
	open_all();
	make_content(1, 'a', 5 * MIB);
	forget_memory();
	content_forget(&f.fs, &f.node, 1);
	settle();
	assert_false(has_content(1, 'a', 5 * MIB));
	close_all();
}

/* At the end of a mount it is on its way still. */
static void test_closed_midway(void **state)
{
	open_all();
	make_content(1, 'a', 5 * MIB);
	forget_memory();
	make_content(2, 'a', 5 * MIB);
	close_all();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forgotten_midway),
		cmocka_unit_test(test_many_forgotten),
		cmocka_unit_test(test_no_mixture),
		cmocka_unit_test(test_message_gone),
		cmocka_unit_test(test_closed_midway),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
