/* SPDX-License-Identifier: MIT */
#include "base/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <syslog.h>
#include <time.h>

#include "base/text.h"

#define RECENT 8

static bool debugging;
static bool use_syslog;
static bool use_priorities;

void log_set_debug(bool on)
{
	debugging = on;
}

bool log_debugging(void)
{
	return debugging;
}

void log_to_syslog(void)
{
	openlog("imapfs", LOG_PID, LOG_DAEMON);
	use_syslog = true;
}

void log_with_priorities(void)
{
	use_priorities = true;
}

static int syslog_priority(enum log_level level)
{
	switch (level) {
	case LOG_LEVEL_ERROR:
		return LOG_ERR;
	case LOG_LEVEL_WARNING:
		return LOG_WARNING;
	case LOG_LEVEL_NOTICE:
		return LOG_NOTICE;
	case LOG_LEVEL_DEBUG:
		break;
	}
	return LOG_DEBUG;
}

/* One write per line, so that lines of two threads never mix. */
static void to_stderr(enum log_level level, const char *text)
{
	const char *warning = level == LOG_LEVEL_WARNING ? "warning: " : "";
	struct timespec now;
	struct tm tm;

	if (use_priorities) {
		fprintf(stderr, "<%d>%s%s\n", syslog_priority(level), warning, text);
		return;
	}
	if (!debugging) {
		fprintf(stderr, "imapfs: %s%s\n", warning, text);
		return;
	}
	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	fprintf(stderr, "%02d:%02d:%02d.%03ld imapfs: %s%s\n", tm.tm_hour, tm.tm_min, tm.tm_sec,
		now.tv_nsec / 1000000, warning, text);
}

/* The last warnings and errors, for the status; a ring. */
static struct {
	pthread_mutex_t lock;
	char lines[RECENT][256];
	unsigned count;
} recent = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void remember_line(const char *text)
{
	struct timespec now;
	struct tm tm;
	char stamp[32];

	clock_gettime(CLOCK_REALTIME, &now);
	localtime_r(&now.tv_sec, &tm);
	strftime(stamp, sizeof(stamp), "%F %T", &tm);
	pthread_mutex_lock(&recent.lock);
	snprintf(recent.lines[recent.count++ % RECENT], sizeof(recent.lines[0]), "%s %.200s", stamp,
		text);
	pthread_mutex_unlock(&recent.lock);
}

int log_recent(struct buf *out)
{
	int err = 0;

	pthread_mutex_lock(&recent.lock);
	unsigned first = recent.count > RECENT ? recent.count - RECENT : 0;
	for (unsigned i = first; i < recent.count && err == 0; i++)
		err = buf_printf(out, "warning: %s\n", recent.lines[i % RECENT]);
	pthread_mutex_unlock(&recent.lock);
	return err;
}

void log_line(enum log_level level, const char *format, ...)
{
	char line[2048], text[sizeof(line)];
	va_list args;

	if (level == LOG_LEVEL_DEBUG && !debugging)
		return;
	va_start(args, format);
	vsnprintf(line, sizeof(line), format, args);
	va_end(args);
	text_printable(span_of(line), text, sizeof(text));
	if (level <= LOG_LEVEL_WARNING)
		remember_line(text);
	if (use_syslog)
		syslog(syslog_priority(level), "%s", text);
	else
		to_stderr(level, text);
}
