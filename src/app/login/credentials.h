/* SPDX-License-Identifier: MIT */
/*
 * The account's password: from a file, from a command, or asked for on the terminal. It is only
 * ever held in buffers that are overwritten when freed (buf_init_secret).
 */
#ifndef APP_LOGIN_CREDENTIALS_H
#define APP_LOGIN_CREDENTIALS_H

#include <stddef.h>

#include "base/buf.h"
#include "app/options/options.h"

/* The longest password, in octets. */
#define CREDENTIALS_MAX 4096
/* The longest OAuth token. */
#define CREDENTIALS_TOKEN_MAX 16384
/* How long a command, or who writes to a passfile that is a pipe, may take, in milliseconds. */
#define CREDENTIALS_TIMEOUT 60000

/* Appends the password to `password`, by what o says: passfile, passcmd or netrc; else the
 * credential "imapfs" of a service of systemd, the user's netrc, or the prompt; nothing when the
 * login does without one. Blocks, so only before the event loop runs and before the
 * process has signal handlers: a signal at the prompt restores the terminal and then does what it
 * always does. *source: a few words for people on which of these it was. Returns 0 or an error (ERR_IO,
 * ERR_INVALID, ERR_TIMEOUT, ERR_CANCELED, buf's) and one line in error. */
int credentials_get(const struct options *o, struct buf *password, const char **source, char *error,
	size_t size);

/* Whether a private key is one that nobody else can read. 0, or ERR_IO or ERR_INVALID. */
int credentials_check_key(const char *path, char *error, size_t size);

/* The first line of a file that belongs to the user or to root and that only its owner can read. A
 * pipe is waited for, at most `wait` milliseconds (ERR_TIMEOUT); with 0 nothing blocks. */
int credentials_read_file(
	const char *path, int wait, struct buf *password, char *error, size_t size);

#endif
