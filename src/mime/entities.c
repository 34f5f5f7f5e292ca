/* SPDX-License-Identifier: MIT */
#include "mime/entities.h"

#include <stdlib.h>

static int compare_entity(const void *key, const void *element)
{
	const struct span *name = key;
	const struct mime_entity *entity = element;
	int order = strncmp(name->p, entity->name, name->n);

	return order ? order : -(entity->name[name->n] != '\0');
}

static bool is_name_octet(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The octets that may be a name, with the semicolon behind them. */
static size_t longest_name(struct span s)
{
	size_t max = s.n < MIME_ENTITY_MAX ? s.n : MIME_ENTITY_MAX, n = 0;

	while (n < max && is_name_octet(s.p[n]))
		n++;
	return n + (n < max && s.p[n] == ';');
}

struct span mime_entity_find(struct span s, size_t *length)
{
	for (size_t n = longest_name(s); n > 0; n--) {
		struct span key = {s.p, n};
		const struct mime_entity *found = bsearch(&key, mime_entities, mime_entity_count,
			sizeof(mime_entities[0]), compare_entity);
		if (found) {
			*length = n;
			return span_of(found->text);
		}
	}
	*length = 0;
	return (struct span){0};
}
