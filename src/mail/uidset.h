/* Sets of UIDs as ascending, disjoint ranges: as short as what a server said, whatever numbers it
 * said. */
#ifndef MAIL_UIDSET_H
#define MAIL_UIDSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/* Servers take command lines of 1,000 octets; the set is most of one. */
#define UIDSET_TEXT_MAX 900

struct uid_range {
	uint32_t first, last;
};

struct uidset {
	struct uid_range *ranges;
	size_t count, cap;
};

/* A zeroed set is empty. */
void uidset_finish(struct uidset *s);
void uidset_clear(struct uidset *s);
void uidset_copy(struct uidset *to, const struct uidset *from);
/* Appends first..last; joins it with the range before where they touch. Any order, but see
 * uidset_sort. */
void uidset_add(struct uidset *s, uint32_t first, uint32_t last);
/* Takes first..last out. */
void uidset_remove(struct uidset *s, uint32_t first, uint32_t last);
/* Must be called before uidset_has when ranges were not added in ascending order; cheap when they
 * were. */
void uidset_sort(struct uidset *s);
/* How many UIDs its (sorted) ranges hold. */
uint64_t uidset_size(const struct uidset *s);
bool uidset_has(const struct uidset *s, uint32_t uid);
/* The first UID of the (sorted) set above uid, or 0. */
uint32_t uidset_after(const struct uidset *s, uint32_t uid);
/* Moves ranges from the front of s to text ("1:5,9") while they fit its maximum; at least one. */
void uidset_take_text(struct uidset *s, struct buf *text);

#endif
