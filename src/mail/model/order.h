/* SPDX-License-Identifier: MIT */
/*
 * The orders in which programs read the messages of a mailbox: that of the directory, which is that
 * of UIDs (grep -r, tar, cp), the same backwards (rg, which takes from the end of what it has
 * listed, and who wants the newest first), the byte order of names (rsync, and all that sorts:
 * 1, 10, 100, 11, 2), and that of UIDs of those messages only that have no system flag, or that have
 * one: the two halves of a Maildir, new/ and cur/.
 */
#ifndef MAIL_MODEL_ORDER_H
#define MAIL_MODEL_ORDER_H

#include "mail/model/mailbox.h"

enum order { ORDER_UID, ORDER_UID_BACK, ORDER_NAME, ORDER_BARE, ORDER_FLAGGED, ORDERS };

/* The message behind uid in that order; 0: none. uid itself need not exist. */
uint32_t order_next(struct mailbox *mb, enum order order, uint32_t uid);

#endif
