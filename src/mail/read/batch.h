/* SPDX-License-Identifier: MIT */
/*
 * Many small messages by one command, ahead of their readers. It is an offer: what comes whole is
 * kept and answers who waits for it; what does not is left to the windows (window.c), which ask
 * again and judge errors.
 */
#ifndef MAIL_READ_BATCH_H
#define MAIL_READ_BATCH_H

#include "mail/model/mailbox.h"
#include "mail/read/body.h"
#include "mail/sync/sync.h"

/* Octets: messages that are smaller come whole in one answer, if they are wanted whole. */
#define BATCH_MESSAGE_MAX CACHE_CHUNK
/* Octets of one batch, about. */
#define BATCH_OCTETS_MAX (1u << 20)

struct batch;

struct batch *batch_create(struct mailbox *mb);
/* Of messages that are larger only so many octets are fetched: less than CACHE_CHUNK, and whole
 * pages, since the kernel gets them. Before any is added. */
void batch_want_beginnings(struct batch *b, uint32_t octets);
/* Nothing is known of their sizes: those that are larger come up to the end of their first chunk. Before
 * any is added. */
void batch_want_chunks(struct batch *b);
/* Not the messages but their headers, by a section that is one (it stays). Before any is added. */
void batch_want_headers(struct batch *b, const struct body_section *section);
/* Not when the command is full. The message must not be in memory. keep: it is not pushed into the
 * kernel before it is read. */
void batch_add(struct batch *b, uint32_t uid, bool keep);
bool batch_is_full(const struct batch *b);
/* Sends it when a connection is free; it destroys itself. */
void batch_start(struct batch *b);
/* The same of one or two in a mailbox that is not selected yet: ahead of its turn, if that can be. */
void batch_foresee(struct batch *const *batches, size_t n);
/* Of all messages up to this UID, of a mailbox whose rows are asked for by the command before, so many
 * octets each (as for batch_want_beginnings, or CACHE_CHUNK + 1), as far as these rows have come before and
 * there is room. It rides along, or destroys itself. */
struct sync_rider *batch_create_rider(struct mailbox *mb, uint32_t last, uint32_t octets);
/* The command's text as it stands now; valid until it is started. */
const char *batch_text(struct batch *b);
/* Starts one whose command was foreseen under that number (pool_foresee), 0: it was not.
 * awaited: somebody waits
 * for it, and does something else when what was foreseen does not come. */
void batch_start_foreseen(struct batch *b, unsigned number, bool awaited);

#endif
