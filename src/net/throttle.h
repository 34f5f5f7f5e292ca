/* SPDX-License-Identifier: MIT */
/*
 * A bound of our own on octets a second, in each direction by itself, shared by streams. Pure; times are
 * nanoseconds (uv_hrtime).
 *
 * A stream reserves a turn for a share of octets, waits until it comes, and says how many it was used
 * for. Turns are given in the order in which they were asked for, so nobody is left out.
 */
#ifndef NET_THROTTLE_H
#define NET_THROTTLE_H

#include <stddef.h>
#include <stdint.h>

enum net_direction { NET_IN, NET_OUT };

struct net_throttle {
	uint64_t rate;       /* octets a second */
	uint64_t free_at[2]; /* when all that was reserved is over */
	unsigned waiting;    /* streams that wait for a turn */
	uint64_t waited;     /* how long at least one did, without the present time */
	uint64_t since;      /* when the first of them began to */
};

/* rate: from 1 on. */
void net_throttle_init(struct net_throttle *t, uint64_t rate);
/* Octets of one turn, at most. */
size_t net_throttle_share(const struct net_throttle *t);
/* Octets that the server may have on their way to one stream. */
unsigned net_throttle_window(const struct net_throttle *t);
/* When the turn comes, perhaps now or before. */
uint64_t net_throttle_reserve(struct net_throttle *t, enum net_direction direction, uint64_t now);
/* The turn is over, and so many octets went by; 0 also where it was not waited for. */
void net_throttle_used(struct net_throttle *t, enum net_direction direction, size_t octets);

/* A stream begins to wait, or ends. */
void net_throttle_wait(struct net_throttle *t, uint64_t now);
void net_throttle_go(struct net_throttle *t, uint64_t now);
/* Nanoseconds, in all, during which some stream waited. */
uint64_t net_throttle_waited(const struct net_throttle *t, uint64_t now);

#endif
