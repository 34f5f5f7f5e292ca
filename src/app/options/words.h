/* SPDX-License-Identifier: MIT */
/*
 * A command of the user's configuration as the words of an argv, without a shell. Pure. Words are
 * separated by spaces, tabs and newlines. Within '...' all stands for itself, within "..." all but
 * \" and \\; outside of both a backslash takes the next character as it is. Nothing else is
 * special: no variables, no globs, no pipes, no ~.
 */
#ifndef APP_OPTIONS_WORDS_H
#define APP_OPTIONS_WORDS_H

/* Returns 0 and a NULL-ended argv of at least one word for words_free, or ERR_INVALID and one line
 * in *error (a constant). */
int words_split(const char *command, char ***argv, const char **error);
/* NULL is fine. */
void words_free(char **argv);

#endif
