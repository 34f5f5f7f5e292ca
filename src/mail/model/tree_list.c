/* SPDX-License-Identifier: MIT */
/*
 * What LIST says becomes the tree: a mailbox for each line, directories above it, and an end for what
 * two LISTs running did not name.
 */
#include "mail/model/private.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "imap/response.h"
#include "mail/model/names.h"

char *tree_component_of(const struct mailbox *mb, struct span level)
{
	struct buf component;

	buf_init(&component, NAME_MAX);
	if (names_component(level, mb->place.list_flags & IMAP_LIST_UTF8, &component) < 0) {
		log_error("out of memory");
		abort();
	}
	char *copy = mem_copy(component.data, component.len);
	buf_finish(&component);
	return copy;
}

static void adopt(struct tree *t, struct mailbox *parent, struct mailbox *mb, struct span level)
{
	free(mb->component);
	mb->component = tree_component_of(mb, level);
	mailbox_attach(parent, mb);
	tree_index_name(t, mb);
	map_put(&t->by_id, mb->id, mb);
	t->living++;
	t->name_octets += mb->name.n;
	/* The parent is saved when the LIST is over, not with each child. */
	if (!t->loading)
		mailbox_touch(parent);
}

static struct mailbox *make_mailbox(struct tree *t, struct mailbox *parent, uint32_t id,
	struct span name, struct span level, uint32_t encoding)
{
	struct mailbox *mb = mailbox_create(t, id, name);

	mb->place.list_flags = encoding;
	adopt(t, parent, mb, level);
	return mb;
}

/* The server has begun, or ceased, to speak UTF-8: the same octets may be another name. */
static void respell(struct tree *t, struct mailbox *mb, struct span level)
{
	mb->place.list_flags ^= IMAP_LIST_UTF8;
	struct mailbox *parent = mb->place.parent;
	char *component = tree_component_of(mb, level);
	if (strcmp(component, mb->component) != 0) {
		t->notices->on_directory_gone(t->account, parent, mb);
		mailbox_touch(parent);
	}
	mailbox_detach(mb);
	free(mb->component);
	mb->component = component;
	mailbox_attach(parent, mb);
	mailbox_save(mb);
}

static size_t level_end(struct span name, size_t from, bool has_delimiter, char delimiter)
{
	const char *found = has_delimiter && from < name.n
				    ? memchr(name.p + from, delimiter, name.n - from)
				    : NULL;

	return found ? (size_t)(found - name.p) : name.n;
}

/* The same octets have another place than before: the server names another delimiter. A parent's
 * name is always the shorter one, so nothing can come to lie below itself. */
static void move(struct tree *t, struct mailbox *mb, struct mailbox *parent, struct span level)
{
	struct mailbox *old = mb->place.parent;

	log_notice("%s moves: the server names another delimiter", mailbox_path(mb));
	t->notices->on_directory_gone(t->account, old, mb);
	mailbox_detach(mb);
	mailbox_touch(old);
	free(mb->component);
	mb->component = tree_component_of(mb, level);
	mailbox_attach(parent, mb);
	mailbox_touch(parent);
	mailbox_save(parent);
}

/* A mailbox that one LIST names under two delimiters stays where the first put it. */
static void replace_level(struct tree *t, struct mailbox *mb, struct mailbox *parent,
	struct span level, bool has_delimiter, char delimiter)
{
	bool same = mb->place.has_delimiter == has_delimiter &&
		    (!has_delimiter || mb->place.delimiter == delimiter);

	if (mb->place.generation == t->generation || (same && mb->place.parent == parent))
		return;
	if (mb->place.parent != parent)
		move(t, mb, parent, level);
	mb->place.has_delimiter = has_delimiter;
	mb->place.delimiter = delimiter;
	mailbox_save(mb);
}

struct mailbox *tree_walk(struct tree *t, struct span name, bool has_delimiter, char delimiter,
	uint32_t encoding, uint32_t id)
{
	struct mailbox *mb = t->root;
	size_t from = 0;

	if (name.n > TREE_NAME_MAX)
		return NULL;
	for (unsigned level = 0; level < TREE_LEVELS_MAX; level++) {
		size_t end = level_end(name, from, has_delimiter, delimiter);
		struct span prefix = tree_canonical_name((struct span){name.p, end});
		struct mailbox *next = tree_by_name(t, prefix);
		struct span part = {name.p + from, end - from};
		bool last = end == name.n;
		if (!next && (t->living >= TREE_MAILBOXES_MAX ||
				     t->name_octets + prefix.n > TREE_OCTETS_MAX))
			return NULL;
		if (level == 0)
			part = tree_canonical_name(part);
		if (next && (next->place.list_flags & IMAP_LIST_UTF8) != encoding)
			respell(t, next, part);
		if (next && !t->loading)
			replace_level(t, next, mb, part, has_delimiter, delimiter);
		if (!next) {
			next = make_mailbox(t, mb, last && id ? id : cache_new_id(t->cache), prefix,
				part, encoding);
			next->place.has_delimiter = has_delimiter;
			next->place.delimiter = delimiter;
			next->removal.barred = t->listed;
		}
		next->place.generation = t->generation;
		mb = next;
		if (last)
			return mb;
		from = end + 1;
	}
	return NULL;
}

static bool says_selectable(uint32_t flags)
{
	return !(flags & (IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT));
}

/* "foo/" stands for the directory foo, there is nothing else to it. */
static struct span trim_name(struct span name, bool has_delimiter, char delimiter, uint32_t flags)
{
	if (has_delimiter && !says_selectable(flags) && name.n > 1 &&
		name.p[name.n - 1] == delimiter)
		name.n--;
	return name;
}

