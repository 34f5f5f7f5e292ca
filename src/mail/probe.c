#include "mail/probe.h"

/* The first step away from the promise, and how much is asked for at a time. */
#define STEP ((uint64_t)1024)
#define OCTETS_MAX ((uint64_t)16 << 10)
/* Octets on both sides of a size that is doubted. */
#define SLACK ((uint64_t)256)
/* Questions, and octets of a message: beyond them it does not end. */
#define ASKED_MAX 80
#define SIZE_MAX_BELIEVED ((uint64_t)1 << 48)

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

static void ask(struct probe *p, uint64_t from, uint64_t octets)
{
	p->from = from;
	p->octets = (uint32_t)(octets < OCTETS_MAX ? octets : OCTETS_MAX);
}

/* Octets came to the end of what was asked for, and none is known to be missing. */
static void ask_above(struct probe *p)
{
	if (p->width <= OCTETS_MAX)
		ask(p, p->low, p->width);
	else
		ask(p, p->low + p->width, 2);
	p->width *= 4;
}

static void ask_between(struct probe *p)
{
	uint64_t distance = p->high - p->low;
	/* Near the promise first. */
	uint64_t step = p->width < distance ? p->width : distance;

	if (step < OCTETS_MAX)
		ask(p, p->high - step, step + 1);
	else
		ask(p, p->high - (step < distance / 2 ? step : distance / 2), 2);
	p->width = step * 4;
}

enum probe_result probe_answer(struct probe *p, uint64_t from, uint64_t octets, uint64_t got)
{
	uint64_t end = from + got;
	bool short_of = got < octets;

	if (got > octets || ++p->asked > ASKED_MAX)
		return PROBE_NONSENSE;
	/* A server that cuts its answers would not cut two at the same octet. */
	bool again = got > 0 && short_of && end == p->low && from != p->short_from;
	if (got > 0 && short_of)
		p->short_from = from;
	if (got > 0 && end > p->low)
		p->low = end;
	if (got == 0 && from < p->high)
		p->high = from;
	/* Some octet must have been seen: nothing at all may have another reason. */
	if (p->low > p->high || p->high == 0 || p->low > SIZE_MAX_BELIEVED)
		return PROBE_NONSENSE;
	if (got > 0 && short_of && (end == p->promised || end == p->high || again))
		p->high = p->low;
	if (p->low == p->high)
		return PROBE_FOUND;
	if (got > 0 && short_of)
		ask(p, p->low, 2);
	else if (p->high == UINT64_MAX)
		ask_above(p);
	else
		ask_between(p);
	return PROBE_MORE;
}
