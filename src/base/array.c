/* SPDX-License-Identifier: MIT */
#include "base/array.h"

#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

/* Capacities that double from a power of two stay one, which map.c needs. */
#define ROOM_MIN 16

size_t array_room(size_t cap, size_t need, size_t size)
{
	size_t most = PTRDIFF_MAX / size;

	if (need > most)
		return 0;
	if (need <= cap)
		return cap;
	size_t room = cap < ROOM_MIN ? ROOM_MIN : cap;
	while (room < need && room <= most / 2)
		room *= 2;
	/* So large that it cannot be doubled: as much as is needed. */
	return room < need || room > most ? need : room;
}

void *array_try_grow(void *p, size_t *cap, size_t need, size_t size)
{
	size_t room = array_room(*cap, need ? need : 1, size);

	if (p && room == *cap)
		return p;
	void *grown = room ? reallocarray(p, room, size) : NULL;
	if (grown)
		*cap = room;
	return grown;
}

void *array_grow(void *p, size_t *cap, size_t need, size_t size)
{
	return mem_check(array_try_grow(p, cap, need, size));
}
