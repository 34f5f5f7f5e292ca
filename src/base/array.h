/* SPDX-License-Identifier: MIT */
/*
 * Growth of arrays, for all of the program: doubled from 16 elements on, so that appending stays
 * linear, whatever capacity an array was born with. What does not fit into memory, or into a
 * size_t, is out of memory: the pure core is told so, for the others the process ends (see mem.h).
 */
#ifndef BASE_ARRAY_H
#define BASE_ARRAY_H

#include <stddef.h>

/* The capacity to go on with, in elements of size octets, where need of them are wanted and cap are
 * there: cap itself when it is enough. 0: so many do not fit into memory. */
size_t array_room(size_t cap, size_t need, size_t size);

/* Makes room for need elements; returns the array, which may have moved, and raises *cap. NULL:
 * out of memory, nothing has changed. */
void *array_try_grow(void *p, size_t *cap, size_t need, size_t size);

/* The same; out of memory ends the process. */
void *array_grow(void *p, size_t *cap, size_t need, size_t size);

#endif
