/* SPDX-License-Identifier: MIT */
/*
 * Waits of requests until what is known of their mailbox may be shown. Each calls op->known(op, 0),
 * perhaps at once, or ends the op with an error.
 */
#ifndef FS_FRESH_H
#define FS_FRESH_H

#include "fs/op.h"

/* The server could not be asked: what is remembered is better than an error. */
bool fresh_remembers(const struct mailbox *mb, int err);

/* For who lists: until no change is missing that the server told of, or, where the mailbox was never
 * listed, until some rows are there. */
void fresh_listing(struct fs_op *op, op_resume *known);
/* The deadline has come, perhaps before that was begun (op->known is set): what is remembered must do,
 * and does not need the server, however slow it is. */
void fresh_expire_listing(struct fs_op *op, int err);
/* For who lists on while rows arrive: until there are more, or all. */
void fresh_rows(struct fs_op *op, op_resume *known);
/* For who needs all of the mailbox: as fresh_listing, but until all rows are there, beyond the deadline as long
 * as some come. */
void fresh_whole(struct fs_op *op, op_resume *known);
/* The same for who will need all summaries, too: those of what is new are asked for with its rows. */
void fresh_whole_summed(struct fs_op *op, op_resume *known);
/* For who shows the flags of all messages, when fresh_whole has come to an end: until they are known, and
 * followed where that can be; what is remembered must do when the server cannot be asked. */
void fresh_flags(struct fs_op *op, op_resume *flagged);
/* For who shows something of the summaries of all messages, when fresh_whole has come to an end: until they
 * are known, beyond the deadline as long as some come. What cannot be had now, for want of a server or since
 * it refuses it, is done without: op->without. Whose time is over gets an error, for there the wait is worth another try. */
void fresh_summaries(struct fs_op *op, op_resume *summed);
/* Until the message op->uid is there (or, op->passing, was), or known not to be: ENOENT. */
void fresh_message(struct fs_op *op, op_resume *known);

#endif
