/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fs/view/maildir_name.h"

static void test_format(void **state)
{
	struct maildir_name name = {
		.date = 1700000000, .uidvalidity = 7, .uid = 42, .host = "imap.example.org"};
	char out[NAME_MAX + 1];

	size_t n = maildir_name_format(&name, out);

	assert_int_equal(n, strlen(out));
	assert_string_equal(out, "1700000000.V7U42.imap.example.org,U=42:2,");
	name.flags = MAILDIR_SEEN | MAILDIR_FLAGGED | MAILDIR_TRASHED | MAILDIR_DRAFT |
		     MAILDIR_PASSED | MAILDIR_REPLIED;
	maildir_name_format(&name, out);
	assert_string_equal(out, "1700000000.V7U42.imap.example.org,U=42:2,DFPRST");
	name.flags = MAILDIR_NEW;
	maildir_name_format(&name, out);
	assert_string_equal(out, "1700000000.V7U42.imap.example.org,U=42");
	name.flags = MAILDIR_NEW | MAILDIR_FLAGGED;
	maildir_name_format(&name, out);
	assert_string_equal(out, "1700000000.V7U42.imap.example.org,U=42:2,F");
}

/* Whatever the server is called, the name is one of a file, and short enough. */
static void test_host(void **state)
{
	char host[1000], out[NAME_MAX + 1];
	struct maildir_name name = {.date = INT64_MIN,
		.uidvalidity = UINT32_MAX,
		.uid = UINT32_MAX,
		.host = host,
		.flags = MAILDIR_NEW - 1};

	memset(host, 'a', sizeof(host));
	memcpy(host, "/:,x\xff ", 6);
	host[sizeof(host) - 1] = '\0';
	assert_true(maildir_name_format(&name, out) < NAME_MAX);
	assert_null(strchr(out, '/'));
	assert_int_equal(maildir_name_uid(out), UINT32_MAX);
	assert_non_null(strstr(out, ".xaaa"));
}

static void test_parse(void **state)
{
	unsigned flags;

	assert_int_equal(maildir_name_uid("1.V1U5.h,U=5"), 5);
	assert_int_equal(maildir_name_uid("1.V1U5.h,U=5:2,S"), 5);
	assert_int_equal(maildir_name_uid("1.V1U5.h"), 0);
	assert_int_equal(maildir_name_uid("x,U=0"), 0);
	assert_int_equal(maildir_name_uid("x,U=4294967296"), 0);
	assert_int_equal(maildir_name_uid("x,U=5,S=9"), 0);
	assert_true(maildir_name_flags("x:2,SF", &flags));
	assert_int_equal(flags, MAILDIR_SEEN | MAILDIR_FLAGGED);
	assert_true(maildir_name_flags("x:2,", &flags));
	assert_int_equal(flags, 0);
	assert_true(maildir_name_flags("x:2,Sab", &flags));
	assert_int_equal(flags, MAILDIR_SEEN);
	assert_false(maildir_name_flags("x", &flags));
	assert_false(maildir_name_flags("x:1,S", &flags));
	assert_false(maildir_name_flags("x:2,X", &flags));
	assert_int_equal(maildir_name_base("abc:2,S"), 3);
	assert_int_equal(maildir_name_base("abc"), 3);
}

static void test_flags(void **state)
{
	struct flags_value value = {IMAP_FLAG_SEEN | IMAP_FLAG_DELETED, SPAN("$Forwarded $Work")};
	struct buf out;

	assert_int_equal(maildir_flags_of(&value), MAILDIR_SEEN | MAILDIR_TRASHED | MAILDIR_PASSED);
	buf_init(&out, 200);
	assert_int_equal(maildir_diff(MAILDIR_SEEN, MAILDIR_PASSED | MAILDIR_REPLIED, &out), 0);
	assert_string_equal(buf_cstr(&out), "+$Forwarded +\\Answered -\\Seen");
	buf_clear(&out);
	assert_int_equal(maildir_diff(MAILDIR_SEEN, MAILDIR_SEEN, &out), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(maildir_print(MAILDIR_SEEN | MAILDIR_DRAFT, &out), 0);
	assert_string_equal(buf_cstr(&out), "\\Draft \\Seen");
	buf_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_format),
		cmocka_unit_test(test_host),
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_flags),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
