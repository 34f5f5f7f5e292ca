/* SPDX-License-Identifier: MIT */
/*
 * Sets of UIDs as ranges: as short as what a server said, whatever numbers it said, in whatever
 * order: adding, taking out and asking cost the logarithm of the set's size, or its square.
 */
#ifndef MAIL_MODEL_UIDSET_H
#define MAIL_MODEL_UIDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Servers take command lines of 1,000 octets; the set is most of one. */
#define UIDSET_TEXT_MAX 900
/* Each run has at least two for one of the next. */
#define UIDSET_RUNS_MAX 64

struct uid_range {
	uint32_t first, last;
};

/* The ranges, ascending, disjoint and as few as can be, may be read while they were added in
 * ascending order and none was taken out; else after uidset_sort. */
struct uidset {
	struct uid_range *ranges;
	size_t count, cap;
	struct uid_range *memory; /* ranges, or what is before them */
	size_t starts[UIDSET_RUNS_MAX];
	unsigned runs;
};

/* A zeroed set is empty. */
void uidset_finish(struct uidset *s);
void uidset_clear(struct uidset *s);
void uidset_copy(struct uidset *to, const struct uidset *from);
/* Adds first..last. 0 is no UID. */
void uidset_add(struct uidset *s, uint32_t first, uint32_t last);
/* Takes first..last out. */
void uidset_remove(struct uidset *s, uint32_t first, uint32_t last);
/* Brings the ranges in order; costs nothing where they are. */
void uidset_sort(struct uidset *s);
/* How many UIDs its (sorted) ranges hold. */
uint64_t uidset_size(const struct uidset *s);
/* Needs no sorting, and does not gain by it where it is asked in between. */
bool uidset_has(const struct uidset *s, uint32_t uid);
/* The first UID of the (sorted) set above uid, or 0. */
uint32_t uidset_after(const struct uidset *s, uint32_t uid);
/* Moves the first UIDs of s to part, which is emptied before: most of them, and what
 * uidset_take_text puts into a text, at most. */
void uidset_cut(struct uidset *s, uint64_t most, struct uidset *part);
/* Moves ranges from the front of s to text ("1:5,9") while they fit its maximum; at least one. */
void uidset_take_text(struct uidset *s, struct buf *text);

#endif
