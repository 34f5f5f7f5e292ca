/* SPDX-License-Identifier: MIT */
/* Facts as they arrive in rows: headers piece by piece, structures at once. */
#include "base/error.h"
#include "imap/bodystructure.h"
#include "mail/parts/private.h"
#include "mime/packed.h"

void arriving_init(struct arriving *a, struct facts *f)
{
	*a = (struct arriving){.f = f};
	mime_summary_init(&a->builder);
}

void arriving_finish(struct arriving *a)
{
	mime_summary_finish(&a->builder);
}

void arriving_begin(struct arriving *a)
{
	a->came = 0;
	a->begun = false;
}

/* Also of a message whose row is still to come: summaries may ride ahead of it. */
static bool is_wanted(const struct facts *f, uint32_t uid)
{
	return !map_get(&f->known, uid) && (mailbox_find(f->mb, uid) || !f->mb->messages.complete);
}

static void take_structure(struct arriving *a, uint32_t uid, struct span text)
{
	struct mime_structure s;
	struct buf packed;

	buf_init(&packed, FACT_MAX);
	int err = imap_bodystructure_parse(text, &s);
	if (err == 0)
		err = mime_structure_pack(&s, &packed);
	mime_structure_finish(&s);
	/* Without memory it is as if it had not come. */
	a->came += err != ERR_NOMEM;
	if (err == 0)
		facts_note(a->f, uid, buf_span(&packed));
	else if (err != ERR_NOMEM)
		facts_note_none(a->f, uid,
			err == ERR_LIMIT ? "it has too many parts or parameters"
					 : "it makes no sense");
	buf_finish(&packed);
}

void arriving_on_octets(struct arriving *a, struct span octets)
{
	if (mime_summary_feed(&a->builder, octets) < 0)
		a->failed = true;
}

static void restart_builder(struct arriving *a)
{
	a->failed = false;
	mime_summary_finish(&a->builder);
	mime_summary_init(&a->builder);
}

static void take_summary(struct arriving *a, uint32_t uid)
{
	struct buf packed;

	buf_init(&packed, FACT_MAX);
	if (!a->failed && mime_summary_pack(&a->builder, &packed) == 0) {
		a->came++;
		facts_note(a->f, uid, buf_span(&packed));
	}
	buf_finish(&packed);
}

static bool is_header(const struct imap_section *s)
{
	static const struct span name = {"HEADER.FIELDS", 13};

	return s->name.n > name.n && span_equal_nocase((struct span){s->name.p, name.n}, name) &&
	       (s->name.p[name.n] == ' ' || s->name.p[name.n] == '(');
}

bool arriving_on_section(struct arriving *a, const struct imap_fetch *prefix, uint64_t size)
{
	if (a->f->kind != FACT_SUMMARY || !is_header(&prefix->section))
		return false;
	restart_builder(a);
	a->begun = true;
	a->seq = prefix->seq;
	a->empty = size == 0;
	return true;
}

/* A row with the header's end, or all of it. */
static void end_header(struct arriving *a, const struct imap_fetch *row, uint32_t uid)
{
	const struct imap_section *s = &row->section;
	bool streamed = s->kind == IMAP_BODY_STREAMED && a->begun && row->seq == a->seq;
	bool is_inline = s->kind == IMAP_BODY_INLINE;

	if (is_inline) {
		restart_builder(a);
		arriving_on_octets(a, s->body);
		a->empty = s->body.n == 0;
	}
	a->begun = false;
	if (!(streamed || is_inline) || !is_wanted(a->f, uid))
		return;
	if (!a->empty || a->believes_empty)
		take_summary(a, uid);
}

void arriving_on_row(struct arriving *a, const struct imap_response *r, uint32_t uid)
{
	if (r->kind != IMAP_FETCH || uid == 0 || a->f->mb->dead)
		return;
	if (a->f->kind == FACT_SUMMARY && is_header(&r->fetch.section))
		end_header(a, &r->fetch, uid);
	if (a->f->kind == FACT_STRUCTURE && r->fetch.structure.n > 0 && facts_lacks(a->f, uid))
		take_structure(a, uid, r->fetch.structure);
}
