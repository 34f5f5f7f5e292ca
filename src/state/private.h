/* SPDX-License-Identifier: MIT */
/* One journal, for the files of state/. What returns int returns SQLite's code. */
#ifndef STATE_PRIVATE_H
#define STATE_PRIVATE_H

#include <sqlite3.h>

#include "state/state.h"

enum journal_statement {
	JOURNAL_PUT,
	JOURNAL_DROP,
	JOURNAL_ALL,
	JOURNAL_COUNT,
	JOURNAL_RENAME,
	JOURNAL_RENAME_TARGET,
	JOURNAL_STATEMENTS
};

struct journal {
	sqlite3 *db;
	sqlite3_stmt *statements[JOURNAL_STATEMENTS];
};

/* Beside SQLite's codes: a newer version of imapfs made it. Nothing was written to it. */
#define JOURNAL_NEWER (SQLITE_MISMATCH | 1 << 8)

/* SQLITE_MISMATCH: it is none of ours. After a failure journal_close is still due. */
int journal_open(struct journal *j, const char *path, const char *account);
void journal_close(struct journal *j);
/* Whose mail it is about; malloc'ed, "" when that cannot be said. */
char *journal_account(struct journal *j);
int journal_put(struct journal *j, const struct state_intent *intent);
int journal_drop(struct journal *j, struct span mailbox, uint32_t uidvalidity, uint32_t uid);
int journal_each(struct journal *j, state_intent_fn *f, void *ctx);
int journal_rename(struct journal *j, struct span from, struct span to);
bool journal_is_empty(struct journal *j);
int journal_begin(struct journal *j);
int journal_end(struct journal *j, bool commit);
/* Brings the log into the database as far as nobody needs it; in any thread. */
void journal_checkpoint(const char *path);

#endif
