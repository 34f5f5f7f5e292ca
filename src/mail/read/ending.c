/* SPDX-License-Identifier: MIT */
#include "mail/read/ending.h"

enum ending ending_judge(const struct ending_answer *a, uint64_t *end)
{
	uint64_t reached = a->from + a->came;

	*end = a->whole > 0 ? a->whole : reached;
	if (a->whole > 0)
		return ENDING_FOUND;
	if (a->came == 0)
		return ENDING_NOTHING;
	/* A server that tells no origin may not know parts at all, and always send all of it. */
	bool all = !a->has_origin && a->from == 0;
	bool longer = a->promised != ENDING_NOWHERE && a->promised > a->came;
	if (a->came >= a->asked)
		return all && !longer && !a->grown ? ENDING_VAGUE : ENDING_OPEN;
	if (all)
		return ENDING_FOUND;
	/* Some cut their answers, but none twice at the same octet. */
	return reached == a->promised || reached == a->short_at ? ENDING_FOUND : ENDING_UNSURE;
}

enum ending_next ending_after_nothing(const struct ending_silence *s)
{
	if (s->start > 0 && s->lower)
		return ENDING_NEXT_LOWER;
	if (s->answers == 1)
		return ENDING_NEXT_AGAIN;
	if (s->answers == 2)
		return ENDING_NEXT_ANEW;
	if (s->start > 0)
		return ENDING_NEXT_LOWER;
	if (s->empty_string && s->promised_0)
		return ENDING_NEXT_EMPTY;
	return s->row ? ENDING_NEXT_UNREADABLE : ENDING_NEXT_LOOK;
}
