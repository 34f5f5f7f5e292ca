/* SPDX-License-Identifier: MIT */
/*
 * What one imapfs of this machine does alone, whoever runs it: a name in the abstract namespace of
 * Unix sockets, which one process can have at a time and which goes with that process. Another
 * network namespace, and another machine, do not see it.
 */
#ifndef MAIL_CHANGE_LEASE_H
#define MAIL_CHANGE_LEASE_H

#include <stdbool.h>
#include <uv.h>

#include "base/span.h"

struct lease;
typedef void lease_done(void *ctx, bool held);

/* on_done once, from the loop: held, or not to be had within `patience` milliseconds. */
struct lease *lease_take(
	uv_loop_t *loop, struct span key, uint64_t patience, lease_done *on_done, void *ctx);
/* Gives it back, or gives up; no callback any more. NULL is fine. */
void lease_release(struct lease *l);

#endif
