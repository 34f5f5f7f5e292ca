/* SPDX-License-Identifier: MIT */
/* What is found in a netrc file, and for whom. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/error.h"
#include "app/login/netrc.h"

static int find(const char *text, struct buf *password)
{
	buf_init_secret(password, 4096);
	return netrc_find(span_of(text), "imap.example.org", "anna", password);
}

static void assert_found(const char *text, const char *expected)
{
	struct buf password;

	assert_int_equal(find(text, &password), 0);
	assert_string_equal(buf_cstr(&password), expected);
	buf_finish(&password);
}

static void test_found(void **state)
{
	assert_found("machine imap.example.org login anna password tiger", "tiger");
	assert_found("machine IMAP.example.ORG\n\tpassword tiger\r\n\tlogin anna\n", "tiger");
	assert_found("machine imap.example.org password tiger", "tiger");
	assert_found("machine other login anna password lion\n"
		     "machine imap.example.org login bert password lion\n"
		     "machine imap.example.org login anna account x port 993 password tiger\n"
		     "machine imap.example.org login anna password lion\n",
		"tiger");
	assert_found("# machine imap.example.org login anna password lion\n"
		     "machine imap.example.org # here\n  login anna password #tiger\n",
		"#tiger");
	assert_found("macdef init\nmachine imap.example.org login anna password lion\n\n"
		     "machine imap.example.org login anna password tiger\n",
		"tiger");
	assert_found("machine \"imap.example.org\" login \"anna\" password \"a \\\"b\\\" \\\\ c\"",
		"a \"b\" \\ c");
	assert_found("machine imap.example.org login anna password a\"b\\c", "a\"b\\c");
}

static void test_not_found(void **state)
{
	static const char *const texts[] = {"", "\n\n", "machine", "machine imap.example.org",
		"machine imap.example.org login anna",
		"machine imap.example.org login anna password",
		"machine imap.example.org login password tiger",
		"machine imap.example.org login bert password tiger",
		"machine imap.example.org.evil login anna password tiger",
		"login anna password tiger", "password tiger machine imap.example.org login anna",
		"default login anna password tiger",
		"machine imap.example.org login anna default password tiger",
		"macdef x\nmachine imap.example.org login anna password tiger"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
		assert_found(texts[i], "");
}

static void test_broken(void **state)
{
	char text[5000];
	struct buf password;

	assert_int_equal(find("machine imap.example.org login anna password \"tiger", &password),
		ERR_INVALID);
	assert_int_equal(password.len, 0);
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_int_equal(find(text, &password), ERR_LIMIT);
	assert_int_equal(password.len, 0);
}

/* Each beginning of a file is a file. */
static void test_cut(void **state)
{
	const struct span text = SPAN("machine imap.example.org login \"an\\na\" password ti # x\n"
				      "macdef y\n\nmachine z");

	for (size_t n = 0; n < text.n; n++) {
		char *copy = memcpy(test_malloc(n + 1), text.p, n);
		struct buf password;
		buf_init_secret(&password, 4096);
		int err = netrc_find((struct span){copy, n}, "imap.example.org", "anna", &password);
		assert_true(err == 0 || err == ERR_INVALID);
		buf_finish(&password);
		test_free(copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found),
		cmocka_unit_test(test_not_found),
		cmocka_unit_test(test_broken),
		cmocka_unit_test(test_cut),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
