/* SPDX-License-Identifier: MIT */
#include "fs/worker.h"

#include <stdbool.h>
#include <stdlib.h>

#include "base/mem.h"

struct lane {
	struct worker *worker;
	unsigned number;
	uv_work_t work;
	bool busy;
	struct list items; /* the thread's while it is busy */
};

struct worker {
	uv_loop_t *loop;
	const struct worker_kind *kind;
	void *owner;
	worker_on_idle *on_idle; /* NULL: nobody waits for that */
	void *ctx;
	unsigned n_lanes;
	struct lane lanes[];
};

struct worker *worker_create(
	uv_loop_t *loop, const struct worker_kind *kind, unsigned lanes, void *owner)
{
	struct worker *w = mem_zalloc(sizeof(*w) + lanes * sizeof(w->lanes[0]));

	w->loop = loop;
	w->kind = kind;
	w->owner = owner;
	w->n_lanes = lanes;
	for (unsigned i = 0; i < lanes; i++) {
		w->lanes[i].worker = w;
		w->lanes[i].number = i;
		w->lanes[i].work.data = &w->lanes[i];
		list_init(&w->lanes[i].items);
	}
	return w;
}

void worker_destroy(struct worker *w)
{
	free(w);
}

static bool all_lanes_rest(const struct worker *w)
{
	for (unsigned i = 0; i < w->n_lanes; i++)
		if (w->lanes[i].busy)
			return false;
	return true;
}

static void worker_on_work(uv_work_t *work)
{
	struct lane *lane = work->data;
	const struct worker *w = lane->worker;

	LIST_FOREACH (item, &lane->items)
		w->kind->carry_out(w->owner, item);
}

static void worker_on_worked(uv_work_t *work, int status)
{
	struct lane *lane = work->data;
	struct worker *w = lane->worker;
	worker_on_idle *on_idle = w->on_idle;

	lane->busy = false;
	w->kind->done(w->owner, lane->number, &lane->items);
	worker_wake(w);
	if (!on_idle || !all_lanes_rest(w))
		return;
	w->on_idle = NULL;
	on_idle(w->ctx);
}

void worker_wake(struct worker *w)
{
	for (unsigned i = 0; i < w->n_lanes; i++) {
		struct lane *lane = &w->lanes[i];

		if (lane->busy)
			continue;
		w->kind->take(w->owner, i, &lane->items);
		if (list_empty(&lane->items))
			continue;
		lane->busy = true;
		uv_queue_work(w->loop, &lane->work, worker_on_work, worker_on_worked);
	}
}

void worker_when_idle(struct worker *w, worker_on_idle *on_idle, void *ctx)
{
	if (all_lanes_rest(w)) {
		on_idle(ctx);
		return;
	}
	w->on_idle = on_idle;
	w->ctx = ctx;
}
