/* SPDX-License-Identifier: MIT */
#include "mime/structure.h"

#include <stdlib.h>

#include "base/array.h"
#include "base/error.h"
#include "base/text.h"

void mime_structure_init(struct mime_structure *s)
{
	*s = (struct mime_structure){0};
}

void mime_structure_finish(struct mime_structure *s)
{
	free(s->parts);
	free(s->params);
	free(s->text);
	free(s->unquoted);
	*s = (struct mime_structure){0};
}

int mime_structure_add(struct mime_structure *s, uint32_t parent, uint32_t *part)
{
	struct mime_part *around = parent == MIME_NO_PART ? NULL : &s->parts[parent];

	if (s->count == MIME_PARTS_MAX || (around && around->depth == MIME_DEPTH_MAX))
		return ERR_LIMIT;
	struct mime_part new = {.parent = parent, .number = 1};
	if (around) {
		new.number = ++around->children;
		new.depth = around->depth + 1;
	}
	struct mime_part *grown = array_try_grow(
		s->parts, &s->cap, s->count + 1, sizeof(s->parts[0]));
	if (!grown)
		return ERR_NOMEM;
	s->parts = grown;
	*part = (uint32_t)s->count;
	s->parts[s->count++] = new;
	return 0;
}

int mime_structure_add_pair(
	struct mime_structure *s, struct mime_pairs *pairs, struct span name, struct span value)
{
	if (s->param_count >= MIME_PAIRS_MAX)
		return ERR_LIMIT;
	struct mime_param *grown = array_try_grow(
		s->params, &s->param_cap, s->param_count + 1, sizeof(s->params[0]));

	if (!grown)
		return ERR_NOMEM;
	s->params = grown;
	if (pairs->count++ == 0)
		pairs->first = s->param_count;
	s->params[s->param_count++] = (struct mime_param){name, value};
	return 0;
}

bool mime_part_is(const struct mime_part *part, struct span type, struct span subtype)
{
	return span_equal_nocase(part->type, type) &&
	       (subtype.n == 0 || span_equal_nocase(part->subtype, subtype));
}

struct span mime_structure_param(
	const struct mime_structure *s, const struct mime_part *part, struct span name)
{
	for (size_t i = 0; i < part->params.count; i++) {
		const struct mime_param *pair = &s->params[part->params.first + i];
		if (span_equal_nocase(pair->name, name))
			return pair->value;
	}
	return (struct span){0};
}

static int get_pair(const struct mime_structure *s, const struct mime_pairs *pairs,
	struct span name, struct buf *out)
{
	if (pairs->count == 0)
		return 0;
	return mime_params_get(s->params + pairs->first, pairs->count, name, out);
}

int mime_structure_filename(
	const struct mime_structure *s, const struct mime_part *part, struct buf *out)
{
	size_t before = out->len;
	int err = get_pair(s, &part->disposition_params, SPAN("filename"), out);

	if (err < 0 || out->len > before)
		return err;
	return get_pair(s, &part->params, SPAN("name"), out);
}

/* A multipart that is the whole body of a message has no number of its own. */
static bool has_number(const struct mime_structure *s, const struct mime_part *part)
{
	return part->kind != MIME_MULTIPART ||
	       (part->parent != MIME_NO_PART && s->parts[part->parent].kind == MIME_MULTIPART);
}

int mime_structure_section(const struct mime_structure *s, uint32_t part, struct buf *out)
{
	uint32_t numbers[MIME_DEPTH_MAX + 1];
	size_t n = 0;
	int err = 0;

	for (; part != MIME_NO_PART; part = s->parts[part].parent)
		if (has_number(s, &s->parts[part]))
			numbers[n++] = s->parts[part].number;
	for (size_t i = n; i > 0 && err == 0; i--)
		err = buf_printf(out, i == n ? "%u" : ".%u", numbers[i - 1]);
	return err;
}

/* The first part behind one that is not within it. */
static uint32_t behind(const struct mime_structure *s, uint32_t part)
{
	uint32_t depth = s->parts[part].depth;

	do
		part++;
	while (part < s->count && s->parts[part].depth > depth);
	return part;
}

/* What one number leads to among the parts of a multipart; from a message or from the outside the
 * part there, where that has a number, else what the number leads to in it. */
static uint32_t descend(const struct mime_structure *s, uint32_t from, uint64_t number)
{
	uint32_t at = from == MIME_NO_PART ? 0 : from + 1;
	uint32_t end = from == MIME_NO_PART ? (uint32_t)s->count : behind(s, from);

	/* In a leaf there is nothing: then at is end. */
	if (at < end && !has_number(s, &s->parts[at]))
		at++;
	for (; at < end; at = behind(s, at))
		if (s->parts[at].number == number)
			return at;
	return MIME_NO_PART;
}

uint32_t mime_structure_find(const struct mime_structure *s, struct span section)
{
	uint32_t part = MIME_NO_PART;
	uint64_t number;

	for (;;) {
		const char *dot = section.n ? memchr(section.p, '.', section.n) : NULL;
		size_t n = dot ? (size_t)(dot - section.p) : section.n;
		if (!text_parse_number((struct span){section.p, n}, UINT32_MAX, &number) ||
			section.p[0] == '0')
			return MIME_NO_PART;
		part = descend(s, part, number);
		if (part == MIME_NO_PART)
			return MIME_NO_PART;
		if (!dot)
			return s->parts[part].kind == MIME_MULTIPART ? MIME_NO_PART : part;
		section = (struct span){dot + 1, section.n - n - 1};
	}
}

