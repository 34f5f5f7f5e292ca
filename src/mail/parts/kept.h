/* SPDX-License-Identifier: MIT */
/*
 * What views need of a mailbox that is kept, beside its octets: the summaries and the structures of all messages. Summaries
 * could be made of the octets, but the structure is what the server says it is, and both are small.
 */
#ifndef MAIL_PARTS_KEPT_H
#define MAIL_PARTS_KEPT_H

#include "mail/read/keep.h"

/* For keeper_create. */
keep_more kept_ask_facts;

#endif
