/*
 * The children of a mailbox: a list in the order of ids, and two trees of the same, by id and by
 * component, so that 60,000 of them are made, found and lost each in the time of the logarithm.
 */
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/mem.h"
#include "mail/mailbox.h"

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

static int note(struct search *s, const struct mailbox *met, int order)
{
	if (order > 0)
		s->below = (struct mailbox *)met;
	else
		s->above = (struct mailbox *)met;
	return order;
}

static int search_id(const void *key, const void *met)
{
	return note((struct search *)key, met, by_id(key, met));
}

static int search_component(const void *key, const void *met)
{
	return note((struct search *)key, met, by_component(key, met));
}

struct mailbox *mailbox_child(struct mailbox *mb, struct span component)
{
	char *name = mem_copy(component.p, component.n);
	/* No child has the id 0, so the first of that component is the one above. */
	struct search s = {.key = {.id = 0, .component = name}};

	tfind(&s, &mb->by_component, search_component);
	free(name);
	return s.above && span_equal(span_of(s.above->component), component) ? s.above : NULL;
}

struct mailbox *mailbox_child_after(struct mailbox *mb, uint32_t id)
{
	struct search s = {.key = {.id = id}};

	if (id == UINT32_MAX)
		return NULL;
	s.key.id++;
	tfind(&s, &mb->by_id, search_id);
	return s.above;
}

static void add(struct mailbox *child, void **tree, int (*compare)(const void *, const void *))
{
	if (!tsearch(child, tree, compare)) {
		log_error("out of memory");
		abort();
	}
}

void mailbox_attach(struct mailbox *parent, struct mailbox *child)
{
	struct search s = {.key = {.id = child->id}};

	tfind(&s, &parent->by_id, search_id);
	list_prepend(s.below ? &s.below->sibling : &parent->children, &child->sibling);
	add(child, &parent->by_id, by_id);
	add(child, &parent->by_component, by_component);
	child->parent = parent;
	parent->child_count++;
}

void mailbox_detach(struct mailbox *child)
{
	struct mailbox *parent = child->parent;

	tdelete(child, &parent->by_id, by_id);
	tdelete(child, &parent->by_component, by_component);
	list_remove(&child->sibling);
	parent->child_count--;
	child->parent = NULL;
}

static void keep(void *node)
{
}

void mailbox_forget_children(struct mailbox *mb)
{
	tdestroy(mb->by_id, keep);
	tdestroy(mb->by_component, keep);
}
