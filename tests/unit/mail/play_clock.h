/* SPDX-License-Identifier: MIT */
/*
 * The time of a play, which only the play moves: a real loop, and nobody waits. It stands in the way
 * of the C library's clock_gettime, so that libuv's own timers go by it too, and of libuv's
 * uv_queue_work and uv_cancel: what a thread would do is done between two turns of the loop, in the
 * order in which it was asked for.
 */
#ifndef MAIL_TEST_PLAY_CLOCK_H
#define MAIL_TEST_PLAY_CLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

/* Back to where every play begins. */
void clock_reset(void);
/* The machine was suspended for so many milliseconds: CLOCK_BOOTTIME alone moves. */
void clock_sleep(uint64_t milliseconds);

/* Runs the loop until it has nothing to do before time passes. step: called after each turn, true
 * when it did something. A loop that never rests ends the process. */
void clock_settle(uv_loop_t *loop, bool (*step)(void));
/* Lets the time pass, from timer to timer. */
void clock_pass(uv_loop_t *loop, uint64_t milliseconds, bool (*step)(void));

#endif
