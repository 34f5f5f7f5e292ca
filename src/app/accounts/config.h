/* SPDX-License-Identifier: MIT */
/*
 * ~/.config/imapfs/config: accounts under names of their own. An INI file: [NAME] begins an account,
 * and the lines below it are the words of -o, with "source" and "mountpoint" beside them.
 */
#ifndef APP_ACCOUNTS_CONFIG_H
#define APP_ACCOUNTS_CONFIG_H

#include <stddef.h>

/* One line NAME = VALUE of an account. */
struct config_entry {
	const char *account, *name, *value; /* during the call */
	unsigned line;
};

/* Returns 0, or an error that ends the reading and that config_read returns. */
typedef int config_entry_cb(void *ctx, const struct config_entry *entry);

/* Calls on_entry for each line of each account, in their order; a file that is not there has none.
 * The file must belong to the user or to root and be written by nobody else, and be read by nobody
 * else when it names a secret, or how one is got. 0, ERR_IO, ERR_INVALID, or what on_entry
 * returned; but for that error is one line then. */
int config_read(const char *path, config_entry_cb *on_entry, void *ctx, char *error, size_t size);

/* Where it is: of $XDG_CONFIG_HOME or of the home directory. NULL: there is none. The caller's. */
char *config_path(void);

/* imapfs --list: a line for each account: its name, its source, its mountpoint, with a tab between
 * them. As config_read. */
int config_list(const char *path, char *error, size_t size);

#endif
