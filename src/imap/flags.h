/* SPDX-License-Identifier: MIT */
/*
 * Flags of messages (RFC 3501 section 2.3.2): the system flags are bits (enum imap_flag), all others
 * are keywords, which are atoms whose letters have no case. As text all of them are words with
 * spaces between, as in a FETCH response: "\Seen \Flagged $Work".
 */
#ifndef IMAP_FLAGS_H
#define IMAP_FLAGS_H

#include <stdbool.h>

#include "base/buf.h"
#include "imap/response.h"

/* Those that a message keeps, and that may be stored. */
#define IMAP_FLAGS_KEPT                                                                            \
	(IMAP_FLAG_SEEN | IMAP_FLAG_ANSWERED | IMAP_FLAG_FLAGGED | IMAP_FLAG_DELETED |             \
		IMAP_FLAG_DRAFT)

/* The bit of a word, 0: it is no flag of the system's. */
unsigned imap_flag_of(struct span word);
/* Whether a word may be sent as a keyword: an atom. */
bool imap_is_keyword(struct span word);
/* Takes the next keyword off the words of a FETCH response; false at the end. Servers keep stranger
 * ones than they take: each word of visible octets counts, but for quotes, parentheses and braces. */
bool imap_keyword_next(struct span *words, struct span *word);
/* Whether words with spaces between have this one, in any case. */
bool imap_has_word(struct span words, struct span word);
/* Less than, equal to or greater than 0: the order of keywords, without case. */
int imap_keyword_compare(struct span a, struct span b);
/* Appends the flags' words, and keywords (words with a space between) behind them. 0 or buf's
 * errors. */
int imap_flags_print(struct buf *out, unsigned flags, struct span keywords);

#endif
