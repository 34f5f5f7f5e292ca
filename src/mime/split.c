/* SPDX-License-Identifier: MIT */
#include "mime/split.h"

#include <stdlib.h>

#include "base/error.h"

/* At offset the octets of a part begin, with its header. */
static void begin_part(struct mime_split *p, uint32_t part)
{
	p->regions[part].begun = true;
	p->regions[part].last_child = part;
	p->current = part;
	p->in_header = true;
	p->in_encoding = false;
}

int mime_split_init(struct mime_split *p, const struct mime_structure *s)
{
	*p = (struct mime_split){.s = s, .current = MIME_NO_PART};
	p->regions = calloc(s->count ? s->count : 1, sizeof(p->regions[0]));
	if (!p->regions)
		return ERR_NOMEM;
	for (size_t i = 0; i < s->count; i++) {
		const struct mime_part *part = &s->parts[i];
		if (part->kind != MIME_MULTIPART)
			continue;
		p->regions[i].boundary = mime_structure_param(s, part, SPAN("boundary"));
		size_t n = p->regions[i].boundary.n;
		if (n == 0 || n > MIME_BOUNDARY_MAX)
			p->failed = true;
	}
	if (s->count > 0)
		begin_part(p, 0);
	else
		p->failed = true;
	return 0;
}

void mime_split_finish(struct mime_split *p)
{
	free(p->regions);
	p->regions = NULL;
}

/* The part and those around it, up to but without a multipart, end before the octet at. */
static void end_parts(struct mime_split *p, uint32_t until, uint64_t at)
{
	while (p->current != until) {
		struct mime_region *region = &p->regions[p->current];
		/* Whose header never ended has no body. */
		if (p->in_header)
			region->at = at;
		region->end = at > region->at ? at : region->at;
		region->ended = true;
		p->in_header = false;
		p->current = p->s->parts[p->current].parent;
	}
}

/* Whether the line is "--boundary" or "--boundary--", white space aside. */
static bool is_boundary(const struct mime_split *p, struct span boundary, bool *closes)
{
	size_t n = p->line_n < sizeof(p->line) ? (size_t)p->line_n : 0;

	*closes = false;
	if (n < boundary.n + 2 || memcmp(p->line + 2, boundary.p, boundary.n) != 0)
		return false;
	size_t at = boundary.n + 2;
	if (n - at >= 2 && p->line[at] == '-' && p->line[at + 1] == '-') {
		*closes = true;
		at += 2;
	}
	while (at < n && (p->line[at] == ' ' || p->line[at] == '\t'))
		at++;
	return at == n;
}

/* The next part of a multipart; there must be one. */
static void begin_next(struct mime_split *p, uint32_t multipart)
{
	const struct mime_part *parts = p->s->parts;
	struct mime_region *region = &p->regions[multipart];
	uint32_t next = region->last_child + 1;

	/* The parts within the last one are all begun, or the structure is not that of these octets. */
	while (next < p->s->count && p->regions[next].begun)
		next++;
	if (next == p->s->count || parts[next].parent != multipart) {
		p->failed = true;
		return;
	}
	begin_part(p, next);
	region->last_child = next;
}

/* Takes the line for the boundary that it may be. Returns whether it was one. */
static bool take_boundary(struct mime_split *p, uint64_t line_at)
{
	uint32_t at = p->current;
	bool closes;

	if (p->line_n < 3 || p->line[0] != '-' || p->line[1] != '-')
		return false;
	for (; at != MIME_NO_PART; at = p->s->parts[at].parent)
		if (p->regions[at].boundary.n > 0 && !(at == p->current && p->in_header) &&
			is_boundary(p, p->regions[at].boundary, &closes))
			break;
	if (at == MIME_NO_PART)
		return false;
	end_parts(p, at, line_at - p->end_before);
	/* Behind its end a boundary is text. */
	if (closes)
		p->regions[at].boundary.n = 0;
	else
		begin_next(p, at);
	return true;
}

static struct span without_blanks(struct span s)
{
	while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
		s = (struct span){s.p + 1, s.n - 1};
	while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
		s.n--;
	return s;
}

/* A line of a header: of the field that names the encoding (RFC 2045 section 6.1), or not. */
static void take_field(struct mime_split *p)
{
	static const struct span name = {"Content-Transfer-Encoding", 25};
	struct mime_region *region = &p->regions[p->current];
	bool whole = p->line_n <= sizeof(p->line);
	struct span line = {p->line, whole ? (size_t)p->line_n : sizeof(p->line)};
	const char *colon = memchr(line.p, ':', line.n);
	size_t n = colon ? (size_t)(colon - line.p) : 0;

	if (p->in_encoding && (line.p[0] == ' ' || line.p[0] == '\t'))
		colon = NULL;
	else if (!colon || !span_equal_nocase(without_blanks((struct span){line.p, n}), name))
		p->in_encoding = false;
	else
		p->in_encoding = true;
	if (!p->in_encoding)
		return;
	struct span value = colon ? (struct span){colon + 1, line.n - n - 1} : line;
	value = without_blanks(value);
	if (whole && value.n == 0)
		return;
	const struct mime_part part = {.encoding = value};
	struct mime_transfer transfer;
	mime_transfer_init(&transfer, &part);
	bool plain = span_equal_nocase(value, SPAN("7bit")) ||
		     span_equal_nocase(value, SPAN("8bit")) ||
		     span_equal_nocase(value, SPAN("binary"));
	region->encodings |= 1u << transfer.encoding;
	region->any_encoding |= !whole || (transfer.encoding == MIME_IDENTITY && !plain);
}

