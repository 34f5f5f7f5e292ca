/* SPDX-License-Identifier: MIT */
/*
 * Going to the background without losing an error: the process forks first, the child does
 * everything, and the parent stays until the child says that it is mounted, or ends with the
 * child's exit status. (Forking later would lose the threads and the event loop.)
 */
#ifndef APP_DAEMON_H
#define APP_DAEMON_H

/* Forks; returns in the child only. In the parent: waits, then exits with 0 or with the child's
 * status. */
void daemon_fork(void);
/* In the child: lets the parent go and leaves the terminal: a session of its own, / as directory,
 * no standard streams, logs to syslog. Does nothing when daemon_fork was not called. */
void daemon_detach(void);

#endif
