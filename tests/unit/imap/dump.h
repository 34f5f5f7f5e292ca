/* SPDX-License-Identifier: MIT */
/* Frames and responses as text, one line each, for tests to compare. Reads every octet of every
 * span. */
#ifndef IMAP_TEST_DUMP_H
#define IMAP_TEST_DUMP_H

#include "base/buf.h"
#include "imap/response.h"

/* Octets that are not printable ASCII as \xNN. */
void dump_octets(struct buf *out, struct span s);
/* "FETCH 5 uid=7 size=12"; what is not given is not named. */
void dump_response(struct buf *out, const struct imap_response *r);

#endif
