/* SPDX-License-Identifier: MIT */
/* Dates as servers write them, and the calendar against the C library's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "../support/feed.h"
#include "../support/random.h"
#include "imap/date.h"

static const struct {
	const char *text;
	int64_t seconds;
} good[] = {
	{"17-Jul-1996 02:44:25 -0700", 837596665},
	{" 1-Feb-2024 13:05:59 +0100", 1706789159},
	{"1-Feb-2024 13:05:59 +0100", 1706789159},
	{"01-Feb-2024 13:05:59 +0100", 1706789159},
	{"  1-FEB-2024  13:05:59  +0100 ", 1706789159},
	{"1-feb-2024 13:05:59 +01:00", 1706789159},
	{"1-Feb-2024 13:05:59 +0100 (CET)", 1706789159},
	{"1-Feb-2024 13:05:59 +0100 CET", 1706789159},
	{"1-Feb-2024 13:05:59 +0100 (Central European Time)", 1706789159},
	{"1-Feb-2024 13:05:59 CET", 1706789159},
	{"1-Feb-2024 12:05:59", 1706789159},
	{"1-Feb-2024 12:05:59 ", 1706789159},
	{"1-Feb-2024 12:05:59 UTC", 1706789159},
	{"1-Feb-2024 12:05:59 GMT", 1706789159},
	{"1-Feb-2024 12:05:59 Z", 1706789159},
	{"1-Feb-2024 12:05:59 (UTC)", 1706789159},
	{"1-Feb-2024 12:05:59 Nowhere", 1706789159},
	{"1-Feb-2024 07:05:59 EST", 1706789159},
	{"1-Feb-2024 7:05:59 est", 1706789159},
	{"1-Feb-2024 05:05:59 PDT", 1706789159},
	{"1-Feb-2024 14:05:59 CEST", 1706789159},
	{"1-Feb-24 13:05:59 +0100", 1706789159},
	{"01-Jan-1970 00:00:00 +0000", 0},
	{"01-Jan-70 00:00:00 +0000", 0},
	{"31-Dec-69 00:00:00 +0000", 3155673600},
	{"31-Dec-1969 23:59:59 +0000", -1},
	{"01-Jan-1970 00:00:00 +2359", -86340},
	{"01-Jan-1970 00:00:00 -2359", 86340},
	{"29-Feb-2000 00:00:00 +0000", 951782400},
	{"31-Dec-2016 23:59:60 +0000", 1483228800},
	{"19-Jan-2038 03:14:08 +0000", 2147483648},
	{"01-Jan-0001 00:00:00 +0000", -62135596800},
	{"31-Dec-9999 23:59:59 +0000", 253402300799},
	/* RFC 5322 */
	{"Thu, 1 Feb 2024 13:05:59 +0100", 1706789159},
	{"Thu, 01 Feb 2024 13:05:59 +0100 (CET)", 1706789159},
	{"thu,  1  Feb  2024 13:05:59 +0100", 1706789159},
	{" Thu, 1 Feb 2024 12:05:59 GMT", 1706789159},
	{"Fri,1 Feb 2024 12:05:59", 1706789159},
	{"1 Feb 2024 13:05:59 +0100", 1706789159},
	{"Thu, 1 Feb 24 07:05:59 EST", 1706789159},
	{"Thu, 1 Feb 2024 13:05 +0100", 1706789100},
};

static const char *const bad[] = {"", " ", "-", "NIL", "00-Jan-0000 00:00:00 +0000",
	"00-Jan-2024 00:00:00 +0000", "01-Jan-0000 00:00:00 +0000", "30-Feb-2024 00:00:00 +0000",
	"29-Feb-2023 00:00:00 +0000", "29-Feb-1900 00:00:00 +0000", "31-Apr-2024 00:00:00 +0000",
	"32-Jan-2024 00:00:00 +0000", "01-Jam-2024 00:00:00 +0000", "01-Ja-2024 00:00:00 +0000",
	"01-Jan-124 00:00:00 +0000", "01-Jan-4 00:00:00 +0000", "01-Jan-12024 00:00:00 +0000",
	"01-Jan-2024", "01-Jan-2024 ", "01-Jan-2024T00:00:00 +0000", "01-Jan-2024 00:00",
	"01-Jan-2024 24:00:00 +0000", "01-Jan-2024 00:60:00 +0000", "01-Jan-2024 00:00:61 +0000",
	"01-Jan-2024 00:00:00 +2400", "01-Jan-2024 00:00:00 +0060", "01-Jan-2024 00:00:00 +1",
	"01-Jan-2024 00:00:00 +010", "01-Jan-2024 00:00:00 +01000", "01-Jan-2024 00:00:00 0100",
	"01-Jan-2024 00:00:000 +0100", "-1-Jan-2024 00:00:00 +0000", "001-Jan-2024 00:00:00 +0000",
	"2024-01-01 00:00:00 +0000", "Mon, 01-Jan-2024 00:00:00 +0000",
	"Mo, 1 Jan 2024 00:00:00 +0000", "Mon 1 Jan 2024 00:00:00 +0000",
	"Mon, Jan 2024 00:00:00 +0000", "Mon, 1 Jan2024 00:00:00 +0000",
	"Mon, 1 Jan 2024 00: +0000", "Mon, 1 Jan 2024 00:00: +0000", "Mon, ", "Mon,", "Mon",
	"1 Jan-2024 00:00:00 +0000", "Mon, 31 Feb 2024 00:00:00 +0000"};

