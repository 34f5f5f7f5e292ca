/* SPDX-License-Identifier: MIT */
/*
 * The children of a mailbox: a list in the order of ids, and two trees of the same, by id and by
 * component, so that 60,000 of them are made, found and lost each in the time of the logarithm.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/model/mailbox.h"

static int by_id(const void *a, const void *b)
{
	const struct mailbox *x = a, *y = b;

	return (x->id > y->id) - (x->id < y->id);
}

/* Two may look alike, in different octets. */
static int by_component(const void *a, const void *b)
{
	int order = strcmp(
		((const struct mailbox *)a)->component, ((const struct mailbox *)b)->component);

	return order ? order : by_id(a, b);
}

/* A key to search for, and the last that was met below and above it: its neighbours. */
struct search {
	struct mailbox key; /* first, so that the tree takes it for one */
	struct mailbox *below, *above;
};

static int note_met(struct search *s, const struct mailbox *met, int order)
{
	if (order > 0)
		s->below = (struct mailbox *)met;
	else
		s->above = (struct mailbox *)met;
	return order;
}

static int search_id(const void *key, const void *met)
{
	return note_met((struct search *)key, met, by_id(key, met));
}

static int search_component(const void *key, const void *met)
{
	return note_met((struct search *)key, met, by_component(key, met));
}

struct mailbox *mailbox_child(struct mailbox *mb, struct span component)
{
	char *name = mem_copy(component.p, component.n);
	/* No child has the id 0, so the first of that component is the one above. */
	struct search s = {.key = {.id = 0, .component = name}};

	tfind(&s, &mb->place.by_component, search_component);
	free(name);
	return s.above && span_equal(span_of(s.above->component), component) ? s.above : NULL;
}

struct mailbox *mailbox_child_after(struct mailbox *mb, uint32_t id)
{
	struct search s = {.key = {.id = id}};

	if (id == UINT32_MAX)
		return NULL;
	s.key.id++;
	tfind(&s, &mb->place.by_id, search_id);
	return s.above;
}

/* What is found is not the one before: the search must go on below it. */
static int below_id(const void *key, const void *met)
{
	int order = by_id(key, met);

	return note_met((struct search *)key, met, order ? order : -1);
}

static int below_component(const void *key, const void *met)
{
	int order = by_component(key, met);

	return note_met((struct search *)key, met, order ? order : -1);
}

static struct mailbox *child_before(
	const struct mailbox *mb, const struct mailbox *child, bool by_name)
{
	/* No component has such an octet. */
	static char highest[] = "\xff";
	struct search s = {.key = {.id = child ? child->id : UINT32_MAX,
				   .component = child ? child->component : highest}};

	if (by_name)
		tfind(&s, &mb->place.by_component, below_component);
	else
		tfind(&s, &mb->place.by_id, below_id);
	return s.below;
}

static struct mailbox *child_behind(
	const struct mailbox *mb, const struct mailbox *child, bool by_name)
{
	static char lowest[] = "";
	struct search s = {.key = {.id = child ? child->id + 1 : 0,
				   .component = child ? child->component : lowest}};

	if (by_name)
		tfind(&s, &mb->place.by_component, search_component);
	else
		tfind(&s, &mb->place.by_id, search_id);
	return s.above;
}

struct mailbox *mailbox_child_beside(
	const struct mailbox *mb, const struct mailbox *child, enum mailbox_order order)
{
	bool by_name = order == MAILBOX_BY_NAME || order == MAILBOX_BY_NAME_BACKWARDS;

	if (order == MAILBOX_LISTED_BACKWARDS || order == MAILBOX_BY_NAME_BACKWARDS)
		return child_before(mb, child, by_name);
	return child_behind(mb, child, by_name);
}

/* As libc's search trees take it. */
typedef int comparison(const void *a, const void *b);

static void add_to_tree(struct mailbox *child, void **tree, comparison *compare)
{
	if (!tsearch(child, tree, compare)) {
		log_error("out of memory");
		abort();
	}
}

void mailbox_attach(struct mailbox *parent, struct mailbox *child)
{
	struct search s = {.key = {.id = child->id}};

	tfind(&s, &parent->place.by_id, search_id);
	list_prepend(
		s.below ? &s.below->place.sibling : &parent->place.children, &child->place.sibling);
	add_to_tree(child, &parent->place.by_id, by_id);
	add_to_tree(child, &parent->place.by_component, by_component);
	child->place.parent = parent;
	parent->place.child_count++;
}

void mailbox_detach(struct mailbox *child)
{
	struct mailbox *parent = child->place.parent;

	tdelete(child, &parent->place.by_id, by_id);
	tdelete(child, &parent->place.by_component, by_component);
	list_remove(&child->place.sibling);
	parent->place.child_count--;
	child->place.parent = NULL;
}

/* Without recursion: a server chooses how deep names nest. */
struct mailbox *mailbox_next_in(struct mailbox *mb, const struct mailbox *top)
{
	if (!list_empty(&mb->place.children))
		return list_entry(mb->place.children.next, struct mailbox, place.sibling);
	while (mb != top && mb->place.sibling.next == &mb->place.parent->place.children)
		mb = mb->place.parent;
	return mb == top ? NULL : list_entry(mb->place.sibling.next, struct mailbox, place.sibling);
}

static void keep(void *node)
{
}

void mailbox_forget_children(struct mailbox *mb)
{
	tdestroy(mb->place.by_id, keep);
	tdestroy(mb->place.by_component, keep);
}
