/* SPDX-License-Identifier: MIT */
/*
 * A read of a section needs the structure, then either the whole message, if that is small, or the
 * section's own octets. Each step is a wait; after it the read begins again with what is known then.
 */
#include "mail/parts/section.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/parts/facts.h"
#include "mail/parts/places.h"
#include "mail/read/lookup.h"

/* A section's name has a number for each level of MIME_DEPTH_MAX. */
#define NAME_MAX_OCTETS 1024u
#define NUMBER_OF_HEADER 1u

_Static_assert(
	NUMBER_OF_HEADER + 3u * MIME_PARTS_MAX + 3u < CACHE_SECTION_MAX, "each has a number");

/* What a section is to the server, and here. */
struct target {
	struct body_section section;
	struct buf name; /* section.name */
	bool is_here;    /* all of the message is here, and the section is in it there: */
	struct place place;
};

struct section_work {
	struct section_read *r;
	struct facts_wait facts;
	bool waits; /* for those */
	bool whole; /* the whole message was asked for */
	struct target target;
	struct body_read read;
};

/* --- what a section is --- */

static void target_init(struct target *t)
{
	*t = (struct target){0};
	buf_init(&t->name, NAME_MAX_OCTETS);
}

static void target_finish(struct target *t)
{
	buf_finish(&t->name);
}

static bool is_header(const struct section *s)
{
	return s->part == MIME_NO_PART && s->what == SECTION_HEADER;
}

static int name_section(
	const struct section *s, const struct mime_structure *structure, struct target *t)
{
	static const char *const suffixes[] = {
		[SECTION_BODY] = "", [SECTION_MIME] = ".MIME", [SECTION_HEADER] = ".HEADER"};
	const struct mime_part *part = s->part < structure->count ? &structure->parts[s->part]
								  : NULL;

	if (!part || (part->kind != MIME_MESSAGE && s->what == SECTION_HEADER))
		return ERR_UNREADABLE;
	int err = mime_structure_section(structure, s->part, &t->name);
	if (err == 0 && t->name.len > 0)
		err = buf_append_span(&t->name, span_of(suffixes[s->what]));
	else if (err == 0 && s->what == SECTION_BODY)
		err = buf_append_span(&t->name, SPAN("TEXT"));
	else if (err == 0)
		err = ERR_UNREADABLE;
	t->section.number = NUMBER_OF_HEADER + 1 + 3 * s->part + (uint32_t)s->what;
	bool stated = s->what == SECTION_BODY && part->kind != MIME_MULTIPART;
	t->section.promised = stated ? part->octets : UINT64_MAX;
	t->section.header = s->what != SECTION_BODY;
	return err < 0 ? ERR_UNREADABLE : 0;
}

/* Where it is in the whole message, if that is here. What is encoded otherwise than the server says is not decoded: the
 * file would hold octets that nobody sent. */
static int find_place(
	const struct section *s, const struct mime_structure *structure, struct target *t)
{
	const struct place *places = s->what == SECTION_MIME
					     ? NULL
					     : places_find(s->mb, s->uid, structure);

	t->is_here = places != NULL;
	if (!places)
		return 0;
	t->place = places[s->part];
	if (s->what == SECTION_BODY && t->place.contradicted)
		return ERR_UNREADABLE;
	/* An attached message's header ends where the body of the part in it begins. */
	if (s->what == SECTION_HEADER && s->part + 1 < structure->count)
		t->place.end = places[s->part + 1].at;
	return 0;
}

static const struct body_section header_section = {
	.number = NUMBER_OF_HEADER, .name = "HEADER", .promised = UINT64_MAX, .header = true};

static int resolve_header(const struct section *s, struct target *t)
{
	uint64_t end;

	t->section = header_section;
	/* What was read ahead need not be sought in the message. */
	t->is_here = body_section_end(s->mb, s->uid, &header_section, &end) != 0 &&
		     places_header(s->mb, s->uid, &t->place);
	return buf_append_span(&t->name, span_of(header_section.name));
}

static int resolve_in(
	const struct section *s, const struct mime_structure *structure, struct target *t)
{
	int err = name_section(s, structure, t);

	return err < 0 ? err : find_place(s, structure, t);
}

static int resolve_part(const struct section *s, struct target *t)
{
	struct mime_structure structure;

	if (s->structure)
		return resolve_in(s, s->structure, t);
	int err = facts_structure(s->mb, s->uid, &structure);
	if (err < 0)
		return err;
	err = resolve_in(s, &structure, t);
	mime_structure_finish(&structure);
	return err;
}

/* 0; ERR_NOT_CACHED: the structure is not known; or what is wrong. */
static int resolve(const struct section *s, struct target *t)
{
	if (s->mb->dead)
		return ERR_STALE;
	if (!mailbox_find(s->mb, s->uid))
		return ERR_GONE;
	int err = is_header(s) ? resolve_header(s, t) : resolve_part(s, t);
	t->section.name = buf_cstr(&t->name);
	return err;
}

/* --- reading --- */

