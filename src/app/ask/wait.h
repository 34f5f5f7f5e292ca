/* SPDX-License-Identifier: MIT */
/* imapfs --wait: what inotify cannot tell, since the kernel does not see what a server does. */
#ifndef APP_ASK_WAIT_H
#define APP_ASK_WAIT_H

/* Waits until a name came into the directory, or went; prints a line "+ NAME" or "- NAME" for each.
 * Returns an exit status. */
int wait_for_change(const char *directory);

#endif
