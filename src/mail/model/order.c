/* SPDX-License-Identifier: MIT */
/*
 * The byte order of decimal numbers is the depth-first order of the tree in which a number's
 * children are itself with one more digit. No list is sorted: whether anything exists below a node
 * is a few searches in the array of UIDs.
 */
#include "mail/model/order.h"

#define UID_MAX UINT32_MAX

static bool exists_between(struct mailbox *mb, uint64_t first, uint64_t last)
{
	if (first > UID_MAX)
		return false;
	const struct cache_message *m = mailbox_after(mb, (uint32_t)(first - 1));
	return m && m->uid <= last;
}

/* Whether the node or anything below it exists. */
static bool exists_below(struct mailbox *mb, uint64_t node)
{
	uint64_t span = 1;

	for (; node <= UID_MAX; node *= 10, span *= 10)
		if (exists_between(mb, node, node + span - 1))
			return true;
	return false;
}

/* The first of the nodes from first to last that is not empty; 0: none. */
static uint64_t first_node(struct mailbox *mb, uint64_t first, uint64_t last)
{
	for (uint64_t node = first; node <= last && node <= UID_MAX; node++)
		if (exists_below(mb, node))
			return node;
	return 0;
}

/* The first message of a node that is not empty: itself, or the first of its first child that is
 * not. */
static uint32_t descend(struct mailbox *mb, uint64_t node)
{
	while (node && !mailbox_find(mb, (uint32_t)node))
		node = first_node(mb, node * 10, node * 10 + 9);
	return (uint32_t)node;
}

static uint32_t next_name(struct mailbox *mb, uint32_t uid)
{
	uint64_t node = first_node(mb, (uint64_t)uid * 10, (uint64_t)uid * 10 + 9);
	uint64_t at = uid;

	/* Nothing below: the next sibling of the nearest ancestor that has one. */
	while (!node && at > 0) {
		if (at % 10 != 9)
			node = first_node(mb, at + 1, at - at % 10 + 9);
		at /= 10;
	}
	return descend(mb, node);
}

/* The next one that has a system flag, or has none. */
static const struct cache_message *next_half(struct mailbox *mb, bool flagged, uint32_t uid)
{
	const struct cache_message *m = mailbox_after(mb, uid);

	while (m && ((m->flags & CACHE_SYSTEM_FLAGS) != 0) != flagged)
		m = mailbox_after(mb, m->uid);
	return m;
}

uint32_t order_next(struct mailbox *mb, enum order order, uint32_t uid)
{
	const struct cache_message *m;

	if (order == ORDER_NAME)
		return next_name(mb, uid);
	if (order == ORDER_BARE || order == ORDER_FLAGGED)
		m = next_half(mb, order == ORDER_FLAGGED, uid);
	else
		m = order == ORDER_UID ? mailbox_after(mb, uid) : mailbox_before(mb, uid);
	return m ? m->uid : 0;
}
