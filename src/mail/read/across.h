/* SPDX-License-Identifier: MIT */
/*
 * Read-ahead from mailbox to mailbox: when the messages of one mailbox after the other are read, in
 * the order of a walk, those of the next ones are fetched before anybody opens them, mailboxes one
 * behind the other on one connection. What is ahead of the reader is 1 MiB at first, and more as he
 * goes on as expected.
 */
#ifndef MAIL_READ_ACROSS_H
#define MAIL_READ_ACROSS_H

#include "mail/sync/walk.h"

struct across *across_create(struct account *a);
void across_destroy(struct across *x);
/* A reader began with this message. */
void across_note(struct mailbox *mb, uint32_t uid);
/* For walk.h: the messages of a mailbox come along with its rows where who reads will come to it. */
walk_on_ahead across_on_ahead;

#endif
