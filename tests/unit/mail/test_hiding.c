/* SPDX-License-Identifier: MIT */
/* Names under which mailboxes are removed: found again, and never longer than servers take where the own name was not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "imap/utf7.h"
#include "mail/change/hiding.h"

static struct span made(struct span name, struct buf *out)
{
	buf_init(out, 4096);
	assert_int_equal(hiding_make_name(name, '/', 0xabcd, out), 0);
	return buf_span(out);
}

static void test_short(void **state)
{
	static const char *const names[] = {"x", "a/b", "Entw&APw-rfe", "~imapfs-rmdir-00000000"};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct buf out;
		struct span original, name = made(span_of(names[i]), &out);
		bool cut = true;
		assert_true(hiding_read_name(name, &original, &cut));
		assert_false(cut);
		assert_true(span_equal(original, span_of(names[i])));
		assert_memory_equal(name.p + original.n, "~imapfs-rmdir-0000abcd", 22);
		buf_finish(&out);
	}
}

static void test_no_private_name(void **state)
{
	static const char *const names[] = {"", "x", "~imapfs-rmdir-0000abcd",
		"x~imapfs-rmdir-0000abc", "x~imapfs-rmdir-0000abcg", "x~imapfs-rmdir-0000ABCD",
		"x~imapfs-rmdir-0000abcd ", "x~imapfs-other-0000abcd"};
	struct span original;
	bool cut;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_false(hiding_read_name(span_of(names[i]), &original, &cut));
}

/* Of so many characters. */
static void check_long(const char *above, const char *character, size_t count, bool encoded)
{
	struct buf name, text, out, again;
	struct span original;
	bool cut = false;

	buf_init(&name, 4096);
	buf_init(&text, 4096);
	buf_init(&again, 4096);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(buf_append_span(&text, span_of(character)), 0);
	assert_int_equal(buf_append_span(&name, span_of(above)), 0);
	assert_int_equal(encoded ? imap_utf7_encode(buf_span(&text), &name)
				 : buf_append_span(&name, buf_span(&text)),
		0);
	struct span hidden = made(buf_span(&name), &out);
	assert_true(hidden.n <= name.len);
	assert_memory_equal(hidden.p, above, strlen(above));
	hidden.p += strlen(above);
	hidden.n -= strlen(above);
	assert_true(hiding_read_name(hidden, &original, &cut));
	assert_true(cut);
	/* It is a beginning, of whole characters, also as text not longer. */
	assert_int_equal(
		encoded ? imap_utf7_decode(original, &again) : buf_append_span(&again, original),
		0);
	assert_true(again.len > 0 && again.len + 22 <= text.len);
	assert_memory_equal(again.data, text.data, again.len);
	assert_int_equal(again.len % strlen(character), 0);
	buf_finish(&again);
	buf_finish(&out);
	buf_finish(&text);
	buf_finish(&name);
}

static void test_long(void **state)
{
	for (size_t n = 180; n <= 255; n++)
		check_long("", "x", n, true);
	check_long("Archive/2024/", "x", 200, true);
	for (size_t n = 80; n <= 95; n++) {
		check_long("", "\xc3\xbc", n, true);
		check_long("a/", "\xe6\x97\xa5", n, true);
	}
	check_long("", "&", 120, true);
	for (size_t n = 50; n <= 63; n++)
		check_long("", "\xf0\x9f\x98\x80", n, true);
	check_long("", "\xc3\xbc", 120, false);
	check_long("", "\xf0\x9f\x98\x80", 60, false);
}

/* Where nothing can be cut off the last level the name is what it would be. */
static void test_long_above(void **state)
{
	char name[240];
	struct span original;
	struct buf out;
	bool cut = true;

	memset(name, 'x', sizeof(name));
	name[sizeof(name) - 10] = '/';
	struct span hidden = made((struct span){name, sizeof(name)}, &out);
	assert_true(hiding_read_name(hidden, &original, &cut));
	assert_false(cut);
	assert_int_equal(original.n, sizeof(name));
	buf_finish(&out);
}

static void test_bound(void **state)
{
	char name[240];
	struct buf out;

	memset(name, 'x', sizeof(name));
	buf_init(&out, 100);
	assert_int_equal(
		hiding_make_name((struct span){name, sizeof(name)}, '/', 1, &out), ERR_LIMIT);
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_short),
		cmocka_unit_test(test_no_private_name),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_long_above),
		cmocka_unit_test(test_bound),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
