/* SPDX-License-Identifier: MIT */
/* What a server offers (RFC 3501 section 7.2.1), as a set of bits. Its ways to log in (AUTH=) are
 * another set, see imap/sasl.h. */
#ifndef IMAP_CAPABILITY_H
#define IMAP_CAPABILITY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

enum imap_capability {
	IMAP_CAP_ACL = 1 << 0,
	IMAP_CAP_APPENDLIMIT = 1 << 1, /* RFC 7889; the limit may follow the name */
	IMAP_CAP_COMPRESS_DEFLATE = 1 << 2,
	IMAP_CAP_CONDSTORE = 1 << 3,
	IMAP_CAP_ENABLE = 1 << 4,
	IMAP_CAP_ESEARCH = 1 << 5,
	IMAP_CAP_ID = 1 << 6,
	IMAP_CAP_IDLE = 1 << 7,
	IMAP_CAP_IMAP4REV1 = 1 << 8,
	IMAP_CAP_IMAP4REV2 = 1 << 9,
	IMAP_CAP_LIST_EXTENDED = 1 << 10,
	IMAP_CAP_LIST_STATUS = 1 << 11,
	IMAP_CAP_LITERAL_MINUS = 1 << 12,
	IMAP_CAP_LITERAL_PLUS = 1 << 13,
	IMAP_CAP_LOGINDISABLED = 1 << 14,
	IMAP_CAP_MESSAGELIMIT = 1 << 15, /* RFC 9738; the limit follows the name */
	IMAP_CAP_MOVE = 1 << 16,         /* RFC 6851 */
	IMAP_CAP_NAMESPACE = 1 << 17,
	IMAP_CAP_NOTIFY = 1 << 18,
	IMAP_CAP_OBJECTID = 1 << 19, /* RFC 8474 */
	IMAP_CAP_QRESYNC = 1 << 20,
	IMAP_CAP_QUOTA = 1 << 21,
	IMAP_CAP_SASL_IR = 1 << 22,
	IMAP_CAP_SPECIAL_USE = 1 << 23,
	IMAP_CAP_STARTTLS = 1 << 24,
	IMAP_CAP_UIDONLY = 1 << 25, /* RFC 9586 */
	IMAP_CAP_UIDPLUS = 1 << 26,
	IMAP_CAP_UTF8_ACCEPT = 1 << 27,
	IMAP_CAP_UTF8_ONLY = 1 << 28,
};

/* The set that a list of words separated by spaces names; unknown words are skipped. QRESYNC
 * implies CONDSTORE and ENABLE (RFC 7162 section 3.2.3), IMAP4rev2 what it incorporates (RFC 9051
 * appendix E). */
uint32_t imap_capability_parse(struct span words);
/* How many messages a command does at most (MESSAGELIMIT=1000), 0: as many as there are. */
uint32_t imap_capability_limit(struct span words);
/* How many octets a message has at most that is put into any mailbox (APPENDLIMIT=35651584);
 * UINT64_MAX: it is not said for all. */
uint64_t imap_capability_append_limit(struct span words);

#endif
