/*
 * Read-ahead from message to message: who reads the messages of a mailbox in an order that is known
 * will read the next ones, and those are fetched in bulk before they are asked for.
 */
#ifndef MAIL_AHEAD_H
#define MAIL_AHEAD_H

#include "mail/mailbox.h"

/* A reader began with this message, and waits for it to come from the server. Frees nothing, so
 * what body_read_try gave stays valid. */
void ahead_note(struct mailbox *mb, uint32_t uid, bool waits);
/* The mailbox dies. */
void ahead_forget(struct mailbox *mb);

#endif
