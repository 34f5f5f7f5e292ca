/* SPDX-License-Identifier: MIT */
/*
 * The parts of the response parser, for response.c alone. Each gets the cursor behind the
 * response's name and fills its fields of r; false means that nothing could be made of it (or
 * l->err is set).
 */
#ifndef IMAP_PARSE_H
#define IMAP_PARSE_H

#include "imap/lexer.h"
#include "imap/response.h"

typedef bool parse_fn(struct lexer *l, struct imap_response *r);

/* condition.c: r->condition is set; this reads "[CODE args] text". */
parse_fn parse_condition;
parse_fn parse_flags;

/* mailbox.c */
parse_fn parse_list;
parse_fn parse_lsub;
parse_fn parse_status;
parse_fn parse_namespace;
parse_fn parse_quota;
parse_fn parse_quotaroot;
parse_fn parse_myrights;

/* fetch.c */
parse_fn parse_fetch;
parse_fn parse_uidfetch;
/* The same for a text that ends where the literal of a BODY[...] begins. */
bool parse_fetch_prefix(struct lexer *l, struct imap_fetch *f);

/* The flags of messages; flags.c has the table. */
bool parse_message_flags(struct lexer *l, unsigned *flags);

#endif
