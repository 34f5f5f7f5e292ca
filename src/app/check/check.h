/* SPDX-License-Identifier: MIT */
/*
 * imapfs --check: looks at all that a mount needs, from the file of accounts to the quota, changes
 * nothing, and prints a line for each: "ok", "note" (what will be otherwise than expected) or "FAIL"
 * with what to do. It can be pasted into a report: it holds neither a password nor a token nor the
 * names of mailboxes.
 */
#ifndef APP_CHECK_CHECK_H
#define APP_CHECK_CHECK_H

#include "app/options/options.h"

/* Blocks. The exit status is the one that mounting would have ended with. */
int check_run(const struct options *o);

#endif
