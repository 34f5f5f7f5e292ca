/* SPDX-License-Identifier: MIT */
/* The buffer: its maximum, its memory while it is consumed, and what an error leaves behind. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/error.h"

static void assert_holds(const struct buf *b, const char *expected)
{
	assert_true(span_equal(buf_span(b), span_of(expected)));
}

static void appends_and_consumes(void **state)
{
	struct buf b;

	buf_init(&b, 100);
	assert_int_equal(buf_append(&b, "hello", 5), 0);
	assert_int_equal(buf_append_char(&b, ' '), 0);
	assert_int_equal(buf_append_span(&b, SPAN("world")), 0);
	assert_holds(&b, "hello world");
	buf_consume(&b, 6);
	assert_holds(&b, "world");
	buf_truncate(&b, 2);
	assert_holds(&b, "wo");
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	buf_finish(&b);
	assert_int_equal(buf_append(&b, "again", 5), 0);
	assert_holds(&b, "again");
	buf_finish(&b);
}

static void empty_buffer_needs_no_memory(void **state)
{
	struct buf b;

	buf_init(&b, 10);
	buf_consume(&b, 0);
	buf_clear(&b);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_null(b.memory);
	assert_string_equal(buf_cstr(&b), "");
	buf_finish(&b);
	buf_finish(&b);
}

static void maximum_is_exact(void **state)
{
	struct buf b;

	buf_init(&b, 4);
	assert_int_equal(buf_append(&b, "abcde", 5), ERR_LIMIT);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_append(&b, "abcd", 4), 0);
	assert_int_equal(buf_append_char(&b, 'e'), ERR_LIMIT);
	assert_int_equal(buf_printf(&b, "%d", 7), ERR_LIMIT);
	assert_null(buf_reserve(&b, 1));
	assert_holds(&b, "abcd");
	assert_string_equal(buf_cstr(&b), "abcd");
	buf_consume(&b, 1);
	assert_int_equal(buf_append_char(&b, 'e'), 0);
	assert_holds(&b, "bcde");
	buf_finish(&b);
}

static void printf_appends(void **state)
{
	struct buf b;

	buf_init(&b, 1000);
	assert_int_equal(buf_printf(&b, "%s", ""), 0);
	assert_int_equal(b.len, 0);
	for (int i = 0; i < 100; i++)
		assert_int_equal(buf_printf(&b, "%d,", i % 10), 0);
	assert_int_equal(b.len, 200);
	assert_int_equal(buf_printf(&b, "%900d", 1), ERR_LIMIT);
	assert_int_equal(b.len, 200);
	assert_memory_equal(b.data + 198, "9,", 2);
	buf_finish(&b);
}

static void reserve_and_commit(void **state)
{
	struct buf b;

	buf_init(&b, 100);
	char *room = buf_reserve(&b, 50);
	assert_non_null(room);
	memcpy(room, "xyz", 3);
	buf_commit(&b, 3);
	assert_holds(&b, "xyz");
	assert_non_null(buf_reserve(&b, 97));
	assert_null(buf_reserve(&b, 98));
	assert_holds(&b, "xyz");
	buf_finish(&b);
}

/* A queue through which much passes while little is in it must not grow. */
static void consumed_room_is_used_again(void **state)
{
	struct buf b;
	unsigned char in = 0, out = 0;

	buf_init(&b, 1000);
	for (int round = 0; round < 10000; round++) {
		for (int i = 0; i < 7; i++, in++)
			assert_int_equal(buf_append_char(&b, (char)in), 0);
		for (int i = 0; i < 7; i++, out++) {
			assert_int_equal((unsigned char)b.data[0], out);
			buf_consume(&b, 1);
		}
		if (round == 5000)
			assert_int_equal(buf_append_char(&b, (char)in++), 0);
	}
	assert_int_equal(b.len, 1);
	assert_true(b.cap <= 128);
	buf_finish(&b);
}

static void secret_survives_growth(void **state)
{
	struct buf b;

	buf_init_secret(&b, 1000);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(buf_append_char(&b, (char)('a' + i % 26)), 0);
	for (int i = 0; i < 1000; i++)
		assert_int_equal(b.data[i], 'a' + i % 26);
	buf_finish(&b);
	assert_true(b.secret);
	assert_int_equal(b.max, 1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends_and_consumes),
		cmocka_unit_test(empty_buffer_needs_no_memory),
		cmocka_unit_test(maximum_is_exact),
		cmocka_unit_test(printf_appends),
		cmocka_unit_test(reserve_and_commit),
		cmocka_unit_test(consumed_room_is_used_again),
		cmocka_unit_test(secret_survives_growth),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
