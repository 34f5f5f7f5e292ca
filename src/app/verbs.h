/* SPDX-License-Identifier: MIT */
/* What else than mounting the program does: --status and the like, its first argument. */
#ifndef APP_VERBS_H
#define APP_VERBS_H

#include <stdbool.h>

/* Whether the command line is one of these. It is done then, and *status the process's. */
bool verbs_run(int argc, char **argv, int *status);

#endif
