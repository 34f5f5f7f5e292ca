/* SPDX-License-Identifier: MIT */
/*
 * What APPENDUID and COPYUID say (RFC 4315 section 3, RFC 6851 section 4.3): under which UIDs
 * messages came to be in a mailbox. Only what makes sense as a whole counts as said.
 */
#ifndef IMAP_UIDS_H
#define IMAP_UIDS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/span.h"

/* Messages in one answer beyond which it counts as nonsense. */
#define IMAP_UIDS_MAX (1u << 20)

struct imap_uids {
	uint32_t uidvalidity; /* of the mailbox that they are in now; 0: nothing was said */
	uint32_t count;       /* of messages */
	/* Sets of UIDs, as many in each, one after the other: where they were, and where they are.
	 * APPENDUID has no `from`. */
	struct span from, to;
};

/* args: what stands behind the code's name. copy: COPYUID, else APPENDUID. */
struct imap_uids imap_uids_parse(struct span args, bool copy);
/* The UID that the message which had this one has now; 0: not said. */
uint32_t imap_uids_find(const struct imap_uids *uids, uint32_t from);
/* The first UID where they are now; 0: not said. */
uint32_t imap_uids_first(const struct imap_uids *uids);

#endif
