/* SPDX-License-Identifier: MIT */
/*
 * Allocation for the layers above the protocol: when it fails the process says so and ends, which
 * loses nothing, since the cache is right at any moment. The pure IMAP core, which a server feeds,
 * reports ERR_NOMEM instead and never calls these.
 */
#ifndef BASE_MEM_H
#define BASE_MEM_H

#include <stddef.h>

/* p, unless it is NULL: then memory is out. */
void *mem_check(void *p);
void *mem_alloc(size_t n);
void *mem_zalloc(size_t n);
/* As realloc, for count elements of size octets. */
void *mem_resize(void *p, size_t count, size_t size);
/* A copy of n octets with a NUL behind them. */
char *mem_copy(const void *p, size_t n);
char *mem_strdup(const char *s);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* After much was freed: returns it to the machine, which the allocator would keep for itself. Takes
 * milliseconds. */
void mem_give_back(void);

#endif
