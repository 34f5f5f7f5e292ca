/* SPDX-License-Identifier: MIT */
#include "imap/uids.h"

#include "base/text.h"
#include "imap/response.h"

/* Takes the next range off a set: "5" or "5:7", with nothing else before the next comma. */
static bool take_range(struct span *set, uint32_t *first, uint32_t *last)
{
	const char *comma = memchr(set->p, ',', set->n);
	struct span member = {set->p, comma ? (size_t)(comma - set->p) : set->n};
	const char *colon = member.n ? memchr(member.p, ':', member.n) : NULL;
	size_t n = colon ? (size_t)(colon - member.p) : member.n;
	uint64_t a, b;

	if (!text_parse_number((struct span){member.p, n}, UINT32_MAX, &a) || a == 0)
		return false;
	b = a;
	if (colon && !text_parse_number((struct span){colon + 1, member.n - n - 1}, UINT32_MAX, &b))
		return false;
	*first = (uint32_t)a;
	*last = (uint32_t)b;
	*set = comma ? (struct span){comma + 1, set->n - member.n - 1} : (struct span){0};
	/* A set ends with a number. */
	return b >= a && (!comma || set->n > 0);
}

/* UIDs of a set, 0 when it is none. rising: each must be above the one before, as UIDs are given. */
static uint32_t count_set(struct span set, bool rising)
{
	uint32_t first, last, before = 0;
	uint64_t n = 0;

	while (set.n > 0) {
		if (!take_range(&set, &first, &last) || (rising && first <= before))
			return 0;
		before = last;
		n += (uint64_t)last - first + 1;
		if (n > IMAP_UIDS_MAX)
			return 0;
	}
	return (uint32_t)n;
}

struct imap_uids imap_uids_parse(struct span args, bool copy)
{
	struct imap_uids uids = {0};
	struct span word;
	uint64_t uidvalidity;

	if (!imap_word_next(&args, &word) || !text_parse_number(word, UINT32_MAX, &uidvalidity))
		return uids;
	if (copy && !imap_word_next(&args, &uids.from))
		return uids;
	if (!imap_word_next(&args, &uids.to) || imap_word_next(&args, &word))
		return uids;
	uids.count = count_set(uids.to, true);
	if (uids.count > 0 && (!copy || count_set(uids.from, false) == uids.count))
		uids.uidvalidity = (uint32_t)uidvalidity;
	return uids;
}

uint32_t imap_uids_find(const struct imap_uids *uids, uint32_t from)
{
	struct span source = uids->from, set = uids->to;
	uint32_t first, last;
	uint64_t at = 0;

	if (uids->uidvalidity == 0)
		return 0;
	while (source.n > 0 && take_range(&source, &first, &last)) {
		if (from >= first && from <= last)
			break;
		at += (uint64_t)last - first + 1;
		first = 0;
	}
	if (at >= uids->count)
		return 0;
	at += from - first;
	while (set.n > 0 && take_range(&set, &first, &last)) {
		if (at <= last - first)
			return first + (uint32_t)at;
		at -= (uint64_t)last - first + 1;
	}
	return 0;
}

uint32_t imap_uids_first(const struct imap_uids *uids)
{
	struct span set = uids->to;
	uint32_t first, last;

	return uids->uidvalidity && take_range(&set, &first, &last) ? first : 0;
}
