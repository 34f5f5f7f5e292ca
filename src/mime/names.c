/* SPDX-License-Identifier: MIT */
/*
 * A name that could be mistaken for one with a section ("a~3.pdf") always gets its own section, so
 * what one part is called never depends on more than the parts of the same name.
 */
#include "mime/names.h"

#include <stdlib.h>

#include "base/error.h"

/* A section that is longer would leave no room for a name: then it is "#" and the part's place. */
#define SECTION_MAX 100
/* What is longer is no extension that anyone knows. */
#define SUBTYPE_MAX 8

static const struct {
	const char *type, *subtype, *extension;
} extensions[] = {
	{"text", "plain", "txt"},
	{"text", "html", "html"},
	{"text", "calendar", "ics"},
	{"text", "csv", "csv"},
	{"text", "css", "css"},
	{"text", "xml", "xml"},
	{"text", "rtf", "rtf"},
	{"text", "", "txt"},
	{"message", "rfc822", "eml"},
	{"message", "global", "eml"},
	{"message", "", "txt"},
	{"image", "jpeg", "jpg"},
	{"image", "svg+xml", "svg"},
	{"audio", "mpeg", "mp3"},
	{"application", "pgp-signature", "asc"},
	{"application", "pgp-encrypted", "asc"},
	{"application", "pkcs7-signature", "p7s"},
	{"application", "x-pkcs7-signature", "p7s"},
	{"application", "pkcs7-mime", "p7m"},
	{"application", "msword", "doc"},
};

static bool is_word(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (!((s.p[i] >= 'a' && s.p[i] <= 'z') || (s.p[i] >= '0' && s.p[i] <= '9')))
			return false;
	return s.n > 0;
}

static int append_extension(const struct mime_part *part, struct buf *out)
{
	char lower[SUBTYPE_MAX];

	for (size_t i = 0; i < sizeof(extensions) / sizeof(extensions[0]); i++)
		if (mime_part_is(part, span_of(extensions[i].type), span_of(extensions[i].subtype)))
			return buf_append_span(out, span_of(extensions[i].extension));
	size_t n = part->subtype.n <= SUBTYPE_MAX ? part->subtype.n : 0;
	for (size_t i = 0; i < n; i++) {
		char c = part->subtype.p[i];
		lower[i] = c >= 'A' && c <= 'Z' ? (char)(c | 0x20) : c;
	}
	struct span word = {lower, n};
	return buf_append_span(out, is_word(word) ? word : SPAN("bin"));
}

/* What append_section may give. */
static bool is_section(struct span s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] != '.' && s.p[i] != '#' && (s.p[i] < '0' || s.p[i] > '9'))
			return false;
	return s.n > 0;
}

/* Whether a name could be a bare section, or one that has got its section. */
static bool needs_section(struct span name)
{
	size_t end = mime_filename_extension(name), at = end;

	if (is_section(name))
		return true;
	while (at > 0 && name.p[at - 1] != '~')
		at--;
	return at > 0 && is_section((struct span){name.p + at, end - at});
}

static int append_section(const struct mime_structure *s, uint32_t part, struct buf *out)
{
	size_t before = out->len;
	int err = mime_structure_section(s, part, out);

	if (err < 0 || out->len - before <= SECTION_MAX)
		return err;
	buf_truncate(out, before);
	return buf_printf(out, "#%u", part);
}

/* Appends the name with "~section" before its extension. */
static int append_with_section(
	const struct mime_structure *s, uint32_t part, struct span name, struct buf *out)
{
	struct buf suffix;
	/* A bare section has no extension. */
	size_t dot = is_section(name) ? name.n : mime_filename_extension(name);

	buf_init(&suffix, SIZE_MAX);
	int err = buf_append_char(&suffix, '~');
	if (err == 0)
		err = append_section(s, part, &suffix);
	size_t room = MIME_FILENAME_MAX - suffix.len - (name.n - dot);
	size_t stem = mime_filename_cut((struct span){name.p, dot}, room);
	if (err == 0)
		err = buf_append(out, name.p, stem);
	if (err == 0)
		err = buf_append_span(out, buf_span(&suffix));
	if (err == 0)
		err = buf_append(out, name.p + dot, name.n - dot);
	buf_finish(&suffix);
	return err;
}

