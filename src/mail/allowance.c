/* SPDX-License-Identifier: MIT */
#include "mail/allowance.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/model/account.h"

/* What is counted is written when so many octets have come, or so many milliseconds after the last
 * time. */
#define WRITE_OCTETS ((uint64_t)1 << 20)
#define WRITE_AFTER 10000

struct allowance {
	struct account *account;
	uint64_t counted;    /* of the account's received octets */
	uint64_t today;      /* up to there, by all mounts */
	uint64_t written_at; /* uv_now */
	char day[TRAFFIC_DAY];
	int64_t begins, ends; /* seconds since 1970 */
	bool told;
};

int64_t allowance_day(int64_t now, char day[TRAFFIC_DAY])
{
	time_t t = (time_t)now;
	struct tm tm = {0};

	localtime_r(&t, &tm);
	strftime(day, TRAFFIC_DAY, "%Y-%m-%d", &tm);
	tm.tm_mday++;
	tm.tm_hour = tm.tm_min = tm.tm_sec = 0;
	tm.tm_isdst = -1;
	return (int64_t)mktime(&tm);
}

static void write_count(struct allowance *w)
{
	struct account *a = w->account;

	w->today = traffic_add(a->options.traffic, w->day, a->received - w->counted);
	w->counted = a->received;
	w->written_at = uv_now(a->loop);
}

static void begin_day(struct allowance *w, int64_t now)
{
	w->ends = allowance_day(now, w->day);
	w->begins = now;
	w->told = false;
	write_count(w);
}

/* A clock that was set back begins a day, too. What came since the last time that it was written counts for
 * the new day: another mount may have begun that in the file already. */
static void keep_day(struct allowance *w)
{
	int64_t now = (int64_t)time(NULL);

	if (now >= w->ends || now < w->begins)
		begin_day(w, now);
}

static void look(struct allowance *w)
{
	const struct account *a = w->account;

	keep_day(w);
	uint64_t new = a->received - w->counted;
	if (new >= WRITE_OCTETS || (new > 0 && uv_now(a->loop) >= w->written_at + WRITE_AFTER))
		write_count(w);
}

static uint64_t count(const struct allowance *w)
{
	return w->today + (w->account->received - w->counted);
}

static const char *end_of_day(const struct allowance *w, char *text, size_t size)
{
	time_t t = (time_t)w->ends;
	struct tm tm = {0};

	localtime_r(&t, &tm);
	strftime(text, size, "%Y-%m-%d %H:%M", &tm);
	return text;
}

struct allowance *allowance_create(struct account *a)
{
	if (a->options.daylimit == 0)
		return NULL;
	struct allowance *w = mem_zalloc(sizeof(*w));
	w->account = a;
	begin_day(w, (int64_t)time(NULL));
	return w;
}

void allowance_destroy(struct allowance *w)
{
	if (!w)
		return;
	keep_day(w);
	write_count(w);
	free(w);
}

bool allowance_is_left(struct allowance *w)
{
	char end[32];

	if (!w)
		return true;
	look(w);
	if (count(w) < w->account->options.daylimit)
		return true;
	if (!w->told)
		log_warning(
			"%s: %llu bytes have come today, as many as daylimit= allows; mail that "
			"is not in the cache can be read from %s on",
			w->account->options.pool.host, (unsigned long long)count(w),
			end_of_day(w, end, sizeof(end)));
	w->told = true;
	return false;
}

int allowance_print(struct allowance *w, struct buf *out)
{
	char end[32];

	if (!w)
		return 0;
	bool left = allowance_is_left(w);
	return buf_printf(out, "today: %llu of %llu bytes from the server%s%s\n",
		(unsigned long long)count(w), (unsigned long long)w->account->options.daylimit,
		left ? "" : "; more from ", left ? "" : end_of_day(w, end, sizeof(end)));
}
