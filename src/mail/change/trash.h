/* SPDX-License-Identifier: MIT */
/* Where removed messages go with -o delete=trash. */
#ifndef MAIL_CHANGE_TRASH_H
#define MAIL_CHANGE_TRASH_H

#include "mail/model/account.h"

/* The mailbox that was named (trash=), else the one that the server marks with \Trash (SPECIAL-USE, RFC
 * 6154). NULL: there is none. */
struct mailbox *trash_of(struct account *a);
/* What becomes of a message of this mailbox that is deleted: it goes to *trash, or is expunged where
 * that is NULL, as what is in the trash is. False: nothing may be deleted. */
bool trash_find(struct account *a, const struct mailbox *mb, struct mailbox **trash);

#endif
