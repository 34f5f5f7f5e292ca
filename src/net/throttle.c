/* SPDX-License-Identifier: MIT */
#include "net/throttle.h"

/* Turns a second, and what they are of at least and at most. */
#define TURNS 8
#define SHARE_MIN 256
#define SHARE_MAX ((size_t)64 << 10)
/* What was not used of this time may be caught up: timers come late. */
#define CATCH_UP ((uint64_t)100 * 1000 * 1000)
#define WINDOW_MIN (16u << 10)
#define WINDOW_MAX (1u << 30)
#define SECOND ((uint64_t)1000 * 1000 * 1000)

void net_throttle_init(struct net_throttle *t, uint64_t rate)
{
	*t = (struct net_throttle){.rate = rate};
}

size_t net_throttle_share(const struct net_throttle *t)
{
	uint64_t share = t->rate / TURNS;

	if (share < SHARE_MIN)
		return SHARE_MIN;
	return share < SHARE_MAX ? (size_t)share : SHARE_MAX;
}

/* Half a second: more than a line takes there and back. */
unsigned net_throttle_window(const struct net_throttle *t)
{
	uint64_t window = t->rate / 2;

	if (window < WINDOW_MIN)
		return WINDOW_MIN;
	return window < WINDOW_MAX ? (unsigned)window : WINDOW_MAX;
}

static uint64_t time_of(const struct net_throttle *t, size_t octets)
{
	return octets * SECOND / t->rate;
}

uint64_t net_throttle_reserve(struct net_throttle *t, enum net_direction direction, uint64_t now)
{
	uint64_t *free_at = &t->free_at[direction];
	uint64_t early = now > CATCH_UP ? now - CATCH_UP : 0;
	uint64_t begin = *free_at > early ? *free_at : early;

	*free_at = begin + time_of(t, net_throttle_share(t));
	return begin;
}

void net_throttle_used(struct net_throttle *t, enum net_direction direction, size_t octets)
{
	size_t share = net_throttle_share(t);

	t->free_at[direction] -= time_of(t, share) - time_of(t, octets < share ? octets : share);
}

void net_throttle_wait(struct net_throttle *t, uint64_t now)
{
	if (t->waiting++ == 0)
		t->since = now;
}

void net_throttle_go(struct net_throttle *t, uint64_t now)
{
	if (--t->waiting == 0)
		t->waited += now - t->since;
}

uint64_t net_throttle_waited(const struct net_throttle *t, uint64_t now)
{
	return t->waited + (t->waiting > 0 ? now - t->since : 0);
}
