/* SPDX-License-Identifier: MIT */
/*
 * A name for each leaf and each attached message of a structure, for files in a directory: what the
 * sender called it, made harmless, or its section and what its type is called ("1.txt", "3.eml").
 * Names are distinct among the parts of one message: of parts with the same name the first has it,
 * others have their section in it ("report~3.pdf"). None is a bare section, since those are names of
 * directories.
 */
#ifndef MIME_NAMES_H
#define MIME_NAMES_H

#include "mime/structure.h"

struct mime_name {
	struct span text;   /* empty: a multipart, which has none */
	uint32_t directory; /* the attached message that the part is within, or MIME_NO_PART */
};

struct mime_names {
	struct mime_name *of; /* by part, as many as the structure has */
	uint32_t *sorted;     /* parts that have one, by directory and octets */
	size_t sorted_count;
	struct buf text;
};

/* The structure may go afterwards. Returns 0 or ERR_NOMEM; n is to be finished either way. */
int mime_names_init(struct mime_names *n, const struct mime_structure *s);
void mime_names_finish(struct mime_names *n);

/* The part of a name in a directory, MIME_NO_PART when there is none. */
uint32_t mime_names_find(const struct mime_names *n, uint32_t directory, struct span name);

#endif
