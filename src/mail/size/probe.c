/* SPDX-License-Identifier: MIT */
#include "mail/size/probe.h"

/* Octets of the first step away from the promise. */
#define STEP ((uint64_t)1024)
/* Octets that one question asks for, at most. */
#define OCTETS_MAX ((uint64_t)16 << 10)
/* Octets that are asked for on both sides of a size that is doubted. */
#define SLACK ((uint64_t)256)
/* A message that is not understood after so many questions never will be. */
#define ASKED_MAX 80
/* How often octets may come where none did before. */
#define DOUBTS_MAX 3
/* Octets: no message is larger. */
#define SIZE_BELIEVED_MAX ((uint64_t)1 << 48)

void probe_init(struct probe *p, uint64_t promised, bool doubted)
{
	uint64_t slack = doubted ? SLACK : 0;
	uint64_t before = promised - 1 < slack ? promised - 1 : slack;

	*p = (struct probe){
		.promised = promised,
		.high = UINT64_MAX,
		.short_from = UINT64_MAX,
		.width = STEP,
		.from = promised - 1 - before,
		.octets = (uint32_t)(before + 2 + slack),
	};
}

static void set_question(struct probe *p, uint64_t from, uint64_t octets)
{
	p->from = from;
	p->octets = (uint32_t)(octets < OCTETS_MAX ? octets : OCTETS_MAX);
}

/* Whenever octets were asked for some came: the end is higher. */
static void ask_above(struct probe *p)
{
	if (p->width <= OCTETS_MAX)
		set_question(p, p->low, p->width);
	else
		set_question(p, p->low + p->width, 2);
	p->width *= 4;
}

/* The end is between low and high. */
static void ask_between(struct probe *p)
{
	uint64_t distance = p->high - p->low;
	/* Near the promise first. */
	uint64_t step = p->width < distance ? p->width : distance;

	/* The octet before where none came: alone, if that is the end. */
	if (distance == 0)
		set_question(p, p->high - 1, 2);
	else if (step < OCTETS_MAX)
		set_question(p, p->high - step, step + 1);
	else
		set_question(p, p->high - (step < distance / 2 ? step : distance / 2), 2);
	p->width = step * 4;
}

/* The last answer was short: where it ended is asked about once more, in other words. */
static void ask_again(struct probe *p)
{
	uint64_t back = p->low > 1 && p->short_from == p->low - 1 ? 2 : 1;
	bool same = p->short_from == p->low - back && p->short_octets == back + 2;

	set_question(p, p->low - back, back + 2 + same);
}

static enum probe_result note_short(struct probe *p, uint64_t from, uint64_t octets, uint64_t end)
{
	/* A server that cuts its answers would not cut two at the same octet. */
	bool other = from != p->short_from || octets != p->short_octets;
	bool again = end == p->low && p->short_from != UINT64_MAX && other;

	p->short_from = from;
	p->short_octets = octets;
	if (end < p->low)
		return PROBE_NONSENSE;
	p->low = end;
	if (end == p->promised || end == p->high || again)
		return PROBE_FOUND;
	ask_again(p);
	return PROBE_MORE;
}

static void ask_on(struct probe *p)
{
	if (p->high == UINT64_MAX)
		ask_above(p);
	else
		ask_between(p);
}

enum probe_result probe_answer(struct probe *p, uint64_t from, uint64_t octets, uint64_t got)
{
	uint64_t end = from + got;

	if (got > octets || ++p->asked > ASKED_MAX)
		return PROBE_NONSENSE;
	if (got == 0 && from < p->high)
		p->high = from;
	/* Some octet must have been seen: nothing at all may have another reason. */
	if (p->high == 0 || (got > 0 && end > SIZE_BELIEVED_MAX))
		return PROBE_NONSENSE;
	/* Octets came from where none did: those were there all the time. */
	if (p->high < UINT64_MAX && ((got > 0 && end > p->high) || p->low > p->high)) {
		p->high = UINT64_MAX;
		if (++p->doubts > DOUBTS_MAX)
			return PROBE_NONSENSE;
	}
	if (got > 0 && got < octets)
		return note_short(p, from, octets, end);
	if (got > 0 && end > p->low)
		p->low = end;
	ask_on(p);
	return PROBE_MORE;
}
