/* SPDX-License-Identifier: MIT */
/*
 * A mailbox's messages in the order of UIDs, in whatever order the server tells of them: adding,
 * removing and finding cost the logarithm of their number, or its square.
 */
#ifndef MAIL_MODEL_ROWS_H
#define MAIL_MODEL_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cache/cache.h"

/* In message.flags, beside enum cache_message_flag; never written to the cache. */
#define MESSAGE_GONE (1u << 16)
#define MESSAGE_RETURNS (1u << 20) /* gone, but the server may tell of it again */

/* Both are known, and neither size nor date is the same. Either alone may be the server's whim: a size
 * that is computed another way, a date that it could not say before. */
bool message_is_other(const struct cache_message *a, const struct cache_message *b);

/* Zeroed it is empty. */
struct rows {
	struct cache_message *at;
	size_t count, cap; /* those that are gone included */
	size_t gone;
	/* Where runs begin, but the first. See rows.c. */
	size_t *starts;
	size_t start_count, start_cap;
};

void rows_finish(struct rows *r);
/* Takes over n of them in ascending order (malloc'ed), where there were none. */
void rows_take(struct rows *r, struct cache_message *at, size_t n);
/* A message that is not there, or is gone. */
void rows_put(struct rows *r, const struct cache_message *m);
/* The message, gone or not; NULL: there never was. Valid until the next change. */
struct cache_message *rows_find(const struct rows *r, uint32_t uid);
/* The first one with a UID above uid that is not gone, or NULL. */
struct cache_message *rows_after(const struct rows *r, uint32_t uid);
/* The last one with a UID below uid that is not gone, or NULL. */
struct cache_message *rows_before(const struct rows *r, uint32_t uid);
/* Marks one that is not gone; what it was is forgotten. */
void rows_mark_gone(struct rows *r, struct cache_message *m);
/* The highest UID, of those gone too; 0: there is none. */
uint32_t rows_last(const struct rows *r);
/* Brings at[0..count-1] in order; costs nothing where it is. */
void rows_sort(struct rows *r);
/* Forgets those that are gone. */
void rows_sweep(struct rows *r);

#endif
