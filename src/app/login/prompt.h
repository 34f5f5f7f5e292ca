/* SPDX-License-Identifier: MIT */
/* Asks questions on the terminal. */
#ifndef APP_LOGIN_PROMPT_H
#define APP_LOGIN_PROMPT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/buf.h"

/* Appends the line that was typed, without its end and without showing it. Blocks. A signal (Ctrl-C, Ctrl-Z) first
 * restores the terminal and then does what it would have done; after a stop the question comes
 * again. ERR_IO when there is no terminal, ERR_CANCELED at its end (Ctrl-D) or after a signal that
 * did not end the process; then error is one line. */
int prompt_secret(const char *question, struct buf *answer, char *error, size_t size);
/* Whether y or yes was typed, which is shown. As prompt_secret; without a terminal *yes is false. */
int prompt_yes(const char *question, bool *yes, char *error, size_t size);

#endif
