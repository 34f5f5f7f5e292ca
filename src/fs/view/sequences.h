/* SPDX-License-Identifier: MIT */
/*
 * The sequences of an MH folder: lines of a name, a colon, and numbers and ranges of messages. Three
 * names are flags of messages; the lines of others are kept as they are. Pure.
 */
#ifndef FS_VIEW_SEQUENCES_H
#define FS_VIEW_SEQUENCES_H

#include "base/buf.h"
#include "mail/model/uidset.h"

enum sequence { SEQUENCE_UNSEEN, SEQUENCE_FLAGGED, SEQUENCE_REPLIED, SEQUENCES };

/* Octets of the lines of others. */
#define SEQUENCES_OTHERS_MAX ((size_t)64 << 10)

struct sequences {
	struct uidset sets[SEQUENCES]; /* sorted */
	struct buf others;
};

void sequences_init(struct sequences *s);
void sequences_finish(struct sequences *s);
/* What a program wrote; s is as sequences_init leaves it. 0; ERR_INVALID: it is not of that form;
 * ERR_LIMIT, ERR_NOMEM. */
int sequences_parse(struct sequences *s, struct span text);
/* Appends the text. Sequences without messages are left out. Returns buf's errors. */
int sequences_print(const struct sequences *s, struct buf *out);

#endif
