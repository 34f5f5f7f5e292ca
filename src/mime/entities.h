/* SPDX-License-Identifier: MIT */
/* The 2,231 names of characters in HTML; the table is made when the program is built (entities.py). */
#ifndef MIME_ENTITIES_H
#define MIME_ENTITIES_H

#include <stddef.h>

#include "base/span.h"

/* The longest name has so many octets, with its semicolon. */
#define MIME_ENTITY_MAX 33

struct mime_entity {
	const char *name; /* without "&", with the semicolon where it needs one */
	const char *text; /* UTF-8 */
};

/* Sorted by octets. */
extern const struct mime_entity mime_entities[];
extern const size_t mime_entity_count;

/* The text of the longest name that s begins with, and its length; an empty text: there is none. */
struct span mime_entity_find(struct span s, size_t *length);

#endif
