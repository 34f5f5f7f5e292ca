#include "mail/uidset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"

void uidset_finish(struct uidset *s)
{
	free(s->ranges);
	*s = (struct uidset){0};
}

void uidset_clear(struct uidset *s)
{
	s->count = 0;
}

void uidset_copy(struct uidset *to, const struct uidset *from)
{
	uidset_clear(to);
	for (size_t i = 0; i < from->count; i++)
		uidset_add(to, from->ranges[i].first, from->ranges[i].last);
}

void uidset_add(struct uidset *s, uint32_t first, uint32_t last)
{
	struct uid_range *previous = s->count ? &s->ranges[s->count - 1] : NULL;

	if (previous && first >= previous->first &&
		(uint64_t)first <= (uint64_t)previous->last + 1) {
		if (last > previous->last)
			previous->last = last;
		return;
	}
	s->ranges = array_grow(s->ranges, &s->cap, s->count + 1, sizeof(*s->ranges));
	s->ranges[s->count++] = (struct uid_range){first, last};
}

static bool touches(const struct uidset *s, uint32_t first, uint32_t last)
{
	for (size_t i = 0; i < s->count; i++)
		if (s->ranges[i].first <= last && s->ranges[i].last >= first)
			return true;
	return false;
}

void uidset_remove(struct uidset *s, uint32_t first, uint32_t last)
{
	struct uidset left = {0};

	if (!touches(s, first, last))
		return;
	for (size_t i = 0; i < s->count; i++) {
		struct uid_range r = s->ranges[i];
		if (r.first < first)
			uidset_add(&left, r.first, r.last < first ? r.last : first - 1);
		if (r.last > last)
			uidset_add(&left, r.first > last ? r.first : last + 1, r.last);
	}
	uidset_finish(s);
	*s = left;
}

static int compare(const void *a, const void *b)
{
	const struct uid_range *x = a, *y = b;

	return (x->first > y->first) - (x->first < y->first);
}

static bool is_sorted(const struct uidset *s)
{
	for (size_t i = 1; i < s->count; i++)
		if (s->ranges[i].first <= s->ranges[i - 1].last)
			return false;
	return true;
}

void uidset_sort(struct uidset *s)
{
	if (is_sorted(s))
		return;
	qsort(s->ranges, s->count, sizeof(*s->ranges), compare);
	size_t n = s->count;
	s->count = 0;
	/* Writes never pass what is read: joining only shortens. */
	for (size_t i = 0; i < n; i++)
		uidset_add(s, s->ranges[i].first, s->ranges[i].last);
}

uint64_t uidset_size(const struct uidset *s)
{
	uint64_t n = 0;

	for (size_t i = 0; i < s->count; i++)
		n += (uint64_t)s->ranges[i].last - s->ranges[i].first + 1;
	return n;
}

/* The index of the first range that does not end below uid. */
static size_t range_at(const struct uidset *s, uint32_t uid)
{
	size_t low = 0, high = s->count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (s->ranges[middle].last < uid)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool uidset_has(const struct uidset *s, uint32_t uid)
{
	size_t i = range_at(s, uid);

	return i < s->count && s->ranges[i].first <= uid;
}

uint32_t uidset_after(const struct uidset *s, uint32_t uid)
{
	if (uid == UINT32_MAX)
		return 0;
	size_t i = range_at(s, uid + 1);
	if (i == s->count)
		return 0;
	return s->ranges[i].first > uid ? s->ranges[i].first : uid + 1;
}

void uidset_take_text(struct uidset *s, struct buf *text)
{
	size_t taken = 0;
	char range[32];

	for (; taken < s->count; taken++) {
		const struct uid_range *r = &s->ranges[taken];
		int n = snprintf(range, sizeof(range), r->first == r->last ? "%s%u" : "%s%u:%u",
			text->len ? "," : "", r->first, r->last);
		if (buf_append(text, range, (size_t)n) < 0)
			break;
	}
	s->count -= taken;
	if (taken > 0)
		memmove(s->ranges, s->ranges + taken, s->count * sizeof(*s->ranges));
}
