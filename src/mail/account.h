/* SPDX-License-Identifier: MIT */
/* An account, from its first connection to its last. What the filesystem asks of it otherwise is in
 * the headers of the parts: mail/model, mail/sync, mail/read, mail/size, mail/change. */
#ifndef MAIL_ACCOUNT_H
#define MAIL_ACCOUNT_H

#include "mail/model/account.h"

/* The cache, the state and what options points at must outlive the account. state: NULL when it is
 * read-only. */
struct account *account_create(uv_loop_t *loop, const struct account_options *options,
	struct cache *cache, struct state *state, const struct account_observer *observer,
	void *ctx);
/* Connects, logs in, lists. on_started is called once, from the loop. */
void account_start(struct account *a, account_on_started *on_started);
/* Logs out; on_stopped from the loop. Everything that waits ends with ERR_CANCELED first. */
void account_stop(struct account *a, account_on_stopped *on_stopped);
void account_destroy(struct account *a);

#endif
