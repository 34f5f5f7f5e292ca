/* SPDX-License-Identifier: MIT */
/*
 * Marks that could not be given back to others (journal.c) are tried again while the server is there,
 * later each time; account.owed.
 */
#ifndef MAIL_CHANGE_OWED_H
#define MAIL_CHANGE_OWED_H

struct account;
struct owed;

struct owed *owed_create(struct account *a);
/* Nothing is tried again. */
void owed_stop(struct owed *o);
/* After the loop has closed what owed_stop left. */
void owed_destroy(struct owed *o);

/* Some could not be given back. */
void owed_remain(struct owed *o);
/* Some were given back: the server bears it again. */
void owed_were_paid(struct owed *o);

#endif
