/* SPDX-License-Identifier: MIT */
/*
 * Mailbox names as path components, and message UIDs as file names. Pure.
 *
 * One level of a mailbox name (the octets between two hierarchy delimiters) is one component:
 *
 *   ordinary   A level that decodes (modified UTF-7, or UTF-8 after ENABLE UTF8=ACCEPT) is its
 *              text. In it `/`, control characters (C0, DEL, C1), the dots of `.` and `..`, the
 *              one of `.imapfs`, by which the mount itself is asked, and a `%` that two hex digits
 *              or a `~` follow, become %XX for each of their octets (upper case).
 *   raw        A level that does not decode is `%~` and its octets, where those above 7F also
 *              become %XX. So `&AOQ` (a shift without an end) is `%~&AOQ`, while `&-AOQ`, which
 *              decodes to the text `&AOQ`, is `&AOQ`. The empty level is `%~`.
 *   cut        What would be longer than NAME_MAX octets ends, at a character's boundary, in `%~`
 *              and 16 hex digits of a hash of the level. Only the caller's table leads back.
 *
 * No component of one kind looks like one of another, because `%~` in a name is always written
 * `%25~`: ordinary ones hold no `%~`, raw ones begin with it, cut ones have it behind their start.
 * Between levels and components that are not cut this is a bijection. Two cut components may be the
 * same with a probability of 2^-64; the caller's table keeps the first.
 *
 * A message is its UID in decimal and the mount's suffix, if any. That a child mailbox of that very
 * name wins, and the message is then `UID.eml`, is the caller's rule.
 */
#ifndef MAIL_MODEL_NAMES_H
#define MAIL_MODEL_NAMES_H

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* Appends the component of a level, at most NAME_MAX octets. utf8: names on this connection are
 * UTF-8. Returns 0, ERR_LIMIT (out's maximum) or ERR_NOMEM; after an error out is as before. */
int names_component(struct span level, bool utf8, struct buf *out);

/* The inverse: appends the level. ERR_INVALID for what names_component never gives (so no mailbox
 * has that name) and for cut components; else as above. */
int names_level(struct span component, bool utf8, struct buf *out);

/* Whether a level, as the whole first level of a name, is INBOX: in any case of its letters. */
bool names_is_inbox(struct span level);

/* Reads the file name of a message: a UID (1 to 2^32-1, no leading zeros) and then exactly suffix,
 * which is empty when the mount has none. */
bool names_uid(struct span component, struct span suffix, uint32_t *uid);

/* Writes that file name, NUL-terminated, and returns its length. suffix is at most 64 octets. */
size_t names_format_uid(uint32_t uid, struct span suffix, char out[NAME_MAX + 1]);

#endif
