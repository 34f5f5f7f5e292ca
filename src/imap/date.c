/* SPDX-License-Identifier: MIT */
/*
 * One pass over the text with a cursor; calendar arithmetic of our own, because timegm is neither
 * quick nor bounded to what a date may be.
 */
#include "imap/date.h"

#include <stddef.h>
#include <stdio.h>
#include <string.h>

struct cursor {
	const char *p, *end;
};

struct clock {
	int year, month, day, hour, minute, second; /* month 1 to 12 */
};

struct zone {
	char name[5];
	int minutes;
};

/* RFC 5322 section 4.3, and the two that central Europe's servers append. All other names are UTC,
 * as there. */
static const struct zone zones[] = {
	{"EST", -5 * 60},
	{"EDT", -4 * 60},
	{"CST", -6 * 60},
	{"CDT", -5 * 60},
	{"MST", -7 * 60},
	{"MDT", -6 * 60},
	{"PST", -8 * 60},
	{"PDT", -7 * 60},
	{"CET", 60},
	{"CEST", 120},
};

static void skip_spaces(struct cursor *c)
{
	while (c->p < c->end && *c->p == ' ')
		c->p++;
}

static bool is_letter(char ch)
{
	return (ch >= 'a' && ch <= 'z') || (ch >= 'A' && ch <= 'Z');
}

/* A number of at least min and at most max digits; *count says how many there were. */
static bool take_digits(struct cursor *c, int min, int max, int *value, int *count)
{
	int n = 0, v = 0;

	while (n < max && c->p < c->end && *c->p >= '0' && *c->p <= '9') {
		v = v * 10 + (*c->p++ - '0');
		n++;
	}
	*value = v;
	*count = n;
	return n >= min;
}

static bool take_field(struct cursor *c, int min, int max, int *value)
{
	int count;

	return take_digits(c, min, max, value, &count);
}

static bool take_char(struct cursor *c, char ch)
{
	if (c->p == c->end || *c->p != ch)
		return false;
	c->p++;
	return true;
}

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";

static bool take_month(struct cursor *c, int *month)
{
	if (c->end - c->p < 3)
		return false;
	for (int i = 0; i < 12; i++) {
		if (strncasecmp(c->p, months + 3 * i, 3) == 0) {
			*month = i + 1;
			c->p += 3;
			return true;
		}
	}
	return false;
}

static bool take_year(struct cursor *c, int *year)
{
	int count;

	if (!take_digits(c, 2, 4, year, &count) || count == 3)
		return false;
	if (count == 2)
		*year += *year >= 70 ? 1900 : 2000;
	return true;
}

/* "Mon, " as in RFC 5322. Which day it is the date tells. */
static bool take_weekday(struct cursor *c)
{
	static const char names[] = "SunMonTueWedThuFriSat";

	if (c->end - c->p < 4 || !is_letter(*c->p))
		return false;
	for (int i = 0; i < 7; i++) {
		if (strncasecmp(c->p, names + 3 * i, 3) == 0 && c->p[3] == ',') {
			c->p += 4;
			skip_spaces(c);
			return true;
		}
	}
	return false;
}

/* What stands between day, month and year. */
static bool take_between(struct cursor *c, bool mail)
{
	if (!take_char(c, mail ? ' ' : '-'))
		return false;
	if (mail)
		skip_spaces(c);
	return true;
}

/* "1-Feb-2024", or with *mail "1 Feb 2024", as in RFC 5322. */
static bool take_date(struct cursor *c, struct clock *t, bool *mail)
{
	bool weekday = take_weekday(c);

	if (!take_field(c, 1, 2, &t->day))
		return false;
	*mail = c->p < c->end && *c->p == ' ';
	return (*mail || !weekday) && take_between(c, *mail) && take_month(c, &t->month) &&
	       take_between(c, *mail) && take_year(c, &t->year);
}

/* The seconds may be lacking in RFC 5322 only. */
static bool take_time(struct cursor *c, struct clock *t, bool mail)
{
	t->second = 0;
	if (!take_field(c, 1, 2, &t->hour) || !take_char(c, ':') ||
		!take_field(c, 2, 2, &t->minute))
		return false;
	if (mail && (c->p == c->end || *c->p == ' '))
		return true;
	return take_char(c, ':') && take_field(c, 2, 2, &t->second);
}

static int zone_by_name(struct cursor *c)
{
	const char *start = c->p;

	while (c->p < c->end && is_letter(*c->p))
		c->p++;
	struct span name = {start, (size_t)(c->p - start)};
	for (size_t i = 0; i < sizeof(zones) / sizeof(zones[0]); i++)
		if (span_equal_nocase(name, span_of(zones[i].name)))
			return zones[i].minutes;
	return 0;
}

