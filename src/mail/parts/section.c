/* SPDX-License-Identifier: MIT */
/*
 * A read of a section needs the structure, then either the whole message, if that is small, or the
 * section's own octets, with the header that tells their encoding. Each step is a wait; after it the read
 * begins again with what is known then.
 */
#include "mail/parts/section.h"

#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "mail/parts/facts.h"
#include "mail/parts/places.h"
#include "mail/read/lookup.h"
#include "mime/split.h"

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
	/* Else, of a part's body: the header with its encoding, and whether that was not here to be compared. */
	struct body_section header;
	struct buf header_name; /* header.name */
	bool uncompared;
};

struct section_work {
	struct section_read *r;
	struct facts_wait facts;
	bool waits; /* for those */
	bool whole; /* the whole message was asked for */
	struct target target;
	struct body_read read, header;
	bool read_waits, header_waits;
	bool asked; /* for the header, which is not asked for again */
	bool again; /* what came was looked at with the header that had come before it */
	/* The server cannot be reached: what the cache has of the message, is waited for. */
	bool patient;
	uint64_t waited; /* behind what was waited for last */
};

/* --- what a section is --- */

static void target_init(struct target *t)
{
	*t = (struct target){0};
	buf_init(&t->name, NAME_MAX_OCTETS);
	buf_init(&t->header_name, NAME_MAX_OCTETS);
}

static void target_finish(struct target *t)
{
	buf_finish(&t->name);
	buf_finish(&t->header_name);
}

static bool is_header(const struct section *s)
{
	return s->part == MIME_NO_PART && s->what == SECTION_HEADER;
}

/* section->name is for who has the name complete. */
static int name_section(const struct section *s, const struct mime_structure *structure,
	struct body_section *section, struct buf *name)
{
	static const char *const suffixes[] = {
		[SECTION_BODY] = "", [SECTION_MIME] = ".MIME", [SECTION_HEADER] = ".HEADER"};
	const struct mime_part *part = s->part < structure->count ? &structure->parts[s->part]
								  : NULL;

