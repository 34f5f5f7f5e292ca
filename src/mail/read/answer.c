/* SPDX-License-Identifier: MIT */
#include "mail/read/answer.h"

void answer_init(struct answer *a, uint32_t uid, uint64_t from, uint64_t asked, uint64_t start)
{
	*a = (struct answer){.uid = uid, .from = from, .asked = asked, .start = start};
}

/* What a body of so many octets is. */
static void interpret(struct answer *a, uint64_t size)
{
	bool everything = size > a->asked || (size == a->end && a->from > 0);

	a->skip = a->start - a->from;
	if (!a->has_origin && everything) {
		a->whole = size;
		a->skip = a->start;
	} else if (!a->has_origin && a->from > 0 && size > 0) {
		bool full = size == a->asked && a->from + size <= a->end;
		a->nonsense = a->outgrown || !(full || a->from + size == a->end);
	}
	a->announced = size > a->skip ? size - a->skip : 0;
}

bool answer_begin(struct answer *a, const struct imap_fetch *prefix, uint32_t uid, uint64_t size,
	bool is_next)
{
	if (a->begun || (uid != 0 && uid != a->uid))
		return false;
	if (prefix->has_origin ? prefix->origin != a->from : !is_next)
		return false;
	a->begun = true;
	a->has_origin = prefix->has_origin;
	/* One that is only mapped from the sequence number may be contradicted by the row's end. */
	a->uid_said = prefix->uid != 0;
	a->seq = prefix->seq;
	interpret(a, size);
	return true;
}

struct span answer_take(struct answer *a, struct span octets)
{
	size_t n = octets.n < a->skip ? octets.n : (size_t)a->skip;

	a->came += octets.n;
	a->skip -= n;
	return (struct span){octets.p + n, octets.n - n};
}

static bool take_inline_body(
	struct answer *a, const struct imap_fetch *row, uint32_t uid, bool is_next)
{
	if (a->begun || uid != a->uid || (row->has_origin && row->origin != a->from))
		return false;
	if (!row->has_origin && !is_next)
		return false;
	a->begun = a->uid_said = a->ended = true;
	a->has_origin = row->has_origin;
	interpret(a, row->body.n);
	return true;
}

bool answer_end(struct answer *a, const struct imap_fetch *row, uint32_t uid, bool is_next)
{
	if (a->ended && a->uid_said)
		return false;
	if (a->begun && !a->uid_said && uid != 0 && row->seq == a->seq) {
		a->uid_said = true;
		a->nonsense = uid != a->uid;
	}
	if (uid == a->uid)
		a->row = true;
	if (uid != a->uid && !(a->begun && !a->ended && row->seq == a->seq))
		return false;
	switch (row->body_kind) {
	case IMAP_BODY_ABSENT:
	case IMAP_BODY_NIL:
		break;
	case IMAP_BODY_INLINE:
		return take_inline_body(a, row, uid, is_next);
	case IMAP_BODY_STREAMED:
		a->ended |= a->begun;
		break;
	}
	return false;
}

bool answer_is_certain(const struct answer *a)
{
	return a->uid_said && (a->has_origin || a->from == 0);
}

struct imap_fetch answer_of_section(const struct imap_fetch *row, const char *section)
{
	struct imap_fetch it = *row;

	if (!section)
		return it;
	bool same = span_equal_nocase(row->section.name, span_of(section));
	it.body_kind = same ? row->section.kind : IMAP_BODY_ABSENT;
	it.body = row->section.body;
	it.has_origin = row->section.has_origin;
	it.origin = row->section.origin;
	return it;
}
