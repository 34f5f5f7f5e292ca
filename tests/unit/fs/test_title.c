/* SPDX-License-Identifier: MIT */
/* Names for people: of any message a name that can be a file's, and leads back to it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "fs/title.h"

static const struct {
	const char *from, *subject, *name;
} titles[] = {
	{"Anna <a@b>", "Re: invoice", "2026-11-21 Anna - Re invoice.5.eml"},
	{"a@b", "x/y\\z", "2026-11-21 a@b - x y z.5.eml"},
	{"", "x", "2026-11-21 - x.5.eml"},
	{"a@b", "", "2026-11-21 a@b.5.eml"},
	{"", "", "2026-11-21.5.eml"},
	{"a@b", "..", "2026-11-21 a@b.5.eml"},
	{"a@b", "../../etc/passwd", "2026-11-21 a@b - .. .. etc passwd.5.eml"},
	{"a@b", "a\n\tb  c ", "2026-11-21 a@b - a b c.5.eml"},
	{"=?utf-8?q?J=C3=BC=2F?= <a@b>",
		"=?utf-8?q?a=E2=80=AEb?=", "2026-11-21 J\xc3\xbc - a b.5.eml"},
	{"a@b", "offer.9.eml", "2026-11-21 a@b - offer.9.eml.5.eml"},
};

static void known(void **state)
{
	for (size_t i = 0; i < sizeof(titles) / sizeof(titles[0]); i++) {
		struct mime_summary s = {0};
		char name[NAME_MAX + 1];
		uint32_t uid;
		s.value[MIME_SUMMARY_FROM] = span_of(titles[i].from);
		s.value[MIME_SUMMARY_SUBJECT] = span_of(titles[i].subject);
		size_t n = title_print(5, true, 1795224543, &s, name);
		assert_string_equal(name, titles[i].name);
		assert_int_equal(n, strlen(name));
		assert_true(title_uid(name, &uid));
		assert_int_equal(uid, 5);
	}
}

static void without_date(void **state)
{
	struct mime_summary s = {0};
	char name[NAME_MAX + 1];
	uint32_t uid;

	assert_int_equal(title_print(UINT32_MAX, false, 0, &s, name), 14);
	assert_string_equal(name, "4294967295.eml");
	assert_true(title_uid(name, &uid));
	assert_int_equal(uid, UINT32_MAX);
	s.value[MIME_SUMMARY_SUBJECT] = SPAN(".hidden");
	title_print(1, false, 0, &s, name);
	assert_string_equal(name, "_hidden.1.eml");
}

/* Never longer than a name may be, nor cut within a character. */
static void long_ones(void **state)
{
	static char text[3000];
	struct mime_summary s = {0};
	char name[NAME_MAX + 1];

	for (size_t i = 0; i + 2 < sizeof(text); i += 2)
		memcpy(text + i, "\xc3\xa4", 2);
	for (size_t n = 0; n < 600; n += 2) {
		s.value[MIME_SUMMARY_FROM] = (struct span){text, n};
		s.value[MIME_SUMMARY_SUBJECT] = (struct span){text, n};
		size_t length = title_print(UINT32_MAX, true, 1795224543, &s, name);
		assert_true(length <= NAME_MAX);
		assert_int_equal(strlen(name), length);
		assert_null(strstr(name, "\xc3."));
		assert_null(strstr(name, "\xc3 "));
	}
}

static void no_uids(void **state)
{
	static const char *const names[] = {"", ".eml", "x.eml", "x.0.eml", "x.05.eml", "x5.eml",
		"x.5.em", "x.5.emlx", "x.4294967296.eml", "x.-5.eml", "5", "x.5 .eml"};
	uint32_t uid;

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (title_uid(names[i], &uid))
			fail_msg("%s", names[i]);
}

static void other_dates(void **state)
{
	static const struct {
		const char *name;
		bool other;
	} names[] = {
		{"2026-11-21 Anna - x.5.eml", false},
		{"2026-11-21.5.eml", false},
		{"2026-11-20 Anna - x.5.eml", true},
		{"2026-11-20.5.eml", true},
		{"2026-11-20-x.5.eml", false},
		{"2026-11-2.5.eml", false},
		{"2026-11-2", false},
		{"26-11-20 x.5.eml", false},
		{"x 2026-11-20.5.eml", false},
		{"", false},
	};

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (title_has_other_date(names[i].name, 1795224543) != names[i].other)
			fail_msg("%s", names[i].name);
	/* One that no name begins with so. */
	assert_false(title_has_other_date("2026-11-20 x.5.eml", INT64_MAX));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(known),
		cmocka_unit_test(without_date),
		cmocka_unit_test(long_ones),
		cmocka_unit_test(no_uids),
		cmocka_unit_test(other_dates),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
