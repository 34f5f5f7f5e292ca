/* SPDX-License-Identifier: MIT */
/*
 * How often one piece of work is begun again: at once when the connection that it was on is lost,
 * which may be the fault of anything; later when the server asks for patience. Pure.
 */
#ifndef LINK_RETRY_H
#define LINK_RETRY_H

#include <stdbool.h>
#include <stdint.h>

/* How often a server that asks for patience is asked again. For what nobody would ask for
 * otherwise: some four minutes in all. For what is asked for anew whenever somebody wants it: some
 * three seconds. */
#define RETRY_PATIENT 12
#define RETRY_BRIEF 2

/* All zero: the work has not failed yet. */
struct retry {
	unsigned lost; /* connections */
	unsigned busy; /* answers that asked for patience */
};

/* A connection was lost over err. Whether the work is to be begun again: not when it was canceled,
 * nor for ever. */
bool retry_lost(struct retry *r, int err);
/* The server asked for patience. Whether to begin again, after retry_delay. */
bool retry_busy(struct retry *r, unsigned most);
/* Milliseconds: longer each time, see backoff_delay. */
uint64_t retry_delay(const struct retry *r);

#endif
