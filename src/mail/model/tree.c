/* SPDX-License-Identifier: MIT */
/*
 * A mailbox is found by its raw name (in a balanced tree of libc's, since a server chooses the
 * names), a directory entry by its component. How LIST changes the tree is in tree_list.c.
 */
#include "mail/model/private.h"

#include <search.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/error.h"
#include "base/log.h"
#include "base/mem.h"
#include "imap/response.h"
#include "imap/utf7.h"
#include "mail/model/given.h"
#include "mail/model/names.h"

/* How often a mailbox may be numbered anew (its UIDVALIDITY may change) in so many milliseconds. */
#define RENUMBER_MAX 5
#define RENUMBER_TIME ((uint64_t)10 * 60 * 1000)

static int compare_names(const void *a, const void *b)
{
	struct span x = ((const struct mailbox *)a)->name, y = ((const struct mailbox *)b)->name;
	size_t n = x.n < y.n ? x.n : y.n;
	int order = n ? memcmp(x.p, y.p, n) : 0;

	return order ? order : (x.n > y.n) - (x.n < y.n);
}

struct span tree_canonical_name(struct span name)
{
	return names_is_inbox(name) ? SPAN("INBOX") : name;
}

struct mailbox *tree_by_name(struct tree *t, struct span name)
{
	struct mailbox key = {.name = tree_canonical_name(name)};
	struct mailbox **found = tfind(&key, &t->by_name, compare_names);

	return found ? *found : NULL;
}

struct mailbox *tree_by_text(struct tree *t, struct span text)
{
	struct mailbox *mb = NULL;
	struct buf encoded;

	if (text.n > TREE_NAME_MAX)
		return NULL;
	buf_init(&encoded, 5 * text.n + 1);
	if (imap_utf7_encode(text, &encoded) == 0)
		mb = tree_by_name(t, buf_span(&encoded));
	buf_finish(&encoded);
	return mb;
}

struct mailbox *tree_mailbox(const struct tree *t, uint32_t id)
{
	return map_get(&t->by_id, id);
}

/* The child whose component begins path, up to a delimiter or the end; *rest is what follows. */
static struct mailbox *step(const struct mailbox *mb, struct span path, struct span *rest)
{
	LIST_FOREACH (pos, &mb->place.children) {
		struct mailbox *child = list_entry(pos, struct mailbox, place.sibling);
		struct span c = span_of(child->component);
		if (c.n > path.n || !span_equal(c, (struct span){path.p, c.n}))
			continue;
		*rest = (struct span){path.p + c.n, path.n - c.n};
		if (rest->n == 0)
			return child;
		if (rest->p[0] == '/' ||
			rest->p[0] == (child->place.has_delimiter ? child->place.delimiter : '/')) {
			rest->p++;
			rest->n--;
			return child;
		}
	}
	return NULL;
}

struct mailbox *tree_by_path(struct tree *t, struct span path)
{
	struct mailbox *mb = t->root;

	while (mb && path.n > 0)
		mb = step(mb, path, &path);
	return mb;
}

void tree_index_name(struct tree *t, struct mailbox *mb)
{
	if (!tsearch(mb, &t->by_name, compare_names)) {
		log_error("out of memory");
		abort();
	}
}

void tree_unindex_name(struct tree *t, struct mailbox *mb)
{
	tdelete(mb, &t->by_name, compare_names);
}

void tree_tell_all_gone(struct tree *t, struct mailbox *mb)
{
	for (size_t i = 0; i < mb->messages.rows.count; i++)
		if (!(mb->messages.rows.at[i].flags & MESSAGE_GONE))
			t->notices->on_message_gone(t->account, mb, mb->messages.rows.at[i].uid);
}

/* Whether a mailbox may be numbered anew once more; warns at the first refusal. */
static bool may_renumber(const struct tree *t, struct mailbox *mb)
{
	if (uv_now(t->loop) >= mb->place.renumbered_at + RENUMBER_TIME)
		mb->place.renumbered = 0;
	if (mb->place.renumbered < RENUMBER_MAX)
		return true;
	if (mb->place.renumbered == RENUMBER_MAX)
		log_warning("%s: the UIDVALIDITY of %s changes again and again: its messages "
			    "cannot be told apart, and are not read for now",
			t->host, mailbox_path(mb));
	mb->place.renumbered = RENUMBER_MAX + 1;
	return false;
}

/* The mailbox that takes the place of the old one, which is still in the tree. */
static struct mailbox *make_successor(struct tree *t, const struct mailbox *old)
{
	struct mailbox *mb = mailbox_create(t, cache_new_id(t->cache), old->name);

	free(mb->component);
	mb->component = mem_strdup(old->component);
	mb->place.has_delimiter = old->place.has_delimiter;
	mb->place.delimiter = old->place.delimiter;
	mb->place.list_flags = old->place.list_flags;
	mb->place.listed = old->place.listed;
	mb->place.generation = old->place.generation;
	mb->place.named = old->place.named;
	mb->place.renumbered = old->place.renumbered + 1;
	mb->place.renumbered_at = uv_now(t->loop);
	mb->removal.barred = true;
	mb->keeping.kept = old->keeping.kept;
	mb->keeping.whole = old->keeping.whole;
	/* The inode of the mounted directory stays, and the kernel may have cached its listing. */
	mb->names.version = old->names.version + 1;
	mb->names.cached_version = old->names.cached_version;
	return mb;
}

