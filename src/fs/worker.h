/* SPDX-License-Identifier: MIT */
/*
 * Calls that may wait for long, made beside the loop. A worker has lanes; each does one run after
 * the other, a list of items, in a thread of libuv's pool. A lane that waits holds up nothing of
 * the others. What there is to do is the owner's to know: a lane that rests asks for it.
 */
#ifndef FS_WORKER_H
#define FS_WORKER_H

#include <uv.h>

#include "base/list.h"

struct worker;

struct worker_kind {
	/* In the loop: moves the items of the lane's next run to `items`, which is empty. If it
	 * stays empty there is nothing to do. */
	void (*take)(void *owner, unsigned lane, struct list *items);
	/* In a thread: one of them. */
	void (*carry_out)(void *owner, struct list *item);
	/* In the loop: the run is over. Frees the items. */
	void (*done)(void *owner, unsigned lane, struct list *items);
};

typedef void worker_on_idle(void *ctx);

/* kind and owner must outlive it. */
struct worker *worker_create(
	uv_loop_t *loop, const struct worker_kind *kind, unsigned lanes, void *owner);
/* When it is idle. NULL is fine. */
void worker_destroy(struct worker *w);
/* There may be something to do. */
void worker_wake(struct worker *w);
/* Calls on_idle(ctx) once, from the loop, when all lanes rest; at once if they do. */
void worker_when_idle(struct worker *w, worker_on_idle *on_idle, void *ctx);

#endif
