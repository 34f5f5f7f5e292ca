/* SPDX-License-Identifier: MIT */
#include "base/mem.h"

#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"

void *mem_check(void *p)
{
	if (!p) {
		log_error("out of memory");
		abort();
	}
	return p;
}

void *mem_alloc(size_t n)
{
	return mem_check(malloc(n ? n : 1));
}

void *mem_zalloc(size_t n)
{
	return mem_check(calloc(1, n ? n : 1));
}

void *mem_resize(void *p, size_t count, size_t size)
{
	return mem_check(reallocarray(p, count ? count : 1, size));
}

char *mem_copy(const void *p, size_t n)
{
	char *copy = mem_alloc(n + 1);

	if (n)
		memcpy(copy, p, n);
	copy[n] = '\0';
	return copy;
}

char *mem_strdup(const char *s)
{
	return mem_copy(s, strlen(s));
}

char *mem_printf(const char *format, ...)
{
	va_list args;
	char *s = NULL;

	va_start(args, format);
	int n = vasprintf(&s, format, args);
	va_end(args);
	return mem_check(n < 0 ? NULL : s);
}

void mem_give_back(void)
{
#ifdef __GLIBC__
	malloc_trim(0);
#endif
}