	if (!part || (part->kind != MIME_MESSAGE && s->what == SECTION_HEADER))
		return ERR_UNREADABLE;
	int err = mime_structure_section(structure, s->part, name);
	if (err == 0 && name->len > 0)
		err = buf_append_span(name, span_of(suffixes[s->what]));
	else if (err == 0 && s->what == SECTION_BODY)
		err = buf_append_span(name, SPAN("TEXT"));
	else if (err == 0)
		err = ERR_UNREADABLE;
	section->number = NUMBER_OF_HEADER + 1 + 3 * s->part + (uint32_t)s->what;
	bool stated = s->what == SECTION_BODY && part->kind != MIME_MULTIPART;
	section->promised = stated ? part->octets : UINT64_MAX;
	section->header = s->what != SECTION_BODY;
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

/* A part's own header: of what is attached, or is all of the message, that of the message. */
static int name_header(
	const struct section *s, const struct mime_structure *structure, struct target *t)
{
	uint32_t parent = structure->parts[s->part].parent;
	struct section header = {.mb = s->mb, .uid = s->uid, .part = s->part, .what = SECTION_MIME};

	if (parent == MIME_NO_PART) {
		t->header = header_section;
		return 0;
	}
	if (structure->parts[parent].kind == MIME_MESSAGE) {
		header.part = parent;
		header.what = SECTION_HEADER;
	}
	int err = name_section(&header, structure, &t->header, &t->header_name);
	t->header.name = buf_cstr(&t->header_name);
	return err;
}

static struct body_read header_read(const struct section *s, const struct target *t)
{
	return (struct body_read){
		.mb = s->mb, .uid = s->uid, .section = &t->header, .size = CACHE_CHUNK};
}

/* A part that comes alone is not decoded either where its header says that it is encoded otherwise. */
static int compare(
	const struct section *s, const struct mime_structure *structure, struct target *t)
{
	const struct mime_part *part = &structure->parts[s->part];
	struct body_parts octets;
	bool contradicted;

	if (s->what != SECTION_BODY || part->kind != MIME_LEAF || t->is_here)
		return 0;
	if (places_compared(s->mb, s->uid, s->part, &contradicted))
		return contradicted ? ERR_UNREADABLE : 0;
	int err = name_header(s, structure, t);
	if (err < 0)
		return err;
	const struct body_read read = header_read(s, t);
	if (body_read_try(&read, &octets) != 0) {
		t->uncompared = !pool_is_down(s->mb->account->pool);
		return 0;
	}
	/* One without an end in sight tells nothing. */
	if (octets.count == 1 && octets.total < read.size)
		contradicted = mime_header_contradicts(
			(struct span){octets.iov[0].iov_base, octets.iov[0].iov_len}, part);
	else
		contradicted = false;
	places_note(s->mb, s->uid, s->part, contradicted);
	return contradicted ? ERR_UNREADABLE : 0;
}

static int resolve_in(
	const struct section *s, const struct mime_structure *structure, struct target *t)
{
	int err = name_section(s, structure, &t->section, &t->name);

	if (err == 0)
		err = find_place(s, structure, t);
	return err < 0 ? err : compare(s, structure, t);
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
		err = t.uncompared ? ERR_NOT_CACHED : try_target(r, &t, parts);
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

static void cancel_reads(struct section_work *w)
{
	if (w->read_waits)
		body_read_cancel(&w->read);
	if (w->header_waits)
		body_read_cancel(&w->header);
}

static bool lacks_header(const struct section_work *w)
{
	return w->target.uncompared && !w->asked;
}

static void finish(struct section_work *w, int err, const struct body_parts *parts)
{
	struct section_read *r = w->r;

	cancel_reads(w);
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
static void section_on_message(struct body_read *read, int err, const struct body_parts *parts)
{
	struct section_work *w = list_entry(read, struct section_work, read);

	w->read_waits = false;
	if (err < 0 && err != ERR_UNREADABLE)
		finish(w, err, NULL);
	else
		go_on(w);
}

/* What a slow disk has of the message, piece by piece. False: that is all. */
static bool wait_for_cache(struct section_work *w)
{
	const struct section *s = &w->r->of;
	uint64_t reach = body_reach(s->mb, s->uid);

	if (reach < w->waited)
		return false;
	w->waited = reach + 1;
	w->read_waits = true;
	w->read = (struct body_read){.mb = s->mb,
		.uid = s->uid,
		.offset = reach,
		.size = 1,
		.aside = true,
		.quiet = true,
		.on_done = section_on_message};
	body_read_start(&w->read);
	return true;
}

static void section_on_read(struct body_read *read, int err, const struct body_parts *parts)
{
	struct section_work *w = list_entry(read, struct section_work, read);

	w->read_waits = false;
	if (error_is_connection(err) && !w->patient) {
		w->patient = true;
		cancel_reads(w);
		go_on(w);
		return;
	}
	if (err == 0 && w->header_waits)
		return;
	if (err == 0 && w->target.uncompared && !w->again) {
		w->again = true;
		go_on(w);
	} else {
		finish(w, err, parts);
	}
}

/* A server that does not give the header contradicts nothing. */
static void section_on_header(struct body_read *read, int err, const struct body_parts *parts)
{
	struct section_work *w = list_entry(read, struct section_work, header);
	const struct section *s = &w->r->of;

	w->header_waits = false;
	w->asked = true;
	if (err == ERR_UNREADABLE)
		places_note(s->mb, s->uid, s->part, false);
	if (!w->read_waits)
		go_on(w);
}

/* Whether all of the message is fetched for a part of it. It may be here, and not be made as the server says. */
static bool wants_whole(const struct section_work *w)
{
	const struct section *s = &w->r->of;
	const struct cache_message *m = mailbox_find(s->mb, s->uid);

	return !w->whole && !is_header(s) && s->what != SECTION_MIME && m &&
	       !(m->flags & CACHE_SIZE_UNKNOWN) && m->size < SECTION_WHOLE &&
	       !body_is_here(s->mb, s->uid);
}

static void fetch_whole(struct section_work *w)
{
	const struct section *s = &w->r->of;

	w->whole = w->read_waits = true;
	w->read = (struct body_read){
		.mb = s->mb, .uid = s->uid, .size = SECTION_WHOLE, .on_done = section_on_message};
	body_read_start(&w->read);
}

/* The section, and in the same flight the header that it is compared with. */
static void fetch_section(struct section_work *w)
{
	struct body_parts parts;

	w->header_waits = lacks_header(w);
	w->read_waits = !w->header_waits || try_target(w->r, &w->target, &parts) == ERR_NOT_CACHED;
	if (w->header_waits) {
		w->header = header_read(&w->r->of, &w->target);
		w->header.on_done = section_on_header;
		body_read_start(&w->header);
	}
	if (w->read_waits) {
		w->read = read_of(w->r, &w->target);
		w->read.on_done = section_on_read;
		body_read_start(&w->read);
	}
}

static void fetch(struct section_work *w)
{
	if (wants_whole(w))
		fetch_whole(w);
	else
		fetch_section(w);
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
		err = lacks_header(w) ? ERR_NOT_CACHED : try_target(w->r, &w->target, &parts);
	if (err != ERR_NOT_CACHED)
		finish(w, err, err < 0 ? NULL : &parts);
	else if (!w->patient || w->target.is_here || !wait_for_cache(w))
		fetch(w);
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
		cancel_reads(w);
	free_work(w);
}
