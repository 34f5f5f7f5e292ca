/* SPDX-License-Identifier: MIT */
#include "imap/parts.h"

#include <stdlib.h>

void imap_parts_add(struct imap_parts *p, uint32_t uid, void *owner)
{
	unsigned i = p->count++;

	p->current = NULL;
	for (; i > 0 && p->at[i - 1].uid > uid; i--)
		p->at[i] = p->at[i - 1];
	p->at[i] = (struct imap_part){.uid = uid, .owner = owner};
}

/* Runs of UIDs as ranges: "1:5,9". */
static void add_set(const struct imap_parts *p, struct imap_command *c)
{
	for (unsigned i = 0; i < p->count;) {
		unsigned first = i;
		const char *comma = first > 0 ? "," : "";
		while (++i < p->count && p->at[i].uid == p->at[i - 1].uid + 1)
			;
		if (i - first == 1)
			imap_command_add(c, "%s%u", comma, p->at[first].uid);
		else
			imap_command_add(c, "%s%u:%u", comma, p->at[first].uid, p->at[i - 1].uid);
	}
}

void imap_parts_ask(struct imap_parts *p, struct imap_command *c)
{
	p->current = NULL;
	for (unsigned i = 0; i < p->count; i++)
		p->at[i].begun = false;
	imap_command_add(c, "UID FETCH ");
	if (p->all)
		imap_command_add(c, "1:%u", p->all);
	else
		add_set(p, c);
	imap_command_add(c, " (UID BODY.PEEK[%s]<%llu.%llu>)\r\n", p->section ? p->section : "",
		(unsigned long long)p->from, (unsigned long long)p->octets);
}

static int compare_uid(const void *key, const void *part)
{
	uint32_t uid = *(const uint32_t *)key, other = ((const struct imap_part *)part)->uid;

	return (uid > other) - (uid < other);
}

static struct imap_part *find_part(struct imap_parts *p, uint32_t uid)
{
	return bsearch(&uid, p->at, p->count, sizeof(p->at[0]), compare_uid);
}

static bool begins_as_asked(const struct imap_parts *p, const struct imap_fetch *row, bool is_next)
{
	return row->has_origin ? row->origin == p->from : p->from == 0 && is_next;
}

bool imap_parts_begin(struct imap_parts *p, const struct imap_fetch *prefix, uint32_t uid,
	uint64_t size, bool is_next)
{
	struct imap_part *part = find_part(p, uid);

	if (!part || part->begun || part->complete || !begins_as_asked(p, prefix, is_next))
		return false;
	part->begun = true;
	part->announced = size;
	part->got = 0;
	part->seq = prefix->seq;
	p->current = part;
	return true;
}

void imap_parts_count(struct imap_parts *p, struct span octets)
{
	if (p->current)
		p->current->got += octets.n;
}

struct imap_part *imap_parts_end(
	struct imap_parts *p, const struct imap_fetch *row, uint32_t uid, bool is_next)
{
	struct imap_part *part = find_part(p, uid);

	if (!part || part->complete)
		return NULL;
	switch (row->body_kind) {
	case IMAP_BODY_ABSENT:
		return NULL;
	case IMAP_BODY_NIL:
		/* Past the end some servers say NIL. */
		part->complete = begins_as_asked(p, row, is_next);
		part->got = 0;
		return part;
	case IMAP_BODY_INLINE:
		/* Past the end some say "" without saying where. */
		part->complete = begins_as_asked(p, row, is_next) ||
				 (!row->has_origin && row->body.n == 0 && is_next);
		part->got = row->body.n;
		return part;
	case IMAP_BODY_STREAMED:
		if (!part->begun || part->seq != row->seq)
			return NULL;
		part->complete = part->got == part->announced;
		return part;
	}
	return NULL;
}
