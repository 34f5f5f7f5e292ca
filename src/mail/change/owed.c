/* SPDX-License-Identifier: MIT */
#include "mail/change/owed.h"

#include <stdlib.h>

#include "base/mem.h"
#include "mail/change/changes.h"

/* Milliseconds until the next attempt: doubled each time. */
#define DELAY_MIN ((uint64_t)30 * 1000)
#define DELAY_MAX ((uint64_t)60 * 60 * 1000)

struct owed {
	struct account *account;
	uv_timer_t timer; /* runs while marks are owed and not about to be given back */
	uint64_t delay;
};

static void owed_on_timer(uv_timer_t *timer)
{
	struct owed *o = timer->data;

	changes_restore_start(o->account);
}

struct owed *owed_create(struct account *a)
{
	struct owed *o = mem_zalloc(sizeof(*o));

	o->account = a;
	o->delay = DELAY_MIN;
	uv_timer_init(a->loop, &o->timer);
	o->timer.data = o;
	return o;
}

void owed_stop(struct owed *o)
{
	uv_close((uv_handle_t *)&o->timer, NULL);
}

void owed_destroy(struct owed *o)
{
	free(o);
}

void owed_remain(struct owed *o)
{
	if (uv_is_closing((uv_handle_t *)&o->timer) || uv_is_active((uv_handle_t *)&o->timer))
		return;
	uv_timer_start(&o->timer, owed_on_timer, o->delay, 0);
	o->delay = o->delay * 2 < DELAY_MAX ? o->delay * 2 : DELAY_MAX;
}

void owed_were_paid(struct owed *o)
{
	o->delay = DELAY_MIN;
}
