/* SPDX-License-Identifier: MIT */
/* The tree after what we ourselves did: made, deleted and renamed mailboxes. */
#include "mail/model/private.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "imap/response.h"
#include "mail/model/names.h"

/* --- names --- */

bool tree_delimiter(const struct tree *t, const struct mailbox *parent, char *delimiter)
{
	/* The root has none of its own: all that is in it has. */
	if (parent == t->root && !list_empty(&t->root->place.children))
		parent = list_entry(t->root->place.children.next, struct mailbox, place.sibling);
	*delimiter = parent->place.delimiter;
	return parent->place.has_delimiter;
}

static size_t count_levels(struct span name, char delimiter)
{
	size_t levels = 1;

	for (size_t i = 0; i < name.n; i++)
		levels += name.p[i] == delimiter;
	return levels;
}

static int append_level(
	const struct tree *t, const struct mailbox *parent, struct span level, struct buf *name)
{
	bool first = parent == t->root;
	char delimiter;

	/* There are mailboxes with such a level, but nobody means to make one. */
	if (level.n == 0)
		return ERR_INVALID;
	if (!tree_delimiter(t, parent, &delimiter))
		return first ? buf_append_span(name, level) : ERR_DENIED;
	if (memchr(level.p, delimiter, level.n))
		return ERR_INVALID;
	int err = first ? 0 : buf_append_span(name, parent->name);
	if (err == 0 && !first)
		err = buf_append_char(name, delimiter);
	if (err == 0)
		err = buf_append_span(name, level);
	if (err == 0 && (name->len > TREE_NAME_MAX ||
				count_levels(buf_span(name), delimiter) > TREE_LEVELS_MAX))
		err = ERR_TOO_LONG;
	return err == ERR_LIMIT ? ERR_TOO_LONG : err;
}

int tree_name_child(struct tree *t, const struct mailbox *parent, struct span component, bool utf8,
	struct buf *name)
{
	struct buf level;

	if (component.n > NAME_MAX)
		return ERR_TOO_LONG;
	if (t->living >= TREE_MAILBOXES_MAX || t->name_octets + TREE_NAME_MAX > TREE_OCTETS_MAX)
		return ERR_LIMIT;
	buf_init(&level, TREE_NAME_MAX);
	int err = names_level(component, utf8, &level);
	if (err == 0 && parent == t->root && names_is_inbox(buf_span(&level)))
		err = ERR_EXISTS;
	if (err == 0)
		err = append_level(t, parent, buf_span(&level), name);
	buf_finish(&level);
	return err;
}

/* --- changes --- */

static void tell_changed(struct tree *t, struct mailbox *directory)
{
	if (directory->names.unsaved)
		mailbox_save(directory);
	t->notices->on_directory_changed(t->account, directory);
}

struct mailbox *tree_made(
	struct tree *t, struct span name, bool has_delimiter, char delimiter, uint32_t flags)
{
	tree_add_list(t, name, has_delimiter, delimiter, flags);
	struct mailbox *mb = tree_by_name(t, name);
	if (!mb)
		return NULL;
	mb->removal.barred = false;
	for (struct mailbox *at = mb->place.parent; at; at = at->place.parent)
		if (at->names.unsaved)
			tell_changed(t, at);
	return mb;
}

static void remove_one(struct tree *t, struct mailbox *mb)
{
	uint32_t id = mb->id;

	t->notices->on_directory_gone(t->account, mb->place.parent, mb);
	tree_bury(t, mb, ERR_NO_MAILBOX);
	/* It cannot come again. */
	if (t->keeps_cache)
		cache_drop_mailbox(t->cache, id);
}

void tree_deleted(struct tree *t, struct mailbox *mb)
{
	struct mailbox *parent = mb->place.parent;

	remove_one(t, mb);
	t->notices->on_dead(t->account, ERR_NO_MAILBOX);
	tell_changed(t, parent);
}

/* The next of those in the tree below top, which is the last: children before their parent. */
static struct mailbox *first_below(struct mailbox *mb)
{
	while (!list_empty(&mb->place.children))
		mb = list_entry(mb->place.children.next, struct mailbox, place.sibling);
	return mb;
}

static struct mailbox *next_below(struct mailbox *mb, const struct mailbox *top)
{
	if (mb == top)
		return NULL;
	if (mb->place.sibling.next == &mb->place.parent->place.children)
		return mb->place.parent;
	return first_below(list_entry(mb->place.sibling.next, struct mailbox, place.sibling));
}

static void remove_all(struct tree *t, struct mailbox *top)
{
	struct mailbox *mb = first_below(top);

	while (mb) {
		struct mailbox *next = next_below(mb, top);
		remove_one(t, mb);
		mb = next;
	}
	t->notices->on_dead(t->account, ERR_NO_MAILBOX);
}

/* Its name begins with another prefix from now on; `octets` long was the old one. */
static void change_name(struct tree *t, struct mailbox *mb, struct span prefix, size_t octets)
{
	struct span old = mb->name;
	struct span rest = {old.p + octets, old.n - octets};
	char *name = mem_alloc(prefix.n + rest.n + 1);

	memcpy(name, prefix.p, prefix.n);
	memcpy(name + prefix.n, rest.p, rest.n);
	name[prefix.n + rest.n] = 0;
	tree_unindex_name(t, mb);
	mb->name = (struct span){name, prefix.n + rest.n};
	tree_index_name(t, mb);
	t->name_octets += mb->name.n - old.n;
	if (t->notices->on_renamed)
		t->notices->on_renamed(t->account, mb, old);
	free((char *)old.p);
	/* As if LIST had said so just now: the next one that does not name it is the first. */
	mb->place.generation = mb->place.named = t->generation;
	mailbox_save(mb);
}

static struct span last_level(const struct tree *t, const struct mailbox *parent, struct span name)
{
	size_t above = parent == t->root ? 0 : parent->name.n + 1;

	return (struct span){name.p + above, name.n - above};
}

void tree_renamed(struct tree *t, struct mailbox *mb, struct mailbox *parent, struct span name)
{
	struct mailbox *from = mb->place.parent, *twin = tree_by_name(t, name);
	size_t octets = mb->name.n;

	if (twin && twin != mb)
		remove_all(t, twin);
	t->notices->on_directory_gone(t->account, from, mb);
	mailbox_detach(mb);
	mailbox_touch(from);
	free(mb->component);
	mb->component = tree_component_of(mb, last_level(t, parent, name));
	mailbox_attach(parent, mb);
	mailbox_touch(parent);
	for (struct mailbox *at = first_below(mb); at; at = next_below(at, mb))
		change_name(t, at, name, octets);
	tell_changed(t, from);
	if (parent != from)
		tell_changed(t, parent);
}
