/* SPDX-License-Identifier: MIT */
#include "mail/model/given.h"

#include <limits.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/list.h"
#include "base/mem.h"
#include "mail/model/tree.h"

struct given {
	struct list link; /* given_names.passing, if it is */
	uint32_t uid;
	bool passing;
	bool passed;             /* it was passing, and finds nothing any more */
	struct cache_message is; /* as it came in; what is not known has a flag */
	char *name;
};

struct given_names {
	void *by_name; /* tsearch tree of struct given */
	struct map by_uid;
	struct list passing;
};

static int compare_names(const void *a, const void *b)
{
	return strcmp(((const struct given *)a)->name, ((const struct given *)b)->name);
}

static struct given *find_name(const struct mailbox *mb, const char *name)
{
	struct given key = {.name = (char *)(uintptr_t)name};
	void *const *found = mb->names.given ? tfind(&key, &mb->names.given->by_name, compare_names)
					     : NULL;

	return found ? *found : NULL;
}

static void given_free(struct given *g)
{
	free(g->name);
	free(g);
}

static void forget(struct given_names *names, struct given *g)
{
	tdelete(g, &names->by_name, compare_names);
	map_remove(&names->by_uid, g->uid);
	list_remove(&g->link);
	given_free(g);
}

static struct given_names *names_of(struct mailbox *mb)
{
	if (!mb->names.given) {
		mb->names.given = mem_zalloc(sizeof(*mb->names.given));
		map_init(&mb->names.given->by_uid);
		list_init(&mb->names.given->passing);
	}
	return mb->names.given;
}

uint32_t given_find(struct mailbox *mb, const char *name)
{
	const struct given *g = find_name(mb, name);
	const struct cache_message *m = g ? mailbox_find(mb, g->uid) : NULL;

	return g && !g->passed && !(m && message_is_other(&g->is, m)) ? g->uid : 0;
}

uint32_t given_was(const struct mailbox *mb, const char *name)
{
	const struct given *g = find_name(mb, name);

	return g && g->passed ? g->uid : 0;
}

uint32_t given_last(struct mailbox *mb, const char *name)
{
	uint32_t found = given_find(mb, name);

	return found ? found : given_was(mb, name);
}

bool given_is_passing(const struct mailbox *mb, const char *name)
{
	const struct given *g = find_name(mb, name);

	return g && g->passing;
}

static struct given *add(
	struct mailbox *mb, struct span name, uint32_t uid, const struct cache_message *is)
{
	struct given_names *names = names_of(mb);
	struct given *g = mem_zalloc(sizeof(*g));

	list_init(&g->link);
	g->uid = uid;
	g->is = *is;
	g->name = mem_copy(name.p, name.n);
	struct given **there = mem_check(tsearch(g, &names->by_name, compare_names));
	if (*there != g) {
		given_free(g);
		return NULL;
	}
	map_put(&names->by_uid, uid, g);
	return g;
}

/* In the cache a slash, which no name has, is before one that is passing. */
static void keep(struct mailbox *mb, const struct given *g)
{
	char name[NAME_MAX + 2];
	int n = snprintf(name, sizeof(name), "%s%s", g->passing ? "/" : "", g->name);

	cache_put_given(mb->tree->cache, mb->id, g->uid, (struct span){name, (size_t)n});
}

static const struct cache_message unknown = {.flags = CACHE_SIZE_UNKNOWN | CACHE_DATE_UNKNOWN};

void given_load(struct mailbox *mb, struct span name, uint32_t uid)
{
	bool passed = name.n > 0 && name.p[0] == '/';
	struct given *g;

	if (map_get(&names_of(mb)->by_uid, uid) || memchr(name.p, '\0', name.n) != NULL)
		return;
	g = add(mb, (struct span){name.p + passed, name.n - passed}, uid, &unknown);
	if (g)
		g->passed = passed;
}

void given_put(struct mailbox *mb, const char *name, uint32_t uid, bool passing,
	const struct cache_message *is)
{
	const struct given *old = find_name(mb, name);
	const struct given *before = mb->names.given ? map_get(&mb->names.given->by_uid, uid)
						     : NULL;
	const struct cache_message as = is ? *is : before ? before->is : unknown;

	if (old)
		given_drop(mb, old->uid);
	given_drop(mb, uid);
	struct given *g = add(mb, span_of(name), uid, &as);
	if (!g)
		return;
	g->passing = passing;
	if (passing)
		list_append(&mb->names.given->passing, &g->link);
	keep(mb, g);
}

void given_drop(struct mailbox *mb, uint32_t uid)
{
	struct given *g = mb->names.given ? map_get(&mb->names.given->by_uid, uid) : NULL;

	if (!g)
		return;
	cache_put_given(mb->tree->cache, mb->id, uid, SPAN(""));
	forget(mb->names.given, g);
}

void given_drop_passing(struct mailbox *mb)
{
	struct given_names *names = mb->names.given;

	while (names && !list_empty(&names->passing)) {
		struct given *g = list_entry(names->passing.next, struct given, link);
		list_remove(&g->link);
		g->passing = false;
		g->passed = true;
	}
}

static void free_node(void *node)
{
	given_free(node);
}

void given_finish(struct mailbox *mb)
{
	struct given_names *names = mb->names.given;

	if (!names)
		return;
	tdestroy(names->by_name, free_node);
	map_finish(&names->by_uid);
	free(names);
	mb->names.given = NULL;
}
