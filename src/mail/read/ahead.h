/* SPDX-License-Identifier: MIT */
/*
 * Read-ahead from message to message: what the readers of a mailbox will likely read next, and of
 * each message as much as they take, is fetched many at a time before it is asked for. The rule
 * and its measurements are in src/README.md.
 */
#ifndef MAIL_READ_AHEAD_H
#define MAIL_READ_AHEAD_H

#include "mail/model/mailbox.h"

/* A reader began with this message, and waits for it to come from the server; aside: see struct
 * body_read. Frees nothing, so what body_read_try gave stays valid. */
void ahead_note(struct mailbox *mb, uint32_t uid, bool waits, bool aside);
/* A reader has come to this octet of the message. */
void ahead_note_reach(struct mailbox *mb, uint32_t uid, uint64_t reach);
/* Octets of each message that its readers take, from the start; 0: all. */
uint32_t ahead_beginning(const struct mailbox *mb);
/* The mailbox dies. */
void ahead_forget(struct mailbox *mb);

#endif
