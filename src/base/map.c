/* SPDX-License-Identifier: MIT */
#include "base/map.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/array.h"

/* One for all maps of the process, whose number is that of mailboxes; it never changes once it is not
 * 0. Threads may come to it together. */
static _Atomic uint64_t seed;

static void make_seed(void)
{
	uint64_t none = 0, made = 0;

	if (getrandom(&made, sizeof(made), GRND_NONBLOCK) != sizeof(made))
		made = (uint64_t)(uintptr_t)&made;
	atomic_compare_exchange_strong(&seed, &none, made | 1);
}

void map_init(struct map *m)
{
	if (seed == 0)
		make_seed();
	*m = (struct map){0};
}

void map_finish(struct map *m)
{
	free(m->slots);
	*m = (struct map){0};
}

/* The finaliser of splitmix64. */
static size_t home(const struct map *m, uint64_t key)
{
	uint64_t x = key ^ seed;

	x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
	return (size_t)(x ^ (x >> 31)) & (m->cap - 1);
}

static struct map_slot *find_slot(const struct map *m, uint64_t key)
{
	size_t i = home(m, key);

	while (m->slots[i].value && m->slots[i].key != key)
		i = (i + 1) & (m->cap - 1);
	return &m->slots[i];
}

uint64_t map_number(const struct map *m, uint64_t key)
{
	return m->count ? find_slot(m, key)->value : 0;
}

static void *pointer_of(uint64_t value)
{
	return (void *)(uintptr_t)value;
}

void *map_get(const struct map *m, uint64_t key)
{
	return pointer_of(map_number(m, key));
}

static void grow_slots(struct map *m)
{
	struct map old = *m;

	m->cap = 0;
	m->slots = array_grow(NULL, &m->cap, old.cap + 1, sizeof(*m->slots));
	memset(m->slots, 0, m->cap * sizeof(*m->slots));
	for (size_t i = 0; i < old.cap; i++)
		if (old.slots[i].value)
			*find_slot(m, old.slots[i].key) = old.slots[i];
	free(old.slots);
}

static void put_value(struct map *m, uint64_t key, uint64_t value)
{
	if ((m->count + 1) * 4 > m->cap * 3)
		grow_slots(m);
	struct map_slot *slot = find_slot(m, key);
	if (!slot->value)
		m->count++;
	*slot = (struct map_slot){key, value};
}

void map_put(struct map *m, uint64_t key, void *value)
{
	put_value(m, key, (uintptr_t)value);
}

void map_put_number(struct map *m, uint64_t key, uint64_t number)
{
	if (number)
		put_value(m, key, number);
	else
		map_remove_number(m, key);
}

/* Later members of the same run move up, so that no search stops at the hole (no tombstones). */
uint64_t map_remove_number(struct map *m, uint64_t key)
{
	if (m->count == 0)
		return 0;
	struct map_slot *slot = find_slot(m, key);
	uint64_t value = slot->value;
	if (!value)
		return 0;
	size_t mask = m->cap - 1;
	size_t hole = (size_t)(slot - m->slots);
	for (size_t i = (hole + 1) & mask; m->slots[i].value; i = (i + 1) & mask) {
		size_t distance = (i - home(m, m->slots[i].key)) & mask;
		if (distance >= ((i - hole) & mask)) {
			m->slots[hole] = m->slots[i];
			hole = i;
		}
	}
	m->slots[hole].value = 0;
	m->count--;
	return value;
}

void *map_remove(struct map *m, uint64_t key)
{
	return pointer_of(map_remove_number(m, key));
}

void map_each(const struct map *m, void (*f)(void *ctx, uint64_t key, void *value), void *ctx)
{
	for (size_t i = 0; i < m->cap; i++)
		if (m->slots[i].value)
			f(ctx, m->slots[i].key, pointer_of(m->slots[i].value));
}
