/* SPDX-License-Identifier: MIT */
/* What a message is called in a Maildir, and its flags there. Pure. */
#ifndef FS_VIEW_MAILDIR_NAME_H
#define FS_VIEW_MAILDIR_NAME_H

#include <limits.h>
#include <stdbool.h>

#include "mail/model/flags.h"

/* In the order of their letters, DFPRST. */
enum maildir_flag {
	MAILDIR_DRAFT = 1 << 0,
	MAILDIR_FLAGGED = 1 << 1,
	MAILDIR_PASSED = 1 << 2, /* $Forwarded */
	MAILDIR_REPLIED = 1 << 3,
	MAILDIR_SEEN = 1 << 4,
	MAILDIR_TRASHED = 1 << 5,
	MAILDIR_NEW = 1 << 6, /* it is in new/: without flags it has no letters at all */
};

/* Those of a message, without MAILDIR_NEW. */
unsigned maildir_flags_of(const struct flags_value *value);
/* What makes `to` of `from`, as flagdiff.h has it; empty: nothing. Returns buf's errors. */
int maildir_diff(unsigned from, unsigned to, struct buf *out);
/* As IMAP writes them. Returns buf's errors. */
int maildir_print(unsigned flags, struct buf *out);

struct maildir_name {
	int64_t date;
	uint32_t uidvalidity, uid;
	const char *host;
	unsigned flags;
};

/* Writes the name; returns its length. A host's octets that a name cannot hold are left out. */
size_t maildir_name_format(const struct maildir_name *name, char out[NAME_MAX + 1]);
/* The UID in what looks like such a name; 0: it does not. */
uint32_t maildir_name_uid(const char *name);
/* The letters behind ":2,", in any order; false: there are none, or others. */
bool maildir_name_flags(const char *name, unsigned *flags);
/* The octets before ":2,", or all. */
size_t maildir_name_base(const char *name);

#endif
