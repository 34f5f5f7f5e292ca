/* SPDX-License-Identifier: MIT */
/*
 * One log for the process: lines to stderr while in the foreground, to syslog afterwards. Without
 * log_set_debug only what a user must know is said. Every function is safe from any thread.
 *
 * Whatever a line holds, a server's text or a name, no octet of it that a terminal could act on is
 * written: see text_printable. So nobody who logs needs to think of it.
 */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/span.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_NOTICE, LOG_LEVEL_DEBUG };

void log_set_debug(bool on);
bool log_debugging(void);
/* From now on to syslog, under the program's name. */
void log_to_syslog(void);

/* Lines to stderr begin with "<3>" and the like, as the journal of systemd understands. */
void log_with_priorities(void);

void log_line(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends the last warnings and errors, oldest first, one line each. Returns buf's errors. */
int log_recent(struct buf *out);

#define log_error(...) log_line(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warning(...) log_line(LOG_LEVEL_WARNING, __VA_ARGS__)
#define log_notice(...) log_line(LOG_LEVEL_NOTICE, __VA_ARGS__)
/* The arguments are not evaluated unless debugging. */
#define log_debug(...) (log_debugging() ? log_line(LOG_LEVEL_DEBUG, __VA_ARGS__) : (void)0)

#endif
