/* Asks a question on the terminal and reads the answer without showing it. */
#ifndef PROMPT_H
#define PROMPT_H

#include <stddef.h>

#include "base/buf.h"

/* Appends the line that was typed, without its end. Blocks. A signal (Ctrl-C, Ctrl-Z) first
 * restores the terminal and then does what it would have done; after a stop the question comes
 * again. ERR_IO when there is no terminal, ERR_CANCELED at its end (Ctrl-D) or after a signal that
 * did not end the process; then error is one line. */
int prompt_secret(const char *question, struct buf *answer, char *error, size_t size);

#endif