/* Appends what a part is called as long as nothing else is called so. */
static int append_first(const struct mime_structure *s, uint32_t index, struct buf *out)
{
	const struct mime_part *part = &s->parts[index];
	struct buf given, name;
	int err;

	buf_init(&given, SIZE_MAX);
	buf_init(&name, MIME_FILENAME_MAX);
	err = mime_structure_filename(s, part, &given);
	if (err == 0)
		err = mime_filename(buf_span(&given), &name);
	if (err == 0 && name.len == 0) {
		err = append_section(s, index, out);
		if (err == 0)
			err = buf_append_char(out, '.');
		if (err == 0)
			err = append_extension(part, out);
	} else if (err == 0 && needs_section(buf_span(&name))) {
		err = append_with_section(s, index, buf_span(&name), out);
	} else if (err == 0) {
		err = buf_append_span(out, buf_span(&name));
	}
	buf_finish(&given);
	buf_finish(&name);
	return err;
}

static int compare_names(const struct mime_name *a, const struct mime_name *b)
{
	size_t n = a->text.n < b->text.n ? a->text.n : b->text.n;

	if (a->directory != b->directory)
		return a->directory < b->directory ? -1 : 1;
	int order = memcmp(a->text.p, b->text.p, n);
	return order ? order : (a->text.n > b->text.n) - (a->text.n < b->text.n);
}

/* Of equal names the one of the first part is the first. */
static int compare_parts(const void *a, const void *b, void *ctx)
{
	uint32_t first = *(const uint32_t *)a, second = *(const uint32_t *)b;
	const struct mime_names *n = ctx;
	int order = compare_names(&n->of[first], &n->of[second]);

	return order ? order : first < second ? -1 : 1;
}

static void sort(struct mime_names *n)
{
	if (n->sorted_count > 0)
		qsort_r(n->sorted, n->sorted_count, sizeof(n->sorted[0]), compare_parts, n);
}

/* The text moves while it grows: until all is there a name's span is its place in it. */
static void settle(struct mime_names *n, size_t count)
{
	size_t at = 0;

	for (size_t i = 0; i < count; i++) {
		n->of[i].text.p = n->text.data + at;
		at += n->of[i].text.n;
	}
}

static int name_all(struct mime_names *n, const struct mime_structure *s)
{
	for (uint32_t i = 0; i < s->count; i++) {
		size_t before = n->text.len;
		n->of[i] = (struct mime_name){.directory = mime_structure_enclosing(s, i)};
		if (s->parts[i].kind == MIME_MULTIPART)
			continue;
		int err = append_first(s, i, &n->text);
		if (err < 0)
			return err;
		n->of[i].text.n = n->text.len - before;
		n->sorted[n->sorted_count++] = i;
	}
	settle(n, s->count);
	return 0;
}

/* Marks those that are called as one before them. */
static void find_twice(const struct mime_names *n, bool *twice)
{
	for (size_t i = 1; i < n->sorted_count; i++) {
		uint32_t before = n->sorted[i - 1], part = n->sorted[i];
		twice[part] = compare_names(&n->of[before], &n->of[part]) == 0;
	}
}

static int rename_twice(struct mime_names *n, const struct mime_structure *s, const bool *twice)
{
	struct buf old = n->text;
	int err = 0;

	buf_init(&n->text, SIZE_MAX);
	for (uint32_t i = 0; i < s->count && err == 0; i++) {
		size_t before = n->text.len;
		struct span name = n->of[i].text;
		err = twice[i] ? append_with_section(s, i, name, &n->text)
			       : buf_append_span(&n->text, name);
		n->of[i].text.n = n->text.len - before;
	}
	buf_finish(&old);
	settle(n, s->count);
	return err;
}

int mime_names_init(struct mime_names *n, const struct mime_structure *s)
{
	size_t count = s->count ? s->count : 1;

	*n = (struct mime_names){0};
	buf_init(&n->text, SIZE_MAX);
	n->of = calloc(count, sizeof(n->of[0]));
	n->sorted = calloc(count, sizeof(n->sorted[0]));
	bool *twice = calloc(count, sizeof(twice[0]));
	int err = n->of && n->sorted && twice ? name_all(n, s) : ERR_NOMEM;
	if (err == 0) {
		sort(n);
		find_twice(n, twice);
		err = rename_twice(n, s, twice);
	}
	if (err == 0)
		sort(n);
	free(twice);
	return err;
}

void mime_names_finish(struct mime_names *n)
{
	free(n->of);
	free(n->sorted);
	buf_finish(&n->text);
	*n = (struct mime_names){0};
}

uint32_t mime_names_find(const struct mime_names *n, uint32_t directory, struct span name)
{
	struct mime_name key = {name, directory};
	size_t low = 0, high = n->sorted_count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		int order = compare_names(&key, &n->of[n->sorted[middle]]);
		if (order == 0)
			return n->sorted[middle];
		if (order < 0)
			high = middle;
		else
			low = middle + 1;
	}
	return MIME_NO_PART;
}
