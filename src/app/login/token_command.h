/* SPDX-License-Identifier: MIT */
/*
 * OAuth tokens by tokencmd: the command runs when the first is wanted, and again when the server
 * has refused what it printed; who asks meanwhile waits for the same run.
 */
#ifndef APP_LOGIN_TOKEN_COMMAND_H
#define APP_LOGIN_TOKEN_COMMAND_H

#include <uv.h>

#include "link/token.h"

struct token_command;

/* command must outlive it. */
struct token_command *token_command_create(uv_loop_t *loop, const char *command);
struct token_source *token_command_source(struct token_command *t);
/* Nobody is told any more; the loop closes what is left. NULL is fine. */
void token_command_stop(struct token_command *t);
/* When the loop has ended. NULL is fine. */
void token_command_destroy(struct token_command *t);

#endif
