/* SPDX-License-Identifier: MIT */
/*
 * Where the parts of messages are whose octets are all here: found at the boundaries that the
 * structure names, and believed only where each leaf has just as many octets as the server stated
 * (mime/split.h). What was found of the messages that were looked at last is kept.
 */
#ifndef MAIL_PARTS_PLACES_H
#define MAIL_PARTS_PLACES_H

#include "mail/model/account.h"
#include "mime/structure.h"

struct place {
	uint64_t at, end;
	bool contradicted; /* the part's own header says that it is encoded otherwise than the structure says */
};

struct places;

struct places *places_create(void);
void places_destroy(struct places *p);

/* The bodies of the parts, as many as the structure has; that of the message begins behind its header.
 * NULL: not all octets are here, or they do not agree with the structure. Valid until the next call. */
const struct place *places_find(
	struct mailbox *mb, uint32_t uid, const struct mime_structure *structure);

/* The same for the header alone, without a structure: false when it is not here, or is long. */
bool places_header(struct mailbox *mb, uint32_t uid, struct place *place);

/* Of a part that comes alone: whether it was compared with its own header, as far as that could be had, and what
 * came of it. What contradicts is logged, once a message. */
bool places_compared(const struct mailbox *mb, uint32_t uid, uint32_t part, bool *contradicted);
void places_note(const struct mailbox *mb, uint32_t uid, uint32_t part, bool contradicted);

#endif
