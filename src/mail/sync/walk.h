/* SPDX-License-Identifier: MIT */
/*
 * Checks ahead of who goes from mailbox to mailbox: the next ones on his way are selected and asked
 * for their rows before he opens them, one behind the other on one connection (pool_foresee), so
 * that a walk costs him no turn for each. A guess that is wrong costs a handful of rows at first,
 * and more only as the walk goes on as expected.
 */
#ifndef MAIL_SYNC_WALK_H
#define MAIL_SYNC_WALK_H

#include "mail/model/account.h"
#include "mail/sync/sync.h"

/* The mailbox, of which STATUS says that it has new ones, is about to be asked for its rows ahead of a walk in
 * that order: *rider is set to what is to be asked for behind them, or left NULL. False: that should
 * wait until its reader has come nearer. */
typedef bool walk_on_ahead(
	void *ctx, enum mailbox_order order, struct mailbox *mb, struct sync_rider **rider);

struct walk *walk_create(struct account *a);
void walk_destroy(struct walk *w);
/* rows: to be asked for ahead of one walk at most, where what rides along makes each dear. */
void walk_take_riders(struct walk *w, uint32_t rows, walk_on_ahead *on_ahead, void *ctx);
/* Somebody lists this mailbox or directory. */
void walk_note(struct walk *w, struct mailbox *mb);

#endif
