/* SPDX-License-Identifier: MIT */
/*
 * Lets the n-th allocation fail. The test is linked with -Wl,--wrap for malloc, calloc, realloc and
 * reallocarray.
 */
#ifndef SUPPORT_OOM_H
#define SUPPORT_OOM_H

#include <stdbool.h>
#include <stddef.h>

/* The n-th allocation from now on (1: the next) fails, once. */
void oom_arm(size_t n);
/* Stops that; whether one has failed. */
bool oom_disarm(void);
/* In between none fails, nor counts; may be nested. */
void oom_pause(void);
void oom_resume(void);
/* Octets asked for since the last oom_arm. */
size_t oom_allocated(void);

#endif
