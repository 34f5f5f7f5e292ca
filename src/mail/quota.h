/* SPDX-License-Identifier: MIT */
/* The quota of the account's INBOX (RFC 9208), asked at the start and again in the background, for
 * statfs. */
#ifndef MAIL_QUOTA_H
#define MAIL_QUOTA_H

#include "mail/model/account.h"

struct quota {
	bool asking;
	uint64_t asked;                   /* uv_now; 0: never */
	uint64_t used, limit;             /* octets; limit 0: none known */
	uint64_t messages, message_limit; /* message_limit 0: none known */
};

/* Asks, if the server offers QUOTA and the last answer is older than a minute. */
void quota_start(struct account *a);

#endif
