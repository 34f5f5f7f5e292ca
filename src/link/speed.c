/* SPDX-License-Identifier: MIT */
/*
 * How fast connections are, and what follows from it: over how many of them bulk tasks go, and
 * whether they deflate. Deflate is tried on a line that is slow, and kept when that proves to be
 * faster: a server may be busier than the line is slow.
 */
#include "base/log.h"
#include "link/private.h"

/* Samples of the rate with deflate, before it is held against that without: 4 MiB, or as many
 * seconds. */
#define DEFLATE_SAMPLES 8
/* One part in so many that deflate must be faster by at least, for what it costs both processors.
 */
#define DEFLATE_GAIN 8

/* During the login a server says nothing unasked, so what comes is an answer. */
void speed_note_round_trip(struct conn *c)
{
	if (c->speed.asked_at == 0)
		return;
	uint64_t took = uv_hrtime() - c->speed.asked_at;
	c->speed.asked_at = 0;
	if (c->speed.round_trip == 0 || took < c->speed.round_trip)
		c->speed.round_trip = took;
}

/* --- COMPRESS --- */

/* Nothing else may be under way (RFC 4978 section 3), which is why the pool waits for a pause; it
 * cannot be ended. */
bool speed_wants_deflate(const struct conn *c)
{
	const struct pool *p = c->pool;
	enum pool_compress how = p->options.compress;
	bool pays = p->speed.deflate == DEFLATE_TRIED || p->speed.deflate == DEFLATE_PAYS;
	bool wanted = how == POOL_COMPRESS_ON || (how == POOL_COMPRESS_AUTO && pays);

	return wanted && c->state == CONN_READY && !c->wire.deflated &&
	       !p->server.compress_refused &&
	       (imap_session_capabilities(c->session) & IMAP_CAP_COMPRESS_DEFLATE);
}

bool speed_is_in_vain(const struct conn *c)
{
	return c->state == CONN_READY && c->wire.deflated &&
	       c->pool->speed.deflate == DEFLATE_COSTS;
}

void speed_deflate(struct conn *c)
{
	conn_set_state(c, CONN_COMPRESSING);
	imap_session_compress(c->session, conn_now(c));
}

/* The first slow connection has it tried; the one that tries it decides when it has seen enough. True
 * when something was decided. */
static bool judge_deflate(struct pool_speed *s, const struct conn *c)
{
	const struct rate *r = &c->speed.rate;

	if (s->deflate == DEFLATE_UNTRIED && rate_is_slow(r)) {
		s->deflate = DEFLATE_TRIED;
		/* The better one: a sample in which this machine was late must not speak for deflate. */
		s->plain_rate = r->rate > r->rate_before ? r->rate : r->rate_before;
		return true;
	}
	if (s->deflate != DEFLATE_TRIED || !c->wire.deflated || r->samples != DEFLATE_SAMPLES)
		return false;
	bool pays = rate_mean(r) > s->plain_rate + s->plain_rate / DEFLATE_GAIN;
	s->deflate = pays ? DEFLATE_PAYS : DEFLATE_COSTS;
	return true;
}

/* --- samples --- */

static void note_rate(struct conn *c, size_t octets)
{
	static const char *const judgements[] = {
		[DEFLATE_UNTRIED] = "",
		[DEFLATE_TRIED] = "(to be tried)",
		[DEFLATE_PAYS] = "(which pays)",
		[DEFLATE_COSTS] = "(which costs)",
	};
	struct pool *p = c->pool;
	struct rate *r = &c->speed.rate;

	if (!rate_note(r, octets, imap_session_is_midway(c->session), conn_now(c)))
		return;
	p->speed.rate = rate_mean(r);
	if (p->options.compress == POOL_COMPRESS_AUTO && judge_deflate(&p->speed, c))
		log_debug("%s: %llu bytes a second, %s deflate %s", c->name,
			(unsigned long long)rate_mean(r), c->wire.deflated ? "with" : "without",
			judgements[p->speed.deflate]);
}

/* Whether deflate pays is found out first, with one connection. */
static bool deflate_is_open(const struct conn *c)
{
	const struct pool *p = c->pool;
	const struct rate *r = &c->speed.rate;

	if (p->options.compress != POOL_COMPRESS_AUTO || p->server.compress_refused ||
		!(p->server.capabilities & IMAP_CAP_COMPRESS_DEFLATE))
		return false;
	return p->speed.deflate == DEFLATE_TRIED ||
	       (p->speed.deflate == DEFLATE_UNTRIED && (r->samples < 2 || rate_is_slow(r)));
}

/* One connection is kept for who reads just one message. */
static void note_width(const struct conn *c, size_t octets)
{
	struct pool *p = c->pool;
	struct width *w = &p->speed.width;
	bool busy = !deflate_is_open(c) && place_bulk_lines(p, NULL) > 0;
	unsigned most = p->limit.max > 2 ? p->limit.max - 1 : 1;

	if (width_note(w, octets, busy, most, conn_now(c)))
		log_debug("read-ahead by %u connections, after %llu bytes a second", width_count(w),
			(unsigned long long)w->rate_fewer);
}

void speed_note(struct conn *c, size_t octets)
{
	note_rate(c, octets);
	note_width(c, octets);
}
