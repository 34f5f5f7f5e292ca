/* SPDX-License-Identifier: MIT */
#include "mail/change/trash.h"

#include "imap/response.h"

struct search {
	struct mailbox *found;
};

/* Of several the one that came first, so that it stays the same. */
static void look(void *ctx, uint64_t key, void *value)
{
	struct search *s = ctx;
	struct mailbox *mb = value;

	if ((mb->place.list_flags & IMAP_LIST_TRASH) && mailbox_selectable(mb) &&
		(!s->found || mb->id < s->found->id))
		s->found = mb;
}

struct mailbox *trash_of(struct account *a)
{
	struct mailbox *mb = tree_mailbox(&a->tree, a->trash);
	struct search s = {NULL};

	if (mb && mailbox_selectable(mb))
		return mb;
	if (a->options.trash)
		s.found = tree_by_path(&a->tree, span_of(a->options.trash));
	else
		map_each(&a->tree.by_id, look, &s);
	if (!s.found || !mailbox_selectable(s.found))
		return NULL;
	a->trash = s.found->id;
	return s.found;
}

bool trash_find(struct account *a, const struct mailbox *mb, struct mailbox **trash)
{
	*trash = NULL;
	if (a->options.delete != DELETE_TRASH)
		return a->options.delete == DELETE_EXPUNGE;
	*trash = trash_of(a);
	if (*trash == mb)
		*trash = NULL;
	return trash_of(a) != NULL;
}
