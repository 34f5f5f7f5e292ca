/* SPDX-License-Identifier: MIT */
/* imapfs --cache: the caches on this machine, without a mount. */
#ifndef APP_ASK_CACHES_H
#define APP_ASK_CACHES_H

/* What stands behind --cache: nothing, or what is to be done (verify, trim SIZE, clear), and whose cache it
 * is, as for a mount. Returns an exit status. */
int caches_run(int argc, char **argv);

#endif
