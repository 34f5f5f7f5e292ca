/* SPDX-License-Identifier: MIT */
/*
 * Deadlines that are inherited. The kernel lets one request at a time into a directory that it has
 * locked, and reads a page that failed once more for each process that waits for it. A request that
 * comes right behind one that failed after a wait (by its deadline, or because its caller was
 * killed) has waited as long already: it gets that one's deadline, and a moment.
 *
 * Times are milliseconds of one clock, which the caller reads.
 */
#ifndef FS_INHERIT_H
#define FS_INHERIT_H

#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"

/* How long after a failure its deadline is inherited: within this the kernel sends what it held
 * back, also on a busy machine. */
#define INHERIT_TIME 1000
/* What an heir gets beyond the deadline: the server may be there again. With the time between two
 * looks at the deadlines (OP_TICK) this stays below a second. */
#define INHERIT_GRACE 500

/* A request for this inode has failed after it had waited. */
struct failure {
	struct list link;
	uint64_t inode;
	uint64_t deadline; /* that the first of those behind each other had by itself */
	uint64_t at;       /* when the last of them failed */
};

struct inherit {
	struct map by_inode; /* -> struct failure */
	struct list by_time; /* the same, the oldest first */
};

void inherit_init(struct inherit *in);
void inherit_finish(struct inherit *in);
/* The inode's failure, NULL when there was none lately. Valid until the next call. */
const struct failure *inherit_find(struct inherit *in, uint64_t inode, uint64_t now);
/* A request for the inode that had this deadline failed now, after it had waited. inherited: the
 * deadline is another failure's, with INHERIT_GRACE. */
void inherit_note(
	struct inherit *in, uint64_t inode, uint64_t deadline, bool inherited, uint64_t now);
/* Nothing is inherited from the inode's failure any more. */
void inherit_forget(struct inherit *in, uint64_t inode);

#endif
