/* SPDX-License-Identifier: MIT */
/*
 * Watching the account for what others do to it, on a connection of its own: NOTIFY (RFC 5465) over
 * all mailboxes where the server offers it; else IDLE (RFC 2177) on the mailbox in use; and where
 * neither can see, a look at every mailbox that the kernel may have cached, each `refresh`
 * milliseconds.
 */
#ifndef MAIL_SYNC_WATCH_H
#define MAIL_SYNC_WATCH_H

#include "mail/model/account.h"

struct watch;

typedef void watch_on_stopped(void *ctx);

struct watch *watch_create(struct account *a);
/* Begins; the account's first connection is ready. */
void watch_start(struct watch *w);
bool watch_started(const struct watch *w);
/* LOGOUT; on_stopped from the loop. */
void watch_stop(struct watch *w, watch_on_stopped *on_stopped, void *ctx);
void watch_destroy(struct watch *w);

/* Somebody lists this mailbox. */
void watch_use(struct watch *w, struct mailbox *mb);
/* Somebody reads in this mailbox: of two that are read in turns one stays in use, since each change
 * costs a SELECT. */
void watch_read(struct watch *w, struct mailbox *mb);
/* The mailbox dies. */
void watch_forget(struct watch *w, const struct mailbox *mb);
/* See pool_each_mailbox. */
void watch_each_mailbox(const struct watch *w, mailbox_visit *visit, void *ctx);
/* Looks at everything now, and whether the watching connection still lives. */
void watch_refresh(struct watch *w);
/* Somebody looks up a mailbox by its name, known or not. A server with NOTIFY should tell of names,
 * but may do so only when it happens to look at its own list: then a LIST in the background makes
 * it true, so that who asks again sees it. */
void watch_use_names(struct watch *w, bool known);
/* Whether watch_use_names is of use there, or may be when the server can be reached. */
bool watch_has_names(const struct watch *w);
/* A check of the mailbox ended, or another connection told of something there; the one before ended
 * at `before` (uv_now; 0: none). found: something had changed. */
void watch_checked(struct watch *w, struct mailbox *mb, uint64_t before, bool found);
/* Somebody was given the mailbox's listing because the server tells of changes: looks now and then
 * whether it does. */
void watch_verify(struct watch *w, struct mailbox *mb);
/* Whether the server would have told of any change of this mailbox since `since` (uv_now). */
bool watch_covers(const struct watch *w, const struct mailbox *mb, uint64_t since);
/* Flags of messages are wanted from now on: the server is to tell of them, too. */
void watch_want_flags(struct watch *w);
/* Whether it would have told of any change of the mailbox's flags since `since` (uv_hrtime). */
bool watch_covers_flags(const struct watch *w, const struct mailbox *mb, uint64_t since);
/* Whether that is the watching connection. */
bool watch_owns(const struct watch *w, const struct conn *conn);
/* Of the watching connection. */
struct pool *watch_pool(const struct watch *w);
/* For the report: "NOTIFY", "IDLE", "polling", or the first two with "(late; asking)". */
const char *watch_mode(const struct watch *w);

#endif
