/*
 * Runs the user's passcmd on an event loop and takes the first line that it prints. Without a shell
 * (see words.h), with /dev/null as its input and with our stderr.
 */
#ifndef CREDENTIALS_COMMAND_H
#define CREDENTIALS_COMMAND_H

#include <stdint.h>
#include <uv.h>

#include "base/span.h"

struct credentials_command;

/* err is 0 and password is valid during the call, or ERR_IO (cannot be run, failed, printed no
 * password), ERR_INVALID (is no command), ERR_TIMEOUT or ERR_NOMEM and error is one line. */
typedef void credentials_command_done(void *ctx, int err, struct span password, const char *error);

/* on_done is called once, from the loop, never from inside; afterwards the command is gone. It is
 * killed when it takes longer than timeout milliseconds. command is copied. */
struct credentials_command *credentials_command_start(uv_loop_t *loop, const char *command,
	uint64_t timeout, credentials_command_done *on_done, void *ctx);
/* Kills it; on_done is not called. The loop frees it when it is next run. */
void credentials_command_cancel(struct credentials_command *c);

#endif
