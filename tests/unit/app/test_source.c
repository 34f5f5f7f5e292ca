/* SPDX-License-Identifier: MIT */
/* SOURCE in its forms, and what is refused with which words. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "app/options/source.h"

struct row {
	const char *text;
	const char *user, *host;
	unsigned port;
	const char *mailbox;
	enum source_tls tls;
};

static const struct row rows[] = {
	{"imap.example.org", NULL, "imap.example.org", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"anna@IMAP.example.ORG", "anna", "imap.example.org", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"anna@example.org@imap.example.org", "anna@example.org", "imap.example.org", 993, NULL,
		SOURCE_TLS_IMPLICIT},
	{"anna@h:Archive/2024", "anna", "h", 993, "Archive/2024", SOURCE_TLS_IMPLICIT},
	{"anna@Postb\xc3\xbc"
	 "ch.de",
		"anna", "xn--postbch-r2a.de", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"imaps://h%C3%A4/", NULL, "xn--h-0fa", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"h:993", NULL, "h", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"h:2024", NULL, "h", 993, "2024", SOURCE_TLS_IMPLICIT},
	{"h:", NULL, "h", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"h:/Archive//", NULL, "h", 993, "Archive", SOURCE_TLS_IMPLICIT},
	{"h:a:b", NULL, "h", 993, "a:b", SOURCE_TLS_IMPLICIT},
	{"h:100%41", NULL, "h", 993, "100%41", SOURCE_TLS_IMPLICIT},
	{"h:Entw\xc3\xbcrfe", NULL, "h", 993, "Entw\xc3\xbcrfe", SOURCE_TLS_IMPLICIT},
	{"[::1]", NULL, "::1", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"anna@[fe80::1%eth0]:INBOX", "anna", "fe80::1%eth0", 993, "INBOX", SOURCE_TLS_IMPLICIT},
	{"a@b@[::1]:x", "a@b", "::1", 993, "x", SOURCE_TLS_IMPLICIT},
	{"127.0.0.1", NULL, "127.0.0.1", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"imaps://anna@imap.example.org/", "anna", "imap.example.org", 993, NULL,
		SOURCE_TLS_IMPLICIT},
	{"imaps://imap.example.org", NULL, "imap.example.org", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"IMAPS://h:1993/Archive/2024/", NULL, "h", 1993, "Archive/2024", SOURCE_TLS_IMPLICIT},
	{"imap://anna;AUTH=*@h/", "anna", "h", 143, NULL, SOURCE_TLS_STARTTLS},
	{"imap://;auth=*@h/", NULL, "h", 143, NULL, SOURCE_TLS_STARTTLS},
	{"imap://anna%40example.org@h:1143/R%26D%20x", "anna@example.org", "h", 1143, "R&D x",
		SOURCE_TLS_STARTTLS},
	{"imap://anna@example.org@h/", "anna@example.org", "h", 143, NULL, SOURCE_TLS_STARTTLS},
	{"imaps://anna@h/x%2525", "anna", "h", 993, "x%25", SOURCE_TLS_IMPLICIT},
	{"imaps://h/a@b", NULL, "h", 993, "a@b", SOURCE_TLS_IMPLICIT},
	{"imaps://h/a:b", NULL, "h", 993, "a:b", SOURCE_TLS_IMPLICIT},
	{"imaps://h/%C3%A4%3B%3f", NULL, "h", 993, "\xc3\xa4;?", SOURCE_TLS_IMPLICIT},
	{"imaps://[::1]:1993/x", NULL, "::1", 1993, "x", SOURCE_TLS_IMPLICIT},
	{"imaps://u@[fe80::1%25eth0]/", "u", "fe80::1%eth0", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"imaps://h:/", NULL, "h", 993, NULL, SOURCE_TLS_IMPLICIT},
	{"imaps://u%3A@h/", "u:", "h", 993, NULL, SOURCE_TLS_IMPLICIT},
};

static void assert_text(const char *s, const char *expected)
{
	if (expected) {
		assert_non_null(s);
		assert_string_equal(s, expected);
	} else {
		assert_null(s);
	}
}

static void test_forms(void **state)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct source s;
		char error[200] = "";
		int err = source_parse(rows[i].text, &s, error, sizeof(error));
		if (err < 0)
			fail_msg("%s: %s", rows[i].text, error);
		assert_text(s.user, rows[i].user);
		assert_text(s.host, rows[i].host);
		assert_text(s.mailbox, rows[i].mailbox);
		assert_int_equal(s.port, rows[i].port);
		assert_int_equal(s.tls, rows[i].tls);
		source_finish(&s);
	}
}

static const char *const refused[][2] = {
	{"", "names no host"},
	{"imaps://", "names no host"},
	{"imaps:///x", "host in SOURCE is empty"},
	{"anna@", "host in SOURCE is empty"},
	{"@h", "user before '@' is empty"},
	{"imaps://@h/", "user before '@' is empty"},
	{":x", "host in SOURCE is empty"},
	{"::1", "written [::1]"},
	{"imaps://::1/", "written [::1]"},
	{"[::1", "written [::1]"},
	{"[::1]x", "written [::1]"},
	{"[1.2.3.4]", "not an IPv6 address"},
	{"[fe80::1%]", "not an IPv6 address"},
	{"[]", "host in SOURCE is empty"},
	{"a b", "cannot be a host name"},
	{"-h", "cannot be a host name"},
	{"h/x", "cannot be a host name"},
	{"h\xc3\xa4;x", "cannot be a host name"},
	{"h\xc3\xa4 b", "cannot be a host name"},
	{"\xe2\x80\xae.org", "cannot be a host name"},
	{"-h\xc3\xa4", "cannot be a host name"},
	{"h:143", "for port 143 write imap://USER@HOST/"},
	{"http://h/", "starts with imaps:// or imap://"},
	{"a\x01@h", "control characters"},
	{"h:\xff", "not UTF-8"},
	{"h:a\nb", "control characters"},
	{"imaps://h/%00", "control characters"},
	{"imaps://h/a%0Ab", "control characters"},
	{"imaps://u%00@h/", "control characters"},
	{"imaps://h%00/", "control characters"},
	{"imaps://h/%FF", "not UTF-8"},
	{"imaps://h/%4", "two hex digits"},
	{"imaps://h/%", "two hex digits"},
	{"imaps://h/%zz", "two hex digits"},
	{"imaps://h:0/", "from 1 to 65535"},
	{"imaps://h:65536/", "from 1 to 65535"},
	{"imaps://h:1x/", "from 1 to 65535"},
	{"imaps://[::1]x/", "written [::1]"},
	{"imaps://u;AUTH=PLAIN@h/", "only ;AUTH=*"},
	{"imaps://h/INBOX;UIDVALIDITY=1", "must end with its mailbox"},
	{"imaps://h/INBOX/;UID=2", "must end with its mailbox"},
	{"imaps://h/INBOX?SUBJECT", "must end with its mailbox"},
	{"imaps://h?x", "must end with its mailbox"},
	{"imaps://h/#x", "must end with its mailbox"},
};

static void assert_refused(const char *text, const char *words)
{
	struct source s;
	char error[400] = "";

	assert_int_equal(source_parse(text, &s, error, sizeof(error)), ERR_INVALID);
	if (!strstr(error, words))
		fail_msg("%s: %s", text, error);
	assert_null(s.user);
	assert_null(s.host);
	assert_null(s.mailbox);
}

static void test_refused(void **state)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		assert_refused(refused[i][0], refused[i][1]);
}

static void test_long(void **state)
{
	char text[5000];

	memset(text, 'a', sizeof(text));
	text[1] = ':';
	text[sizeof(text) - 1] = '\0';
	assert_refused(text, "too long");
	text[1] = 'a';
	text[300] = '\0';
	assert_refused(text, "cannot be a host name");
}

static void test_password(void **state)
{
	static const char *const texts[] = {"imaps://anna:secret@h/", "imap://anna:@h/",
		"imaps://anna:secret;AUTH=*@h/", "imaps://anna@example.org:secret@h",
		"anna:secret@h", "anna@example.org:secret@h", "anna:secret@h:INBOX"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct source s;
		char error[400] = "";
		assert_int_equal(source_parse(texts[i], &s, error, sizeof(error)), ERR_INVALID);
		assert_non_null(strstr(error, "passfile="));
		assert_null(strstr(error, "secret"));
	}
}

struct tls_row {
	const char *text;
	enum source_tls tls;
	unsigned port; /* 0: refused */
};

