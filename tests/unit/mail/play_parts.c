/* SPDX-License-Identifier: MIT */
/* What files do that show mail otherwise than as it is: see play_requests.h. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "../support/oom.h"
#include "base/error.h"
#include "mail/sync/watch.h"
#include "play_requests.h"

/* --- facts --- */

static void put_summary(struct buf *out, const struct mime_summary *s)
{
	for (int i = 0; i < MIME_SUMMARY_FIELDS; i++)
		if (s->value[i].n > 0 &&
			buf_printf(out, " %d=%.*s", i, (int)s->value[i].n, s->value[i].p) < 0)
			abort();
}

static void put_structure(struct buf *out, const struct mime_structure *s)
{
	for (size_t i = 0; i < s->count; i++) {
		const struct mime_part *p = &s->parts[i];
		if (buf_printf(out, " %u:%.*s/%.*s:%" PRIu64, p->depth, (int)p->type.n, p->type.p,
			    (int)p->subtype.n, p->subtype.p, p->octets) < 0)
			abort();
	}
}

static int put_fact(struct buf *out, struct mailbox *mb, enum fact kind, uint32_t uid)
{
	struct mime_summary summary;
	struct mime_structure structure;
	int err = kind == FACT_SUMMARY ? facts_summary(mb, uid, &summary)
				       : facts_structure(mb, uid, &structure);

	if (err == 0 && kind == FACT_SUMMARY) {
		put_summary(out, &summary);
	} else if (err == 0) {
		put_structure(out, &structure);
		mime_structure_finish(&structure);
	}
	return err;
}

static void tell_fact(struct mailbox *mb, enum fact kind, uint32_t uid, int err)
{
	struct buf text;

	oom_pause();
	buf_init(&text, ACTS_LINE_MAX);
	if (err == 0 && uid == 0)
		err = facts_try_all(mb, kind);
	else if (err == 0)
		err = put_fact(&text, mb, kind, uid);
	acts_tell("%s %s %" PRIu32 ":%s%s", kind == FACT_SUMMARY ? "summary" : "structure",
		mb->dead ? mb->component : mailbox_path(mb), uid, err < 0 ? " " : buf_cstr(&text),
		err < 0 ? error_text(err) : "");
	buf_finish(&text);
	oom_resume();
}

static void parts_on_facts(struct facts_wait *w, int err)
{
	struct request *r = list_entry(w, struct request, facts);

	tell_fact(r->mb, w->kind, r->uid, err);
	request_end(r);
}

static void ask_fact(struct mailbox *mb, enum fact kind, uint32_t uid)
{
	struct span packed;
	int err = uid == 0 ? facts_try_all(mb, kind) : facts_try(mb, kind, uid, &packed);

	watch_read(acts.account->watch, mb);
	if (err != ERR_NOT_CACHED) {
		tell_fact(mb, kind, uid, err);
		return;
	}
	struct request *r = request_create(mb, uid);
	r->facts = (struct facts_wait){
		.mb = mb, .kind = kind, .uid = uid, .on_wake = parts_on_facts};
	facts_wait(&r->facts);
}

static void ask_summary(struct mailbox *mb, uint32_t uid)
{
	ask_fact(mb, FACT_SUMMARY, uid);
}

static void ask_structure(struct mailbox *mb, uint32_t uid)
{
	ask_fact(mb, FACT_STRUCTURE, uid);
}

/* --- sections --- */

static void parts_on_section(struct section_read *read, int err, const struct body_parts *parts)
{
	acts_end_read(list_entry(read, struct request, section), err, parts);
}

static void read_section(const struct section *s, uint64_t offset, size_t size)
{
	struct request *r = request_create(s->mb, s->uid);
	struct body_parts parts;

	r->read.offset = offset;
	r->section = (struct section_read){
		.of = *s, .offset = offset, .size = size, .on_done = parts_on_section};
	watch_read(acts.account->watch, s->mb);
	int err = section_read_try(&r->section, &parts);
	if (err == ERR_NOT_CACHED)
		section_read_start(&r->section);
	else
		acts_end_read(r, err, &parts);
}

static enum section_what take_what(struct span *args)
{
	struct span word = acts_take_word(args);

	if (span_equal(word, SPAN("mime")))
		return SECTION_MIME;
	return span_equal(word, SPAN("header")) ? SECTION_HEADER : SECTION_BODY;
}

static bool act_section(struct span args)
{
	struct section s = {.mb = acts_take_mailbox(&args), .part = MIME_NO_PART};
	uint64_t uid, part = MIME_NO_PART, offset, size;

	if (!acts_take_number(&args, &uid))
		return false;
	if (args.n > 0 && args.p[0] == '-')
		acts_take_word(&args);
	else if (!acts_take_number(&args, &part))
		return false;
	s.what = take_what(&args);
	if (!acts_take_number(&args, &offset) || !acts_take_number(&args, &size))
		return false;
	s.uid = (uint32_t)uid;
	s.part = (uint32_t)part;
	if (s.mb)
		read_section(&s, offset, (size_t)size);
	return true;
}

static bool act_summary(struct span args)
{
	return acts_each_uid(args, ask_summary);
}

static bool act_structure(struct span args)
{
	return acts_each_uid(args, ask_structure);
}

const struct act acts_of_parts[] = {
	{"summary", act_summary},
	{"structure", act_structure},
	{"section", act_section},
	{NULL, NULL},
};