/* "+0100", a name, or nothing; then perhaps a name, with or without parentheses. */
static bool take_zone(struct cursor *c, int *minutes)
{
	int hours, mins;

	*minutes = 0;
	skip_spaces(c);
	if (c->p == c->end)
		return true;
	if (is_letter(*c->p)) {
		*minutes = zone_by_name(c);
	} else if (*c->p == '+' || *c->p == '-') {
		bool west = *c->p++ == '-';
		if (!take_field(c, 2, 2, &hours))
			return false;
		take_char(c, ':');
		if (!take_field(c, 2, 2, &mins) || hours > 23 || mins > 59)
			return false;
		*minutes = (hours * 60 + mins) * (west ? -1 : 1);
	}
	skip_spaces(c);
	return c->p == c->end || is_letter(*c->p) || *c->p == '(';
}

static bool is_leap(int year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static bool is_real(const struct clock *t)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

	int last = days[t->month - 1] + (t->month == 2 && is_leap(t->year));
	/* A leap second is the first second of the next minute. */
	return t->year >= 1 && t->day >= 1 && t->day <= last && t->hour <= 23 && t->minute <= 59 &&
	       t->second <= 60;
}

/* Days since 1970-01-01. Years are counted from March, so that the leap day is the last. */
static int64_t days_since_1970(const struct clock *t)
{
	int64_t y = t->year - (t->month <= 2);
	int64_t m = (t->month + 9) % 12;
	int64_t day_of_year = (153 * m + 2) / 5 + t->day - 1;

	return y * 365 + y / 4 - y / 100 + y / 400 + day_of_year - 719468;
}

bool imap_date_parse(struct span text, int64_t *seconds)
{
	struct cursor c = {text.p, text.p};
	struct clock t;
	int zone;
	bool mail;

	if (text.n == 0)
		return false;
	c.end += text.n;
	skip_spaces(&c);
	if (!take_date(&c, &t, &mail) || !take_char(&c, ' '))
		return false;
	skip_spaces(&c);
	if (!take_time(&c, &t, mail) || !take_zone(&c, &zone) || !is_real(&t))
		return false;
	*seconds = ((days_since_1970(&t) * 24 + t.hour) * 60 + t.minute - zone) * 60 + t.second;
	return true;
}

/* The inverse of days_since_1970. */
static void date_of_days(int64_t days, struct clock *t)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
	int64_t of_era = z - era * 146097;
	int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
	int64_t of_year = of_era - (365 * year + year / 4 - year / 100);
	int64_t m = (5 * of_year + 2) / 153;

	t->day = (int)(of_year - (153 * m + 2) / 5 + 1);
	t->month = (int)(m < 10 ? m + 3 : m - 9);
	t->year = (int)(year + era * 400 + (t->month <= 2));
}

/* gmtime(3) does not know all of them where time_t has 32 bits. False: none of the years 1 to 9999. */
static bool split(int64_t seconds, struct clock *t)
{
	/* 0001-01-01 and the end of 9999. */
	const int64_t first = -62135596800, last = 253402300799;

	if (seconds < first || seconds > last)
		return false;
	int64_t days = (seconds - (seconds < 0 ? 86399 : 0)) / 86400;
	int second = (int)(seconds - days * 86400);
	date_of_days(days, t);
	t->hour = second / 3600;
	t->minute = second / 60 % 60;
	t->second = second % 60;
	return true;
}

bool imap_date_format(int64_t seconds, char out[IMAP_DATE_LENGTH + 1])
{
	struct clock t;
	char text[80];

	if (!split(seconds, &t))
		return false;
	/* The compiler does not see that none is longer. */
	snprintf(text, sizeof(text), "%02d-%.3s-%04d %02d:%02d:%02d +0000", t.day,
		months + 3 * (t.month - 1), t.year, t.hour, t.minute, t.second);
	memcpy(out, text, IMAP_DATE_LENGTH);
	out[IMAP_DATE_LENGTH] = '\0';
	return true;
}

bool imap_date_iso(int64_t seconds, char out[IMAP_DATE_ISO_LENGTH + 1])
{
	struct clock t;
	char text[80];

	if (!split(seconds, &t))
		return false;
	snprintf(text, sizeof(text), "%04d-%02d-%02dT%02d:%02d:%02dZ", t.year, t.month, t.day,
		t.hour, t.minute, t.second);
	memcpy(out, text, IMAP_DATE_ISO_LENGTH);
	out[IMAP_DATE_ISO_LENGTH] = '\0';
	return true;
}
