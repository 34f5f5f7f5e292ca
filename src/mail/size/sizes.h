/* SPDX-License-Identifier: MIT */
/*
 * Whether the size that a server announced for a message (RFC822.SIZE) may be shown.
 *
 * Programs take a file's size for its octets (rsync, tar, mmap), so a wrong one yields a copy that
 * is cut short or padded. SIZES_AUTO believes the server until it is caught: some messages of an
 * account that is new are proved first (prove.h), and from the first size that was wrong on all
 * are, also after the next mount. What was found wrong after it had been shown makes reads fail
 * until the right size has been asked for: see sizes_misled.
 */
#ifndef MAIL_SIZE_SIZES_H
#define MAIL_SIZE_SIZES_H

#include "mail/model/account.h"

struct sizes;

/* With what the cache knows from other days (CACHE_NOTE_SIZES). */
struct sizes *sizes_create(enum sizes_mode mode, struct cache *cache);
void sizes_destroy(struct sizes *s);
/* For the report. */
const char *sizes_text(const struct account *a);
/* Whether a size that the server stated was found wrong. */
bool sizes_were_wrong(const struct account *a);

/* Whether the server's size is good enough to be shown now, in the message's mailbox. */
bool sizes_can_show(const struct mailbox *mb, const struct cache_message *m);
/* The server said something, if perhaps not the truth. */
bool sizes_said(const struct cache_message *m);
/* The kernel is being told the size; mb's is to be believed or proved, or nothing better is to be
 * had. */
void sizes_note_shown(const struct mailbox *mb, struct cache_message *m);
/* The kernel was given a size that turned out to be wrong, and has not asked for another since: its
 * readers would take the old one for the end. */
bool sizes_misled(struct mailbox *mb, uint32_t uid);

/* The message was found to have so many octets. The cache and, where it was told otherwise, the
 * observer learn of it. */
void sizes_pin(struct mailbox *mb, struct cache_message *m, uint64_t octets);
/* What the server said of the message, or was assumed of it, is wrong for certain; `provisional` is a better guess. */
void sizes_contradict(struct mailbox *mb, struct cache_message *m, uint64_t provisional);

/* Whether the mailbox, which is about to be listed for the first time, should have some messages
 * proved before. */
bool sizes_want_sample(const struct mailbox *mb);

#endif
