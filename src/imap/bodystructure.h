/* SPDX-License-Identifier: MIT */
/*
 * The value of BODYSTRUCTURE, or of BODY, in a FETCH response (RFC 3501 section 7.4.2 and the grammar
 * of section 9) becomes a structure.
 */
#ifndef IMAP_BODYSTRUCTURE_H
#define IMAP_BODYSTRUCTURE_H

#include "base/span.h"
#include "mime/structure.h"

/*
 * Parses the value, literals in place as the framer left them, into s, which is to be finished either
 * way and owns what it points to. Lenient about what may be missing (extension data, an envelope).
 * Returns 0; ERR_UNREADABLE: this is no structure; ERR_LIMIT: it has too many parts, or they are
 * nested too deeply; ERR_NOMEM.
 */
int imap_bodystructure_parse(struct span text, struct mime_structure *s);

#endif
