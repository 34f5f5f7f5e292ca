/* SPDX-License-Identifier: MIT */
#include "link/retry.h"

#include "base/error.h"
#include "link/backoff.h"

/* Connections that may be lost over one piece of work. */
#define LOST_MAX 3

bool retry_lost(struct retry *r, int err)
{
	return ++r->lost < LOST_MAX && err != ERR_CANCELED;
}

bool retry_busy(struct retry *r, unsigned most)
{
	return ++r->busy <= most;
}

uint64_t retry_delay(const struct retry *r)
{
	return backoff_delay(r->busy);
}
