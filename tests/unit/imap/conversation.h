/* SPDX-License-Identifier: MIT */
/*
 * Framer and parser together, as a connection uses them: octets in, a text with one line for each
 * frame out. A body's octets are joined, however they came.
 */
#ifndef IMAP_TEST_CONVERSATION_H
#define IMAP_TEST_CONVERSATION_H

#include "base/buf.h"
#include "base/span.h"

struct conversation;

struct conversation *conversation_start(void); /* NULL: out of memory */
/* Returns 0 or the error that ended it; it is also in the text. After an error nothing more is
 * taken. */
int conversation_feed(struct conversation *c, struct span part);
/* What came out so far. */
struct span conversation_text(struct conversation *c);
void conversation_end(struct conversation *c);

#endif
