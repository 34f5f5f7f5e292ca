/* SPDX-License-Identifier: MIT */
#include "net/turns.h"

#define MILLISECOND UINT64_C(1000000)

static bool waits(const struct net_turns *t)
{
	return t->waits[NET_IN] || t->waits[NET_OUT];
}

static void set_waits(struct net_turns *t, enum net_direction direction, bool does, uint64_t now)
{
	bool before = waits(t);

	t->waits[direction] = does;
	if (!before && waits(t)) {
		t->waits_since = now;
		net_throttle_wait(t->throttle, now);
	} else if (before && !waits(t)) {
		t->waited += now - t->waits_since;
		net_throttle_go(t->throttle, now);
	}
}

bool net_turns_may_go(struct net_turns *t, enum net_direction direction, uint64_t now)
{
	if (!t->throttle)
		return true;
	if (t->at[direction] == 0)
		t->at[direction] = net_throttle_reserve(t->throttle, direction, now);
	set_waits(t, direction, t->at[direction] > now, now);
	return !t->waits[direction];
}

uint64_t net_turns_next(const struct net_turns *t, uint64_t now)
{
	uint64_t at = UINT64_MAX;

	for (int i = NET_IN; i <= NET_OUT; i++)
		if (t->waits[i] && t->at[i] < at)
			at = t->at[i];
	return at > now ? (at - now) / MILLISECOND + 1 : 0;
}

size_t net_turns_share(const struct net_turns *t, size_t n)
{
	size_t share = t->throttle ? net_throttle_share(t->throttle) : n;

	return n < share ? n : share;
}

void net_turns_end(struct net_turns *t, enum net_direction direction, int64_t octets)
{
	if (!t->throttle)
		return;
	net_throttle_used(t->throttle, direction, octets > 0 ? (size_t)octets : 0);
	t->at[direction] = 0;
}

void net_turns_give_back(struct net_turns *t, uint64_t now)
{
	for (int i = NET_IN; i <= NET_OUT; i++) {
		if (t->waits[i])
			set_waits(t, (enum net_direction)i, false, now);
		if (t->at[i] != 0)
			net_turns_end(t, (enum net_direction)i, 0);
	}
}

uint64_t net_turns_waited(const struct net_turns *t, uint64_t now)
{
	return (t->waited + (waits(t) ? now - t->waits_since : 0)) / MILLISECOND;
}
