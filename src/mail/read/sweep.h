/* SPDX-License-Identifier: MIT */
/*
 * Read-ahead for readers in no order: the messages around them, in the order of UIDs, on the side
 * that they are nearest to. What is fetched is kept for them and not pushed into the kernel, so
 * each read is seen, and tells where its reader is and that the guess was right.
 */
#ifndef MAIL_READ_SWEEP_H
#define MAIL_READ_SWEEP_H

#include "mail/model/mailbox.h"

struct sweep;

struct sweep *sweep_create(struct mailbox *mb, uint32_t uid);
void sweep_destroy(struct sweep *s);
/* Whether it has come by the message. */
bool sweep_covers(const struct sweep *s, uint32_t uid);
/* Whether nobody has read there for so long that it is over. */
bool sweep_is_over(const struct sweep *s);
/* From now on the messages that are read may be any. */
void sweep_widen(struct sweep *s);
/* A reader is at uid; waits: for the server. */
void sweep_follow(struct sweep *s, uint32_t uid, bool waits);

#endif
