/* SPDX-License-Identifier: MIT */
/*
 * A pool's clock: deadlines, about once a second while there are any, and what the machine slept
 * through. Timers exist only while something waits for them: a mount that nobody uses does not wake
 * up.
 */
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "link/private.h"

/* Milliseconds. */
#define TICK 1000
/* Milliseconds of suspension that connections are trusted to survive. */
#define SLEEP_MAX 20000

/* Octets arrived since the last tick. */
static bool heard_lately(const struct pool *p)
{
	LIST_FOREACH (pos, &p->conns) {
		const struct conn *c = list_entry(pos, struct conn, link);
		if (c->wire.heard_at && uv_now(p->loop) < c->wire.heard_at + TICK)
			return true;
	}
	return false;
}

/* Who stands in line behind others that are being served is late through no fault of the server. */
static void renew_deadlines(struct pool *p, uint64_t passed)
{
	if (passed > TICK)
		passed = TICK;
	LIST_FOREACH (pos, &p->waiting) {
		struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (t->deadline < UINT64_MAX - TICK)
			t->deadline += passed;
	}
}

static uint64_t earlier(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t later(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

/* Somebody must, also when nobody asks for anything. */
static bool keeps_trying(const struct pool *p)
{
	return !p->options.offline && !p->options.quiet && pool_is_unsure(p) &&
	       pool_conn_count(p) == 0;
}

/* uv_now of the next tick that is of use; UINT64_MAX: none. */
static uint64_t next_tick(const struct pool *p)
{
	uint64_t soon = uv_now(p->loop) + TICK, due = UINT64_MAX;
	bool only = pool_conn_count(p) == 0;
	uint64_t retry_at = later(line_retry_at(p->line, only), p->lives.retry_at);

	if (p->shutdown.begun)
		return soon;
	LIST_FOREACH (pos, &p->conns)
		due = earlier(due, conn_next_tick(list_entry(pos, struct conn, link), soon));
	LIST_FOREACH (pos, &p->waiting) {
		const struct pool_task *t = list_entry(pos, struct pool_task, link);
		if (!t->patient)
			return soon;
		due = earlier(due, later(soon, later(place_not_before(p, t), retry_at)));
	}
	if (keeps_trying(p))
		due = earlier(due, later(soon, retry_at));
	if (p->limit.until)
		due = earlier(due, p->limit.until);
	return due;
}

static void tick_on_timer(uv_timer_t *timer)
{
	struct pool *p = timer->data;

	p->tick.due = 0;
	if (p->limit.until && uv_now(p->loop) >= p->limit.until)
		p->limit = (struct pool_limit){.max = p->options.connections};
	uint64_t held = pool_held(p);
	if (heard_lately(p))
		renew_deadlines(p, uv_now(p->loop) - p->tick.last);
	else if (held > p->tick.held)
		renew_deadlines(p, held - p->tick.held);
	p->tick.last = uv_now(p->loop);
	p->tick.held = held;

	LIST_FOREACH_SAFE (pos, &p->conns)
		conn_tick(list_entry(pos, struct conn, link));
	pool_fail_waiting(p, NULL, ERR_TIMEOUT, uv_now(p->loop));
	if (keeps_trying(p) && pool_may_connect(p, NULL))
		pool_connect(p);
	pool_run_soon(p);
}

void tick_set(struct pool *p)
{
	uint64_t due = next_tick(p), now = uv_now(p->loop);

	if (uv_is_closing((uv_handle_t *)&p->tick.timer) || (p->tick.due && p->tick.due <= due))
		return;
	p->tick.due = due == UINT64_MAX ? 0 : due;
	if (p->tick.due)
		uv_timer_start(&p->tick.timer, tick_on_timer, due > now ? due - now : 1, 0);
}

/* --- the machine's sleep --- */

static int64_t milliseconds(clockid_t clock)
{
	struct timespec t;

	clock_gettime(clock, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* How long the machine has been suspended in all: only CLOCK_BOOTTIME runs on meanwhile. */
static int64_t time_slept(void)
{
	return milliseconds(CLOCK_BOOTTIME) - milliseconds(CLOCK_MONOTONIC);
}

/* The first connection is left to its own deadline: how it ends decides about the start. */
static void lose_all(struct pool *p)
{
	if (!p->first_told && p->events.on_first)
		return;
	LIST_FOREACH_SAFE (pos, &p->conns)
		conn_fail(list_entry(pos, struct conn, link), ERR_NET, "the machine slept");
}

/* After a sleep the servers and routers on the way have forgotten us, but would not say so for a
 * long time. There is no timer for it: whatever wakes us up first makes us look. */
static void check_sleep(struct pool *p)
{
	int64_t slept = time_slept();
	bool long_ago = slept - p->sleep.known > SLEEP_MAX;

	p->sleep.known = slept;
	if (!long_ago)
		return;
	log_debug("the machine slept: connecting anew");
	/* Whatever happened meanwhile, nobody was told of it: on_up. */
	p->line->shaken = true;
	LIST_FOREACH_SAFE (pos, &p->line->pools)
		lose_all(list_entry(pos, struct pool, in_line));
	/* The network may need some seconds to be there again. */
	backoff_wake(&p->line->backoff);
	pool_run_all_soon(p);
}

static void tick_on_wake(uv_check_t *check)
{
	check_sleep(check->data);
}

void tick_init(struct pool *p)
{
	uv_timer_init(p->loop, &p->tick.timer);
	uv_check_init(p->loop, &p->sleep.check);
	p->tick.timer.data = p->sleep.check.data = p;
	p->sleep.known = time_slept();
	/* One looks for all pools of the line. */
	if (p->line == &p->own_line)
		uv_check_start(&p->sleep.check, tick_on_wake);
}

void tick_close(struct pool *p)
{
	uv_close((uv_handle_t *)&p->tick.timer, NULL);
	uv_close((uv_handle_t *)&p->sleep.check, NULL);
}