static void put_in_place_of(struct tree *t, struct mailbox *mb, struct mailbox *old)
{
	struct mailbox *parent = old->place.parent;

	tree_unindex_name(t, old);
	tree_index_name(t, mb);
	map_put(&t->by_id, mb->id, mb);
	while (!list_empty(&old->place.children)) {
		struct mailbox *child = list_entry(
			old->place.children.next, struct mailbox, place.sibling);
		mailbox_detach(child);
		mailbox_attach(mb, child);
	}
	mailbox_detach(old);
	mailbox_attach(parent, mb);
	if (t->top == old) {
		tree_tell_all_gone(t, old);
		t->top = mb;
	}
	mailbox_touch(parent);
}

struct mailbox *tree_replace(struct tree *t, struct mailbox *old)
{
	struct mailbox *parent = old->place.parent;

	if (old == t->root)
		return old;
	if (!may_renumber(t, old))
		return NULL;
	log_notice("UIDVALIDITY of %s changed: its messages are new ones", mailbox_path(old));
	t->notices->on_directory_gone(t->account, parent, old);
	struct mailbox *mb = make_successor(t, old);
	put_in_place_of(t, mb, old);
	mailbox_kill(old);
	cache_drop_mailbox(t->cache, old->id);
	mailbox_save(mb);
	if (mb->keeping.kept)
		cache_keep_mailbox(t->cache, mb->id,
			mb->keeping.whole ? CACHE_KEEP_WHOLE : CACHE_KEEP, NULL, NULL);
	t->notices->on_buried(t->account, old);
	t->notices->on_dead(t->account, ERR_STALE);
	mailbox_wake(old, false, ERR_STALE);
	t->notices->on_directory_changed(t->account, parent);
	t->notices->on_directory_changed(t->account, mb);
	return mb;
}

static void load_one(void *ctx, const struct cache_mailbox *row)
{
	struct tree *t = ctx;
	struct mailbox *mb = tree_by_name(t, row->name);

	/* A parent's name is shorter, so its row came before: only a damaged or foreign one has
	 * another id than what was made on the way to an earlier row. */
	if (mb && mb->id != row->id)
		return;
	mb = tree_walk(t, row->name, row->has_delimiter, row->delimiter,
		row->list_flags & IMAP_LIST_UTF8, row->id);
	if (!mb)
		return;
	mb->place.list_flags = row->list_flags;
	mb->place.listed = row->listed;
	mb->uidvalidity = row->uidvalidity;
	mb->messages.uidnext = row->uidnext;
	mb->messages.held = row->uidnext > 1 || row->exists > 0;
	mb->messages.highestmodseq = row->highestmodseq;
	mb->messages.complete = row->complete;
	mb->names.changed = row->changed;
}

static void load_given(void *ctx, uint32_t id, uint32_t uid, struct span name)
{
	struct mailbox *mb = tree_mailbox(ctx, id);

	if (mb)
		given_load(mb, name, uid);
}

static void load_kept(void *ctx, uint32_t id, enum cache_keep keep)
{
	struct mailbox *mb = tree_mailbox(ctx, id);

	if (mb) {
		mb->keeping.kept = true;
		mb->keeping.whole = keep == CACHE_KEEP_WHOLE;
	}
}

static void load_tree(struct tree *t)
{
	t->loading = true;
	cache_each_mailbox(t->cache, load_one, t);
	cache_each_given(t->cache, load_given, t);
	cache_each_kept(t->cache, load_kept, t);
	t->loading = false;
	/* The root has no row: it changed when its newest mailbox did. */
	t->root->names.changed = 0;
	LIST_FOREACH (pos, &t->root->place.children) {
		const struct mailbox *child = list_entry(pos, struct mailbox, place.sibling);
		if (child->names.changed > t->root->names.changed)
			t->root->names.changed = child->names.changed;
	}
	if (t->root->names.changed == 0)
		t->root->names.changed = time(NULL);
}

void tree_init(struct tree *t)
{
	t->root = t->top = mailbox_create(t, 0, SPAN(""));
	t->root->messages.loaded = t->root->messages.complete = true;
	map_init(&t->by_id);
	map_put(&t->by_id, 0, t->root);
	load_tree(t);
}

static void destroy_one(void *ctx, uint64_t key, void *value)
{
	mailbox_destroy(value);
}

static void keep_node(void *node)
{
}

void tree_finish(struct tree *t)
{
	map_each(&t->by_id, destroy_one, NULL);
	map_finish(&t->by_id);
	for (size_t i = 0; i < TREE_PASSED; i++)
		free((char *)t->passed[i].p);
	tdestroy(t->by_name, keep_node);
	t->by_name = NULL;
}

void tree_free(struct tree *t, struct mailbox *mb)
{
	map_remove(&t->by_id, mb->id);
	cache_forget_mailbox(t->cache, mb->id);
	mailbox_destroy(mb);
}

/* --- names of our own --- */

void tree_pass_over(struct tree *t, struct span name)
{
	struct span *at = &t->passed[t->passed_next++ % TREE_PASSED];

	free((char *)at->p);
	*at = (struct span){mem_copy(name.p, name.n), name.n};
}

bool tree_passes_over(const struct tree *t, struct span name)
{
	for (size_t i = 0; i < TREE_PASSED && t->passed[i].n > 0; i++)
		if (span_equal(t->passed[i], name))
			return true;
	return false;
}
