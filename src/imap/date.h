/* SPDX-License-Identifier: MIT */
/*
 * INTERNALDATE (RFC 3501 section 9, date-time): " 1-Feb-2024 13:05:59 +0100" and what real servers
 * make of it: leading space or none, one-digit day, a zone's name appended or in place of the
 * number, no zone (UTC), two-digit years (70 to 99: 19xx, else 20xx), "00-Jan-0000".
 */
#ifndef IMAP_DATE_H
#define IMAP_DATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Seconds since 1970 UTC; false when the text gives no real date and time. Years 1 to 9999. */
bool imap_date_parse(struct span text, int64_t *seconds);

#define IMAP_DATE_LENGTH 26
/* The same as a date-time in UTC, as APPEND takes it, without quotes. False when it is none of the
 * years 1 to 9999. */
bool imap_date_format(int64_t seconds, char out[IMAP_DATE_LENGTH + 1]);

#define IMAP_DATE_ISO_LENGTH 20
/* The same as "2026-11-21T01:29:03Z", for people and programs. */
bool imap_date_iso(int64_t seconds, char out[IMAP_DATE_ISO_LENGTH + 1]);

#endif
