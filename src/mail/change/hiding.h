/* SPDX-License-Identifier: MIT */
/*
 * What a mailbox is called while it is being removed: NAME~imapfs-rmdir-XXXXXXXX, or, where that would be too long for
 * servers, as much of the beginning of NAME as leaves it no longer than NAME is, and ~imapfs-rmcut-XXXXXXXX. Pure.
 */
#ifndef MAIL_CHANGE_HIDING_H
#define MAIL_CHANGE_HIDING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/span.h"

/* Appends that name. delimiter: of its levels, '\0': it has none. Returns buf's errors. */
int hiding_make_name(struct span name, char delimiter, uint32_t number, struct buf *out);

/* Whether a component is such a name, and what of its own name is in it: all, or the beginning (cut). */
bool hiding_read_name(struct span component, struct span *original, bool *cut);

#endif
