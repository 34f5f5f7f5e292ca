/* SPDX-License-Identifier: MIT */
/*
 * Which UID each message sequence number of a selected mailbox has, as far as the server said.
 * EXPUNGE renumbers (RFC 3501 section 7.4.1): responses must be applied strictly in their order.
 * Memory grows with what was learnt, never with what EXISTS announces. Each call costs the
 * logarithm of what is known, and each UID that is forgotten once.
 */
#ifndef IMAP_SEQMAP_H
#define IMAP_SEQMAP_H

#include <stdbool.h>
#include <stdint.h>

struct imap_seqmap;

struct imap_seqmap *imap_seqmap_create(void); /* NULL: out of memory */
void imap_seqmap_destroy(struct imap_seqmap *m);
/* Forgets everything: another mailbox was selected. */
void imap_seqmap_clear(struct imap_seqmap *m);

/* EXISTS: the mailbox has n messages. A smaller n than known forgets the mapping above it. */
void imap_seqmap_set_exists(struct imap_seqmap *m, uint32_t n);
uint32_t imap_seqmap_exists(const struct imap_seqmap *m);
/* A FETCH response told the UID of seq. Numbers of 0 or above EXISTS are ignored. Where the UIDs do
 * not rise with the numbers all others are forgotten. Returns 0 or ERR_NOMEM. */
int imap_seqmap_learn(struct imap_seqmap *m, uint32_t seq, uint32_t uid);
/* The UID, or 0 when it is not known. */
uint32_t imap_seqmap_uid(struct imap_seqmap *m, uint32_t seq);
/* EXPUNGE: seq is gone, all above move down by one. Returns its UID, 0 when that was not known.
 * Ignores (returns 0, *valid false) what is 0 or above EXISTS. */
uint32_t imap_seqmap_expunge(struct imap_seqmap *m, uint32_t seq, bool *valid);
/* VANISHED names UIDs, not numbers: drops the known ones of first..last (first at least 1) and
 * moves the others down; an unknown one makes the mapping of all above the last known smaller UID
 * uncertain: those are forgotten. EXISTS goes down by one for each UID of the range. */
void imap_seqmap_vanish(struct imap_seqmap *m, uint32_t first, uint32_t last);

/* How many nodes all calls so far have gone through, for tests. */
uint64_t imap_seqmap_steps(const struct imap_seqmap *m);

#endif
