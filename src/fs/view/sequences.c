/* SPDX-License-Identifier: MIT */
#include "fs/view/sequences.h"

#include <string.h>

#include "base/error.h"

static const char *const names[SEQUENCES] = {"unseen", "flagged", "replied"};

void sequences_init(struct sequences *s)
{
	*s = (struct sequences){0};
	buf_init(&s->others, SEQUENCES_OTHERS_MAX);
}

void sequences_finish(struct sequences *s)
{
	for (unsigned i = 0; i < SEQUENCES; i++)
		uidset_finish(&s->sets[i]);
	buf_finish(&s->others);
}

/* --- parsing --- */

/* Takes a number from the front; false: there is none, or one that is no UID. */
static bool take_number(struct span *rest, uint32_t *number)
{
	uint64_t n = 0;
	size_t digits = 0;

	for (; digits < rest->n && rest->p[digits] >= '0' && rest->p[digits] <= '9'; digits++)
		if ((n = n * 10 + (uint64_t)(rest->p[digits] - '0')) > UINT32_MAX)
			return false;
	*number = (uint32_t)n;
	*rest = (struct span){rest->p + digits, rest->n - digits};
	return digits > 0;
}

static bool is_space(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* "1 3-5". 0 is no message. */
static bool parse_numbers(struct uidset *set, struct span rest)
{
	uint32_t first, last;

	for (;;) {
		while (rest.n > 0 && is_space(rest.p[0]))
			rest = (struct span){rest.p + 1, rest.n - 1};
		if (rest.n == 0)
			return true;
		if (!take_number(&rest, &first))
			return false;
		last = first;
		if (rest.n > 0 && rest.p[0] == '-') {
			rest = (struct span){rest.p + 1, rest.n - 1};
			if (!take_number(&rest, &last))
				return false;
		}
		if (last < first || (rest.n > 0 && !is_space(rest.p[0])))
			return false;
		if (last > 0)
			uidset_add(set, first ? first : 1, last);
	}
}

/* The line and those that go on with it, which begin with a space. */
static struct span take_line(struct span *rest)
{
	const char *end = rest->p, *stop = rest->p + rest->n;

	do {
		const char *feed = memchr(end, '\n', (size_t)(stop - end));
		end = feed ? feed + 1 : stop;
	} while (end < stop && (*end == ' ' || *end == '\t'));
	struct span line = {rest->p, (size_t)(end - rest->p)};
	*rest = (struct span){end, (size_t)(stop - end)};
	return line;
}

static int keep_line(struct sequences *s, struct span line)
{
	int err = buf_append_span(&s->others, line);

	if (err == 0 && line.p[line.n - 1] != '\n')
		err = buf_append_char(&s->others, '\n');
	return err;
}

static int parse_line(struct sequences *s, struct span line)
{
	const char *colon = memchr(line.p, ':', line.n);

	if (line.p[0] == '\n' && line.n == 1)
		return 0;
	if (!colon || colon == line.p || is_space(line.p[0]) || memchr(line.p, 0, line.n))
		return ERR_INVALID;
	struct span name = {line.p, (size_t)(colon - line.p)};
	struct span numbers = {colon + 1, line.n - name.n - 1};
	for (unsigned i = 0; i < SEQUENCES; i++)
		if (span_equal(name, span_of(names[i])))
			return parse_numbers(&s->sets[i], numbers) ? 0 : ERR_INVALID;
	return keep_line(s, line);
}

int sequences_parse(struct sequences *s, struct span text)
{
	int err = 0;

	while (err == 0 && text.n > 0)
		err = parse_line(s, take_line(&text));
	for (unsigned i = 0; i < SEQUENCES; i++)
		uidset_sort(&s->sets[i]);
	return err;
}

/* --- printing --- */

static int print_set(const struct uidset *set, const char *name, struct buf *out)
{
	int err = buf_printf(out, "%s:", name);

	for (size_t i = 0; err == 0 && i < set->count; i++) {
		const struct uid_range *r = &set->ranges[i];
		err = r->first == r->last ? buf_printf(out, " %u", r->first)
					  : buf_printf(out, " %u-%u", r->first, r->last);
	}
	return err == 0 ? buf_append_char(out, '\n') : err;
}

int sequences_print(const struct sequences *s, struct buf *out)
{
	int err = 0;

	for (unsigned i = 0; err == 0 && i < SEQUENCES; i++)
		if (s->sets[i].count > 0)
			err = print_set(&s->sets[i], names[i], out);
	return err == 0 ? buf_append_span(out, buf_span(&s->others)) : err;
}