static void test_set_tls(void **state)
{
	static const struct tls_row tls_rows[] = {
		{"h", SOURCE_TLS_IMPLICIT, 993},
		{"h", SOURCE_TLS_STARTTLS, 143},
		{"h", SOURCE_TLS_NONE, 143},
		{"imaps://h/", SOURCE_TLS_IMPLICIT, 993},
		{"imaps://h/", SOURCE_TLS_STARTTLS, 0},
		{"imaps://h/", SOURCE_TLS_NONE, 0},
		{"imap://h/", SOURCE_TLS_IMPLICIT, 0},
		{"imap://h/", SOURCE_TLS_STARTTLS, 143},
		{"imap://h:1143/", SOURCE_TLS_NONE, 1143},
	};

	for (size_t i = 0; i < sizeof(tls_rows) / sizeof(tls_rows[0]); i++) {
		const struct tls_row *row = &tls_rows[i];
		struct source s;
		char error[200] = "";
		assert_int_equal(source_parse(row->text, &s, error, sizeof(error)), 0);
		int err = source_set_tls(&s, row->tls, error, sizeof(error));
		assert_int_equal(err, row->port ? 0 : ERR_INVALID);
		if (row->port) {
			assert_int_equal(s.tls, row->tls);
			assert_int_equal(s.port, row->port);
		} else {
			assert_non_null(strstr(error, "contradicts"));
		}
		source_finish(&s);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_password),
		cmocka_unit_test(test_set_tls),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
