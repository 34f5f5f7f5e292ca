/*
 * The two orders in which programs read the messages of a mailbox: that of the directory, which is
 * that of UIDs (grep -r, tar, cp), and the byte order of names (rsync, and all that sorts: 1, 10,
 * 100, 11, 2).
 */
#ifndef MAIL_ORDER_H
#define MAIL_ORDER_H

#include "mail/mailbox.h"

enum order { ORDER_UID, ORDER_NAME };

/* The message behind uid in that order; 0: none. uid itself need not exist. */
uint32_t order_next(struct mailbox *mb, enum order order, uint32_t uid);

#endif
