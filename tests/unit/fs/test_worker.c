/* SPDX-License-Identifier: MIT */
/* Calls that may wait, beside the loop: lanes hold up nothing of each other. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdbool.h>
#include <uv.h>

#include "base/list.h"
#include "fs/worker.h"

#define LANES 2

struct item {
	struct list link;
	int number;
	uv_sem_t *until; /* that it waits for; NULL: nothing */
};

/* Two lanes, each with a queue of its own, from which a run takes one or all. */
struct owner {
	uv_loop_t loop;
	struct worker *worker;
	struct list queues[LANES];
	bool one_by_one;
	int carried_out[16]; /* by the lane that never waits */
	int n_carried_out;
	int runs, ended;
	int idle;
	uv_sem_t *open_after; /* posted when a run of lane 0 is over */
};

static void take(void *ctx, unsigned lane, struct list *items)
{
	struct owner *o = ctx;

	assert_true(list_empty(items));
	while (!list_empty(&o->queues[lane])) {
		struct list *first = o->queues[lane].next;

		list_remove(first);
		list_append(items, first);
		if (o->one_by_one)
			break;
	}
	o->runs += !list_empty(items);
}

static void carry_out(void *ctx, struct list *link)
{
	struct owner *o = ctx;
	struct item *item = list_entry(link, struct item, link);

	if (item->until)
		uv_sem_wait(item->until);
	else
		o->carried_out[o->n_carried_out++] = item->number;
}

static void done(void *ctx, unsigned lane, struct list *items)
{
	struct owner *o = ctx;

	assert_false(list_empty(items));
	while (!list_empty(items)) {
		list_remove(items->next);
		o->ended++;
	}
	if (lane == 0 && o->open_after)
		uv_sem_post(o->open_after);
}

static const struct worker_kind kind = {.take = take, .carry_out = carry_out, .done = done};

static void on_idle(void *ctx)
{
	struct owner *o = ctx;

	o->idle++;
}

static void start(struct owner *o)
{
	*o = (struct owner){.runs = 0};
	assert_int_equal(uv_loop_init(&o->loop), 0);
	for (int i = 0; i < LANES; i++)
		list_init(&o->queues[i]);
	o->worker = worker_create(&o->loop, &kind, LANES, o);
}

static void end(struct owner *o)
{
	uv_run(&o->loop, UV_RUN_DEFAULT);
	worker_destroy(o->worker);
	assert_int_equal(uv_loop_close(&o->loop), 0);
}

static void queue(struct owner *o, unsigned lane, struct item *items, int n)
{
	for (int i = 0; i < n; i++) {
		items[i] = (struct item){.number = i};
		list_append(&o->queues[lane], &items[i].link);
	}
}

static void a_run_is_in_order(void **state)
{
	struct item items[3];
	struct owner o;

	start(&o);
	queue(&o, 0, items, 3);
	worker_wake(o.worker);
	end(&o);
	assert_int_equal(o.runs, 1);
	assert_int_equal(o.ended, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(o.carried_out[i], i);
}

static void runs_follow_each_other(void **state)
{
	struct item items[3];
	struct owner o;

	start(&o);
	o.one_by_one = true;
	queue(&o, 0, items, 3);
	worker_wake(o.worker);
	/* The lane is busy: that changes nothing. */
	worker_wake(o.worker);
	assert_int_equal(o.runs, 1);
	end(&o);
	assert_int_equal(o.runs, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(o.carried_out[i], i);
}

/* What waits in lane 1 goes on only when lane 0 is through. */
static void a_lane_that_waits_holds_up_no_other(void **state)
{
	struct item items[2], waits;
	uv_sem_t open;
	struct owner o;

	start(&o);
	uv_sem_init(&open, 0);
	o.open_after = &open;
	queue(&o, 1, &waits, 1);
	waits.until = &open;
	worker_wake(o.worker);
	queue(&o, 0, items, 2);
	worker_wake(o.worker);
	end(&o);
	assert_int_equal(o.ended, 3);
	uv_sem_destroy(&open);
}

static void idle_is_told_once(void **state)
{
	struct item items[2], waits;
	uv_sem_t open;
	struct owner o;

	start(&o);
	worker_when_idle(o.worker, on_idle, &o);
	assert_int_equal(o.idle, 1);

	uv_sem_init(&open, 0);
	o.open_after = &open;
	queue(&o, 1, &waits, 1);
	waits.until = &open;
	queue(&o, 0, items, 2);
	worker_wake(o.worker);
	worker_when_idle(o.worker, on_idle, &o);
	assert_int_equal(o.idle, 1);
	while (o.idle == 1)
		uv_run(&o.loop, UV_RUN_ONCE);
	assert_int_equal(o.ended, 3);

	o.open_after = NULL;
	queue(&o, 0, items, 2);
	worker_wake(o.worker);
	end(&o);
	assert_int_equal(o.idle, 2);
	uv_sem_destroy(&open);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_run_is_in_order),
		cmocka_unit_test(runs_follow_each_other),
		cmocka_unit_test(a_lane_that_waits_holds_up_no_other),
		cmocka_unit_test(idle_is_told_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