/* The read of the message, or of the section, that a read is. */
static struct body_read read_of(const struct section_read *r, const struct target *t)
{
	struct body_read read = {
		.mb = r->of.mb, .uid = r->of.uid, .offset = r->offset, .size = r->size};
	uint64_t size = t->place.end - t->place.at;

	if (!t->is_here) {
		read.section = &t->section;
		return read;
	}
	if (read.offset > size)
		read.offset = size;
	if (read.size > size - read.offset)
		read.size = (size_t)(size - read.offset);
	read.offset += t->place.at;
	return read;
}

static int try_target(
	const struct section_read *r, const struct target *t, struct body_parts *parts)
{
	const struct body_read read = read_of(r, t);

	if (read.size == 0) {
		parts->count = 0;
		parts->total = 0;
		return 0;
	}
	return body_read_try(&read, parts);
}

int section_read_try(const struct section_read *r, struct body_parts *parts)
{
	struct target t;

	target_init(&t);
	int err = resolve(&r->of, &t);
	if (err == 0)
		err = try_target(r, &t, parts);
	target_finish(&t);
	return err;
}

int section_size(const struct section *s, uint64_t *size)
{
	struct target t;

	target_init(&t);
	int err = resolve(s, &t);
	if (err == 0 && t.is_here)
		*size = t.place.end - t.place.at;
	else if (err == 0)
		err = body_section_end(s->mb, s->uid, &t.section, size);
	target_finish(&t);
	return err;
}

/* --- fetching --- */

static void go_on(struct section_work *w);

static void free_work(struct section_work *w)
{
	w->r->work = NULL;
	target_finish(&w->target);
	free(w);
}

static void finish(struct section_work *w, int err, const struct body_parts *parts)
{
	struct section_read *r = w->r;

	free_work(w);
	r->on_done(r, err, parts);
}

static void section_on_facts(struct facts_wait *wait, int err)
{
	struct section_work *w = list_entry(wait, struct section_work, facts);

	w->waits = false;
	if (err < 0)
		finish(w, err, NULL);
	else
		go_on(w);
}

static void wait_for_structure(struct section_work *w)
{
	w->waits = true;
	w->facts = (struct facts_wait){.mb = w->r->of.mb,
		.kind = FACT_STRUCTURE,
		.uid = w->r->of.uid,
		.on_wake = section_on_facts};
	facts_wait(&w->facts);
}

/* Octets may be read another way where they cannot be had so. */
static void section_on_whole(struct body_read *read, int err, const struct body_parts *parts)
{
	struct section_work *w = list_entry(read, struct section_work, read);

	if (err < 0 && err != ERR_UNREADABLE)
		finish(w, err, NULL);
	else
		go_on(w);
}

static void section_on_read(struct body_read *read, int err, const struct body_parts *parts)
{
	struct section_work *w = list_entry(read, struct section_work, read);

	finish(w, err, parts);
}

/* Whether all of the message is fetched for a part of it. */
static bool wants_whole(const struct section_work *w)
{
	const struct section *s = &w->r->of;
	const struct cache_message *m = mailbox_find(s->mb, s->uid);

	return !w->whole && !is_header(s) && s->what != SECTION_MIME && m &&
	       !(m->flags & CACHE_SIZE_UNKNOWN) && m->size < SECTION_WHOLE;
}

static void fetch(struct section_work *w)
{
	const struct section *s = &w->r->of;

	if (wants_whole(w)) {
		w->whole = true;
		w->read = (struct body_read){.mb = s->mb,
			.uid = s->uid,
			.size = SECTION_WHOLE,
			.on_done = section_on_whole};
	} else {
		w->read = read_of(w->r, &w->target);
		w->read.on_done = section_on_read;
	}
	body_read_start(&w->read);
}

/* Sets the target; 0 when something is to be fetched for it, else as resolve. */
static int aim(struct section_work *w)
{
	target_finish(&w->target);
	target_init(&w->target);
	return resolve(&w->r->of, &w->target);
}

static void go_on(struct section_work *w)
{
	struct body_parts parts;
	int err = aim(w);

	if (err == ERR_NOT_CACHED) {
		wait_for_structure(w);
		return;
	}
	if (err == 0)
		err = try_target(w->r, &w->target, &parts);
	if (err == ERR_NOT_CACHED)
		fetch(w);
	else
		finish(w, err, err < 0 ? NULL : &parts);
}

void section_read_start(struct section_read *r)
{
	struct section_work *w = mem_zalloc(sizeof(*w));

	w->r = r;
	r->work = w;
	/* It may live longer than what the caller has. */
	r->of.structure = NULL;
	target_init(&w->target);
	if (aim(w) == 0)
		fetch(w);
	else
		wait_for_structure(w);
}

void section_headers_ahead(struct mailbox *mb, const uint32_t *uids, size_t n)
{
	lookup_headers(mb, &header_section, uids, n);
}

void section_read_cancel(struct section_read *r)
{
	struct section_work *w = r->work;

	if (w->waits)
		facts_unwait(&w->facts);
	else
		body_read_cancel(&w->read);
	free_work(w);
}
