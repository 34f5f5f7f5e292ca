/* SPDX-License-Identifier: MIT */
/*
 * A structure as few octets, to be kept: about 60 for a message with a text and its HTML. Words that
 * most messages have are one octet.
 */
#ifndef MIME_PACKED_H
#define MIME_PACKED_H

#include "base/buf.h"
#include "mime/structure.h"

/* Appends it. ERR_NOMEM or ERR_LIMIT of out. */
int mime_structure_pack(const struct mime_structure *s, struct buf *out);
/* s is to be finished either way, and owns what it points to. ERR_UNREADABLE: this is no packed
 * structure; ERR_NOMEM. */
int mime_structure_unpack(struct span packed, struct mime_structure *s);

#endif
