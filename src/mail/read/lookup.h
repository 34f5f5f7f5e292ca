/* SPDX-License-Identifier: MIT */
/*
 * Chunks of messages of one mailbox that will be read soon: looked up in the cache by a thread, and
 * what that does not have is asked of the server, small messages many at a time.
 */
#ifndef MAIL_READ_LOOKUP_H
#define MAIL_READ_LOOKUP_H

#include "mail/model/mailbox.h"
#include "mail/read/body.h"

struct lookup;

/* Octets of a large message that are fetched before it is read. */
#define LOOKUP_LARGE_MAX (8u << 20)

/* Of each message as much will be fetched as the mailbox's readers take. */
struct lookup *lookup_create(struct mailbox *mb);
/* Octets of the message that will be fetched; 0: its size is not known, and it is left alone. */
uint32_t lookup_octets(const struct lookup *l, const struct cache_message *m);
/* What memory does not have of these. keep: see lookup_keep. */
void lookup_message(struct lookup *l, const struct cache_message *m, bool keep);
/* Not one that is in memory or on its way. */
void lookup_add(struct lookup *l, uint32_t uid, uint32_t chunk);
/* The message's first chunk is kept in memory, not pushed into the kernel: its read will be seen. */
void lookup_keep(struct lookup *l, uint32_t uid);
/* Nobody has selected the mailbox yet: it is to be asked in ahead of its turn (pool_foresee). */
void lookup_foresee(struct lookup *l);
/* Headers of these messages, by a section that is one and stays: they are kept in memory. */
void lookup_headers(
	struct mailbox *mb, const struct body_section *section, const uint32_t *uids, size_t n);
/* Begins, and destroys it at the end. False: there was nothing to look up. */
bool lookup_start(struct lookup *l);

#endif
