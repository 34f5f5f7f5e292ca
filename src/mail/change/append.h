/* SPDX-License-Identifier: MIT */
/*
 * Puts a message into a mailbox (APPEND, RFC 3501 section 6.3.11), once: what was sent whole over a
 * connection that was then lost is looked for before it is sent again, and where it cannot be known
 * whether it is there it is not sent again, and that is told.
 */
#ifndef MAIL_CHANGE_APPEND_H
#define MAIL_CHANGE_APPEND_H

#include "mail/model/account.h"

#define APPEND_REASON_MAX 256

struct append;
struct upload;

/*
 * It ended, once, from the loop. 0: it is in the mailbox. ERR_INVALID: the file is no message;
 * ERR_IO: it cannot be read; ERR_TOO_LARGE, ERR_QUOTA, ERR_DENIED, ERR_READONLY, ERR_NO_MAILBOX (also
 * when it has another UIDVALIDITY now), ERR_REFUSED: the server does not take it; one of a
 * connection's: it could not be sent, and is not there. ERR_UNSURE: it may be there, which the log
 * tells.
 */
typedef void append_done(struct append *a, int err);

struct append {
	struct mailbox *mb; /* needs no hold */
	int fd; /* the message as it was written (see letter.h), from its offset 0 on; stays the
		   caller's, who may close it when append_start has returned, but not write it
		   before the end */
	bool has_date;
	int64_t date;      /* INTERNALDATE; else the header says */
	int64_t written;   /* the date where there is neither; 0: the server says */
	const char *flags; /* as IMAP writes them, without parentheses; NULL: none. For as long as
			      it goes on */
	append_done *on_done;

	/* At the end. */
	uint32_t uid;                   /* of the message; 0: not known */
	struct cache_message is;        /* what it should be there */
	char reason[APPEND_REASON_MAX]; /* of an error: what is wrong, a few words for people */

	struct upload *upload; /* while it goes on */
};

void append_start(struct append *a);
/* No callback any more. True: it is not put in. False: it may be, or is already; a long one that is
 * half sent is not. */
bool append_cancel(struct append *a);
/* Octets that a message may have here at most, as far as is known; UINT64_MAX: any number. */
uint64_t append_limit(const struct mailbox *mb);
/* The account is about to be freed, after its pool: no callback any more. */
void append_forget_all(struct account *a);

#endif