bool tree_knows_list(
	struct tree *t, struct span name, bool has_delimiter, char delimiter, uint32_t flags)
{
	name = trim_name(name, has_delimiter, delimiter, flags);
	/* A mailbox that is left out, since there are too many, is no news ever. */
	return name.n == 0 || t->left_out_logged || tree_by_name(t, name) ||
	       tree_passes_over(t, name);
}

void tree_add_list(
	struct tree *t, struct span name, bool has_delimiter, char delimiter, uint32_t flags)
{
	bool selectable = says_selectable(flags);

	name = trim_name(name, has_delimiter, delimiter, flags);
	if (name.n == 0 || tree_passes_over(t, name))
		return;
	struct mailbox *mb = tree_walk(
		t, name, has_delimiter, delimiter, flags & IMAP_LIST_UTF8, 0);
	if (!mb) {
		t->left_out++;
		return;
	}
	/* The same name twice: where one of both can be selected, the mailbox can. */
	if (mb->place.listed && selectable)
		mb->place.list_flags &= ~(uint32_t)(IMAP_LIST_NOSELECT | IMAP_LIST_NONEXISTENT);
	bool changed = !mb->place.listed || mb->place.list_flags != flags;
	mb->place.named = t->generation;
	mb->place.listed = true;
	mb->place.list_flags = flags;
	if (changed)
		mailbox_save(mb);
}

void tree_bury(struct tree *t, struct mailbox *mb, int err)
{
	struct mailbox *parent = mb->place.parent;

	tree_unindex_name(t, mb);
	t->living--;
	t->name_octets -= mb->name.n;
	mailbox_detach(mb);
	mailbox_touch(parent);
	mailbox_kill(mb);
	/* Where only subscribed mailboxes are shown, it may be subscribed again. */
	if (!t->keeps_cache)
		cache_drop_mailbox(t->cache, mb->id);
	t->notices->on_buried(t->account, mb);
	mailbox_wake(mb, false, err);
}

/* Depth first without recursion: the last of the tree below mb, or mb itself. */
static struct mailbox *deepest(struct mailbox *mb)
{
	while (!list_empty(&mb->place.children))
		mb = list_entry(mb->place.children.next, struct mailbox, place.sibling);
	return mb;
}

static struct mailbox *next_in_post_order(const struct tree *t, struct mailbox *mb)
{
	if (mb == t->root)
		return NULL;
	if (mb->place.sibling.next == &mb->place.parent->place.children)
		return mb->place.parent;
	return deepest(list_entry(mb->place.sibling.next, struct mailbox, place.sibling));
}

/* How many LISTs running did not name it. */
static uint32_t times_missed(const struct tree *t, const struct mailbox *mb)
{
	return t->generation - (mb->place.listed ? mb->place.named : mb->place.generation);
}

bool tree_list_is_complete(struct tree *t)
{
	for (struct mailbox *mb = deepest(t->root); mb; mb = next_in_post_order(t, mb))
		if (mb != t->root && mb != t->top && times_missed(t, mb) == 1)
			return false;
	return true;
}

void tree_fail_list(struct tree *t)
{
	for (struct mailbox *mb = deepest(t->root); mb; mb = next_in_post_order(t, mb))
		mb->place.generation = mb->place.named = t->generation;
}

/* The mailbox was deleted, while those below it live on. */
static void become_directory(struct tree *t, struct mailbox *mb)
{
	mb->place.listed = false;
	mb->place.generation = t->generation;
	tree_tell_all_gone(t, mb);
	mailbox_touch(mb);
	mailbox_save(mb);
}

/* Warns once, not with each LIST. */
static void warn_of_left_out(struct tree *t)
{
	if (t->left_out > 0 && !t->left_out_logged)
		log_warning(
			"%s: %u mailbox%s left out: it lists more than %u, nests them more "
			"than %u deep, or has names of more than %zu KiB, %zu MiB in all; mount "
			"one of them as host:mailbox to see what is below",
			t->host, t->left_out, t->left_out == 1 ? " is" : "es are",
			TREE_MAILBOXES_MAX, TREE_LEVELS_MAX, TREE_NAME_MAX >> 10,
			TREE_OCTETS_MAX >> 20);
	t->left_out_logged |= t->left_out > 0;
	t->left_out = 0;
}

void tree_begin_list(struct tree *t)
{
	t->generation++;
	t->left_out = 0;
}

void tree_end_list(struct tree *t)
{
	struct mailbox *mb = deepest(t->root);

	t->listed = true;
	warn_of_left_out(t);
	while (mb && mb != t->root) {
		struct mailbox *next = next_in_post_order(t, mb);
		struct mailbox *parent = mb->place.parent;
		bool gone = times_missed(t, mb) >= 2 && mb != t->top;
		/* A directory ends after what is in it. */
		if (gone && list_empty(&mb->place.children)) {
			t->notices->on_directory_gone(t->account, parent, mb);
			tree_bury(t, mb, ERR_NO_MAILBOX);
		} else if (gone && mb->place.listed) {
			become_directory(t, mb);
		}
		mb = next;
	}
	/* Once for all that died. */
	t->notices->on_dead(t->account, ERR_NO_MAILBOX);
	mb = deepest(t->root);
	for (; mb; mb = next_in_post_order(t, mb)) {
		if (mb->names.unsaved)
			mailbox_save(mb);
		if (mb->names.version != mb->names.cached_version)
			t->notices->on_directory_changed(t->account, mb);
	}
}
