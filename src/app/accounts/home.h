/* SPDX-License-Identifier: MIT */
/* The user's own directories. */
#ifndef APP_ACCOUNTS_HOME_H
#define APP_ACCOUNTS_HOME_H

/* $HOME, or the user database's: also where mount(8) has left us root's. NULL: there is none. Good
 * until the environment or the user database is looked at again. */
const char *home_directory(void);

/* The directory of ours in that of the environment's variable (XDG_CACHE_HOME), if it is absolute,
 * else below the home directory ("/.cache"). NULL: there is none. The caller's. */
char *home_place(const char *variable, const char *below);

#endif
