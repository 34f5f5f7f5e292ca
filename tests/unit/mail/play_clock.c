/* SPDX-License-Identifier: MIT */
/* See play_clock.h. */
#include "play_clock.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define MILLISECOND ((uint64_t)1000000)
/* Ahead of the true time: who waits for a thread's answer with a deadline waits as long as it takes.
 */
#define BEGIN ((uint64_t)1000000000 * 1000 * MILLISECOND)
#define WORKS_MAX 16
/* Turns of the loop without a rest. */
#define TURNS_MAX 100000

static _Atomic uint64_t elapsed, slept; /* nanoseconds */

void clock_reset(void)
{
	elapsed = 0;
	slept = 0;
}

void clock_sleep(uint64_t milliseconds)
{
	slept += milliseconds * MILLISECOND;
}

/* Each look is a nanosecond later than the one before, as what happens in an order must be. */
int clock_gettime(clockid_t clock, struct timespec *t)
{
	bool boottime = clock == CLOCK_BOOTTIME;

	if (!boottime && clock != CLOCK_MONOTONIC && clock != CLOCK_MONOTONIC_COARSE)
		return (int)syscall(SYS_clock_gettime, clock, t);
	uint64_t now = BEGIN + atomic_fetch_add(&elapsed, 1) + (boottime ? slept : 0);
	t->tv_sec = (time_t)(now / (1000 * MILLISECOND));
	t->tv_nsec = (long)(now % (1000 * MILLISECOND));
	return 0;
}

/* What is random is the same in each play. */
int uv_random(uv_loop_t *loop, uv_random_t *req, void *octets, size_t n, unsigned flags,
	uv_random_cb on_random)
{
	memset(octets, 0x5a, n);
	return 0;
}

/* --- what libuv would have a thread do --- */

static struct {
	uv_work_t *req;
	uv_work_cb work; /* NULL: canceled */
	uv_after_work_cb after;
} works[WORKS_MAX];
static unsigned work_count;

int uv_queue_work(uv_loop_t *loop, uv_work_t *req, uv_work_cb work, uv_after_work_cb after)
{
	if (work_count == WORKS_MAX)
		abort();
	works[work_count].req = req;
	works[work_count].work = work;
	works[work_count++].after = after;
	return 0;
}

int uv_cancel(uv_req_t *req)
{
	for (unsigned i = 0; i < work_count; i++) {
		if ((uv_req_t *)works[i].req != req)
			continue;
		works[i].work = NULL;
		return 0;
	}
	return UV_EBUSY;
}

static bool work_some(void)
{
	if (work_count == 0)
		return false;
	uv_work_t *req = works[0].req;
	uv_work_cb work = works[0].work;
	uv_after_work_cb after = works[0].after;
	work_count--;
	for (unsigned i = 0; i < work_count; i++)
		works[i] = works[i + 1];
	if (work)
		work(req);
	after(req, work ? 0 : UV_ECANCELED);
	return true;
}

/* --- */

void clock_settle(uv_loop_t *loop, bool (*step)(void))
{
	for (unsigned turns = 0; turns < TURNS_MAX; turns++) {
		uv_run(loop, UV_RUN_NOWAIT);
		if (work_some() || step())
			continue;
		if (!uv_loop_alive(loop) || uv_backend_timeout(loop) != 0)
			return;
	}
	fprintf(stderr, "the loop never rests\n");
	abort();
}

void clock_pass(uv_loop_t *loop, uint64_t milliseconds, bool (*step)(void))
{
	clock_settle(loop, step);
	while (milliseconds > 0 && uv_loop_alive(loop)) {
		int next = uv_backend_timeout(loop);
		uint64_t n = next >= 0 && (uint64_t)next < milliseconds ? (uint64_t)next
									: milliseconds;
		elapsed += n * MILLISECOND;
		milliseconds -= n;
		clock_settle(loop, step);
	}
}
