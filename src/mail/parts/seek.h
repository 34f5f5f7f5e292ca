/* SPDX-License-Identifier: MIT */
/*
 * What only the server finds: UID SEARCH of a mailbox. What it names is believed as far as messages
 * are known here; a message that it does not name is not found, and nothing else follows from that.
 */
#ifndef MAIL_PARTS_SEEK_H
#define MAIL_PARTS_SEEK_H

#include "mail/model/account.h"
#include "mail/model/uidset.h"

struct seek;

/* How the text of a search is sent. */
enum seek_as {
	SEEK_KEYS, /* as it is: keys of RFC 3501 section 6.4.4, which the caller has checked */
	SEEK_BODY,
	SEEK_TEXT,
	SEEK_GMAIL, /* X-GM-RAW, of X-GM-EXT-1; ERR_INVALID where the server does not have it */
};

/* found is good until on_done returns; NULL when err is below 0: ERR_INVALID: the server does not take
 * such a search. */
typedef void seek_on_done(void *ctx, int err, struct uidset *found);

/* Asks; text is copied, UTF-8 without control characters. on_done comes from the loop, once. */
struct seek *seek_start(
	struct mailbox *mb, enum seek_as as, struct span text, seek_on_done *on_done, void *ctx);
/* No callback any more. The seek frees itself when the server has answered. */
void seek_cancel(struct seek *s);

#endif
