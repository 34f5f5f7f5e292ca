/*
 * Many small messages by one command, ahead of their readers. It is an offer: what comes whole is
 * kept and answers who waits for it; what does not is left to the windows (window.c), which ask
 * again and judge errors.
 */
#ifndef MAIL_BULK_H
#define MAIL_BULK_H

#include "mail/mailbox.h"

/* Messages below this size come whole in one answer. */
#define BULK_MESSAGE_MAX CACHE_CHUNK
/* Octets of one batch, about. */
#define BULK_OCTETS_MAX (1u << 20)

struct bulk;

struct bulk *bulk_create(struct mailbox *mb);
/* Not when the command is full. The message must not be in memory. keep: it is not handed to the
 * kernel before it is read. */
void bulk_add(struct bulk *b, uint32_t uid, bool keep);
bool bulk_is_full(const struct bulk *b);
/* Sends it when a connection is free; it frees itself. */
void bulk_start(struct bulk *b);

#endif
