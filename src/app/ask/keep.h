/* SPDX-License-Identifier: MIT */
/* imapfs --keep and --unkeep: mailboxes that are to be there without the server. */
#ifndef APP_ASK_KEEP_H
#define APP_ASK_KEEP_H

/* What stands behind --keep, or --unkeep: directories of mailboxes in mounts. One is done after the
 * other, with a line on the standard output for each; on a terminal with progress. Returns an exit
 * status: of several failures the first one's. SIGINT, SIGTERM and SIGHUP end the process, and leave
 * what was fetched. */
int keep_run(int argc, char **argv);
int unkeep_run(int argc, char **argv);

#endif
