/* SPDX-License-Identifier: MIT */
/*
 * The fields of a header (RFC 5322), and the addresses of one. All spans point into the header, and
 * every walk over it is linear.
 */
#ifndef MIME_HEADER_H
#define MIME_HEADER_H

#include "base/buf.h"
#include "base/span.h"

struct mime_field {
	struct span name;
	struct span value; /* as it stands there, folded; without white space around it */
};

/* Takes the next field off the header; false at the empty line or where the octets end. Lines that
 * are no field are passed over. */
bool mime_header_next(struct span *header, struct mime_field *field);

/* The first field of a name, of either case; its value is empty when there is none. */
struct span mime_header_find(struct span header, struct span name);

/* The octets of the header, with the empty line behind it. */
size_t mime_header_length(struct span message);

/* As they stand there, quoted and encoded; each may be empty. */
struct mime_address {
	struct span name;    /* what stands before "<" */
	struct span comment; /* the last one, without its parentheses */
	struct span
		mailbox; /* what stands between "<" and ">", or all of it where there is no "<" */
};

/* Takes the next address off a list; false at the end. The names of groups are passed over, and empty
 * members. */
bool mime_address_next(struct span *list, struct mime_address *address);

/* Append the UTF-8 of a person's name (the phrase, else the comment), perhaps nothing, and of the
 * mailbox without spaces and comments; control characters as spaces. Return the errors of
 * mime_words_decode. */
int mime_address_name(const struct mime_address *address, struct buf *out);
int mime_address_mailbox(const struct mime_address *address, struct buf *out);

/* For a column: the first address of a list that has any by its name, else by its mailbox. */
int mime_address_first(struct span list, struct buf *out);

#endif
