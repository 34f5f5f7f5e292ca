/* SPDX-License-Identifier: MIT */
/*
 * Runs a command of the user's for a secret (passcmd, tokencmd) on an event loop and takes the
 * first line that it prints. Without a shell (see words.h), with /dev/null as its input and with
 * our stderr. Its exit status counts, but one that prints on and on behind its first line is ended.
 */
#ifndef APP_LOGIN_COMMAND_H
#define APP_LOGIN_COMMAND_H

#include <stdint.h>
#include <uv.h>

#include "base/span.h"

struct command;

/* err is 0 and secret is valid during the call, or ERR_IO (cannot be run, failed, printed
 * nothing), ERR_INVALID (is no command), ERR_TIMEOUT or ERR_NOMEM and error is one line. */
typedef void command_done(void *ctx, int err, struct span secret, const char *error);

struct command_options {
	const char *option; /* what the user calls it, for errors; this and noun are constants */
	const char *noun;   /* what it prints */
	const char *command;
	size_t max;       /* octets of the line */
	uint64_t timeout; /* milliseconds; then it is killed */
};

/* on_done is called once, from the loop, never from inside; afterwards the command is gone. */
struct command *command_start(
	uv_loop_t *loop, const struct command_options *options, command_done *on_done, void *ctx);
/* Kills it; on_done is not called. The loop frees it when it is next run. */
void command_cancel(struct command *c);

#endif
