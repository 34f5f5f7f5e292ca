/* SPDX-License-Identifier: MIT */
/* What an account's server was found to be able to do of UIDPLUS; account.uidplus. */
#ifndef MAIL_CHANGE_UIDPLUS_H
#define MAIL_CHANGE_UIDPLUS_H

struct uidplus;

struct uidplus *uidplus_create(void);
void uidplus_destroy(struct uidplus *u);

#endif
