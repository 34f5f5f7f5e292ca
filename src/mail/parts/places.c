/* SPDX-License-Identifier: MIT */
#include "mail/parts/places.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "mail/read/body.h"
#include "mime/header.h"
#include "mime/split.h"

/* Messages whose places are kept. */
#define KEPT 16u
/* Parts of which it is kept whether their headers agree. */
#define COMPARED 64u
/* Larger messages are not looked through while the server can be asked for a part: it takes as long as
 * reading them from the disk, in which nothing else is done. */
#define LARGE (8u << 20)

struct found {
	uint32_t mailbox, uid;
	struct place *parts; /* NULL: they do not agree */
};

struct compared {
	uint32_t mailbox, uid, part;
	bool contradicted;
};

struct places {
	struct found found[KEPT];
	unsigned next; /* that is replaced */
	struct compared compared[COMPARED];
	unsigned next_compared;
};

struct places *places_create(void)
{
	return mem_zalloc(sizeof(struct places));
}

void places_destroy(struct places *p)
{
	for (unsigned i = 0; p && i < KEPT; i++)
		free(p->found[i].parts);
	free(p);
}

/* Feeds the octets of the message; false when they are not all here. */
static bool feed_all(struct mailbox *mb, uint32_t uid, struct mime_split *split)
{
	struct body_read r = {.mb = mb, .uid = uid, .size = BODY_READ_MAX, .aside = true};
	struct body_parts parts;

	do {
		if (body_read_try(&r, &parts) != 0)
			return false;
		for (int i = 0; i < parts.count; i++)
			mime_split_feed(
				split, (struct span){parts.iov[i].iov_base, parts.iov[i].iov_len});
		r.offset += parts.total;
	} while (parts.total == r.size);
	return true;
}

static void tell(const struct mailbox *mb, uint32_t uid)
{
	log_warning("%s: says that a part of message %u of %s is encoded otherwise than "
		    "the message itself says: it cannot be shown decoded",
		mb->account->options.pool.host, uid, mailbox_path(mb));
}

static struct place *copy_places(
	struct mailbox *mb, uint32_t uid, const struct mime_split *split, size_t count)
{
	struct place *parts = mem_alloc(count * sizeof(*parts));
	bool told = false;

	for (size_t i = 0; i < count; i++) {
		bool contradicted = mime_split_contradicts(split, (uint32_t)i);
		parts[i] = (struct place){
			split->regions[i].at, split->regions[i].end, contradicted};
		if (contradicted && !told)
			tell(mb, uid);
		told |= contradicted;
	}
	return parts;
}

static const struct place *look(
	struct mailbox *mb, uint32_t uid, const struct mime_structure *structure)
{
	struct places *p = mb->account->places;
	struct found *f = &p->found[p->next];
	struct mime_split split;

	bool here = mime_split_init(&split, structure) == 0 && feed_all(mb, uid, &split);
	if (here) {
		free(f->parts);
		*f = (struct found){mb->id, uid, NULL};
		if (mime_split_end(&split))
			f->parts = copy_places(mb, uid, &split, structure->count);
		p->next = (p->next + 1) % KEPT;
	}
	mime_split_finish(&split);
	return here ? f->parts : NULL;
}

static bool may_look(struct mailbox *mb, uint32_t uid)
{
	const struct cache_message *m = mailbox_find(mb, uid);

	return m && (m->size <= LARGE || pool_is_down(mb->account->pool)) && body_is_here(mb, uid);
}

const struct place *places_find(
	struct mailbox *mb, uint32_t uid, const struct mime_structure *structure)
{
	const struct places *p = mb->account->places;

	for (unsigned i = 0; i < KEPT; i++)
		if (p->found[i].mailbox == mb->id && p->found[i].uid == uid)
			return may_look(mb, uid) ? p->found[i].parts : NULL;
	return may_look(mb, uid) ? look(mb, uid, structure) : NULL;
}

bool places_header(struct mailbox *mb, uint32_t uid, struct place *place)
{
	const struct body_read r = {.mb = mb, .uid = uid, .size = CACHE_CHUNK, .quiet = true};
	struct body_parts parts;

	if (!body_is_here(mb, uid) || body_read_try(&r, &parts) != 0 || parts.count != 1)
		return false;
	struct span octets = {parts.iov[0].iov_base, parts.iov[0].iov_len};
	*place = (struct place){0, mime_header_length(octets), false};
	/* Without an empty line it may go on. */
	return place->end < octets.n || parts.total < r.size;
}

/* --- parts that come alone --- */

bool places_compared(const struct mailbox *mb, uint32_t uid, uint32_t part, bool *contradicted)
{
	const struct places *p = mb->account->places;

	for (unsigned i = 0; i < COMPARED; i++) {
		const struct compared *c = &p->compared[i];
		if (c->mailbox == mb->id && c->uid == uid && c->part == part) {
			*contradicted = c->contradicted;
			return true;
		}
	}
	return false;
}

static bool was_told(const struct mailbox *mb, uint32_t uid)
{
	const struct places *p = mb->account->places;

	for (unsigned i = 0; i < COMPARED; i++) {
		const struct compared *c = &p->compared[i];
		if (c->mailbox == mb->id && c->uid == uid && c->contradicted)
			return true;
	}
	return false;
}

void places_note(const struct mailbox *mb, uint32_t uid, uint32_t part, bool contradicted)
{
	struct places *p = mb->account->places;

	if (contradicted && !was_told(mb, uid))
		tell(mb, uid);
	p->compared[p->next_compared] = (struct compared){mb->id, uid, part, contradicted};
	p->next_compared = (p->next_compared + 1) % COMPARED;
}