static void written_and_read(void **state)
{
	static const int64_t dates[] = {0, -1, 1, 86399, 86400, -86400, -86401, 951782400,
		951868799, 1706789159, 2147483648, -62135596800, 253402300799, 4107542399};
	char text[IMAP_DATE_LENGTH + 1];
	int64_t seconds;

	for (size_t i = 0; i < sizeof(dates) / sizeof(dates[0]); i++) {
		assert_true(imap_date_format(dates[i], text));
		assert_int_equal(strlen(text), IMAP_DATE_LENGTH);
		assert_true(imap_date_parse(span_of(text), &seconds));
		assert_int_equal(seconds, dates[i]);
	}
	for (int64_t day = -40000; day < 60000; day++) {
		assert_true(imap_date_format(day * 86400 + 43200, text));
		assert_true(imap_date_parse(span_of(text), &seconds));
		assert_int_equal(seconds, day * 86400 + 43200);
	}
	assert_true(imap_date_format(1706789159, text));
	assert_string_equal(text, "01-Feb-2024 12:05:59 +0000");
	assert_true(imap_date_iso(1706789159, text));
	assert_string_equal(text, "2024-02-01T12:05:59Z");
	assert_true(imap_date_iso(-1, text));
	assert_string_equal(text, "1969-12-31T23:59:59Z");
	assert_true(imap_date_iso(-62135596800, text));
	assert_string_equal(text, "0001-01-01T00:00:00Z");
	assert_true(imap_date_iso(4107542399, text));
	assert_string_equal(text, "2100-02-28T23:59:59Z");
	assert_false(imap_date_iso(253402300800, text));
	assert_false(imap_date_format(-62135596801, text));
	assert_false(imap_date_format(253402300800, text));
}

static void understood(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		int64_t seconds = 0;
		if (!imap_date_parse(span_of(good[i].text), &seconds))
			fail_msg("not understood: %s", good[i].text);
		if (seconds != good[i].seconds)
			fail_msg("%s: %lld", good[i].text, (long long)seconds);
	}
}

static void refused(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		int64_t seconds = 77;
		if (imap_date_parse(span_of(bad[i]), &seconds))
			fail_msg("understood: %s", bad[i]);
		assert_int_equal(seconds, 77);
	}
}

static void take_prefix(void *ctx, struct span prefix)
{
	int64_t seconds = 0;
	bool is_date = imap_date_parse(prefix, &seconds);

	/* The shortest is all but the zone. */
	assert_true(!is_date || prefix.n >= strlen("1-Feb-24 7:05:59"));
}

static void cut_short(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		feed_prefixes(span_of(good[i].text), take_prefix, NULL);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		feed_prefixes(span_of(bad[i]), take_prefix, NULL);
}

static void agrees_with_the_library(void **state)
{
	uint64_t random = 1;

	for (int i = 0; i < 200000; i++) {
		/* Years 1 to 9999. */
		int64_t at = -62135596800 + (int64_t)(random_next(&random) % 315537897600u);
		time_t t = (time_t)at;
		/* One of 32 bits ends in 2038. */
		if (t != at)
			continue;
		struct tm tm;
		char text[64];
		int64_t seconds;
		assert_non_null(gmtime_r(&t, &tm));
		/* %Y does not pad. */
		size_t n = strftime(text, sizeof(text), "%d-%b-", &tm);
		snprintf(text + n, sizeof(text) - n, "%04d %02d:%02d:%02d +0000", tm.tm_year + 1900,
			tm.tm_hour, tm.tm_min, tm.tm_sec);
		assert_true(imap_date_parse(span_of(text), &seconds));
		if (seconds != at)
			fail_msg("%s", text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(written_and_read),
		cmocka_unit_test(understood),
		cmocka_unit_test(refused),
		cmocka_unit_test(cut_short),
		cmocka_unit_test(agrees_with_the_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
