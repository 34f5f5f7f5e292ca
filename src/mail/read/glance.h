/* SPDX-License-Identifier: MIT */
/*
 * One message of a mailbox that nobody has looked into yet: its row and its octets are asked for by
 * themselves, in the turn that selects the mailbox. So a path that is known is read before the
 * rows of all the others come, however many there are; and a message that comes whole has its size
 * proved.
 */
#ifndef MAIL_READ_GLANCE_H
#define MAIL_READ_GLANCE_H

#include "mail/model/mailbox.h"

/* False, and nothing is done, when the mailbox is known better: a check (sync_start) is to tell. Else
 * the mailbox's waiters for progress are woken when the message is there; and a check follows, whose end
 * wakes them when the message was not found this way. */
bool glance_start(struct mailbox *mb, uint32_t uid);

#endif