uint32_t mime_structure_enclosing(const struct mime_structure *s, uint32_t part)
{
	do
		part = s->parts[part].parent;
	while (part != MIME_NO_PART && s->parts[part].kind != MIME_MESSAGE);
	return part;
}

static bool is_text(const struct mime_part *part)
{
	/* A multipart that the server found no parts in is one, and so is what has a type that the server could
	 * not read (RFC 2045 section 5.2), unless it is encoded as what is no text is. */
	bool no_type = part->type.n == 0 && !span_equal_nocase(part->encoding, SPAN("base64"));
	bool text = no_type || mime_part_is(part, SPAN("text"), SPAN("")) ||
		    mime_part_is(part, SPAN("multipart"), SPAN(""));

	return part->kind == MIME_LEAF && text && !mime_part_is(part, SPAN("text"), SPAN("rtf"));
}

static bool is_html(const struct mime_part *part)
{
	return mime_part_is(part, SPAN("text"), SPAN("html"));
}

static bool is_plain(const struct mime_part *part)
{
	return mime_part_is(part, SPAN("text"), SPAN("plain"));
}

static bool is_showable(const struct mime_part *part)
{
	return is_text(part) && !span_equal_nocase(part->disposition, SPAN("attachment"));
}

/* Of an alternative: its first plain text and its first HTML. */
static struct mime_shown choose(const struct mime_structure *s, uint32_t alternative)
{
	struct mime_shown shown = {MIME_NO_PART, MIME_NO_PART};
	uint32_t end = behind(s, alternative), at = alternative + 1;

	while (at < end) {
		const struct mime_part *part = &s->parts[at];
		if (part->kind == MIME_MESSAGE) {
			at = behind(s, at);
			continue;
		}
		if (is_showable(part) && is_plain(part) && shown.plain == MIME_NO_PART)
			shown.plain = at;
		if (is_showable(part) && is_html(part) && shown.html == MIME_NO_PART)
			shown.html = at;
		at++;
	}
	return shown;
}

/* Where a part is one of related ones and not the first of them, it belongs to that. */
static bool is_companion(const struct mime_structure *s, const struct mime_part *part)
{
	return part->number > 1 && part->parent != MIME_NO_PART &&
	       mime_part_is(&s->parts[part->parent], SPAN("multipart"), SPAN("related"));
}

/* Whether a part is a multipart whose parts have no octet. */
static bool is_hollow(const struct mime_structure *s, uint32_t multipart)
{
	uint32_t end = behind(s, multipart), at = multipart + 1;

	while (at < end && s->parts[at].octets == 0)
		at++;
	return s->parts[multipart].kind == MIME_MULTIPART && at == end;
}

bool mime_structure_next_shown(
	const struct mime_structure *s, uint32_t *cursor, struct mime_shown *shown)
{
	while (*cursor < s->count) {
		uint32_t at = *cursor;
		const struct mime_part *part = &s->parts[at];
		bool alternative = part->kind == MIME_MULTIPART &&
				   mime_part_is(part, SPAN("multipart"), SPAN("alternative"));
		*shown = (struct mime_shown){MIME_NO_PART, MIME_NO_PART};
		bool hollow = is_hollow(s, at);
		bool enters = part->kind == MIME_MULTIPART && !alternative && !hollow &&
			      !is_companion(s, part);
		*cursor = enters ? at + 1 : behind(s, at);
		if (is_companion(s, part))
			continue;
		if (hollow)
			shown->plain = at;
		else if (alternative)
			*shown = choose(s, at);
		else if (is_showable(part) && is_html(part))
			shown->html = at;
		else if (is_showable(part))
			shown->plain = at;
		if (shown->plain != MIME_NO_PART || shown->html != MIME_NO_PART)
			return true;
	}
	return false;
}

/* Is any multipart around it, within its message, one of which not all is shown? */
static bool is_one_of_several(const struct mime_structure *s, const struct mime_part *part)
{
	for (uint32_t at = part->parent; at != MIME_NO_PART; at = s->parts[at].parent) {
		const struct mime_part *around = &s->parts[at];
		if (mime_part_is(around, SPAN("multipart"), SPAN("alternative")) ||
			mime_part_is(around, SPAN("multipart"), SPAN("related")))
			return true;
	}
	return false;
}

static bool has_pair(
	const struct mime_structure *s, const struct mime_pairs *pairs, struct span name)
{
	for (size_t i = 0; i < pairs->count; i++) {
		struct span key = s->params[pairs->first + i].name;
		if (key.n >= name.n && span_equal_nocase((struct span){key.p, name.n}, name))
			return true;
	}
	return false;
}

bool mime_structure_is_attachment(const struct mime_structure *s, uint32_t index)
{
	const struct mime_part *part = &s->parts[index];

	if (part->kind == MIME_MULTIPART || mime_structure_enclosing(s, index) != MIME_NO_PART)
		return false;
	if (!is_showable(part) || has_pair(s, &part->disposition_params, SPAN("filename")) ||
		has_pair(s, &part->params, SPAN("name")))
		return true;
	return !is_plain(part) && !is_html(part) && is_one_of_several(s, part);
}
