/* SPDX-License-Identifier: MIT */
/* See oom.h. */
#include "oom.h"

/* Compilers know that malloc changes nothing that they see, and would not look at these again. */
static volatile size_t countdown, allocated;
static volatile unsigned paused;
static volatile bool failed;

void *__real_malloc(size_t n);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *p, size_t n);
void *__real_reallocarray(void *p, size_t count, size_t size);
void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *p, size_t n);
void *__wrap_reallocarray(void *p, size_t count, size_t size);

void oom_arm(size_t n)
{
	countdown = n;
	allocated = 0;
	failed = false;
}

bool oom_disarm(void)
{
	countdown = 0;
	return failed;
}

size_t oom_allocated(void)
{
	return allocated;
}

void oom_pause(void)
{
	paused++;
}

void oom_resume(void)
{
	paused--;
}

static bool fails(size_t n)
{
	if (paused > 0)
		return false;
	allocated += n;
	if (countdown == 0 || --countdown > 0)
		return false;
	failed = true;
	return true;
}

void *__wrap_malloc(size_t n)
{
	return fails(n) ? NULL : __real_malloc(n);
}

void *__wrap_calloc(size_t count, size_t size)
{
	return fails(count * size) ? NULL : __real_calloc(count, size);
}

void *__wrap_realloc(void *p, size_t n)
{
	return fails(n) ? NULL : __real_realloc(p, n);
}

void *__wrap_reallocarray(void *p, size_t count, size_t size)
{
	return fails(count * size) ? NULL : __real_reallocarray(p, count, size);
}