/* The empty line behind a header; next is where the body begins. */
static void end_header(struct mime_split *p, uint64_t next)
{
	const struct mime_part *part = &p->s->parts[p->current];

	p->in_header = p->in_encoding = false;
	p->regions[p->current].at = next;
	/* What is attached begins with a header of its own. */
	if (part->kind == MIME_MESSAGE) {
		uint32_t child = p->current + 1;
		p->regions[p->current].last_child = child;
		begin_part(p, child);
	}
}

/* A line is complete, and its end has so many octets; next is behind it. */
static void take_line(struct mime_split *p, unsigned end, uint64_t next)
{
	uint64_t line_at = next - end - p->line_n;

	if (!take_boundary(p, line_at) && p->in_header) {
		if (p->line_n == 0)
			end_header(p, next);
		else
			take_field(p);
	}
	p->end_before = end;
	p->line_n = 0;
	p->has_cr = false;
}

static void add_to_line(struct mime_split *p, struct span s)
{
	if (s.n == 0)
		return;
	if (p->line_n < sizeof(p->line)) {
		size_t room = sizeof(p->line) - (size_t)p->line_n;
		memcpy(p->line + p->line_n, s.p, s.n < room ? s.n : room);
	}
	p->line_n += s.n;
	p->has_cr = s.p[s.n - 1] == '\r';
}

void mime_split_feed(struct mime_split *p, struct span in)
{
	while (in.n > 0 && !p->failed) {
		const char *end = memchr(in.p, '\n', in.n);
		size_t n = end ? (size_t)(end - in.p) : in.n;
		add_to_line(p, (struct span){in.p, n});
		p->offset += n + (end != NULL);
		if (end) {
			p->line_n -= p->has_cr;
			take_line(p, 1 + p->has_cr, p->offset);
			n++;
		}
		in = (struct span){in.p + n, in.n - n};
	}
}

/* In a multipart in which no boundary was found its parts are empty, at its end. */
static void place_missing(struct mime_split *p, uint32_t part)
{
	struct mime_region *region = &p->regions[part];
	uint32_t parent = p->s->parts[part].parent;

	if (region->begun || parent == MIME_NO_PART || p->s->parts[parent].kind != MIME_MULTIPART ||
		p->regions[parent].last_child != parent)
		return;
	*region = (struct mime_region){.at = p->regions[parent].end,
		.end = p->regions[parent].end,
		.last_child = part,
		.begun = true,
		.ended = true};
}

static bool is_right(const struct mime_split *p, uint32_t part)
{
	const struct mime_region *region = &p->regions[part];

	if (p->s->parts[part].kind == MIME_MULTIPART)
		return region->begun;
	return region->begun && region->ended &&
	       region->end - region->at == p->s->parts[part].octets;
}

bool mime_split_end(struct mime_split *p)
{
	/* The last line may be a boundary without an end. */
	if (!p->failed && p->line_n > 0)
		take_boundary(p, p->offset - p->line_n);
	if (p->failed)
		return false;
	end_parts(p, MIME_NO_PART, p->offset);
	for (uint32_t i = 0; i < p->s->count; i++) {
		place_missing(p, i);
		if (!is_right(p, i))
			return false;
	}
	return true;
}

bool mime_split_contradicts(const struct mime_split *p, uint32_t part)
{
	const struct mime_region *region = &p->regions[part];
	unsigned said = region->encodings ? region->encodings : 1u << MIME_IDENTITY;
	struct mime_transfer transfer;

	mime_transfer_init(&transfer, &p->s->parts[part]);
	return p->s->parts[part].kind == MIME_LEAF && !region->any_encoding &&
	       !(said & 1u << transfer.encoding);
}

bool mime_header_contradicts(struct span header, const struct mime_part *part)
{
	struct mime_part leaf = *part;
	const struct mime_structure structure = {.parts = &leaf, .count = 1};
	struct mime_split split;

	leaf.parent = MIME_NO_PART;
	bool contradicts = false;
	/* Nothing but empty lines is no header. */
	if (header.n > 2 && mime_split_init(&split, &structure) == 0) {
		mime_split_feed(&split, header);
		mime_split_feed(&split, SPAN("\r\n\r\n"));
		contradicts = mime_split_contradicts(&split, 0);
		mime_split_finish(&split);
	}
	return contradicts;
}
