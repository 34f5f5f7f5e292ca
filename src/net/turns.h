/* SPDX-License-Identifier: MIT */
/*
 * The turns that one stream has reserved of a throttle, in each direction one, and how long it has waited for
 * them. Pure; now is uv_hrtime, nanoseconds. All zero is the beginning, without a throttle: nothing waits then.
 */
#ifndef NET_TURNS_H
#define NET_TURNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "net/throttle.h"

struct net_turns {
	struct net_throttle *throttle; /* NULL: none */
	/* By direction: it waits, and when its turn comes (0: none is reserved). */
	bool waits[2];
	uint64_t at[2];
	uint64_t waited, waits_since; /* how long in all, and since when */
};

/* Whether octets may go by now. If not, and if no turn was reserved, one is: it comes at net_turns_next. */
bool net_turns_may_go(struct net_turns *t, enum net_direction direction, uint64_t now);
/* Milliseconds until the turn that comes first; only while something waits. */
uint64_t net_turns_next(const struct net_turns *t, uint64_t now);
/* Of n octets, those of one turn. */
size_t net_turns_share(const struct net_turns *t, size_t n);
/* The turn is over, and so many octets went by; below 0: none, and why. */
void net_turns_end(struct net_turns *t, enum net_direction direction, int64_t octets);
/* The stream ends: others need not wait for it. */
void net_turns_give_back(struct net_turns *t, uint64_t now);
/* Milliseconds for which it has waited in all. */
uint64_t net_turns_waited(const struct net_turns *t, uint64_t now);

#endif
