/* SPDX-License-Identifier: MIT */
/* Whether what a server says repeats what we logged in with, in any of the forms that it was given.
 */
#ifndef IMAP_SECRET_H
#define IMAP_SECRET_H

#include <stdbool.h>

#include "base/span.h"

/* The shortest piece of what was sent that counts as a repetition: servers cut what they repeat. Of
 * base64 it is six octets. */
#define SECRET_PIECE 8

/* What is shown in the place of a text that repeats it. */
#define SECRET_MASK "(its words repeat the password, and are not shown)"

/* Whether text has the password (or token) as a word of its own, or a piece of wire, which is what
 * was sent: the octets in base64, or with quotes escaped. A password that is part of a word in a
 * sentence of the server's is none. Looks at the first 4,096 octets of text: no more of it is ever
 * shown. */
bool secret_is_repeated(struct span text, struct span password, struct span wire);

#endif
