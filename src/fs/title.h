/* SPDX-License-Identifier: MIT */
/* What a message is called for people: "2026-11-14 Anna - Re invoice.5.eml". Pure. */
#ifndef FS_TITLE_H
#define FS_TITLE_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "mime/summary.h"

/* Writes the name, NUL-terminated, and returns its length: when it arrived (UTC; left out where
 * has_date is false), who it is from, the subject, cut to what a name may hold, without what some
 * systems do not take in names; then the UID, by which it is found. */
size_t title_print(uint32_t uid, bool has_date, int64_t date, const struct mime_summary *summary,
	char out[NAME_MAX + 1]);
/* The UID at the end of a name, whatever stands before; false: it has none. */
bool title_uid(const char *name, uint32_t *uid);
/* The name begins with a date, and that is not the one of a message that arrived then. */
bool title_has_other_date(const char *name, int64_t date);

#endif
